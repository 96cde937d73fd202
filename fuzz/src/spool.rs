//! A segment file of a spool: a head, some frames, and then whatever stands on a disk. Exactly those records are read whose
//! checks prove them, up to the first length that cannot be true, however the file is cut into reads.

use std::sync::LazyLock;

use prost::Message;
use weir::{
    core::samples::spool::record::{self, Chunk, PAYLOAD_BYTES_MAX},
    wire::session::Frame,
};

use crate::{checks, valid};

/// Bytes of a record before its payload: length and check.
const PREFIX_BYTES: usize = 8;

/// Frames, and the segment that holds them.
static WHOLE: LazyLock<[(Vec<Frame>, Vec<u8>); 4]> = LazyLock::new(|| {
    [0, 1, 2, 3].map(|times| (valid::measured(times).1, valid::segment(true, times)))
});

/// See the module. The first byte says how many frames are whole, the second how much is read at once.
pub fn check(bytes: &[u8]) {
    let Some(([times, read_bytes], rest)) = bytes.split_first_chunk() else { return };
    checks::piece_of_a_spool(rest, true);
    checks::piece_of_a_spool(rest, false);
    let (frames, whole) = &WHOLE[usize::from(*times) % WHOLE.len()];
    let file = [whole, rest].concat();
    let (_, head_bytes) = record::head(&file).expect("its head is whole");
    let records = &file[head_bytes..];
    let at_once = record::chunk(records, true);
    assert!(at_once.frames.starts_with(frames), "what was written before is lost");
    let (proven, broken) = proven(records);
    // As text, where what is no number equals itself.
    assert_eq!(format!("{:?}", at_once.frames), format!("{proven:?}"));
    assert_eq!(at_once.broken, broken);
    let in_pieces = in_pieces(records, 1 + usize::from(*read_bytes));
    assert_eq!(format!("{in_pieces:?}"), format!("{at_once:?}"));
}

/// The frames of the records that prove to be whole, and how many others there are.
fn proven(mut bytes: &[u8]) -> (Vec<Frame>, u64) {
    let (mut frames, mut broken) = (Vec::new(), 0);
    while let Some((prefix, rest)) = bytes.split_first_chunk::<PREFIX_BYTES>() {
        let (length, check) = prefix.split_at(4);
        let number = |bytes: &[u8]| u32::from_le_bytes(bytes.try_into().expect("four bytes"));
        let payload_bytes = number(length) as usize;
        let is_possible = (1..=PAYLOAD_BYTES_MAX).contains(&payload_bytes);
        let Some((payload, behind)) = rest.split_at_checked(payload_bytes).filter(|_| is_possible)
        else {
            break;
        };
        let is_whole = crc32c::crc32c(&[length, payload].concat()) == number(check);
        match Frame::decode(payload) {
            Ok(frame) if is_whole => frames.push(frame),
            _ => broken += 1,
        }
        bytes = behind;
    }
    (frames, broken)
}

/// What is read where so many bytes are read at once, or as many as the next record needs.
fn in_pieces(records: &[u8], read_bytes: usize) -> Chunk {
    let mut all = Chunk::default();
    loop {
        let from = usize::try_from(all.bytes).expect("it lies in memory");
        let left = &records[from..];
        let wanted = usize::try_from(all.wanted).expect("it is bounded");
        let read = &left[..left.len().min(read_bytes.max(wanted))];
        let is_last = read.len() == left.len();
        let chunk = record::chunk(read, is_last);
        assert!(chunk.bytes > 0 || chunk.wanted > read.len() as u64 || is_last || chunk.is_lost);
        all.frames.extend(chunk.frames);
        all.bytes += chunk.bytes;
        all.broken += chunk.broken;
        (all.wanted, all.is_lost) = (chunk.wanted, chunk.is_lost);
        if is_last || chunk.is_lost {
            return all;
        }
    }
}
