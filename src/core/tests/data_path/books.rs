//! What must hold at any time, and the books at the end.

use super::{Agent, World};
use crate::{
    api::v1alpha1::OnFull,
    core::{
        samples::spool::totals::Counts,
        tests::{emitted::is_cut_short, table::is_part},
    },
};

impl World {
    /// What must hold at any time.
    pub(super) fn check(&self, at: usize) {
        let agent = &self.agents[at];
        assert!(agent.waiting.len() <= self.limits.window, "{:?} wait", agent.waiting);
        if !self.steps.is_multiple_of(16) {
            return;
        }
        let totals = agent.spool.totals();
        let framed = agent.emitted.count - agent.emitted.open_count();
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
        self.tables.iter().for_each(|table| table.hash(&mut self.trace));
        for agent in &self.agents {
            for (at, (lane, table)) in self.lanes.iter().zip(&self.tables).enumerate() {
                let rows = table.rows_of(agent.id);
                let stored: u64 = rows.iter().map(|(_, count)| count).sum();
                if agent.is_dead {
                    let none = Counts::default();
                    let tally = self.tally.get(&(agent.id, lane.name.clone())).unwrap_or(&none);
                    assert!(stored >= tally.stored && tally.stored <= agent.emitted.count);
                    if self.aggregator_deaths == 0 && !table.has_refused() {
                        assert_eq!(stored, tally.stored, "what is told is stored");
                    }
                    continue;
                }
                let counts = agent.emitted.counts(at, &agent.acked);
                let told = &agent.spool.totals().outputs;
                assert!(told.contains_key(&lane.name) || agent.acked.is_empty());
                let none = Counts::default();
                let told = told.get(&lane.name).unwrap_or(&none);
                let (told, counts) =
                    ((told.stored, &told.rejected), (counts.stored, &counts.rejected));
                let due = agent.emitted.rows(at, &agent.acked);
                if table.has_refused() {
                    assert!(is_cut_short(told, counts), "{told:?}, not {counts:?}");
                    assert!(stored >= told.0, "what is told is stored");
                    assert!(is_part(&rows, due), "rows of nothing that was emitted: {rows:?}");
                } else {
                    assert_eq!(told, counts);
                    assert_eq!(rows, due, "each sample in one row, and no other");
                }
            }
            if !agent.is_dead {
                agent.verify(self.limits.on_full);
            }
        }
    }
}

impl Agent {
    /// What is neither acknowledged nor found no room is lost by a disk that rots, and counted.
    fn verify(&self, on_full: OnFull) {
        let totals = self.spool.totals();
        let unreadable = self.emitted.but([&self.acked, &self.dropped]);
        let samples =
            [&self.acked, &self.dropped, &unreadable].map(|all| self.emitted.samples(all));
        let told = [totals.acked, totals.dropped - totals.unreadable, totals.unreadable];
        assert_eq!(samples, told, "acknowledged, without room, unreadable");
        assert_eq!(samples.iter().sum::<u64>(), self.emitted.count);
        let fails = !unreadable.is_empty() || (on_full == OnFull::Fail && !self.dropped.is_empty());
        assert_eq!(fails, !totals.failed_why.is_empty(), "the run fails: {}", totals.failed_why);
        assert!(unreadable.iter().all(|seq| self.disk.may_have_lost(*seq)), "{unreadable:?}");
    }
}
