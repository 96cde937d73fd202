//! One thing to be done with a file, and what came of it.

use std::sync::Arc;

use super::record::{self, Chunk, SegmentHeader};
use crate::wire::session::Frame;

/// One thing to be done.
#[derive(Clone, Debug, PartialEq)]
pub enum Job {
    /// Write these frames at this place, and sync them.
    Write {
        /// Number of the segment.
        segment: u64,
        /// Where in it.
        offset: u64,
        /// Of a file that is to be made.
        header: Option<SegmentHeader>,
        /// What to write.
        frames: Vec<Arc<Frame>>,
    },
    /// Read this piece.
    Read {
        /// Number of the segment.
        segment: u64,
        /// Where in it.
        offset: u64,
        /// How much.
        bytes: u64,
        /// Nothing is written behind it.
        is_last: bool,
    },
    /// Cut the file off here: what is behind failed.
    Cut {
        /// Number of the segment.
        segment: u64,
        /// Bytes that stay.
        bytes: u64,
    },
    /// Remove the file, if it is there.
    Remove {
        /// Number of the segment.
        segment: u64,
    },
}

/// What came of the job.
#[derive(Clone, Debug, PartialEq)]
pub enum Done {
    /// It is done, or this is why not. For everything but a read.
    Did(Result<(), String>),
    /// What was read.
    Read(Result<Chunk, String>),
}

impl Job {
    /// The bytes of a group; empty for anything else.
    pub fn bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        if let Self::Write { header, frames, .. } = self {
            if let Some(header) = header {
                record::put_head(header, &mut bytes);
            }
            for frame in frames {
                record::put_frame(frame, &mut bytes);
            }
        }
        bytes
    }
}

impl Done {
    /// What a read gave: `bytes` may be fewer than were asked for only where the file ends too early.
    pub fn read(job: &Job, bytes: &[u8]) -> Self {
        let Job::Read { bytes: asked, is_last, .. } = job else {
            return Self::Read(Err("no read was asked for".to_owned()));
        };
        let is_cut = (bytes.len() as u64) < *asked;
        let mut chunk = record::chunk(bytes, *is_last || is_cut);
        chunk.is_lost |= is_cut;
        Self::Read(Ok(chunk))
    }
}
