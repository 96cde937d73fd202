//! Which samples of an agent process are settled, put together from all who know a part: the agent knows which of its frames
//! were acknowledged, a replica which it has settled itself, and a former one may be gone with what nobody had heard of.
//!
//! Frames settle in any order, so of two counts neither need hold the other. What the agent knows only grows, so of two of
//! its words the one with more samples holds the other, and can be told by two numbers and a few exceptions. Every other
//! frame is known by itself, until the agent's word holds it. So whatever comes twice, late or from several replicas counts
//! once.

use std::collections::{BTreeMap, BTreeSet};

use super::runner::settled_count;
use crate::wire::{
    result::{Counted, OutputAccount, SettledFrames},
    session::{OutputCounts, Report, SettledFrame, Tally},
};

impl Counted {
    /// Adds as many.
    pub fn add(&mut self, samples: u64, outputs: &[OutputCounts]) {
        self.samples = self.samples.saturating_add(samples);
        for counts in outputs {
            add_to(&mut self.outputs, &counts.name, counts.stored, &counts.rejected);
        }
    }

    fn add_all(&mut self, other: &Self) {
        self.samples = self.samples.saturating_add(other.samples);
        for (name, own) in &other.outputs {
            add_to(&mut self.outputs, name, own.stored, &own.rejected);
        }
    }

    /// Of two parts of the same frame each may hold what the other does not: the larger is the least that is settled.
    fn raise(&mut self, other: &Self) {
        self.samples = self.samples.max(other.samples);
        for (name, own) in &other.outputs {
            let known = self.outputs.entry(name.clone()).or_default();
            if settled_count(own) > settled_count(known) {
                known.clone_from(own);
            }
        }
    }

    fn counts(&self) -> Vec<OutputCounts> {
        let of = |(name, own): (&String, &OutputAccount)| OutputCounts {
            name: name.clone(),
            stored: own.stored,
            rejected: own.rejected.clone(),
        };
        self.outputs.iter().map(of).collect()
    }
}

fn add_to(
    outputs: &mut BTreeMap<String, OutputAccount>,
    name: &str,
    stored: u64,
    rejected: &BTreeMap<String, u64>,
) {
    if !outputs.contains_key(name) {
        outputs.insert(name.to_owned(), OutputAccount::default());
    }
    let Some(own) = outputs.get_mut(name) else { return };
    own.stored = own.stored.saturating_add(stored);
    for (reason, count) in rejected {
        let sum = own.rejected.entry(reason.clone()).or_default();
        *sum = sum.saturating_add(*count);
    }
}

/// The settled frames of an agent process, and what became of their samples.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settled {
    known: SettledFrames,
    sum: Counted,
}

impl Settled {
    /// Samples of all settled frames, and what became of them.
    pub const fn sum(&self) -> &Counted {
        &self.sum
    }

    /// Settled frames that the agent has not said to be acknowledged.
    pub fn frames(&self) -> impl Iterator<Item = u64> + '_ {
        self.known.frames.keys().copied()
    }

    /// Whether this frame is settled.
    pub fn has(&self, seq: u64) -> bool {
        self.is_acked(seq) || self.known.frames.contains_key(&seq)
    }

    /// Takes what the agent says of its acknowledged frames; late words change nothing.
    pub fn take_report(&mut self, report: &Report) {
        let mut acked = Counted::default();
        acked.add(report.acked, &report.outputs);
        self.take_acked(report.acked_to, report.acked_but.iter().copied().collect(), acked);
    }

    /// Takes what a writer told.
    pub fn take_tally(&mut self, tally: &Tally) {
        let mut acked = Counted::default();
        acked.add(tally.acked, &tally.outputs);
        self.take_acked(tally.acked_to, tally.acked_but.iter().copied().collect(), acked);
        for frame in &tally.settled {
            self.settle(frame.seq, frame.samples, &frame.outputs);
        }
        for frame in &tally.early {
            let mut part = Counted::default();
            part.add(frame.samples, &frame.outputs);
            self.take_part(frame.seq, &part);
        }
    }

    /// Takes what another knew of the same process.
    pub fn take(&mut self, other: &SettledFrames) {
        self.take_acked(other.acked_to, other.acked_but.clone(), other.acked.clone());
        for (seq, counted) in &other.frames {
            if !self.has(*seq) {
                self.sum.add_all(counted);
                self.known.frames.insert(*seq, counted.clone());
            }
        }
        let known = std::mem::take(&mut self.known.parts);
        for (seq, part) in known.iter().chain(&other.parts) {
            self.take_part(*seq, part);
        }
    }

    /// What is settled of frames that are not, as far as was told.
    pub fn parts(&self) -> impl Iterator<Item = &Counted> {
        self.known.parts.values()
    }

    /// All that is known, for another.
    pub const fn known(&self) -> &SettledFrames {
        &self.known
    }

    /// A frame is settled. Answers whether that is news.
    pub fn settle(&mut self, seq: u64, samples: u64, outputs: &[OutputCounts]) -> bool {
        if self.has(seq) {
            return false;
        }
        self.known.parts.remove(&seq);
        self.known.frames.entry(seq).or_default().add(samples, outputs);
        self.sum.add(samples, outputs);
        true
    }

    /// What replica 0 is told: the agent's word, and those of these frames that it does not hold.
    pub fn tally(&self, frames: &BTreeSet<u64>) -> Tally {
        let SettledFrames { acked_to, acked_but, acked, frames: all, .. } = &self.known;
        let told = frames.iter().filter_map(|seq| Some((*seq, all.get(seq)?)));
        Tally {
            acked: acked.samples,
            acked_to: *acked_to,
            acked_but: acked_but.iter().copied().collect(),
            outputs: acked.counts(),
            settled: told
                .map(|(seq, of)| SettledFrame { seq, samples: of.samples, outputs: of.counts() })
                .collect(),
            ..Tally::default()
        }
    }

    fn is_acked(&self, seq: u64) -> bool {
        seq <= self.known.acked_to && !self.known.acked_but.contains(&seq)
    }

    fn take_part(&mut self, seq: u64, part: &Counted) {
        if !self.has(seq) {
            self.known.parts.entry(seq).or_default().raise(part);
        }
    }

    fn take_acked(&mut self, acked_to: u64, acked_but: BTreeSet<u64>, acked: Counted) {
        if acked.samples <= self.known.acked.samples {
            return;
        }
        self.sum = acked.clone();
        let before = std::mem::take(&mut self.known);
        self.known = SettledFrames { acked_to, acked_but, acked, ..SettledFrames::default() };
        for (seq, counted) in before.frames {
            if !self.is_acked(seq) {
                self.sum.add_all(&counted);
                self.known.frames.insert(seq, counted);
            }
        }
        self.known.parts = before.parts;
        let Self { known, .. } = self;
        let SettledFrames { acked_to, acked_but, parts, .. } = known;
        parts.retain(|seq, _| seq > acked_to || acked_but.contains(seq));
    }
}

#[cfg(test)]
mod tests;
