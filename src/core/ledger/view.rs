//! The metrics of a run as one k6 as large as all instances would know them.

use std::collections::BTreeMap;

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

/// All metrics of a run, at one moment.
#[derive(Clone, Debug, Default)]
pub struct View {
    /// By name: `http_reqs`, and submetrics as their thresholds name them: `http_reqs{status:200}`.
    pub metrics: BTreeMap<String, Metric>,
    /// Duration of the test in nanoseconds, from the beginning of `setup()` to the end of `teardown()`.
    pub duration_ns: i64,
    /// Groups and checks, in the order of their first samples.
    pub groups: Vec<Group>,
    /// Checks by name, whatever their group, in the order of their first samples. Where it is empty, the summary counts
    /// them from `groups`, and checks of several groups may stand in another order than in k6.
    pub checks: Vec<Check>,
    /// Metrics by group path, where the full summary is wanted (`--summary-mode=full`); else empty. Of samples that
    /// have no tag `scenario`, or the value `default`: k6 shows the groups of other scenarios with these.
    pub by_group: BTreeMap<String, BTreeMap<String, Metric>>,
    /// Scenarios by name, where the full summary is wanted.
    pub by_scenario: BTreeMap<String, Scenario>,
}

/// One scenario of the full summary.
#[derive(Clone, Debug, Default)]
pub struct Scenario {
    /// Metrics of all its samples, those of its groups included.
    pub metrics: BTreeMap<String, Metric>,
    /// Checks and groups of the scenario, in the order of their first samples.
    pub groups: Vec<Group>,
    /// As [`View::checks`], of the scenario.
    pub checks: Vec<Check>,
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
    values: Vec<f64>,
}

impl Trend {
    /// Takes one value.
    pub fn add(&mut self, value: f64) {
        self.values.push(value);
        self.values.sort_by(f64::total_cmp);
    }

    /// How many values.
    pub fn count(&self) -> u64 {
        self.values.len() as u64
    }

    /// Their sum.
    pub fn sum(&self) -> f64 {
        self.values.iter().sum()
    }

    /// Their mean; 0 without any.
    pub fn avg(&self) -> f64 {
        if self.values.is_empty() { 0.0 } else { self.sum() / self.values.len() as f64 }
    }

    /// The lowest; 0 without any.
    pub fn min(&self) -> f64 {
        self.values.first().copied().unwrap_or(0.0)
    }

    /// The highest; 0 without any.
    pub fn max(&self) -> f64 {
        self.values.last().copied().unwrap_or(0.0)
    }

    /// k6's percentile for `share` from 0 to 1; 0 without any value.
    pub fn percentile(&self, share: f64) -> f64 {
        let at = share * (self.values.len().max(1) - 1) as f64;
        let of = |i: f64| self.values.get(i as usize).copied().unwrap_or(0.0);
        let (low, high) = (of(at.floor()), of(at.ceil()));
        low + (high - low) * (at - at.floor())
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
