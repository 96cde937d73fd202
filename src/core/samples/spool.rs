//! Frames from their closing to their acknowledgement, and the account of all samples.

use std::collections::BTreeMap;

use super::frame::Closed;
use crate::wire::session::{Ack, Frame, OutputCounts};

/// Keeps frames until they are acknowledged, in memory of bounded size.
#[derive(Debug)]
pub struct Spool {
    bytes_max: usize,
    bytes: usize,
    frames: BTreeMap<u64, Kept>,
    /// Frames up to this one were sent in the session that is up now.
    sent: u64,
    totals: Totals,
}

#[derive(Debug)]
struct Kept {
    frame: Frame,
    bytes: usize,
}

/// The account of an instance's samples. `framed = acked + held + dropped`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Samples closed into frames.
    pub framed: u64,
    /// Samples in acknowledged frames.
    pub acked: u64,
    /// Samples of frames for which there was no room.
    pub dropped: u64,
    /// Number of the last frame; 0 before the first.
    pub last_seq: u64,
    /// What became of the samples of acknowledged frames, by output.
    pub outputs: BTreeMap<String, Counts>,
}

/// What became of samples in one output.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Samples stored.
    pub stored: u64,
    /// Samples rejected, by reason.
    pub rejected: BTreeMap<String, u64>,
}

/// There is no room for a frame: its samples are lost, and the run has failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the spool of {bytes_max} bytes is full: outputs took {acked} of {framed} samples so far; \
     k6 emits more than they can store"
)]
pub struct Overflow {
    /// Size of the spool.
    pub bytes_max: usize,
    /// Samples acknowledged.
    pub acked: u64,
    /// Samples framed.
    pub framed: u64,
}

impl Spool {
    /// A spool that holds frames of `bytes_max` bytes in all.
    pub const fn new(bytes_max: usize) -> Self {
        Self {
            bytes_max,
            bytes: 0,
            frames: BTreeMap::new(),
            sent: 0,
            totals: Totals {
                framed: 0,
                acked: 0,
                dropped: 0,
                last_seq: 0,
                outputs: BTreeMap::new(),
            },
        }
    }

    /// Takes a frame.
    ///
    /// # Errors
    /// When there is no room for it. It is counted as dropped.
    pub fn push(&mut self, closed: Closed) -> Result<(), Overflow> {
        let samples = closed.frame.value.len() as u64;
        self.totals.framed += samples;
        self.totals.last_seq = self.totals.last_seq.max(closed.frame.seq);
        if self.bytes + closed.memory_bytes > self.bytes_max {
            self.totals.dropped += samples;
            return Err(Overflow {
                bytes_max: self.bytes_max,
                acked: self.totals.acked,
                framed: self.totals.framed,
            });
        }
        self.bytes += closed.memory_bytes;
        let kept = Kept { bytes: closed.memory_bytes, frame: closed.frame };
        self.frames.insert(kept.frame.seq, kept);
        Ok(())
    }

    /// A new session: all that is not acknowledged is to be sent again.
    pub const fn rewind(&mut self) {
        self.sent = 0;
    }

    /// Whether there is a frame to send while no more than `window` sent ones wait for their acknowledgement.
    pub fn has_next(&self, window: usize) -> bool {
        self.frames.range(..=self.sent).count() < window
            && self.frames.range(self.sent + 1..).next().is_some()
    }

    /// The next frame to send, in the order of seq; none when `window` frames wait for their acknowledgement.
    pub fn next(&mut self, window: usize) -> Option<Frame> {
        if !self.has_next(window) {
            return None;
        }
        let (seq, kept) = self.frames.range(self.sent + 1..).next()?;
        self.sent = *seq;
        Some(kept.frame.clone())
    }

    /// Takes an acknowledgement. One for a frame that is not held (any more) changes nothing.
    pub fn ack(&mut self, ack: &Ack) {
        let Some(kept) = self.frames.remove(&ack.seq) else { return };
        self.bytes -= kept.bytes;
        self.totals.acked += kept.frame.value.len() as u64;
        for counts in &ack.outputs {
            let total = self.totals.outputs.entry(counts.name.clone()).or_default();
            total.stored += counts.stored;
            for (reason, samples) in &counts.rejected {
                *total.rejected.entry(reason.clone()).or_default() += samples;
            }
        }
    }

    /// Whether no frame waits for its acknowledgement.
    pub fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    /// The account so far.
    pub const fn totals(&self) -> &Totals {
        &self.totals
    }
}

impl Totals {
    /// The account of outputs as it travels.
    pub fn output_counts(&self) -> Vec<OutputCounts> {
        let outputs = self.outputs.iter().map(|(name, counts)| OutputCounts {
            name: name.clone(),
            stored: counts.stored,
            rejected: counts.rejected.clone(),
        });
        outputs.collect()
    }
}

#[cfg(test)]
mod tests;
