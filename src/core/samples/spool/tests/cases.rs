use std::collections::BTreeMap;

use crate::{
    api::v1alpha1::OnFull,
    core::samples::{
        frame::Closed,
        spool::{
            Limits, Loss, Spool,
            job::{Done, Job},
            record::{self, FORMAT, SegmentHeader},
            size,
        },
    },
    wire::session::{Ack, Frame, OutputCounts},
};

/// A spool and files in memory.
struct Bench {
    spool: Spool,
    files: BTreeMap<u64, Vec<u8>>,
    now_ms: i64,
}

fn limits() -> Limits {
    Limits {
        bytes_max: 100_000,
        on_full: OnFull::Fail,
        segment_bytes: 1000,
        group_bytes: 500,
        linger_ms: 1000,
        queue_bytes: 50_000,
        window: 4,
        window_bytes: 50_000,
        read_bytes: 400,
        retry_ms: 100,
    }
}

fn frame(seq: u64, samples: usize) -> Frame {
    let value = vec![0.5; samples];
    Frame { seq, sample_series: vec![0; samples], value, ..Frame::default() }
}

fn ack(seq: u64, stored: u64, rejected: u64) -> Ack {
    let rejected = BTreeMap::from([("too old".to_owned(), rejected)]);
    Ack { seq, outputs: vec![OutputCounts { name: "timestream".to_owned(), stored, rejected }] }
}

impl Bench {
    fn new(limits: Limits) -> Self {
        let header = SegmentHeader { format: FORMAT, ..SegmentHeader::default() };
        Self { spool: Spool::new(limits, header), files: BTreeMap::new(), now_ms: 0 }
    }

    fn push(&mut self, seq: u64, samples: usize) -> Option<Loss> {
        self.spool.push(Closed::new(frame(seq, samples)), self.now_ms)
    }

    /// Does all jobs there are.
    fn settle(&mut self) -> Vec<Loss> {
        let mut losses = Vec::new();
        while let Some(job) = self.spool.job(self.now_ms) {
            let done = match &job {
                Job::Write { segment, offset, .. } => {
                    let file = self.files.entry(*segment).or_default();
                    assert_eq!(file.len() as u64, *offset, "a group follows the one before");
                    file.extend(job.bytes());
                    Done::Did(Ok(()))
                }
                Job::Read { segment, offset, bytes, .. } => {
                    let (from, n) =
                        (usize::try_from(*offset).unwrap(), usize::try_from(*bytes).unwrap());
                    let file = &self.files[segment];
                    Done::read(&job, &file[from.min(file.len())..(from + n).min(file.len())])
                }
                Job::Cut { segment, bytes } => {
                    let file = self.files.get_mut(segment).unwrap();
                    file.truncate(usize::try_from(*bytes).unwrap());
                    Done::Did(Ok(()))
                }
                Job::Remove { segment } => {
                    self.files.remove(segment);
                    Done::Did(Ok(()))
                }
            };
            losses.extend(self.spool.done(done, self.now_ms));
        }
        losses
    }

    /// Lets all that waits be written.
    fn linger(&mut self) {
        self.now_ms += 1000;
        assert_eq!(self.settle(), []);
    }

    fn sent(&mut self) -> Vec<u64> {
        std::iter::from_fn(|| self.spool.next_frame()).map(|frame| frame.seq).collect()
    }

    fn held(&self) -> u64 {
        let totals = self.spool.totals();
        totals.framed - totals.acked - totals.dropped
    }
}

#[test]
fn what_is_acknowledged_soon_never_sees_the_disk() {
    let mut bench = Bench::new(limits());
    for seq in 1..=100 {
        assert_eq!(bench.push(seq, 5), None);
        assert_eq!(bench.sent(), [seq]);
        bench.now_ms += 999;
        assert_eq!(bench.spool.job(bench.now_ms), None);
        assert_eq!(bench.spool.job_due_ms(), bench.now_ms + 1);
        bench.spool.ack(&ack(seq, 5, 0));
    }
    assert_eq!(bench.spool.job_due_ms(), i64::MAX);
}

#[test]
fn frames_go_out_in_order_within_the_window_wherever_they_are() {
    let mut bench = Bench::new(limits());
    for seq in 1..=20 {
        bench.push(seq, 5);
    }
    bench.linger();
    assert!(bench.files.len() > 1, "{:?}", bench.files.keys());
    assert_eq!(bench.sent(), [1, 2, 3, 4]);
    bench.spool.ack(&ack(2, 5, 0));
    bench.settle();
    assert_eq!(bench.sent(), [5]);
    for seq in [1, 3, 4, 5] {
        bench.spool.ack(&ack(seq, 5, 0));
    }
    bench.settle();
    assert_eq!(bench.sent(), [6, 7, 8, 9]);
}

#[test]
fn the_window_closes_by_memory_as_well_but_never_to_the_first_frame() {
    let mut bench = Bench::new(Limits { window_bytes: 1000, ..limits() });
    bench.push(1, 200);
    bench.push(2, 1);
    assert_eq!(bench.sent(), [1]);
    bench.spool.ack(&ack(1, 200, 0));
    assert_eq!(bench.sent(), [2]);
}

#[test]
fn a_new_session_gets_all_that_is_not_acknowledged_in_order_and_without_a_read() {
    let mut bench = Bench::new(limits());
    for seq in 1..=9 {
        bench.push(seq, 5);
    }
    assert_eq!(bench.sent(), [1, 2, 3, 4]);
    bench.linger();
    bench.spool.ack(&ack(2, 5, 0));
    bench.spool.rewind();
    assert_eq!(bench.sent(), [1, 3, 4]);
    bench.settle();
    assert_eq!(bench.sent(), [5]);
}

#[test]
fn memory_is_bounded_whatever_waits_on_disk() {
    let mut bench = Bench::new(limits());
    for seq in 1..=500 {
        bench.push(seq, 5);
        bench.now_ms += 10;
        bench.settle();
    }
    bench.linger();
    assert_eq!(bench.held(), 2500);
    assert_eq!(bench.spool.frames.len(), 4, "the window, and nothing else");
    let mut seen = Vec::new();
    while !bench.spool.is_empty() {
        for seq in bench.sent() {
            seen.push(seq);
            bench.spool.ack(&ack(seq, 5, 0));
        }
        assert_eq!(bench.settle(), []);
        assert!(bench.spool.frames.len() <= 12, "the window and one read");
    }
    assert_eq!(seen, (1..=500).collect::<Vec<_>>());
    assert!(bench.files.is_empty(), "{:?}", bench.files.keys());
}

#[test]
fn a_segment_goes_when_all_of_it_is_acknowledged() {
    let mut bench = Bench::new(limits());
    for seq in 1..=90 {
        bench.push(seq, 5);
    }
    bench.linger();
    let before: Vec<u64> = bench.files.keys().copied().collect();
    assert!(before.len() >= 3);
    while bench.files.keys().next() == Some(&1) {
        let sent = bench.sent();
        assert!(!sent.is_empty());
        for seq in sent {
            bench.spool.ack(&ack(seq, 5, 0));
        }
        bench.settle();
    }
    let left: Vec<u64> = bench.files.keys().copied().collect();
    assert_eq!(left, before[before.len() - left.len()..]);
    assert!(!left.is_empty());
}

#[test]
fn an_acknowledgement_counts_once_and_only_for_what_was_sent() {
    let mut bench = Bench::new(limits());
    bench.push(1, 10);
    bench.spool.ack(&ack(1, 7, 3));
    assert_eq!(bench.spool.totals().acked, 0);
    assert_eq!(bench.sent(), [1]);
    for seq in [1, 1, 9] {
        bench.spool.ack(&ack(seq, 7, 3));
    }
    assert_eq!((bench.spool.totals().framed, bench.spool.totals().acked), (10, 10));
    let counts = &bench.spool.totals().output_counts()[0];
    assert_eq!((counts.stored, counts.rejected["too old"]), (7, 3));
}

#[test]
fn a_full_spool_is_told_once_and_counts_what_it_lost() {
    for (on_full, fails) in [(OnFull::Fail, true), (OnFull::Drop, false)] {
        let mut bench = Bench::new(Limits { bytes_max: 200, on_full, ..limits() });
        bench.push(1, 5);
        bench.push(2, 5);
        let loss = bench.push(3, 17).unwrap();
        let text = "the spool of 200 bytes is full; outputs took 0 of 27 samples so far, k6 emits \
                    more than they can store";
        assert_eq!(loss, Loss { text: text.to_owned(), fails });
        assert_eq!(bench.push(4, 17), None);
        assert_eq!((bench.spool.totals().dropped, bench.held()), (34, 10));
        assert_eq!(bench.spool.totals().dropped_why, text);
        assert_eq!(bench.spool.totals().failed_why, if fails { text } else { "" });
        assert_eq!(bench.sent(), [1, 2]);
        bench.spool.ack(&ack(1, 5, 0));
        bench.push(5, 5);
        assert_eq!(bench.sent(), [5], "there is room again");
    }
}

#[test]
fn a_disk_that_does_not_answer_fills_the_queue_and_is_named() {
    let mut bench = Bench::new(Limits { queue_bytes: 4000, ..limits() });
    bench.push(1, 5);
    bench.now_ms = 1000;
    assert!(matches!(bench.spool.job(1000), Some(Job::Write { .. })), "never done");
    let loss = (2..).find_map(|seq| bench.push(seq, 5)).unwrap();
    assert!(loss.text.starts_with("the spool's disk is too slow: "), "{}", loss.text);
    assert_eq!(bench.sent(), [1, 2, 3, 4], "what is in memory goes out all the same");
}

#[test]
fn a_full_disk_costs_nothing_while_the_queue_lasts_and_is_named_then() {
    let mut bench = Bench::new(Limits { queue_bytes: 4000, ..limits() });
    let full = || Done::Did(Err("No space left on device".to_owned()));
    for seq in 1..=8 {
        assert_eq!(bench.push(seq, 5), None);
    }
    bench.now_ms = 1000;
    let Some(Job::Write { segment: 1, .. }) = bench.spool.job(1000) else { panic!("a write") };
    assert_eq!(bench.spool.done(full(), 1000), None);
    assert_eq!(bench.spool.job(1000), Some(Job::Remove { segment: 1 }), "no room is wasted on it");
    assert_eq!(bench.spool.done(Done::Did(Ok(())), 1000), None);
    assert_eq!((bench.spool.job(1000), bench.spool.job_due_ms()), (None, 1100));
    let loss = (9..).find_map(|seq| bench.push(seq, 5)).unwrap();
    let text = "the spool cannot be written (No space left on device): ";
    assert!(loss.text.starts_with(text), "{}", loss.text);
    bench.linger();
    assert!(bench.files.contains_key(&2), "it is tried again, in another file");
    assert_eq!(bench.push(99, 5), None);
}

#[test]
fn a_failed_sync_is_not_believed() {
    let mut bench = Bench::new(limits());
    bench.push(1, 5);
    bench.linger();
    let good = bench.files[&1].clone();
    for seq in 2..=9 {
        bench.push(seq, 5);
    }
    bench.now_ms += 1000;
    let Some(job @ Job::Write { segment: 1, .. }) = bench.spool.job(bench.now_ms) else {
        panic!("a write into the same segment")
    };
    bench.files.get_mut(&1).unwrap().extend(job.bytes());
    bench.spool.done(Done::Did(Err("Input/output error".to_owned())), bench.now_ms);
    bench.linger();
    assert_eq!(bench.files[&1], good, "cut off where it was good");
    assert!(bench.files[&2].len() > 100, "all of the group is in the next");
}

#[test]
fn frames_that_cannot_be_read_back_fail_the_run_and_are_counted() {
    let mut bench = Bench::new(Limits { on_full: OnFull::Drop, ..limits() });
    for seq in 1..=20 {
        bench.push(seq, 5);
    }
    bench.linger();
    let last = *bench.files.keys().next_back().unwrap();
    bench.files.get_mut(&last).unwrap().pop();
    let mut losses = Vec::new();
    let mut seen = Vec::new();
    while !bench.spool.is_empty() {
        for seq in bench.sent() {
            seen.push(seq);
            bench.spool.ack(&ack(seq, 5, 0));
        }
        losses.extend(bench.settle());
    }
    assert_eq!(seen, (1..=19).collect::<Vec<_>>());
    let text =
        "1 frames with 5 samples could not be read back from the spool: their records are damaged";
    assert_eq!(losses, [Loss { text: text.to_owned(), fails: true }]);
    let totals = bench.spool.totals();
    assert_eq!((totals.acked, totals.dropped, totals.unreadable), (95, 5, 5));
    assert_eq!(totals.failed_why, text);
    assert!(bench.files.is_empty());
}

#[test]
fn a_read_that_fails_is_tried_again_before_its_frames_are_given_up() {
    let mut bench = Bench::new(limits());
    for seq in 1..=9 {
        bench.push(seq, 5);
    }
    bench.linger();
    assert_eq!(bench.sent(), [1, 2, 3, 4]);
    (1..=4).for_each(|seq| bench.spool.ack(&ack(seq, 5, 0)));
    let read = |bench: &mut Bench| {
        bench.now_ms += 100;
        let found = std::iter::from_fn(|| {
            let job = bench.spool.job(bench.now_ms)?;
            let is_read = matches!(job, Job::Read { .. });
            let loss = if is_read {
                bench.spool.done(Done::Read(Err("Input/output error".to_owned())), bench.now_ms)
            } else {
                bench.spool.done(Done::Did(Ok(())), bench.now_ms)
            };
            Some((is_read, loss))
        });
        found.last().unwrap()
    };
    assert_eq!(read(&mut bench), (true, None));
    assert_eq!(read(&mut bench), (true, None));
    bench.now_ms += 100;
    assert_eq!(bench.settle(), [], "the third answers");
    assert_eq!(bench.sent(), [5, 6, 7, 8]);
}

#[test]
fn what_is_in_memory_alone_is_written_at_the_close() {
    let mut bench = Bench::new(limits());
    bench.push(1, 5);
    assert_eq!(bench.spool.job(0), None);
    bench.spool.close();
    bench.settle();
    assert!(bench.spool.is_closed());
    let (header, at) = record::head(&bench.files[&1]).unwrap();
    assert_eq!(header.segment, 1);
    let found = record::chunk(&bench.files[&1][at..], true);
    assert_eq!(found.frames, [frame(1, 5)]);
}

#[test]
fn a_close_does_not_wait_for_a_disk_that_refuses() {
    let mut bench = Bench::new(limits());
    bench.push(1, 5);
    bench.spool.close();
    assert!(bench.spool.job(0).is_some());
    bench.spool.done(Done::Did(Err("Input/output error".to_owned())), 0);
    bench.settle();
    assert!(bench.spool.is_closed());
}

#[test]
fn sizes_read_well() {
    for (bytes, text) in
        [(0, "0 bytes"), (100_000, "100000 bytes"), (64 << 10, "64 KiB"), (1 << 30, "1024 MiB")]
    {
        assert_eq!(size(bytes), text);
    }
}
