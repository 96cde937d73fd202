//! What an instance emitted: which samples each of its frames holds, and what becomes of them at each output, folded and
//! counted here a second time.

use std::collections::{BTreeMap, BTreeSet};

use super::table::Rule;
use crate::{
    core::{
        dimensions::Kept,
        pipeline::row::Refusal,
        samples::{
            decode::{Pairs, Point},
            rollup::samples_in,
        },
    },
    wire::session::{Frame, OutputCounts, Rollup, RollupRow},
};

const SECOND_NS: i64 = 1_000_000_000;
/// Time from the first sample of a second to the frame of its rows, where no output takes samples.
const OPEN_MS: i64 = 1500;

/// What an output makes of samples.
#[derive(Clone, Debug)]
pub(super) enum Makes {
    Samples,
    /// Rows of a second with these dimensions.
    Rows(Kept),
}

#[derive(Clone, Debug)]
pub(super) struct Sample {
    pub(super) value: u64,
    pub(super) time_ns: i64,
    pub(super) metric: &'static str,
    pub(super) tags: Vec<(&'static str, &'static str)>,
}

/// Samples of a frame, and of each output the rows that it is to have of them: values, and how many samples each is of.
#[derive(Clone, Debug, Default)]
pub(super) struct Framed {
    pub(super) samples: u64,
    rows: Vec<Vec<(u64, u64)>>,
    not_finite: u64,
}

/// A row of a second: which second, the sum, and of how many samples.
type Folded = (i64, u64, u64);

#[derive(Debug)]
pub(super) struct Emitted {
    rule: Rule,
    outputs: Vec<(String, Makes)>,
    only_rows: bool,
    pub(super) count: u64,
    /// In no frame yet.
    open: Vec<Sample>,
    /// When the first of the open samples of each second came.
    since_ms: BTreeMap<i64, i64>,
    pub(super) frames: BTreeMap<u64, Framed>,
}

impl Sample {
    fn second(&self) -> i64 {
        self.time_ns.div_euclid(SECOND_NS)
    }
}

impl Emitted {
    pub(super) fn new(rule: Rule, outputs: Vec<(String, Makes)>) -> Self {
        Self {
            rule,
            only_rows: !outputs.iter().any(|(_, makes)| matches!(makes, Makes::Samples)),
            outputs,
            count: 0,
            open: Vec::new(),
            since_ms: BTreeMap::new(),
            frames: BTreeMap::new(),
        }
    }

    /// k6 emits a sample, whose value is its number.
    pub(super) fn emit(&mut self, mut sample: Sample, now_ms: i64) -> Point<'static> {
        sample.value = self.count;
        self.count += 1;
        let tags = sample.tags.iter().map(|(name, value)| ((*name).into(), (*value).into()));
        let point = Point {
            metric: sample.metric.into(),
            time_ns: sample.time_ns,
            value: self.rule.number(sample.value),
            tags: Pairs(tags.collect()),
            metadata: Pairs::default(),
        };
        self.since_ms.entry(sample.second()).or_insert(now_ms);
        self.open.push(sample);
        point
    }

    pub(super) const fn open_count(&self) -> u64 {
        self.open.len() as u64
    }

    /// A frame is closed, at this time or, with all that is open, at the end of time: whatever it is sent as, it holds
    /// these samples, and the rows of exactly these.
    pub(super) fn close(&mut self, frame: &Frame, due_ms: i64) {
        let is_due = |second: i64| {
            !self.only_rows || self.since_ms[&second].saturating_add(OPEN_MS) <= due_ms
        };
        let (due, open): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.open).into_iter().partition(|sample| is_due(sample.second()));
        self.open = open;
        for second in due.iter().map(Sample::second) {
            self.since_ms.remove(&second);
        }
        assert_eq!(samples_in(frame), due.len() as u64, "frame {}", frame.seq);
        let is_finite = |sample: &&Sample| self.rule.is_finite(sample.value);
        let mut framed = Framed {
            samples: due.len() as u64,
            rows: Vec::new(),
            not_finite: due.iter().filter(|sample| !is_finite(sample)).count() as u64,
        };
        for (at, (_, makes)) in (0_u32..).zip(&self.outputs) {
            framed.rows.push(match makes {
                Makes::Samples => due.iter().filter(is_finite).map(|s| (s.value, 1)).collect(),
                Makes::Rows(kept) => {
                    let folded = fold(due.iter().filter(is_finite), kept);
                    assert_eq!(rows_for(frame, at), folded, "output {at}, frame {}", frame.seq);
                    folded.into_iter().map(|(_, sum, count)| (sum, count)).collect()
                }
            });
        }
        self.frames.insert(frame.seq, framed);
    }

    /// Samples of these frames.
    pub(super) fn samples<'a>(&self, frames: impl IntoIterator<Item = &'a u64>) -> u64 {
        frames.into_iter().map(|seq| self.frames[seq].samples).sum()
    }

    /// What becomes of these frames at an output.
    pub(super) fn counts<'a>(
        &self,
        output: usize,
        frames: impl IntoIterator<Item = &'a u64>,
    ) -> OutputCounts {
        let name = self.outputs[output].0.clone();
        let mut counts = OutputCounts { name, ..OutputCounts::default() };
        let mut refuse = |refusal: Refusal, samples| {
            *counts.rejected.entry(refusal.as_str().to_owned()).or_default() += samples;
        };
        for framed in frames.into_iter().map(|seq| &self.frames[seq]) {
            if framed.not_finite > 0 {
                refuse(Refusal::NotFinite, framed.not_finite);
            }
            for (value, samples) in &framed.rows[output] {
                match self.rule.refusal(*value) {
                    Some(refusal) => refuse(refusal, *samples),
                    None => counts.stored += samples,
                }
            }
        }
        counts
    }

    /// The rows that an output is to have of these frames, in order.
    pub(super) fn rows<'a>(
        &self,
        output: usize,
        frames: impl IntoIterator<Item = &'a u64>,
    ) -> Vec<(u64, u64)> {
        let rows = frames.into_iter().flat_map(|seq| &self.frames[seq].rows[output]);
        let is_stored = |row: &&(u64, u64)| self.rule.refusal(row.0).is_none();
        let mut rows: Vec<_> = rows.filter(is_stored).copied().collect();
        rows.sort_unstable();
        rows
    }

    /// Frames that are in none of these.
    pub(super) fn but<'a>(
        &self,
        all: impl IntoIterator<Item = &'a BTreeSet<u64>>,
    ) -> BTreeSet<u64> {
        let mut rest: BTreeSet<u64> = self.frames.keys().copied().collect();
        for frames in all {
            rest.retain(|seq| !frames.contains(seq));
        }
        rest
    }
}

/// Whether `told` can be what became of samples at an output that failed on the way: each of them is counted, and what the
/// output did before is as it must be.
pub(super) fn is_cut_short(
    told: (u64, &BTreeMap<String, u64>),
    due: (u64, &BTreeMap<String, u64>),
) -> bool {
    let sum =
        |(stored, rejected): (u64, &BTreeMap<String, u64>)| stored + rejected.values().sum::<u64>();
    let is_due = |(why, count): (&String, &u64)| {
        why == Refusal::OutputFailed.as_str() || due.1.get(why).is_some_and(|due| count <= due)
    };
    sum(told) == sum(due) && told.0 <= due.0 && told.1.iter().all(is_due)
}

/// Rows of a second, in order.
fn fold<'a>(samples: impl Iterator<Item = &'a Sample>, kept: &Kept) -> Vec<Folded> {
    let mut cells: BTreeMap<_, (u64, u64)> = BTreeMap::new();
    for sample in samples {
        let tags = sample.tags.iter().filter(|(name, value)| !value.is_empty() && kept.has(name));
        let series: BTreeSet<_> = tags.collect();
        let cell = cells.entry((sample.second(), sample.metric, series)).or_default();
        *cell = (cell.0 + sample.value, cell.1 + 1);
    }
    let rows = cells.into_iter().map(|((second, ..), (sum, count))| (second, sum, count));
    let mut rows: Vec<_> = rows.collect();
    rows.sort_unstable();
    rows
}

/// The same as they stand in a frame.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "sums of whole numbers"
)]
fn rows_for(frame: &Frame, output: u32) -> Vec<Folded> {
    let is_its = |rollup: &&Rollup| rollup.outputs.contains(&output);
    let second = |row: &RollupRow| (frame.base_time_ns + row.after_ns).div_euclid(SECOND_NS);
    let rows = frame.rollups.iter().filter(is_its).flat_map(|rollup| &rollup.rows);
    let mut rows: Vec<_> = rows.map(|row| (second(row), row.sum as u64, row.count)).collect();
    rows.sort_unstable();
    rows
}
