//! Samples and rules for tests.

use std::borrow::Cow;

use crate::core::{
    ledger::{
        codec::Detail,
        ledger::Ledger,
        merged::Merged,
        threshold::{RuleOptions, Rules, ThresholdSpec, Thresholds},
        view::{Contains, Kind},
    },
    samples::decode::{Definition, Pairs, Point},
};

pub(in crate::core::ledger) fn point<'a>(
    metric: &'a str,
    time_ns: i64,
    value: f64,
    tags: &[(&'a str, &'a str)],
) -> Point<'a> {
    let tags = tags.iter().map(|(name, value)| (Cow::from(*name), Cow::from(*value)));
    let tags = Pairs(tags.collect());
    Point { metric: metric.into(), time_ns, value, tags, metadata: Pairs::default() }
}

pub(in crate::core::ledger) fn definition(name: &str, kind: Kind) -> Definition<'_> {
    Definition { name: name.into(), kind: Some(kind), contains: Contains::Default }
}

/// Rules of thresholds by metric.
pub(in crate::core::ledger) fn rules(thresholds: &[(&str, &str)]) -> Rules {
    let mut script = Thresholds::new();
    for (metric, source) in thresholds {
        let list = script.entry((*metric).to_owned()).or_default();
        if !source.is_empty() {
            list.push(ThresholdSpec { source: (*source).to_owned(), ..ThresholdSpec::default() });
        }
    }
    Rules::new(&script, &Thresholds::new(), RuleOptions::default()).unwrap()
}

/// The ledgers of instances 1, 2, … together.
pub(in crate::core::ledger) fn merged(ledgers: &mut [Ledger]) -> Merged {
    let mut merged = Merged::default();
    for (instance_id, ledger) in (1..).zip(ledgers) {
        for message in ledger.snapshot(Detail::Summary, true) {
            merged.take(instance_id, 1, message).unwrap();
        }
    }
    merged
}
