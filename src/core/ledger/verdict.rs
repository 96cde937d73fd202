//! What came of each threshold, as k6's own engine would judge all samples together.

use std::{cmp::Ordering, collections::BTreeMap};

use super::{
    builtin::adds_up,
    cell::{Cell, Found},
    expression::Aggregation,
    merged::{Known, Merged, index},
    sink::Part,
    stats::{Stats, count_f64},
    threshold::{Threshold, ThresholdError},
    view::Kind,
};

/// A threshold and what came of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Evaluated {
    /// The metric or submetric as k6 shows it.
    pub metric: String,
    /// The expression as it was written.
    pub threshold: String,
    /// Whether it held. One that could not be compared did.
    pub passed: bool,
    /// The value that was compared, as exactly as it is known; none where there is none.
    pub value: Option<f64>,
    /// Whether the run must be stopped for it.
    pub abort: bool,
}

/// A sink of all instances together.
#[derive(Clone, Debug, Default)]
pub(super) struct Total {
    pub(super) stats: Stats,
    pub(super) cells: Vec<Option<Cell>>,
}

/// What a threshold compares, and how it compares with its target.
pub(super) struct Compared {
    pub(super) value: Option<f64>,
    pub(super) passed: bool,
}

impl Merged {
    /// What came of each threshold, by metric and then in their order. k6 looks every two seconds from the start on, and
    /// passes over metrics without samples then; `last` says that the test has ended: all are judged, and none aborts.
    pub fn evaluate(&self, elapsed_ns: i64, last: bool) -> Vec<Evaluated> {
        let totals = self.totals(|known| !known.thresholds.is_empty());
        let kinds = self.kinds();
        let mut evaluated = Vec::new();
        for (known, total) in self.judged(&totals) {
            let judged = last || total.stats.count > 0;
            let kind = kind_of(&kinds, known);
            for (at, threshold) in known.thresholds.iter().enumerate() {
                let compared = if judged {
                    compare(known, kind, total, at, threshold, elapsed_ns)
                } else {
                    Compared { value: None, passed: true }
                };
                evaluated.push(Evaluated {
                    metric: known.key.name.clone(),
                    threshold: threshold.spec.source.clone(),
                    passed: compared.passed,
                    value: compared.value,
                    abort: !last && !compared.passed && threshold.aborts(elapsed_ns),
                });
            }
        }
        evaluated
    }

    /// Thresholds on what their metric does not have: k6 would not have started (exit code 104).
    pub fn faults(&self) -> Vec<ThresholdError> {
        let mut faults = Vec::new();
        for known in self.by_name() {
            let Some(kind) = known.kind else { continue };
            let wrong = known.thresholds.iter();
            let wrong = wrong.filter(|threshold| !threshold.expression.aggregation.is_of(kind));
            faults.extend(wrong.map(|threshold| ThresholdError::Aggregation {
                metric: known.key.name.clone(),
                expression: threshold.spec.source.clone(),
                kind: kind.word(),
            }));
        }
        faults
    }

    /// Sinks with thresholds, by their names.
    fn by_name(&self) -> Vec<&Known> {
        let of_run = |known: &&Known| known.key.part == Part::Run && known.key.group.is_empty();
        let mut sorted: Vec<_> = self.known.iter().filter(of_run).collect();
        sorted.retain(|known| !known.thresholds.is_empty());
        sorted.sort_by(|a, b| a.key.cmp(&b.key));
        sorted
    }

    fn judged<'a>(&'a self, totals: &'a [Total]) -> Vec<(&'a Known, &'a Total)> {
        let mut judged: Vec<_> = self.known.iter().zip(totals).collect();
        judged.retain(|(known, _)| !known.thresholds.is_empty());
        judged.sort_by(|(a, _), (b, _)| a.key.cmp(&b.key));
        judged
    }

    /// The wanted sinks of all instances together, the others empty. By instance: of two last values at the same time
    /// that of the higher one stays, and sums are the same whatever came first.
    pub(super) fn totals(&self, wanted: impl Fn(&Known) -> bool) -> Vec<Total> {
        let mut totals: Vec<Total> = Vec::with_capacity(self.known.len());
        let mut parts = Vec::with_capacity(self.known.len());
        for known in &self.known {
            parts.push(wanted(known).then(|| adds_up(known.metric())));
            totals.push(Total { cells: vec![None; known.thresholds.len()], ..Total::default() });
        }
        for instance in self.instances.values() {
            for held in &instance.held {
                let at = index(held.sink);
                let (Some(Some(part)), Some(total)) = (parts.get(at), totals.get_mut(at)) else {
                    continue;
                };
                if *part {
                    total.stats.merge_part(&held.stats);
                } else {
                    total.stats.merge(&held.stats);
                }
                for (cell, held) in total.cells.iter_mut().zip(&held.cells) {
                    if let Some(held) = held {
                        cell.get_or_insert_default().merge(held);
                    }
                }
            }
        }
        totals
    }

    /// Kinds of the metrics that no instance knows, guessed from what thresholds compare.
    pub(super) fn kinds(&self) -> BTreeMap<&str, Kind> {
        let mut kinds: BTreeMap<&str, Kind> = BTreeMap::new();
        for known in self.known.iter().filter(|known| known.kind.is_none()) {
            for threshold in &known.thresholds {
                let guess = match threshold.expression.aggregation {
                    Aggregation::Count => Kind::Counter,
                    Aggregation::Value => Kind::Gauge,
                    Aggregation::Rate => Kind::Rate,
                    _ => Kind::Trend,
                };
                // A counter has a rate as well.
                let kind = kinds.entry(known.metric()).or_insert(guess);
                *kind = guess.min(*kind);
            }
        }
        kinds
    }
}

/// The kind of a metric, or what it is guessed to be.
pub(super) fn kind_of(kinds: &BTreeMap<&str, Kind>, known: &Known) -> Kind {
    known.kind.or_else(|| kinds.get(known.metric()).copied()).unwrap_or(Kind::Trend)
}

/// What a threshold compares, and whether it holds.
pub(super) fn compare(
    known: &Known,
    kind: Kind,
    total: &Total,
    at: usize,
    threshold: &Threshold,
    elapsed_ns: i64,
) -> Compared {
    let (expression, stats) = (&threshold.expression, &total.stats);
    if !expression.aggregation.is_of(kind) {
        return Compared { value: None, passed: true };
    }
    let value = match expression.aggregation {
        Aggregation::Count => Some(stats.sum.value()),
        Aggregation::Rate if kind == Kind::Counter => per_second(stats.sum.value(), elapsed_ns),
        Aggregation::Rate => {
            (stats.count > 0).then(|| count_f64(stats.trues) / count_f64(stats.count))
        }
        Aggregation::Value => Some(stats.last),
        Aggregation::Avg => Some(stats.avg()),
        Aggregation::Min => Some(stats.min),
        Aggregation::Max => Some(stats.max),
        Aggregation::Med | Aggregation::Percentile(_) => {
            let share = expression.aggregation.share().unwrap_or(0.5);
            let cell = total.cells.get(at).copied().flatten().unwrap_or_default();
            let found = cell.find(share, expression.target);
            return found_percentile(found, known, stats, share, threshold);
        }
    };
    let passed = value.is_none_or(|value| expression.holds(value));
    Compared { value, passed }
}

fn found_percentile(
    found: Found,
    known: &Known,
    stats: &Stats,
    share: f64,
    threshold: &Threshold,
) -> Compared {
    let order: Option<Ordering> = found.order(threshold.expression.target);
    let sketch = known.sketch.as_ref();
    let about = sketch.and_then(|sketch| sketch.percentile(share, stats.min, stats.max));
    Compared { value: found.value(about), passed: threshold.expression.operator.holds(order) }
}

/// A count per second; none at no time at all.
pub(super) fn per_second(count: f64, elapsed_ns: i64) -> Option<f64> {
    #[expect(clippy::cast_precision_loss, reason = "k6 divides by a float as well")]
    let seconds = elapsed_ns as f64 / 1e9;
    (elapsed_ns > 0).then(|| count / seconds)
}
