//! Where samples go: a metric or submetric, of the run or of a part of it, and what was seen of it.

use super::{cell::Cell, sketch::Sketch, stats::Stats, threshold::Threshold};

/// The part of a run that a metric, a group or a check is of.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// All of it.
    #[default]
    Run,
    /// Samples without a scenario, or of the one called `default`: k6's full summary has their groups apart.
    Default,
    /// Samples of a scenario.
    Scenario(String),
}

/// What a sink is of.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct SinkKey {
    /// The part of the run.
    pub part: Part,
    /// The group; empty for samples in groups or not.
    pub group: String,
    /// The metric or submetric as k6 shows it.
    pub name: String,
}

/// What a group mark or a check is of.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct TallyKey {
    /// The part of the run.
    pub part: Part,
    /// The group's path; none for checks whatever their group.
    pub group: Option<String>,
    /// The check; none for the group itself.
    pub check: Option<String>,
}

impl Part {
    const fn name_bytes(&self) -> usize {
        match self {
            Self::Run | Self::Default => 0,
            Self::Scenario(name) => name.len(),
        }
    }
}

impl SinkKey {
    pub(super) const fn name_bytes(&self) -> usize {
        self.part.name_bytes() + self.group.len() + self.name.len()
    }
}

impl TallyKey {
    pub(super) fn name_bytes(&self) -> usize {
        let texts = [&self.group, &self.check].into_iter().flatten();
        self.part.name_bytes() + texts.map(String::len).sum::<usize>()
    }
}

/// How often a check held, or that there is a group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Time of the first sample.
    pub first_time_ns: i64,
    /// Among those of one instance: k6 gives all checks of one call the same time.
    pub order: u32,
    /// Times that it held.
    pub passes: u64,
    /// Times that it did not.
    pub fails: u64,
}

impl Tally {
    /// Takes what another instance counted.
    pub fn merge(&mut self, other: &Self) {
        let first = (self.first_time_ns, self.order).min((other.first_time_ns, other.order));
        (self.first_time_ns, self.order) = first;
        self.passes = self.passes.saturating_add(other.passes);
        self.fails = self.fails.saturating_add(other.fails);
    }
}

/// What an instance saw of a metric.
#[derive(Clone, Debug, Default)]
pub(super) struct Sink {
    pub(super) stats: Stats,
    /// Values of a trend, or of a metric whose kind is not known yet.
    pub(super) sketch: Option<Sketch>,
    pub(super) judges: Vec<Judge>,
}

/// A threshold and the cell that decides it, where it is one on a percentile.
#[derive(Clone, Debug)]
pub(super) struct Judge {
    pub(super) threshold: Threshold,
    pub(super) cell: Option<Cell>,
}

impl Judge {
    pub(super) fn new(threshold: &Threshold) -> Self {
        let cell = threshold.expression.aggregation.share().map(|_| Cell::default());
        Self { threshold: threshold.clone(), cell }
    }
}

impl Sink {
    pub(super) fn add(&mut self, time_ns: i64, value: f64) {
        self.stats.add(time_ns, value);
        if let Some(sketch) = &mut self.sketch {
            sketch.add(value);
        }
        for judge in &mut self.judges {
            if let Some(cell) = &mut judge.cell {
                cell.add(judge.threshold.expression.target, value);
            }
        }
    }
}
