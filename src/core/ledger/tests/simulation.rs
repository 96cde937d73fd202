//! Many instances over a bad network, against one k6 that saw all samples of what arrived.

use std::collections::BTreeMap;

use super::{
    plain::percentile,
    samples::{definition, point},
};
use crate::{
    core::{
        ledger::{
            codec::Detail,
            expression::{Aggregation, Expression},
            ledger::{Ledger, Memo},
            merged::Merged,
            threshold::{RuleOptions, Rules, ThresholdSpec, Thresholds},
            verdict::Evaluated,
            view::{Kind, Values},
        },
        tests::{dice::Dice, seeds},
    },
    wire::session,
};

const METRICS: [(&str, Kind); 5] = [
    ("http_req_duration", Kind::Trend),
    ("mine", Kind::Trend),
    ("http_reqs", Kind::Counter),
    ("checks", Kind::Rate),
    ("level", Kind::Gauge),
];
const TAGS: [&str; 3] = ["1", "2", "3"];

/// A sample: metric, time, value, tag `a`.
#[derive(Clone, Copy)]
struct Sample(usize, i64, f64, &'static str);

/// An instance, and what of it has arrived.
struct Sim {
    ledger: Ledger,
    /// By metric and tag.
    memos: BTreeMap<(usize, &'static str), Memo>,
    samples: Vec<Sample>,
    /// By the snapshot's number: how many samples it holds.
    snapshots: BTreeMap<u64, usize>,
    /// The newest that has arrived.
    arrived: usize,
}

/// Thresholds near what is measured, some exactly on a value.
fn thresholds(dice: &mut Dice) -> Thresholds {
    let mut thresholds = Thresholds::new();
    for _ in 0..12 {
        let (metric, kind) = METRICS[dice.below(METRICS.len())];
        let suffix = match dice.below(4) {
            0 => format!("{{a:{}}}", dice.pick(&TAGS)),
            1 => "{a:nobody}".to_owned(),
            _ => String::new(),
        };
        let target = f64::from(u32::try_from(dice.below(41)).unwrap()) / 2.0;
        let left = match kind {
            Kind::Counter => dice.pick(&["count", "rate"]),
            Kind::Gauge => "value",
            Kind::Rate => "rate",
            Kind::Trend => dice.pick(&[
                "avg", "min", "max", "med", "p(0)", "p(90)", "p(95)", "p(99.99)", "p(100)",
                "p(33.3)",
            ]),
        };
        let target = if kind == Kind::Rate { target / 20.0 } else { target };
        let operator = dice.pick(&["<", "<=", ">", ">=", "==", "!=", "==="]);
        let source = format!("{left}{operator}{target}");
        let list = thresholds.entry(format!("{metric}{suffix}")).or_default();
        list.push(ThresholdSpec { source, ..ThresholdSpec::default() });
    }
    thresholds
}

fn sample(dice: &mut Dice, time_ns: i64) -> Sample {
    let value = match dice.below(4) {
        0 => dice.unit() * 20.0,
        1 => 10.0 + dice.unit(),
        // Halves are exact, so that sums are, and values fall on targets.
        _ => f64::from(u32::try_from(dice.below(41)).unwrap()) / 2.0,
    };
    let metric = dice.below(METRICS.len());
    let value = match METRICS[metric].1 {
        Kind::Counter => 0.5,
        Kind::Rate => dice.pick(&[0.0, 1.0]),
        Kind::Gauge | Kind::Trend => value,
    };
    Sample(metric, time_ns, value, dice.pick(&TAGS))
}

/// What one k6 with all these samples says of an expression: the value, and whether it holds.
fn k6(
    kind: Kind,
    samples: &[Sample],
    source: &str,
    elapsed_ns: i64,
    last: bool,
) -> (Option<f64>, bool) {
    if samples.is_empty() && !last {
        return (None, true);
    }
    let expression = Expression::parse(source).unwrap();
    let mut sorted: Vec<_> = samples.iter().map(|sample| sample.2).collect();
    sorted.sort_by(f64::total_cmp);
    let sum: f64 = sorted.iter().sum();
    let n = sorted.len() as f64;
    let value = match (kind, expression.aggregation) {
        (Kind::Counter, Aggregation::Count) => Some(sum),
        (Kind::Counter, _) => (elapsed_ns > 0).then(|| sum / (elapsed_ns as f64 / 1e9)),
        (Kind::Gauge, _) => {
            let mut last = (i64::MIN, 0.0);
            for sample in samples {
                if sample.1 >= last.0 {
                    last = (sample.1, sample.2);
                }
            }
            Some(last.1)
        }
        (Kind::Rate, _) => {
            let trues = sorted.iter().filter(|value| **value != 0.0).count() as f64;
            (!sorted.is_empty()).then(|| trues / n)
        }
        (Kind::Trend, Aggregation::Avg) => Some(if sorted.is_empty() { 0.0 } else { sum / n }),
        (Kind::Trend, Aggregation::Min) => Some(sorted.first().copied().unwrap_or(0.0)),
        (Kind::Trend, Aggregation::Max) => Some(sorted.last().copied().unwrap_or(0.0)),
        (Kind::Trend, other) => Some(percentile(&sorted, other.share().unwrap())),
    };
    (value, value.is_none_or(|value| expression.holds(value)))
}

/// The samples of all instances that belong to a metric or submetric, by time of an instance, by instance.
fn of(name: &str, sims: &[Sim]) -> (Kind, Vec<Sample>) {
    let (metric, tag) = match name.split_once("{a:") {
        Some((metric, tag)) => (metric, Some(tag.trim_end_matches('}'))),
        None => (name, None),
    };
    let at = METRICS.iter().position(|(name, _)| *name == metric).unwrap();
    let arrived = sims.iter().flat_map(|sim| &sim.samples[..sim.arrived]);
    let own = arrived.filter(|sample| sample.0 == at && tag.is_none_or(|tag| sample.3 == tag));
    (METRICS[at].1, own.copied().collect())
}

fn same(found: Option<f64>, wanted: Option<f64>, error: f64) -> bool {
    match (found, wanted) {
        (Some(found), Some(wanted)) => (found - wanted).abs() <= wanted.abs() * error,
        (found, wanted) => found.is_none() == wanted.is_none(),
    }
}

/// Compares all verdicts, and the values; percentiles only if all sketches are the newest.
fn compare(merged: &Merged, sims: &[Sim], elapsed_ns: i64, sketched: bool) {
    for last in [false, true] {
        for Evaluated { metric, threshold, passed, value, .. } in merged.evaluate(elapsed_ns, last)
        {
            let (kind, samples) = of(&metric, sims);
            let (wanted, holds) = k6(kind, &samples, &threshold, elapsed_ns, last);
            let samples = samples.len();
            assert_eq!(
                passed, holds,
                "{metric} {threshold} of {samples}: {value:?}, k6 has {wanted:?}"
            );
            let share = Expression::parse(&threshold).unwrap().aggregation.share();
            // A value at the edge of its class has all of the error, and the last digit of the computation.
            let error = if share.is_some() { 1.0 / 1024.0 + 1e-9 } else { 1e-9 };
            if sketched || share.is_none() {
                assert!(
                    same(value, wanted, error),
                    "{metric} {threshold}: {value:?} for {wanted:?}"
                );
            }
        }
    }
}

fn run(seed: u64, instances: usize, rounds: i64) {
    let mut dice = Dice(seed);
    let thresholds = thresholds(&mut dice);
    let rules = Rules::new(&thresholds, &Thresholds::new(), RuleOptions::default()).unwrap();
    let mut sims: Vec<_> = (0..instances)
        .map(|_| Sim {
            ledger: Ledger::new(&rules, false),
            memos: BTreeMap::new(),
            samples: Vec::new(),
            snapshots: BTreeMap::new(),
            arrived: 0,
        })
        .collect();
    let mut merged = Merged::default();
    // Messages under way: instance and message.
    let mut network: Vec<(usize, session::Ledger)> = Vec::new();
    let deliver =
        |merged: &mut Merged, sims: &mut [Sim], (at, message): (usize, session::Ledger)| {
            let samples = sims[at].snapshots[&message.seq];
            sims[at].arrived = sims[at].arrived.max(samples);
            merged.take(u32::try_from(at).unwrap() + 1, 1, message).unwrap();
        };
    for round in 1..=rounds {
        for (at, sim) in sims.iter_mut().enumerate() {
            for _ in 0..dice.below(5) {
                let time_ns = round * 1_000 + dice.ms(500);
                let sample = sample(&mut dice, time_ns);
                let (metric, kind) = METRICS[sample.0];
                if dice.below(3) == 0 {
                    sim.ledger.define(&definition(metric, kind));
                }
                let tags = [("a", sample.3)];
                let point = point(metric, sample.1, sample.2, &tags);
                if dice.below(2) == 0 {
                    sim.ledger.add(&point);
                } else {
                    let memo = sim.memos.entry((sample.0, sample.3)).or_default();
                    sim.ledger.add_again(&point, memo);
                }
                sim.ledger.define(&definition(metric, kind));
                sim.samples.push(sample);
            }
            let detail = if dice.below(4) == 0 { Detail::Summary } else { Detail::Verdict };
            for message in sim.ledger.snapshot(detail, false) {
                sim.snapshots.insert(message.seq, sim.samples.len());
                // Lost, sent once, or sent twice.
                for _ in 0..dice.below(3) {
                    network.push((at, message.clone()));
                }
            }
        }
        for _ in 0..dice.below(network.len() + 1) {
            let next = dice.below(network.len());
            let message = network.swap_remove(next);
            deliver(&mut merged, &mut sims, message);
        }
        compare(&merged, &sims, round * 500_000_000, false);
    }
    // What was delayed comes after the last snapshot, and another aggregator hears all in another order.
    for (at, sim) in sims.iter_mut().enumerate() {
        for message in sim.ledger.snapshot(Detail::Summary, true) {
            sim.snapshots.insert(message.seq, sim.samples.len());
            network.push((at, message));
        }
    }
    let mut other = Merged::default();
    for (at, message) in network.iter().rev() {
        other.take(u32::try_from(*at).unwrap() + 1, 1, message.clone()).unwrap();
    }
    while !network.is_empty() {
        let next = dice.below(network.len());
        let message = network.swap_remove(next);
        deliver(&mut merged, &mut sims, message);
    }
    let elapsed_ns = rounds * 500_000_000;
    compare(&merged, &sims, elapsed_ns, true);
    assert_eq!(merged.evaluate(elapsed_ns, true), other.evaluate(elapsed_ns, true));
    assert!((1..=instances).all(|id| merged.is_complete(u32::try_from(id).unwrap())));
    for (name, metric) in merged.view(elapsed_ns).metrics {
        let (_, samples) = of(&name, &sims);
        let n = u64::try_from(samples.len()).unwrap();
        match metric.values {
            Values::Trend(trend) => assert_eq!(trend.count(), n, "{name}"),
            Values::Rate { total, .. } => assert_eq!(total, n, "{name}"),
            Values::Counter { count, .. } => assert_eq!(count, 0.5 * n as f64, "{name}"),
            Values::Gauge { .. } => {}
        }
    }
}

#[test]
fn merged_ledgers_judge_as_one_k6_with_all_samples_that_arrived() {
    for seed in seeds(120) {
        run(seed, 1 + usize::try_from(seed % 9).unwrap(), 8);
    }
}

#[test]
fn thousands_of_instances_judge_as_one() {
    run(1_000, 2_000, 3);
}
