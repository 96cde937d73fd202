//! The account of an instance's samples.

use std::collections::{BTreeMap, BTreeSet};

use crate::wire::session::{Ack, OutputCounts};

/// The account of an instance's samples. `framed = acked + held + dropped`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Samples closed into frames.
    pub framed: u64,
    /// Samples in acknowledged frames.
    pub acked: u64,
    /// Samples of frames for which there was no room, and of those that could not be read back.
    pub dropped: u64,
    /// Of the dropped ones, those that were written and could not be read back.
    pub unreadable: u64,
    /// Why the first of the dropped ones were; empty where there are none.
    pub dropped_why: String,
    /// Why the first of them were by which the run fails; empty where there are none.
    pub failed_why: String,
    /// Number of the last frame; 0 before the first.
    pub last_seq: u64,
    /// The highest frame that was ever sent.
    pub sent_to: u64,
    /// Frames that were sent and are not acknowledged, as many as may be under way in one session.
    pub unacked: BTreeSet<u64>,
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

impl Totals {
    /// Takes the acknowledgement of a frame of so many samples.
    pub(super) fn take(&mut self, samples: u64, ack: &Ack) {
        self.acked += samples;
        self.unacked.remove(&ack.seq);
        for counts in &ack.outputs {
            let total = self.outputs.entry(counts.name.clone()).or_default();
            total.stored = total.stored.saturating_add(counts.stored);
            for (reason, samples) in &counts.rejected {
                let sum = total.rejected.entry(reason.clone()).or_default();
                *sum = sum.saturating_add(*samples);
            }
        }
    }

    /// A frame is sent, for the first time or again.
    pub(super) fn send(&mut self, seq: u64) {
        if seq > self.sent_to {
            self.sent_to = seq;
            self.unacked.insert(seq);
        }
    }

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
