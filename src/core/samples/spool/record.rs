//! What a segment file holds: records that say how long they are and prove that they are whole.
//!
//! ```text
//! segment = "weirspol" record(SegmentHeader) record(Frame)*
//! record  = length u32 | CRC32C u32 of length and payload | payload   (numbers little-endian)
//! ```
//! The payload of a frame is its encoding as it travels. A segment says itself whose it is, so that another process than
//! the one that wrote it can read it.

use prost::Message;

use crate::wire::{MESSAGE_BYTES_MAX, session::Frame};

/// The first bytes of a segment.
const MAGIC: [u8; 8] = *b"weirspol";
/// Version of the format.
pub const FORMAT: u32 = 1;
/// Bytes of a record before its payload.
const PREFIX_BYTES: usize = 8;
/// Largest payload: a larger frame could not travel either.
pub const PAYLOAD_BYTES_MAX: usize = MESSAGE_BYTES_MAX;

/// Whose frames a segment holds.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct SegmentHeader {
    /// [`FORMAT`] of the build that wrote it.
    #[prost(uint32, tag = "1")]
    pub format: u32,
    /// The run, as namespace/name/uid.
    #[prost(string, tag = "2")]
    pub run: String,
    /// The k6 instance, from 1.
    #[prost(uint32, tag = "3")]
    pub instance_id: u32,
    /// The agent process: sequence numbers count within it.
    #[prost(string, tag = "4")]
    pub incarnation: String,
    /// Number of the segment, from 1.
    #[prost(uint64, tag = "5")]
    pub segment: u64,
}

/// Why bytes are no segment.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoSegment {
    /// They begin otherwise.
    #[error("this is no segment of a spool")]
    Foreign,
    /// The header is torn or changed.
    #[error("the segment's header is damaged")]
    Damaged,
    /// Another build wrote it.
    #[error("the segment has format {0}; this build reads format {FORMAT}")]
    Format(u32),
}

/// What a piece of a segment gave back.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Chunk {
    /// Frames that verified.
    pub frames: Vec<Frame>,
    /// Bytes that need not be read again.
    pub bytes: u64,
    /// Bytes that the next record needs, where it is longer than the piece; otherwise 0.
    pub wanted: u64,
    /// Records that did not verify.
    pub broken: u64,
    /// Nothing behind can be found: a length cannot be true, or the file ends before it should.
    pub is_lost: bool,
}

/// Bytes of the record of a payload.
pub const fn record_bytes(payload_bytes: usize) -> u64 {
    (PREFIX_BYTES + payload_bytes) as u64
}

/// Bytes of a segment before its first frame.
pub fn head_bytes(header: &SegmentHeader) -> u64 {
    MAGIC.len() as u64 + record_bytes(header.encoded_len())
}

/// Appends the beginning of a segment.
pub fn put_head(header: &SegmentHeader, out: &mut Vec<u8>) {
    out.extend_from_slice(&MAGIC);
    put(&header.encode_to_vec(), out);
}

/// Appends the record of a frame.
pub fn put_frame(frame: &Frame, out: &mut Vec<u8>) {
    put(&frame.encode_to_vec(), out);
}

/// The header of a segment, and where its frames begin.
///
/// # Errors
/// When these bytes do not begin as a segment of this format does.
pub fn head(bytes: &[u8]) -> Result<(SegmentHeader, usize), NoSegment> {
    let rest = bytes.strip_prefix(&MAGIC).ok_or(NoSegment::Foreign)?;
    let Next::Whole { payload, bytes } = next(rest) else { return Err(NoSegment::Damaged) };
    let header = SegmentHeader::decode(payload).map_err(|_| NoSegment::Damaged)?;
    if header.format != FORMAT {
        return Err(NoSegment::Format(header.format));
    }
    Ok((header, MAGIC.len() + bytes))
}

/// Reads a piece of a segment that begins at a record. `is_last`: nothing was written behind it.
pub fn chunk(bytes: &[u8], is_last: bool) -> Chunk {
    let mut chunk = Chunk::default();
    let mut rest = bytes;
    loop {
        let used = match next(rest) {
            Next::Whole { payload, bytes } => {
                match Frame::decode(payload) {
                    Ok(frame) => chunk.frames.push(frame),
                    Err(_) => chunk.broken += 1,
                }
                bytes
            }
            // Its length may be the part that is broken; then the next record does not verify either, and so on until
            // a length that cannot be, or the end.
            Next::Broken { bytes } => {
                chunk.broken += 1;
                bytes
            }
            Next::End => break,
            Next::Short { bytes } if !is_last => {
                chunk.wanted = bytes as u64;
                break;
            }
            Next::Short { .. } | Next::Absurd => {
                chunk.is_lost = true;
                break;
            }
        };
        chunk.bytes += used as u64;
        rest = rest.get(used..).unwrap_or_default();
    }
    chunk
}

fn put(payload: &[u8], out: &mut Vec<u8>) {
    // A payload is checked against PAYLOAD_BYTES_MAX before it comes here.
    let length = u32::try_from(payload.len()).unwrap_or(u32::MAX).to_le_bytes();
    let crc = crc(length, payload).to_le_bytes();
    out.extend_from_slice(&length);
    out.extend_from_slice(&crc);
    out.extend_from_slice(payload);
}

fn crc(length: [u8; 4], payload: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&length), payload)
}

/// What lies at the beginning of some bytes.
enum Next<'a> {
    /// A record that verifies.
    Whole { payload: &'a [u8], bytes: usize },
    /// One that does not.
    Broken { bytes: usize },
    /// The beginning of a record that would have so many bytes.
    Short { bytes: usize },
    /// A length that no record has.
    Absurd,
    /// Nothing.
    End,
}

fn next(bytes: &[u8]) -> Next<'_> {
    if bytes.is_empty() {
        return Next::End;
    }
    let Some((prefix, rest)) = bytes.split_first_chunk::<PREFIX_BYTES>() else {
        return Next::Short { bytes: PREFIX_BYTES };
    };
    let [l0, l1, l2, l3, c0, c1, c2, c3] = *prefix;
    let length = [l0, l1, l2, l3];
    let payload_bytes = u32::from_le_bytes(length) as usize;
    if payload_bytes == 0 || payload_bytes > PAYLOAD_BYTES_MAX {
        return Next::Absurd;
    }
    let bytes = PREFIX_BYTES + payload_bytes;
    let Some(payload) = rest.get(..payload_bytes) else { return Next::Short { bytes } };
    if crc(length, payload) == u32::from_le_bytes([c0, c1, c2, c3]) {
        Next::Whole { payload, bytes }
    } else {
        Next::Broken { bytes }
    }
}

#[cfg(test)]
mod tests;
