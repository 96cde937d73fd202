//! What became of samples whose frames are still held: for the account of a run that ends with some of them open.

use std::{collections::BTreeMap, sync::Arc};

use super::{Pipeline, Share};
use crate::wire::session::OutputCounts;

/// What became so far of samples of a frame that is still held.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Early {
    /// Samples that all outputs are done with. Where there are several outputs, at most so many.
    pub samples: u64,
    /// Each output for itself.
    pub outputs: Vec<OutputCounts>,
}

impl Pipeline {
    /// Samples of held frames that all outputs are done with, by instance. Where there are several outputs, at most so
    /// many.
    pub fn settled_early(&self) -> BTreeMap<u32, u64> {
        let mut by_instance = BTreeMap::new();
        for held in self.frames.values() {
            let open = held.shares.iter().map(|share| share.open).max().unwrap_or(0);
            *by_instance.entry(held.key.instance_id).or_default() += held.sample_count - open;
        }
        by_instance
    }

    /// What became of samples of held frames at one output, so far.
    pub fn counts_early(&self, lane: usize) -> OutputCounts {
        let mut counts = OutputCounts::default();
        for share in self.frames.values().filter_map(|held| held.shares.get(lane)) {
            share.add_to(&mut counts);
        }
        counts
    }

    /// What became so far of samples of held frames, by instance and process, and by frame.
    pub fn early_by_source(&self) -> BTreeMap<(u32, Arc<str>), BTreeMap<u64, Early>> {
        let mut by_source: BTreeMap<_, BTreeMap<u64, Early>> = BTreeMap::new();
        for held in self.frames.values() {
            let open = held.shares.iter().map(|share| share.open).max().unwrap_or(0);
            let shares = held.shares.iter().zip(&self.lanes);
            let outputs: Vec<OutputCounts> = shares
                .map(|(share, lane)| {
                    let mut counts =
                        OutputCounts { name: lane.name().to_owned(), ..OutputCounts::default() };
                    share.add_to(&mut counts);
                    counts
                })
                .collect();
            if outputs.iter().any(|of| of.stored > 0 || !of.rejected.is_empty()) {
                let key = (held.key.instance_id, held.key.incarnation.clone());
                let early = Early { samples: held.sample_count - open, outputs };
                by_source.entry(key).or_default().insert(held.key.seq, early);
            }
        }
        by_source
    }
}

impl Share {
    fn add_to(&self, counts: &mut OutputCounts) {
        counts.stored += self.stored;
        for (refusal, count) in &self.rejected {
            *counts.rejected.entry(refusal.as_str().to_owned()).or_default() += count;
        }
    }
}
