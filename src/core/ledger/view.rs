//! The metrics of a run as one k6 as large as all instances would know them.

use std::collections::BTreeMap;

use super::{sketch::Sketch, stats::Stats};

/// Kind of a metric, in k6's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Adds up.
    Counter,
    /// Keeps the last value, the lowest and the highest.
    Gauge,
    /// Share of values that are not zero.
    Rate,
    /// Statistics of all values.
    Trend,
}

impl Kind {
    /// k6's word for it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Rate => "rate",
            Self::Trend => "trend",
        }
    }

    /// The kind that k6 has this word for.
    pub fn of_word(word: &str) -> Option<Self> {
        [Self::Counter, Self::Gauge, Self::Rate, Self::Trend]
            .into_iter()
            .find(|kind| kind.word() == word)
    }
}

/// What the values of a metric are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Contains {
    /// Plain numbers.
    #[default]
    Default,
    /// Milliseconds.
    Time,
    /// Bytes.
    Data,
}

impl Contains {
    /// What k6 has this word for.
    pub fn of_word(word: &str) -> Option<Self> {
        Some(match word {
            "default" => Self::Default,
            "time" => Self::Time,
            "data" => Self::Data,
            _ => return None,
        })
    }
}

/// All metrics of a run, at one moment.
#[derive(Clone, Debug, Default)]
pub struct View {
    /// By name: `http_reqs`, and submetrics as their thresholds name them: `http_reqs{status:200}`.
    pub metrics: BTreeMap<String, Metric>,
    /// Duration of the test in nanoseconds, from the beginning of `setup()` to the end of `teardown()`.
    pub duration_ns: i64,
    /// Groups and checks, in the order of their first samples: the root first, and then only groups in which a group
    /// ended or a check was made.
    pub groups: Vec<Group>,
    /// All checks by name, whatever their group, in the order of their first samples.
    pub checks: Vec<Check>,
    /// Metrics by group path, of samples without a scenario or of the one called `default`, where the full summary is
    /// wanted (`--summary-mode=full`); else empty. As in k6, without what setup and teardown measured.
    pub by_group: BTreeMap<String, BTreeMap<String, Metric>>,
    /// The groups of `by_group` with their checks, in the order of their first samples.
    pub default_groups: Vec<Group>,
    /// What belongs to each scenario but `default`, where the full summary is wanted; else empty.
    pub by_scenario: BTreeMap<String, Scenario>,
}

/// One scenario of the full summary.
#[derive(Clone, Debug, Default)]
pub struct Scenario {
    /// Metrics of all its samples, in groups or not, as k6 has them.
    pub metrics: BTreeMap<String, Metric>,
    /// All its checks by name, in groups or not, in the order of their first samples.
    pub checks: Vec<Check>,
    /// Groups of the scenario with their checks, in the order of their first samples.
    pub groups: Vec<Group>,
    /// Metrics by group path.
    pub by_group: BTreeMap<String, BTreeMap<String, Metric>>,
}

/// One group that had samples, or the root (path "").
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Group {
    /// k6's path: `::outer::inner`; empty for the root.
    pub path: String,
    /// The checks made directly in it, in the order of their first samples.
    pub checks: Vec<Check>,
}

/// One check.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Check {
    /// Its name.
    pub name: String,
    /// Times that it held.
    pub passes: u64,
    /// Times that it did not.
    pub fails: u64,
}

/// One metric or submetric.
#[derive(Clone, Debug)]
pub struct Metric {
    /// Its kind.
    pub kind: Kind,
    /// What its values are.
    pub contains: Contains,
    /// What was measured.
    pub values: Values,
    /// Its thresholds, in the order in which the script and then the spec name them.
    pub thresholds: Vec<Judged>,
    /// Of a submetric: the metric it is a part of, and the tags that make it one.
    pub parent: Option<(String, BTreeMap<String, String>)>,
}

/// What was measured, by kind.
#[derive(Clone, Debug)]
pub enum Values {
    /// Sum, and sum per second of the test's duration.
    Counter {
        /// Sum of the values.
        count: f64,
        /// Per second of the test's duration; 0 at zero duration.
        rate: f64,
    },
    /// Last, lowest and highest value.
    Gauge {
        /// The last by time.
        value: f64,
        /// The lowest.
        min: f64,
        /// The highest.
        max: f64,
    },
    /// How many of how many were not zero.
    Rate {
        /// Values that were not zero.
        trues: u64,
        /// All values.
        total: u64,
    },
    /// Statistics.
    Trend(Trend),
}

/// Statistics of a trend. Percentiles are within 0.1 % of k6's.
#[derive(Clone, Debug, Default)]
pub struct Trend {
    stats: Stats,
    sketch: Sketch,
    /// Percentiles that are known better than the sketch does, by their share.
    known: Vec<(f64, f64)>,
}

impl Trend {
    pub(super) const fn new(stats: Stats, sketch: Sketch, known: Vec<(f64, f64)>) -> Self {
        Self { stats, sketch, known }
    }

    /// Takes one value.
    pub fn add(&mut self, value: f64) {
        self.stats.add(0, value);
        self.sketch.add(value);
        self.known.clear();
    }

    /// How many values.
    pub const fn count(&self) -> u64 {
        self.stats.count
    }

    /// Their sum.
    pub fn sum(&self) -> f64 {
        self.stats.sum.value()
    }

    /// Their mean; 0 without any.
    pub fn avg(&self) -> f64 {
        self.stats.avg()
    }

    /// The lowest; 0 without any.
    pub const fn min(&self) -> f64 {
        self.stats.min
    }

    /// The highest; 0 without any.
    pub const fn max(&self) -> f64 {
        self.stats.max
    }

    /// k6's percentile for `share` from 0 to 1; 0 without any value. It agrees with the metric's thresholds.
    pub fn percentile(&self, share: f64) -> f64 {
        let known = self.known.iter().find(|(known, _)| known.to_bits() == share.to_bits());
        if let Some((_, value)) = known {
            return *value;
        }
        let found = self.sketch.percentile(share, self.min(), self.max());
        // Without a sketch of any instance the mean is at least among the values.
        found.unwrap_or_else(|| self.avg())
    }
}

/// A threshold and what came of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Judged {
    /// The expression as it was given: `p(95)<500`.
    pub source: String,
    /// Whether it held.
    pub passed: bool,
    /// The value that was compared, where there is one.
    pub value: Option<f64>,
    /// `abortOnFail`.
    pub abort_on_fail: bool,
    /// `delayAbortEval` as it was given; empty where it was not.
    pub delay_abort_eval: String,
}
