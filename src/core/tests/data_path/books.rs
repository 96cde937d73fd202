//! What must hold at any time, and the books at the end.

use std::{collections::BTreeSet, hash::Hash};

use super::{
    World,
    table::{is_finite, refusal},
};
use crate::core::{pipeline::shape::Shape, samples::spool::totals::Counts};

impl World {
    /// What must hold at any time.
    pub(super) fn check(&self, at: usize) {
        let agent = &self.agents[at];
        assert!(agent.waiting.len() <= self.limits.window, "{:?} wait", agent.waiting);
        if !self.steps.is_multiple_of(16) {
            return;
        }
        let totals = agent.spool.totals();
        let framed = agent.emitted - agent.open.len() as u64;
        assert_eq!(totals.framed, framed);
        assert!(totals.acked + totals.dropped <= framed);
        assert_eq!(agent.spool.is_empty(), totals.acked + totals.dropped == framed);
        assert!(agent.disk.used() as u64 <= self.limits.bytes_max, "the disk's share is kept");
        let Some(pipeline) = &self.aggregator else { return };
        let held: u64 = self.held.values().sum();
        assert!(held < self.held_max + self.largest.max(60), "{held} samples are held");
        assert_eq!(pipeline.is_empty(), self.held.is_empty());
        for (lane, config) in pipeline.lanes().iter().zip(&self.lanes) {
            assert!(lane.open_count() as u64 <= held, "more records than samples");
            assert!(lane.under_way_count() <= config.writes_max);
        }
    }

    /// The books: every sample that k6 emitted is a row, or refused for good, or counted as dropped or lost.
    pub(super) fn verify(&mut self) {
        for agent in &self.agents {
            for (lane, table) in self.lanes.iter().zip(&self.tables) {
                let rows = table.rows_of(agent.id);
                let stored: u64 = rows.iter().map(|(_, count)| count).sum();
                rows.hash(&mut self.trace);
                let none = Counts::default();
                let tally = self.tally.get(&(agent.id, lane.name.clone())).unwrap_or(&none);
                if agent.is_dead {
                    assert!(stored >= tally.stored && tally.stored <= agent.emitted);
                    if self.aggregator_deaths == 0 {
                        assert_eq!(stored, tally.stored, "what is told is stored");
                    }
                    continue;
                }
                let totals = agent.spool.totals();
                let counts = totals.outputs.get(&lane.name).unwrap_or(&none);
                let rejected: u64 = counts.rejected.values().sum();
                assert_eq!(agent.emitted, counts.stored + rejected + totals.dropped);
                assert_eq!(stored, counts.stored, "what is told is stored");
                assert_eq!(counts.rejected.get("VersionConflict"), None, "identities are unique");
                if lane.shape == Shape::Rollup {
                    let refused = rejected - counts.rejected.get("NotFinite").unwrap_or(&0);
                    if totals.dropped + refused == 0 {
                        let sum: u64 = rows.iter().map(|(sum, _)| sum).sum();
                        let due: u64 = (0..agent.emitted).filter(|v| is_finite(*v)).sum();
                        assert_eq!(sum, due, "each sample in one row");
                        self.summed += 1;
                    }
                    continue;
                }
                let values: BTreeSet<u64> = rows.iter().map(|(value, _)| *value).collect();
                assert_eq!(values.len(), rows.len(), "no sample is stored under two identities");
                assert!(!values.iter().any(|value| agent.dropped.contains(value)));
                if totals.unreadable == 0 {
                    let is_due = |value: &u64| {
                        !agent.dropped.contains(value)
                            && is_finite(*value)
                            && refusal(*value).is_none()
                    };
                    let due: BTreeSet<u64> = (0..agent.emitted).filter(is_due).collect();
                    assert_eq!(values, due, "each sample, and no other");
                }
            }
        }
    }
}
