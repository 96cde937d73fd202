use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
};

use proptest::prelude::*;

use super::*;
use crate::{
    api::v1alpha1::Dimensions,
    core::{
        ledger::view::{Contains, Kind},
        pipeline::{
            batch::Record,
            lane::LaneConfig,
            pipeline::{FrameKey, Pipeline},
            retry::Written,
            shape::Shape,
        },
        samples::{
            decode::Pairs,
            rollup::{
                histogram::{ERROR_MAX, Histogram, middle},
                spec::RollupSpec,
            },
        },
    },
};

const BASE_NS: i64 = 1_700_000_000_000_000_000;
const SECOND_NS: i64 = 1_000_000_000;

/// A sample of a generated run.
#[derive(Clone, Debug)]
struct Made {
    metric: usize,
    /// Milliseconds after the start, and by how much later it comes.
    at_ms: i64,
    late_ms: i64,
    value: i32,
    status: usize,
    url: usize,
}

const METRICS: [(&str, Kind); 4] = [
    ("reqs", Kind::Counter),
    ("failed", Kind::Rate),
    ("vus", Kind::Gauge),
    ("duration", Kind::Trend),
];
const STATUS: [&str; 3] = ["200", "404", ""];
const URLS: [&str; 4] = ["/", "/a", "/b", "/c"];

fn made() -> impl Strategy<Value = Made> {
    let late_ms = prop_oneof![8 => 0_i64..250, 1 => 0_i64..5000];
    (0..METRICS.len(), 0_i64..6000, late_ms, -300_i32..30_000, 0..STATUS.len(), 0..URLS.len())
        .prop_map(|(metric, at_ms, late_ms, value, status, url)| Made {
            metric,
            at_ms,
            late_ms,
            value,
            status,
            url,
        })
}

/// What an output takes: samples, or rows with these dimensions excluded, or with the default ones.
fn outputs() -> impl Strategy<Value = Vec<Option<Option<Vec<&'static str>>>>> {
    let dimensions = prop_oneof![
        Just(None),
        Just(Some(vec!["url"])),
        Just(Some(vec!["url", "status"])),
        Just(Some(vec![]))
    ];
    prop::collection::vec(prop_oneof![1 => Just(None), 3 => dimensions.prop_map(Some)], 1..4)
}

fn spec(output: usize, excluded: Option<&Vec<&str>>) -> RollupSpec {
    let dimensions = excluded.map(|names| Dimensions {
        include: None,
        exclude: Some(names.iter().map(|name| (*name).to_owned()).collect()),
    });
    RollupSpec { output: u32::try_from(output).unwrap(), dimensions }
}

/// All that a series of rows holds, or should.
#[derive(Clone, Debug, PartialEq)]
struct Sums {
    count: u64,
    sum: f64,
    min: f64,
    max: f64,
}

type Key = (String, i64, Vec<(String, String)>);

fn add(all: &mut BTreeMap<Key, Sums>, key: Key, one: &Sums) {
    all.entry(key)
        .and_modify(|sums| {
            sums.count += one.count;
            sums.sum += one.sum;
            sums.min = sums.min.min(one.min);
            sums.max = sums.max.max(one.max);
        })
        .or_insert_with(|| one.clone());
}

fn key_of(record: &Record) -> Key {
    let own = record.row.dimensions.iter().map(|(n, v)| (n.to_string(), v.to_string()));
    (record.row.measure.to_string(), record.time_ns / SECOND_NS, own.collect())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_output_gets_every_sample_once_in_its_own_form(
        made in prop::collection::vec(made(), 0..300),
        outputs in outputs(),
        samples_max in 1_usize..200,
        bytes_max in 500_usize..20_000,
    ) {
        let rollups: Vec<RollupSpec> = outputs
            .iter()
            .enumerate()
            .filter_map(|(at, output)| Some(spec(at, output.as_ref()?.as_ref())))
            .collect();
        let wanted = Wanted { only: rollups.len() == outputs.len(), rollups };
        let limits = Limits { samples_max, bytes_max, linger_ms: 200 };
        let mut framer = Framer::new(5, limits, [], &wanted);
        for (name, kind) in METRICS {
            framer.define(&Definition { name: name.into(), kind: Some(kind), contains: Contains::default() });
        }
        let lanes = outputs.iter().enumerate().map(|(at, output)| LaneConfig {
            name: at.to_string(),
            writes_max: 2,
            linger_ms: 100,
            kept: Kept::All,
            shape: if output.is_some() { Shape::Rollup } else { Shape::Records },
        });
        let mut pipeline = Pipeline::new(lanes.collect());

        let mut order: Vec<&Made> = made.iter().collect();
        order.sort_by_key(|made| made.at_ms + made.late_ms);
        let mut framed = 0;
        let mut take = |closed: Option<Closed>, now_ms: i64| {
            let Some(closed) = closed else { return };
            framed += crate::core::samples::rollup::samples_in(&closed.frame);
            let key = FrameKey { instance_id: 5, incarnation: "i".into(), seq: closed.frame.seq };
            pipeline.accept(key, &closed.frame, now_ms);
        };
        let mut now_ms = 0;
        let mut memos: BTreeMap<_, Memo> = BTreeMap::new();
        for made in order {
            now_ms = made.at_ms + made.late_ms;
            while let Some(due_ms) = framer.due_ms().filter(|due_ms| *due_ms <= now_ms) {
                take(framer.poll(due_ms), due_ms);
            }
            let tags = [("status", STATUS[made.status]), ("url", URLS[made.url])];
            let tags = tags.map(|(name, value)| (Cow::Borrowed(name), Cow::Borrowed(value)));
            let point = Point {
                metric: METRICS[made.metric].0.into(),
                time_ns: BASE_NS + made.at_ms * 1_000_000,
                value: f64::from(made.value),
                tags: Pairs(tags.to_vec()),
                metadata: Pairs::default(),
            };
            let closed = match memos.get_mut(&(made.metric, made.status, made.url)) {
                Some(memo) => framer.push_again(&point, memo, now_ms),
                None => framer.push(&point, now_ms),
            };
            memos.entry((made.metric, made.status, made.url)).or_default();
            take(closed, now_ms);
        }
        take(framer.close(), now_ms);
        prop_assert!(framer.close().is_none() && framer.due_ms().is_none());
        prop_assert_eq!(framed, made.len() as u64);

        let mut records: Vec<Vec<Record>> = vec![Vec::new(); outputs.len()];
        pipeline.set_hurry(true);
        while let Some(write) = pipeline.poll_write(now_ms) {
            records[write.lane].extend(write.batch.records.iter().cloned());
            pipeline.finish(write.lane, write.batch.id, Written::Stored, now_ms, 0);
        }
        prop_assert!(pipeline.is_empty());
        for (at, output) in outputs.iter().enumerate() {
            prop_assert_eq!(pipeline.lanes()[at].counts().stored, made.len() as u64);
            let identities: BTreeSet<_> =
                records[at].iter().map(|record| (record.row.clone(), record.time_ns)).collect();
            prop_assert_eq!(identities.len(), records[at].len(), "no two rows are one");
            let Some(excluded) = output else {
                prop_assert_eq!(records[at].len(), made.len());
                continue;
            };
            let left_out = excluded.as_ref().map_or(&["url"][..], |names| names.as_slice());
            let (mut want, mut got) = (BTreeMap::new(), BTreeMap::new());
            let mut values: BTreeMap<Key, Vec<f64>> = BTreeMap::new();
            for made in &made {
                let mut dimensions = vec![("instance_id", "5")];
                dimensions.extend([("status", STATUS[made.status]), ("url", URLS[made.url])]);
                dimensions.retain(|(name, value)| !value.is_empty() && !left_out.contains(name));
                let own = dimensions.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned()));
                let second = BASE_NS / SECOND_NS + made.at_ms / 1000;
                let key: Key = (METRICS[made.metric].0.to_owned(), second, own.collect());
                let value = f64::from(made.value);
                add(&mut want, key.clone(), &Sums { count: 1, sum: value, min: value, max: value });
                if METRICS[made.metric].1 == Kind::Trend {
                    values.entry(key).or_default().push(value);
                }
            }
            let mut classes: BTreeMap<Key, Vec<f64>> = BTreeMap::new();
            for record in &records[at] {
                let rolled = record.rolled.as_ref().unwrap();
                let (count, min, max) = (rolled.count, rolled.min, rolled.max);
                add(&mut got, key_of(record), &Sums { count, sum: record.value, min, max });
                prop_assert_eq!(rolled.last.is_some(), &*record.row.measure == "vus");
                for (class, count) in Histogram::read(&rolled.histogram).unwrap() {
                    let of = classes.entry(key_of(record)).or_default();
                    of.extend((0..count).map(|_| middle(class)));
                }
            }
            prop_assert_eq!(got, want);
            // Each order statistic, and with them every percentile, is within the error.
            prop_assert_eq!(classes.keys().collect::<Vec<_>>(), values.keys().collect::<Vec<_>>());
            for (key, mut values) in values {
                let mut middles = classes.remove(&key).unwrap();
                values.sort_by(f64::total_cmp);
                middles.sort_by(f64::total_cmp);
                prop_assert_eq!(values.len(), middles.len());
                for (value, middle) in values.iter().zip(&middles) {
                    let off = (value - middle).abs();
                    prop_assert!(off <= value.abs() * (ERROR_MAX + 1e-9), "{value} as {middle}");
                }
            }
        }
    }
}
