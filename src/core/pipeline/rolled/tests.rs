use super::{open as open_all, *};
use crate::wire::session::{Rollup, RollupRow, Series};

fn open(frame: &Frame, instance_id: u32) -> BTreeMap<u32, Arc<RolledUp>> {
    open_all(frame, instance_id, frame.samples)
}

/// A frame of one series with rows of so many samples each.
fn frame(samples: u64, counts: &[u64]) -> Frame {
    let row = |(at, count): (i64, &u64)| RollupRow {
        series: 0,
        after_ns: at,
        count: *count,
        sum: 1.0,
        ..RollupRow::default()
    };
    Frame {
        seq: 1,
        strings: ["m", "max", "high", "testid", "t"].map(Into::into).into(),
        series: vec![Series { metric: 0, dimensions: vec![1, 2, 3, 4] }],
        base_time_ns: 1_700_000_000_000_000_000,
        samples,
        rollups: vec![Rollup {
            outputs: vec![0, 2],
            rows: (0..).zip(counts).map(row).collect(),
            not_finite: 0,
        }],
        ..Frame::default()
    }
}

#[test]
fn rows_go_to_the_outputs_that_they_are_for() {
    let opened = open(&frame(5, &[2, 3]), 7);
    assert_eq!(opened.keys().copied().collect::<Vec<_>>(), [0, 2]);
    assert_eq!(opened[&0].rows.len(), 2);
    assert!(opened[&0].refused.is_empty());
    let row = opened[&0].rows[0].writable().unwrap();
    let names: Vec<&str> = row.dimensions.iter().map(|(name, _)| &**name).collect();
    assert_eq!(names, ["instance_id", "k6_max", "testid"], "no dimension is called as a column");
}

#[test]
fn every_sample_is_in_a_row_or_refused() {
    let refused = |frame: &Frame| open(frame, 1)[&0].refused.clone();
    assert_eq!(refused(&frame(9, &[2, 3])), BTreeMap::from([(Refusal::Malformed, 4)]));
    let opened = open(&frame(4, &[2, 3]), 1);
    assert!(opened[&0].rows.is_empty(), "rows of more samples than there are cannot be believed");
    assert_eq!(opened[&0].refused, BTreeMap::from([(Refusal::Malformed, 4)]));
    let mut odd = frame(6, &[2, 3]);
    odd.rollups[0].not_finite = 1;
    assert_eq!(refused(&odd), BTreeMap::from([(Refusal::NotFinite, 1)]));
    assert!(open(&frame(0, &[0, 0]), 1)[&0].rows.is_empty(), "a row of no samples is none");
}

#[test]
fn what_makes_no_sense_cannot_be_written() {
    let mut odd = frame(5, &[1, 1, 1, 1, 1]);
    odd.rollups[0].rows[0].series = 9;
    odd.rollups[0].rows[1].sum = f64::INFINITY;
    odd.rollups[0].rows[2].max = f64::NAN;
    odd.rollups[0].rows[3].after_ns = -odd.base_time_ns - 1;
    let opened = open(&odd, 1);
    let why: Vec<_> = opened[&0].rows.iter().map(|row| row.writable().err()).collect();
    let not_finite = Some(Refusal::NotFinite);
    let want = [Some(Refusal::Malformed), not_finite, not_finite, Some(Refusal::InvalidTime), None];
    assert_eq!(why, want);
}
