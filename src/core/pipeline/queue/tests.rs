use proptest::prelude::*;

use super::*;
use crate::core::pipeline::batch::{Batch, BatchId};

const LINGER_MS: i64 = 1000;

fn row(measure: &str, dimensions: &[(&str, &str)]) -> Arc<Row> {
    let pairs = dimensions.iter().map(|(name, value)| ((*name).into(), (*value).into()));
    Arc::new(Row { dimensions: pairs.collect(), measure: measure.into(), shortened: false })
}

fn samples(frame: u64, count: usize) -> Vec<Waiting> {
    let at = |at: usize| i64::try_from(at).unwrap();
    (0..count)
        .map(|i| Waiting { frame: FrameId(frame), time_ns: at(i), value: 0.0, rolled: None })
        .collect()
}

fn queue(rows: &[(&Arc<Row>, usize)]) -> Queue {
    let mut queue = Queue::default();
    queue.arrive(FrameId(1), 0);
    for (row, count) in rows {
        queue.push(row, samples(1, *count));
    }
    queue
}

fn cut(queue: &mut Queue, now_ms: i64) -> Option<Vec<Record>> {
    queue.cut(now_ms, LINGER_MS, false)
}

/// What a call costs by the published formula, counted on the call itself.
fn units(records: &[Record]) -> usize {
    let batch = Batch::new(BatchId(0), records.to_vec());
    let own = |record: &Record| {
        let dimensions: Vec<_> = batch.own_dimensions(record).cloned().collect();
        let measure = if batch.measure.is_none() { record.row.measure.len() } else { 0 };
        8 + 8 + measure + size(&dimensions)
    };
    let shared = size(&batch.common) + batch.measure.as_ref().map_or(0, |name| name.len());
    (records.iter().map(own).sum::<usize>() + shared).div_ceil(1024)
}

#[test]
fn a_hundred_records_of_one_row_do_not_wait_and_take_no_others() {
    let (a, b) = (row("m", &[("url", "a")]), row("m", &[("url", "b")]));
    let mut queue = queue(&[(&a, 70), (&b, 130)]);
    let first = cut(&mut queue, 0).unwrap();
    assert_eq!(first.len(), 100);
    assert!(first.iter().all(|record| record.row == b));
    assert!(cut(&mut queue, 999).is_none());
    queue.arrive(FrameId(2), 999);
    queue.push(&row("m", &[("url", "a")]), samples(2, 40));
    assert!(cut(&mut queue, 999).unwrap().iter().all(|record| record.row == a));
    assert_eq!(queue.len(), 40);
}

#[test]
fn what_has_waited_takes_neighbours_along_that_cost_nothing_more() {
    let long = "x".repeat(120);
    let small: Vec<_> = ["a", "b", "c"].map(|m| row(m, &[("group", &long), ("url", "1")])).into();
    let mut queue = queue(&[(&small[0], 3), (&small[1], 3), (&small[2], 3)]);
    assert_eq!(cut(&mut queue, 1000).unwrap().len(), 9);
    assert_eq!((queue.len(), queue.due_ms(LINGER_MS)), (0, None));
}

#[test]
fn what_shares_too_little_goes_alone_until_the_output_is_too_slow() {
    let names: Vec<String> = (0..3).map(|at| format!("{at}").repeat(150)).collect();
    let rows: Vec<_> = names.iter().map(|name| row("m", &[("url", name)])).collect();
    let filled = || queue(&[(&rows[0], 40), (&rows[1], 40), (&rows[2], 40)]);
    assert_eq!(cut(&mut filled(), 1999).unwrap().len(), 40);
    assert_eq!(cut(&mut filled(), 2000).unwrap().len(), 100);
}

#[test]
fn records_for_a_whole_call_wait_a_second_for_their_like_whatever_the_linger() {
    let (a, b) = (row("m", &[("url", "a")]), row("m", &[("url", "b")]));
    let mut few = queue(&[(&a, 50), (&b, 49)]);
    assert_eq!(few.due_ms(60_000), Some(60_000));
    assert!(few.cut(59_999, 60_000, false).is_none());
    let mut enough = queue(&[(&a, 50), (&b, 50)]);
    assert_eq!((enough.due_ms(60_000), enough.due_ms(200)), (Some(1000), Some(200)));
    assert!(enough.cut(999, 60_000, false).is_none());
    assert!(enough.cut(1000, 60_000, false).is_some());
}

#[test]
fn records_for_a_whole_call_that_come_behind_few_old_ones_are_not_late() {
    let names: Vec<String> = (0..3).map(|at| format!("{at}").repeat(150)).collect();
    let rows: Vec<_> = names.iter().map(|name| row("m", &[("url", name)])).collect();
    let mut queue = queue(&[(&rows[0], 40)]);
    queue.arrive(FrameId(2), 2000);
    queue.push(&rows[1], samples(2, 40));
    queue.push(&rows[2], samples(2, 40));
    assert_eq!((queue.due_ms(2500), queue.due_ms(60_000)), (Some(2500), Some(3000)));
    assert!(queue.cut(2499, 2500, false).is_none());
    assert_eq!(queue.cut(2500, 2500, false).unwrap().len(), 40);
    // What is left would not fill a call.
    assert_eq!(queue.due_ms(60_000), Some(62_000));
}

#[test]
fn in_a_hurry_nothing_waits() {
    let mut queue = queue(&[(&row("m", &[("url", "a")]), 5)]);
    assert!(cut(&mut queue, 0).is_none());
    assert_eq!(queue.cut(0, LINGER_MS, true).unwrap().len(), 5);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_sample_comes_out_once_in_time_and_no_call_costs_more_than_its_rows_alone(
        frames in prop::collection::vec(
            prop::collection::vec(("[mn]", "[a-c]{1,200}", 1..130_usize), 1..6), 1..8,
        ),
        pauses_ms in prop::collection::vec(0..700_i64, 8),
        linger_ms in 200..3000_i64,
    ) {
        let mut queue = Queue::default();
        let (mut now_ms, mut put, mut out) = (0, 0, 0);
        let mut arrived = BTreeMap::new();
        let mut written = Vec::new();
        for (id, (frame, pause_ms)) in frames.iter().zip(&pauses_ms).enumerate() {
            let id = u64::try_from(id).unwrap();
            queue.arrive(FrameId(id), now_ms);
            arrived.insert(FrameId(id), now_ms);
            for (at, (measure, url, count)) in frame.iter().enumerate() {
                let mut samples = samples(id, *count);
                // Tells each sample from all others.
                for sample in &mut samples {
                    sample.value = f64::from(u32::try_from(at).unwrap());
                }
                queue.push(&row(measure, &[("instance_id", "1"), ("url", url)]), samples);
                put += count;
            }
            let until_ms = now_ms + pause_ms;
            while now_ms <= until_ms {
                while let Some(records) = queue.cut(now_ms, linger_ms, false) {
                    written.push((now_ms, records));
                }
                prop_assert!(queue.due_ms(linger_ms).is_none_or(|due_ms| now_ms < due_ms));
                now_ms += 50;
            }
        }
        while let Some(records) = queue.cut(now_ms, linger_ms, true) {
            written.push((now_ms, records));
        }
        prop_assert_eq!((queue.len(), queue.due_ms(linger_ms)), (0, None));
        prop_assert!(queue.rows.is_empty() && queue.full.is_empty() && queue.by_age.is_empty());
        let mut seen = BTreeSet::new();
        for (at_ms, records) in &written {
            prop_assert!((1..=BATCH_RECORDS_MAX).contains(&records.len()));
            let mut by_row: BTreeMap<&Row, Vec<Record>> = BTreeMap::new();
            for record in records {
                let identity = (record.frame, record.time_ns, record.value.to_bits());
                prop_assert!(seen.insert(identity), "{identity:?} twice");
                prop_assert!(at_ms - arrived[&record.frame] < linger_ms + 50);
                by_row.entry(&record.row).or_default().push(record.clone());
                out += 1;
            }
            let alone: usize = by_row.values().map(|records| units(records)).sum();
            prop_assert!(units(records) <= alone, "{} instead of {alone}", units(records));
        }
        prop_assert_eq!(out, put);
    }
}
