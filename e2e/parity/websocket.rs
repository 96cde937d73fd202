//! The target's end of a WebSocket (RFC 6455): it says back what it hears.

use std::io::{Read, Write};

use base64::{Engine, engine::general_purpose::STANDARD};

const GUID: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
/// Longest message that is taken, in bytes.
const MESSAGE_BYTES_MAX: u64 = 1 << 20;
const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;

/// The answer to a client's `Sec-WebSocket-Key`.
pub(crate) fn accept(key: &str) -> String {
    STANDARD.encode(sha1(format!("{key}{GUID}").as_bytes()))
}

/// Says back each message until the client closes.
pub(crate) fn echo(stream: &mut (impl Read + Write)) -> std::io::Result<()> {
    loop {
        let mut head = [0; 2];
        stream.read_exact(&mut head)?;
        let length = match head[1] & 0x7f {
            126 => {
                let mut long = [0; 2];
                stream.read_exact(&mut long)?;
                u64::from(u16::from_be_bytes(long))
            }
            127 => {
                let mut long = [0; 8];
                stream.read_exact(&mut long)?;
                u64::from_be_bytes(long)
            }
            short => u64::from(short),
        };
        if length > MESSAGE_BYTES_MAX {
            return Err(std::io::Error::other("a message too long"));
        }
        let mut mask = [0; 4];
        stream.read_exact(&mut mask)?;
        let mut message = vec![0; usize::try_from(length).unwrap_or_default()];
        stream.read_exact(&mut message)?;
        message.iter_mut().zip(mask.iter().cycle()).for_each(|(byte, mask)| *byte ^= mask);
        let answer = match head[0] & 0x0f {
            PING => head[0] & 0xf0 | PONG,
            PONG => continue,
            _ => head[0],
        };
        stream.write_all(&frame(answer, &message))?;
        stream.flush()?;
        if head[0] & 0x0f == CLOSE {
            return Ok(());
        }
    }
}

fn frame(first: u8, message: &[u8]) -> Vec<u8> {
    let mut frame = vec![first];
    match (u8::try_from(message.len()), u16::try_from(message.len())) {
        (Ok(short), _) if short < 126 => frame.push(short),
        (_, Ok(long)) => {
            frame.push(126);
            frame.extend(long.to_be_bytes());
        }
        _ => {
            frame.push(127);
            frame.extend((message.len() as u64).to_be_bytes());
        }
    }
    frame.extend(message);
    frame
}

/// SHA-1, which nothing but this handshake still needs.
#[expect(clippy::many_single_char_names, reason = "as the standard names them")]
fn sha1(text: &[u8]) -> [u8; 20] {
    let mut state = [0x6745_2301_u32, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476, 0xc3d2_e1f0];
    let mut padded = text.to_vec();
    padded.push(0x80);
    padded.resize(padded.len().next_multiple_of(64), 0);
    if text.len() % 64 >= 56 {
        padded.resize(padded.len() + 64, 0);
    }
    let end = padded.len() - 8;
    padded[end..].copy_from_slice(&(text.len() as u64 * 8).to_be_bytes());
    for block in padded.chunks_exact(64) {
        let mut words = [0_u32; 80];
        for (word, bytes) in words.iter_mut().zip(block.chunks_exact(4)) {
            *word = u32::from_be_bytes(bytes.try_into().unwrap());
        }
        for at in 16..80 {
            let mixed = words[at - 3] ^ words[at - 8] ^ words[at - 14] ^ words[at - 16];
            words[at] = mixed.rotate_left(1);
        }
        let mut now = state;
        for (round, word) in words.iter().enumerate() {
            let [a, b, c, d, e] = now;
            let (mixed, constant) = match round / 20 {
                0 => ((b & c) | (!b & d), 0x5a82_7999),
                1 => (b ^ c ^ d, 0x6ed9_eba1),
                2 => ((b & c) | (b & d) | (c & d), 0x8f1b_bcdc),
                _ => (b ^ c ^ d, 0xca62_c1d6_u32),
            };
            let sum = a.rotate_left(5).wrapping_add(mixed).wrapping_add(e).wrapping_add(constant);
            now = [sum.wrapping_add(*word), a, b.rotate_left(30), c, d];
        }
        state.iter_mut().zip(now).for_each(|(old, new)| *old = old.wrapping_add(new));
    }
    let mut digest = [0; 20];
    for (bytes, word) in digest.chunks_exact_mut(4).zip(state) {
        bytes.copy_from_slice(&word.to_be_bytes());
    }
    digest
}
