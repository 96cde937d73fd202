use proptest::prelude::*;

use super::*;
use crate::{
    core::{
        dimensions::Kept,
        pipeline::{batch::BATCH_RECORDS_MAX, retry::Failure, shape::Shape},
    },
    wire::session::Series,
};

/// An output that takes whatever waits.
fn lane(name: &str) -> LaneConfig {
    LaneConfig {
        name: name.to_owned(),
        writes_max: 4,
        linger_ms: 0,
        kept: Kept::All,
        shape: Shape::Records,
    }
}

fn key(instance_id: u32, seq: u64) -> FrameKey {
    FrameKey { instance_id, incarnation: "i".into(), seq }
}

/// A frame of `count` samples over a few series; the values tell the samples apart.
fn frame(seq: u64, count: usize) -> Frame {
    Frame {
        seq,
        strings: ["http_reqs", "vus", "scenario", "default", "status", "200", "500"]
            .map(Into::into)
            .into(),
        series: vec![
            Series { metric: 0, dimensions: vec![2, 3, 4, 5] },
            Series { metric: 0, dimensions: vec![2, 3, 4, 6] },
            Series { metric: 1, dimensions: vec![2, 3] },
        ],
        base_time_ns: 1_700_000_000_000_000_000,
        sample_series: (0..count).map(|at| u32::try_from(at % 3).unwrap()).collect(),
        time_delta_ns: vec![1; count],
        value: (0..u32::try_from(count).unwrap()).map(f64::from).collect(),
        ..Frame::default()
    }
}

fn acks(pipeline: &mut Pipeline) -> Vec<Acked> {
    std::iter::from_fn(|| pipeline.poll_ack()).collect()
}

#[test]
fn a_batch_waits_to_fill_but_not_for_ever() {
    let mut pipeline = Pipeline::new(vec![LaneConfig { linger_ms: 1000, ..lane("a") }]);
    let of_one_row = |seq, count| Frame { sample_series: vec![0; count], ..frame(seq, count) };
    pipeline.accept(key(1, 1), &of_one_row(1, 30), 0);
    assert!(pipeline.poll_write(999).is_none());
    assert_eq!(pipeline.poll_timeout(), Some(1000));
    assert_eq!(pipeline.poll_write(1000).unwrap().batch.records.len(), 30);
    pipeline.accept(key(1, 2), &of_one_row(2, 130), 1000);
    assert_eq!(pipeline.poll_write(1000).unwrap().batch.records.len(), BATCH_RECORDS_MAX);
    assert!(pipeline.poll_write(1000).is_none());
    pipeline.set_hurry(true);
    assert_eq!(pipeline.poll_write(1000).unwrap().batch.records.len(), 30);
}

#[test]
fn rows_that_differ_share_a_batch_where_that_costs_nothing() {
    let mut pipeline = Pipeline::new(vec![LaneConfig { linger_ms: 1000, ..lane("a") }]);
    pipeline.accept(key(1, 1), &frame(1, 9), 0);
    pipeline.accept(key(2, 1), &frame(1, 9), 0);
    assert_eq!(pipeline.poll_write(1000).unwrap().batch.records.len(), 18);
    assert_eq!(pipeline.lanes()[0].under_way_count(), 1);
}

#[test]
fn what_all_records_share_is_sent_once_and_nothing_stands_in_both_places() {
    let mut pipeline = Pipeline::new(vec![lane("a")]);
    pipeline.accept(key(1, 1), &frame(1, 100), 0);
    let batch = pipeline.poll_write(0).unwrap().batch;
    let common: Vec<&str> = batch.common.iter().map(|(name, _)| &**name).collect();
    assert_eq!(common, ["instance_id", "scenario"]);
    for record in &batch.records {
        let own: Vec<_> = batch.own_dimensions(record).cloned().collect();
        let mut whole = [batch.common.clone(), own].concat();
        whole.sort();
        assert_eq!(whole, record.row.dimensions);
    }
}

#[test]
fn a_frame_is_acknowledged_when_every_output_is_done_with_it() {
    let mut pipeline = Pipeline::new(vec![lane("a"), lane("b")]);
    pipeline.accept(key(1, 1), &frame(1, 100), 0);
    let first = pipeline.poll_write(0).unwrap();
    let second = pipeline.poll_write(0).unwrap();
    assert_ne!(first.lane, second.lane);
    pipeline.finish(first.lane, first.batch.id, Written::Stored, 0, 0);
    assert!(pipeline.poll_ack().is_none());
    let refused = vec![(7, Refusal::TooOld)];
    pipeline.finish(second.lane, second.batch.id, Written::Partly(refused), 0, 0);
    let acked = pipeline.poll_ack().unwrap();
    assert_eq!(acked.outputs[0].stored, 100);
    assert_eq!(acked.outputs[1].stored, 99);
    assert_eq!(acked.outputs[1].rejected["TooOld"], 1);
    assert!(pipeline.is_empty());
}

#[test]
fn a_frame_that_comes_again_is_not_written_again() {
    let mut pipeline = Pipeline::new(vec![lane("a")]);
    assert_eq!(pipeline.accept(key(1, 1), &frame(1, 100), 0), Accepted::Held(100));
    assert_eq!(pipeline.accept(key(1, 1), &frame(1, 100), 0), Accepted::HeldBefore);
    let write = pipeline.poll_write(0).unwrap();
    assert!(pipeline.poll_write(5000).is_none());
    pipeline.finish(0, write.batch.id, Written::Stored, 0, 0);
    let first = acks(&mut pipeline);
    assert_eq!(pipeline.accept(key(1, 1), &frame(1, 100), 0), Accepted::AckedBefore);
    let again = acks(&mut pipeline);
    assert_eq!(first[0].outputs, again[0].outputs);
    assert!(again[0].again && !first[0].again);
    assert_eq!(pipeline.repeated(), 200);
}

#[test]
fn a_frame_without_outputs_or_samples_is_acknowledged_at_once() {
    let mut pipeline = Pipeline::new(Vec::new());
    pipeline.accept(key(1, 1), &frame(1, 5), 0);
    assert_eq!(acks(&mut pipeline).len(), 1);
    let mut pipeline = Pipeline::new(vec![lane("a")]);
    pipeline.accept(key(1, 1), &frame(1, 0), 0);
    assert_eq!(acks(&mut pipeline).len(), 1);
}

#[test]
fn what_cannot_be_written_is_refused_and_costs_no_other_record() {
    let mut pipeline = Pipeline::new(vec![lane("a")]);
    let mut odd = frame(1, 10);
    odd.value[3] = f64::NAN;
    odd.value[4] = f64::INFINITY;
    odd.sample_series[5] = 99;
    pipeline.accept(key(1, 1), &odd, 0);
    let write = pipeline.poll_write(1000).unwrap();
    assert_eq!(write.batch.records.len(), 7);
    pipeline.finish(0, write.batch.id, Written::Stored, 0, 0);
    let acked = pipeline.poll_ack().unwrap();
    assert_eq!(acked.outputs[0].stored, 7);
    assert_eq!(acked.outputs[0].rejected["NotFinite"], 2);
    assert_eq!(acked.outputs[0].rejected["Malformed"], 1);
}

#[test]
fn one_bad_record_is_found_and_the_others_are_stored() {
    let mut pipeline = Pipeline::new(vec![lane("a")]);
    pipeline.accept(key(1, 1), &frame(1, 100), 0);
    let mut calls = 0;
    while let Some(write) = pipeline.poll_write(0) {
        calls += 1;
        let is_bad =
            write.batch.records.iter().any(|record| record.value.to_bits() == 42.0f64.to_bits());
        let written = if is_bad { Written::Invalid("bad".to_owned()) } else { Written::Stored };
        pipeline.finish(0, write.batch.id, written, 0, 0);
    }
    let acked = pipeline.poll_ack().unwrap();
    assert_eq!(acked.outputs[0].stored, 99);
    assert_eq!(acked.outputs[0].rejected["Invalid"], 1);
    assert!(calls <= 15, "{calls} calls");
}

#[test]
fn an_output_that_cannot_be_written_to_refuses_the_rest() {
    let mut pipeline = Pipeline::new(vec![lane("a")]);
    pipeline.accept(key(1, 1), &frame(1, 350), 0);
    let first = pipeline.poll_write(0).unwrap();
    let second = pipeline.poll_write(0).unwrap();
    pipeline.finish(0, first.batch.id, Written::Fatal("no such table".to_owned()), 0, 0);
    assert_eq!(pipeline.poll_fatal(), Some(("a".to_owned(), "no such table".to_owned())));
    pipeline.finish(0, second.batch.id, Written::Stored, 0, 0);
    let acked = pipeline.poll_ack().unwrap();
    assert_eq!(acked.outputs[0].stored, 100);
    assert_eq!(acked.outputs[0].rejected["OutputFailed"], 250);
    pipeline.accept(key(1, 2), &frame(2, 10), 0);
    assert_eq!(acks(&mut pipeline)[0].outputs[0].rejected["OutputFailed"], 10);
}

#[test]
fn a_throttled_output_keeps_being_offered_load() {
    let mut pipeline = Pipeline::new(vec![lane("a")]);
    pipeline.accept(key(1, 1), &frame(1, 100_000), 0);
    let (mut now_ms, mut calls) = (0, 0u64);
    while now_ms < 60_000 {
        while let Some(write) = pipeline.poll_write(now_ms) {
            calls += 1;
            let throttled = Written::Failed(Failure::Throttled, "slow down".to_owned());
            pipeline.finish(0, write.batch.id, throttled, now_ms, calls.wrapping_mul(7919));
        }
        now_ms = pipeline.poll_timeout().unwrap().max(now_ms + 1);
    }
    assert!((1000..4000).contains(&calls), "{calls} calls in a minute");
}

#[test]
fn an_output_that_only_fails_is_left_alone_but_never_forgotten_and_gets_all_once_it_is_back() {
    let lane = LaneConfig { writes_max: 64, ..lane("a") };
    let mut pipeline = Pipeline::new(vec![lane]);
    pipeline.accept(key(1, 1), &frame(1, 100_000), 0);
    let (mut now_ms, mut calls, mut last_ms, mut longest_ms) = (0, 0u64, 0, 0);
    let mut in_second_minute = 0;
    while now_ms < 120_000 {
        while let Some(write) = pipeline.poll_write(now_ms) {
            calls += 1;
            in_second_minute += u64::from(now_ms >= 60_000);
            longest_ms = longest_ms.max(now_ms - last_ms);
            last_ms = now_ms;
            let failed = Written::Failed(Failure::Connection, "refused".to_owned());
            pipeline.finish(0, write.batch.id, failed, now_ms, calls.wrapping_mul(7919));
        }
        now_ms = pipeline.poll_timeout().unwrap().max(now_ms + 1);
    }
    let counts = pipeline.lanes()[0].counts();
    assert!(counts.held_back > 200, "{counts:?}");
    assert!(in_second_minute < 120, "{in_second_minute} calls to an output that fails");
    assert!(longest_ms < 10_000, "it was not looked after for {longest_ms} ms");
    while !pipeline.is_empty() {
        while let Some(write) = pipeline.poll_write(now_ms) {
            pipeline.finish(0, write.batch.id, Written::Stored, now_ms, 0);
        }
        match pipeline.poll_timeout() {
            Some(due_ms) => now_ms = due_ms.max(now_ms),
            None => break,
        }
    }
    assert_eq!(pipeline.lanes()[0].counts().stored, 100_000);
    assert!(pipeline.is_empty() && now_ms < 130_000, "{now_ms}");
}

#[test]
fn an_output_that_is_given_up_has_nothing_left_that_was_held_back() {
    let mut pipeline = Pipeline::new(vec![LaneConfig { writes_max: 1, ..lane("a") }]);
    pipeline.accept(key(1, 1), &frame(1, 1000), 0);
    let mut now_ms = 0;
    while pipeline.lanes()[0].counts().held_back == 0 {
        if let Some(write) = pipeline.poll_write(now_ms) {
            let failed = Written::Failed(Failure::Server, "500".to_owned());
            pipeline.finish(0, write.batch.id, failed, now_ms, u64::MAX);
        }
        now_ms += 10;
        assert!(now_ms < 60_000, "nothing is held back");
    }
    pipeline.give_up(0);
    assert!(pipeline.is_empty());
    assert_eq!(pipeline.lanes()[0].open_count(), 0);
    assert_eq!(acks(&mut pipeline)[0].outputs[0].rejected["OutputFailed"], 1000);
}

#[test]
fn a_conflict_with_our_own_earlier_try_is_no_loss() {
    let mut pipeline = Pipeline::new(vec![lane("a")]);
    pipeline.accept(key(1, 1), &frame(1, 100), 0);
    let write = pipeline.poll_write(0).unwrap();
    let cut = Written::Failed(Failure::Connection, "cut".to_owned());
    pipeline.finish(0, write.batch.id, cut, 0, 0);
    let write = pipeline.poll_write(0).unwrap();
    let conflict = Written::Partly(vec![(3, Refusal::VersionConflict), (4, Refusal::TooOld)]);
    pipeline.finish(0, write.batch.id, conflict, 0, 0);
    let acked = pipeline.poll_ack().unwrap();
    assert_eq!((acked.outputs[0].stored, acked.outputs[0].rejected.len()), (99, 1));
    assert_eq!(pipeline.lanes()[0].counts().repeated, 1);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_the_outcomes_every_record_is_counted_once_and_every_frame_acknowledged_once(
        sizes in proptest::collection::vec(0..260usize, 1..12),
        answers in proptest::collection::vec((0..100u8, any::<u64>()), 1..400),
        again in proptest::collection::vec(0..12usize, 0..20),
    ) {
        let mut pipeline = Pipeline::new(vec![lane("a"), lane("b")]);
        let mut answers = answers.into_iter().chain(std::iter::repeat((0, 0)));
        let mut again = again.into_iter();
        let mut under_way: Vec<Write> = Vec::new();
        let mut stored = [0u64; 2];
        let mut refused = [0u64; 2];
        let mut acked: BTreeMap<FrameKey, Acked> = BTreeMap::new();
        let mut now_ms = 0;
        for (at, size) in sizes.iter().enumerate() {
            pipeline.accept(key(1, at as u64), &frame(at as u64, *size), now_ms);
        }
        let mut rounds = 0;
        while !pipeline.is_empty() {
            rounds += 1;
            prop_assert!(rounds < 100_000, "the pipeline does not come to an end");
            now_ms += 50;
            if let Some(at) = again.next() && at < sizes.len() {
                pipeline.accept(key(1, at as u64), &frame(at as u64, sizes[at]), now_ms);
            }
            while let Some(write) = pipeline.poll_write(now_ms) {
                prop_assert!(!write.batch.records.is_empty());
                prop_assert!(write.batch.records.len() <= BATCH_RECORDS_MAX);
                under_way.push(write);
            }
            prop_assert!(under_way.len() <= 8);
            let (kind, random) = answers.next().unwrap();
            if under_way.is_empty() { continue }
            let write = under_way.swap_remove(usize::try_from(random % under_way.len() as u64).unwrap());
            let count = write.batch.records.len() as u64;
            let written = match kind {
                0..40 => { stored[write.lane] += count; Written::Stored }
                40..55 => {
                    let at = usize::try_from(random % count).unwrap();
                    stored[write.lane] += count - 1;
                    refused[write.lane] += 1;
                    Written::Partly(vec![(at, Refusal::TooOld)])
                }
                55..70 => {
                    refused[write.lane] += u64::from(count == 1);
                    Written::Invalid("bad".to_owned())
                }
                70..85 => Written::Failed(Failure::Throttled, "slow".to_owned()),
                _ => Written::Failed(Failure::Timeout, "late".to_owned()),
            };
            pipeline.finish(write.lane, write.batch.id, written, now_ms, random);
            for ack in acks(&mut pipeline) {
                if !ack.again {
                    prop_assert!(acked.insert(ack.key.clone(), ack).is_none(), "acknowledged twice");
                }
            }
        }
        for ack in acks(&mut pipeline) {
            if !ack.again {
                prop_assert!(acked.insert(ack.key.clone(), ack).is_none());
            }
        }
        prop_assert_eq!(acked.len(), sizes.len());
        for lane in 0..2 {
            let sum = |of: &dyn Fn(&OutputCounts) -> u64| -> u64 {
                acked.values().map(|ack| of(&ack.outputs[lane])).sum()
            };
            prop_assert_eq!(sum(&|counts| counts.stored), stored[lane]);
            prop_assert_eq!(sum(&|counts| counts.rejected.values().sum()), refused[lane]);
            prop_assert_eq!(stored[lane] + refused[lane], sizes.iter().sum::<usize>() as u64);
            prop_assert_eq!(pipeline.lanes()[lane].counts().stored, stored[lane]);
            prop_assert_eq!(pipeline.lanes()[lane].open_count(), 0);
        }
    }
}
