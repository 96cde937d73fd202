//! k6's own output: passed on as it comes, its end kept for messages.

use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};

/// Bytes of k6's standard error that are kept.
const TAIL_BYTES: usize = 8 << 10;
/// Longest piece of a line that is passed on at once where lines get a prefix.
const LINE_BYTES_MAX: u64 = 64 << 10;

/// Copies `from` to `to` as it comes, and answers the end of it.
pub(super) async fn raw(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
) -> Vec<u8> {
    let mut tail = Vec::new();
    let mut buffer = vec![0; TAIL_BYTES];
    loop {
        let piece = match from.read(&mut buffer).await {
            Ok(0) | Err(_) => return tail,
            Ok(n) => buffer.get(..n).unwrap_or_default(),
        };
        keep(&mut tail, piece);
        // A log that nobody takes is no reason to end the test.
        drop(to.write_all(piece).await);
        drop(to.flush().await);
    }
}

/// The same, line by line, with a prefix.
pub(super) async fn prefixed(
    from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    prefix: &str,
) -> Vec<u8> {
    let mut tail = Vec::new();
    let mut from = BufReader::new(from);
    let mut line = Vec::new();
    loop {
        line.clear();
        line.extend_from_slice(prefix.as_bytes());
        match (&mut from).take(LINE_BYTES_MAX).read_until(b'\n', &mut line).await {
            Ok(0) | Err(_) => return tail,
            Ok(_) => {}
        }
        if !line.ends_with(b"\n") {
            line.push(b'\n');
        }
        keep(&mut tail, line.get(prefix.len()..).unwrap_or_default());
        drop(to.write_all(&line).await);
        drop(to.flush().await);
    }
}

fn keep(tail: &mut Vec<u8>, piece: &[u8]) {
    tail.extend_from_slice(piece);
    let surplus = tail.len().saturating_sub(TAIL_BYTES);
    tail.drain(..surplus);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn output_is_passed_on_whole_and_its_end_kept() {
        let input = [b"a".repeat(TAIL_BYTES), b"end".to_vec()].concat();
        let mut passed = Vec::new();
        let tail = raw(input.as_slice(), &mut passed).await;
        assert_eq!(passed, input);
        assert_eq!((tail.len(), tail.ends_with(b"aend")), (TAIL_BYTES, true));
    }

    #[tokio::test]
    async fn each_line_gets_its_prefix_and_the_last_its_line_feed() {
        let mut passed = Vec::new();
        let tail = prefixed(&b"one\n\ntwo"[..], &mut passed, "[3] ").await;
        assert_eq!(passed, b"[3] one\n[3] \n[3] two\n");
        assert_eq!(tail, b"one\n\ntwo\n");
    }
}
