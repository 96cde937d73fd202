use std::borrow::Cow;

use super::*;
use crate::core::{ledger::view::Contains, samples::decode::Pairs};

const BASE_NS: i64 = 1_700_000_000 * SECOND_NS;

fn point<'a>(metric: &'a str, time_ns: i64, value: f64, tags: &[(&'a str, &'a str)]) -> Point<'a> {
    let pairs = tags.iter().map(|(name, value)| (Cow::Borrowed(*name), Cow::Borrowed(*value)));
    Point {
        metric: Cow::Borrowed(metric),
        time_ns: BASE_NS + time_ns,
        value,
        tags: Pairs(pairs.collect()),
        metadata: Pairs::default(),
    }
}

fn folder() -> Folder {
    let mut folder = Folder::new(3, &[RollupSpec { output: 0, dimensions: None }]);
    for (name, kind) in
        [("n", Kind::Counter), ("g", Kind::Gauge), ("r", Kind::Rate), ("t", Kind::Trend)]
    {
        folder.define(&Definition {
            name: name.into(),
            kind: Some(kind),
            contains: Contains::default(),
        });
    }
    folder
}

fn closed(folder: &mut Folder, due_ms: i64) -> Frame {
    let mut frame = Frame { seq: 1, ..Frame::default() };
    folder.close(due_ms, &mut frame);
    frame
}

fn texts(frame: &Frame, row: &RollupRow) -> Vec<String> {
    let text = |at: &u32| frame.strings[*at as usize].clone();
    let series = &frame.series[row.series as usize];
    std::iter::once(&series.metric).chain(&series.dimensions).map(text).collect()
}

#[test]
fn a_tag_and_one_that_has_its_column_s_name_are_one_series() {
    let mut folder = folder();
    for name in ["time", "k6_time", "count", "k6_count"] {
        folder.add(&point("t", 5, 3.0, &[(name, "x")]), 0);
    }
    let frame = closed(&mut folder, i64::MAX);
    let rows = &frame.rollups[0].rows;
    let found: Vec<_> = rows.iter().map(|row| (texts(&frame, row), row.count)).collect();
    let of = |name: &str| ["t", "instance_id", "3", name, "x"].map(str::to_owned).to_vec();
    assert_eq!(found, [(of("k6_time"), 2), (of("k6_count"), 2)]);
}

#[test]
fn samples_of_a_second_become_one_row_whatever_url_they_had() {
    let mut folder = folder();
    let of = |url| [("status", "200"), ("url", url), ("vu", "7"), ("empty", "")];
    folder.add(&point("t", 5, 3.0, &of("/a")), 0);
    folder.add(&point("t", 999_999_999, 1.0, &of("/b")), 300);
    let frame = closed(&mut folder, i64::MAX);
    assert_eq!((frame.samples, frame.base_time_ns), (2, BASE_NS));
    let [rollup] = &frame.rollups[..] else { panic!("{frame:?}") };
    let [row] = &rollup.rows[..] else { panic!("{rollup:?}") };
    assert_eq!(texts(&frame, row), ["t", "instance_id", "3", "status", "200"]);
    assert_eq!((row.after_ns, row.count, row.sum, row.min, row.max), (0, 2, 4.0, 1.0, 3.0));
    assert_eq!(Histogram::read(&row.histogram).unwrap().len(), 2);
    assert!(folder.is_empty());
}

#[test]
fn each_kind_has_what_it_needs() {
    let mut folder = folder();
    for metric in ["n", "g", "r", "t", "unknown"] {
        folder.add(&point(metric, 20, 7.0, &[]), 0);
        folder.add(&point(metric, 10, 9.0, &[]), 0);
    }
    let frame = closed(&mut folder, i64::MAX);
    for row in &frame.rollups[0].rows {
        let metric = texts(&frame, row)[0].clone();
        assert_eq!(row.last, (metric == "g").then_some(7.0), "{metric}: the last by time");
        assert_eq!(row.histogram.is_empty(), !["t", "unknown"].contains(&&*metric), "{metric}");
    }
}

#[test]
fn a_second_is_closed_when_its_samples_should_have_come() {
    let mut folder = folder();
    folder.add(&point("n", 0, 1.0, &[]), 1000);
    folder.add(&point("n", SECOND_NS, 1.0, &[]), 1900);
    assert_eq!(folder.due_ms(), Some(1000 + OPEN_MS));
    let frame = closed(&mut folder, 1000 + OPEN_MS);
    assert_eq!((frame.samples, frame.rollups[0].rows.len()), (1, 1));
    assert_eq!(folder.due_ms(), Some(1900 + OPEN_MS));
}

#[test]
fn what_comes_late_makes_another_row_of_its_second() {
    let mut folder = folder();
    let mut times = BTreeMap::new();
    for late in 0..3 {
        folder.add(&point("n", 5, 1.0, &[]), late);
        let frame = closed(&mut folder, i64::MAX);
        let row = &frame.rollups[0].rows[0];
        times.insert(frame.base_time_ns + row.after_ns, row.count);
    }
    let want = [0, AGAIN_NS, 2 * AGAIN_NS].map(|after| (BASE_NS + after, 1));
    assert_eq!(times, BTreeMap::from(want));
}

#[test]
fn rows_of_seconds_long_forgotten_still_differ() {
    let mut folder = folder();
    let mut times = std::collections::BTreeSet::new();
    let seconds = i64::try_from(CLOSED_MAX).unwrap() + 10;
    for (seq, second) in (1..).zip((0..seconds).chain([0, 0, 1])) {
        folder.add(&point("n", second * SECOND_NS, 1.0, &[]), 0);
        let mut frame = Frame { seq, ..Frame::default() };
        folder.close(i64::MAX, &mut frame);
        let time_ns = frame.base_time_ns + frame.rollups[0].rows[0].after_ns;
        assert_eq!(time_ns.div_euclid(SECOND_NS), BASE_NS / SECOND_NS + second);
        assert!(times.insert(time_ns), "{second} again");
    }
    assert!(folder.closed.len() <= CLOSED_MAX);
}

#[test]
fn a_long_histogram_goes_on_in_another_row() {
    let mut folder = folder();
    for at in 0..600 {
        folder.add(&point("t", 1, 1e-4 * 1.04_f64.powi(at), &[]), 0);
    }
    let rows = closed(&mut folder, i64::MAX).rollups.remove(0).rows;
    assert_eq!(rows.iter().map(|row| row.count).collect::<Vec<_>>(), [250, 250, 100]);
    assert_eq!(rows.iter().map(|row| row.after_ns).collect::<Vec<_>>(), [0, 1, 2]);
    assert!(rows[0].sum > 0.0 && rows[1].sum == 0.0 && rows[2].sum == 0.0);
    assert!(rows.iter().all(|row| row.max.to_bits() == rows[0].max.to_bits()));
}

#[test]
fn outputs_with_equal_dimensions_share_their_rows() {
    let dimensions = |names: &[&str]| {
        let include = Some(names.iter().map(|name| (*name).to_owned()).collect());
        Some(crate::api::v1alpha1::Dimensions { include, exclude: None })
    };
    let specs = [(0, &["a"][..]), (2, &["a", "b"][..]), (3, &["a"][..])]
        .map(|(output, names)| RollupSpec { output, dimensions: dimensions(names) });
    let mut folder = Folder::new(1, &specs);
    for b in ["1", "2"] {
        folder.add(&point("n", 5, 1.0, &[("a", "x"), ("b", b)]), 0);
    }
    let frame = closed(&mut folder, i64::MAX);
    let seen: Vec<_> =
        frame.rollups.iter().map(|rollup| (rollup.outputs.clone(), rollup.rows.len())).collect();
    assert_eq!(seen, [(vec![0, 3], 1), (vec![2], 2)]);
    assert_eq!(frame.samples, 2, "each sample once, however many outputs there are");
}

#[test]
fn what_has_no_bound_fills_the_folder() {
    let mut folder = folder();
    for at in 0..10_000 {
        let order = at.to_string();
        folder.add(&point("n", 5, 1.0, &[("order", &order)]), 0);
        if folder.is_full(100_000) {
            assert!(at > 500);
            assert_eq!(closed(&mut folder, i64::MAX).samples, at + 1);
            assert!(!folder.is_full(100_000));
            return;
        }
    }
    panic!("it must fill");
}

#[test]
fn what_no_row_can_hold_is_counted() {
    let mut folder = folder();
    folder.add(&point("n", 5, f64::INFINITY, &[]), 0);
    folder.add(&point("n", 5, 1.0, &[]), 0);
    let frame = closed(&mut folder, i64::MAX);
    assert_eq!((frame.samples, frame.rollups[0].not_finite), (2, 1));
    assert_eq!(frame.rollups[0].rows[0].count, 1);
}
