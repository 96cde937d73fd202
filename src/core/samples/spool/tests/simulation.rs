//! Whole lives of a spool on a disk that does what a seed says: torn writes, failed syncs, no space, reads that fail,
//! bits that flip; and sessions that break, acknowledgements in any order and twice.

use std::{
    collections::{BTreeMap, BTreeSet},
    hash::{DefaultHasher, Hash, Hasher},
};

use crate::{
    api::v1alpha1::OnFull,
    core::{
        samples::{
            frame::Closed,
            spool::{
                At, Limits, Loss, Spool,
                job::Job,
                record::{FORMAT, SegmentHeader, record_bytes},
            },
        },
        tests::{
            dice::Dice,
            disk::{Disk, Faults},
            seeds,
        },
    },
    wire::session::{Ack, Frame, OutputCounts},
};

/// Lives, and what happens in each before it is brought to its end.
const LIVES: u64 = 400;
const STEPS: u64 = 2500;

struct Life {
    limits: Limits,
    spool: Spool,
    disk: Disk,
    dice: Dice,
    now_ms: i64,
    job: Option<Job>,
    /// What k6 emitted, by frame.
    pushed: BTreeMap<u64, Frame>,
    /// Frames that found no room.
    refused: BTreeSet<u64>,
    acked: BTreeSet<u64>,
    /// Sent in any session.
    sent: BTreeSet<u64>,
    /// Of these, not acknowledged.
    open: BTreeSet<u64>,
    /// Samples in each of these.
    framed_samples: u64,
    refused_samples: u64,
    acked_samples: u64,
    last_sent: u64,
    losses: Vec<Loss>,
    record_max: u64,
    trace: DefaultHasher,
}

impl Life {
    fn new(seed: u64) -> Self {
        let mut dice = Dice(seed);
        let on_full = if dice.percent(50) { OnFull::Fail } else { OnFull::Drop };
        let limits = Limits {
            bytes_max: 3_000 + dice.roll() % 30_000,
            on_full,
            segment_bytes: 500 + dice.roll() % 3_000,
            group_bytes: 100 + dice.roll() % 1_000,
            linger_ms: dice.ms(200),
            queue_bytes: 4_000 + dice.below(20_000),
            window: 1 + dice.below(8),
            window_bytes: 1_000 + dice.below(10_000),
            read_bytes: 50 + dice.roll() % 1_000,
            retry_ms: dice.ms(100),
        };
        let kind = seed % 4;
        let faults = Faults {
            write: if kind == 0 { 0 } else { dice.below(40) },
            read: if kind == 0 { 0 } else { dice.below(40) },
            remove: if kind == 2 { dice.below(20) } else { 0 },
            rot: if kind == 3 { 1 + dice.below(60) } else { 0 },
            capacity: if kind == 1 { 1_000 + dice.below(20_000) } else { usize::MAX },
        };
        Self {
            limits,
            spool: Spool::new(limits, SegmentHeader { format: FORMAT, ..SegmentHeader::default() }),
            disk: Disk::new(faults),
            dice,
            now_ms: 0,
            job: None,
            pushed: BTreeMap::new(),
            refused: BTreeSet::new(),
            acked: BTreeSet::new(),
            sent: BTreeSet::new(),
            open: BTreeSet::new(),
            framed_samples: 0,
            refused_samples: 0,
            acked_samples: 0,
            last_sent: 0,
            losses: Vec::new(),
            record_max: 0,
            trace: DefaultHasher::new(),
        }
    }

    fn live(mut self) -> (Self, u64) {
        // A rate at which outputs take samples: some lives fill their spool, others never see it.
        let takes = 5 + self.dice.below(30);
        for _ in 0..STEPS {
            match self.dice.below(100) {
                0..30 => self.push(),
                30..50 => self.begin_job(),
                50..70 => self.end_job(),
                70 if self.dice.percent(30) => {
                    self.spool.rewind();
                    self.last_sent = 0;
                }
                71..80 => self.now_ms += self.dice.ms(60),
                _ if self.dice.percent(takes) => self.acknowledge(),
                _ => self.send(),
            }
            if self.dice.below(10_000) < self.disk.faults.rot {
                self.disk.rot(&mut self.dice);
            }
            self.check();
        }
        self.end();
        let trace = self.trace.finish();
        (self, trace)
    }

    fn push(&mut self) {
        let seq = self.pushed.len() as u64 + 1;
        let samples = 1 + self.dice.below(40_u64);
        let text = "x".repeat(if self.dice.percent(5) { self.dice.below(2_000_usize) } else { 20 });
        let value = (0..samples).map(|_| f64::from(self.dice.below(1000_u32)));
        let frame = Frame { seq, strings: vec![text], value: value.collect(), ..Frame::default() };
        self.pushed.insert(seq, frame.clone());
        self.framed_samples += samples;
        let closed = Closed::new(frame);
        self.record_max = self.record_max.max(record_bytes(closed.encoded_bytes));
        let before = self.spool.totals().dropped;
        let loss = self.spool.push(closed, self.now_ms);
        let dropped = self.spool.totals().dropped - before;
        if dropped > 0 {
            assert_eq!(dropped, samples, "a frame is taken or dropped as a whole");
            self.refused.insert(seq);
            self.refused_samples += dropped;
        }
        if let Some(loss) = loss {
            assert_eq!(loss.fails, self.limits.on_full == OnFull::Fail, "{loss:?}");
            assert!(dropped > 0);
            self.losses.push(loss);
        }
    }

    fn begin_job(&mut self) {
        if self.job.is_none() {
            let due_ms = self.spool.job_due_ms();
            self.job = self.spool.job(self.now_ms);
            assert_eq!(self.job.is_some(), due_ms <= self.now_ms, "it comes when it is due");
            format!("{:?}", self.job).hash(&mut self.trace);
        }
    }

    fn end_job(&mut self) {
        let Some(job) = self.job.take() else { return };
        let done = self.disk.act(&job, &mut self.dice);
        let before = self.spool.totals().unreadable;
        let loss = self.spool.done(done, self.now_ms);
        let unreadable = self.spool.totals().unreadable - before;
        if unreadable > 0 {
            assert!(self.disk.faults.rot > 0, "what was written and synced can be read");
        }
        if let Some(loss) = loss {
            assert!(loss.fails && unreadable > 0, "{loss:?}");
            self.losses.push(loss);
        }
    }

    fn send(&mut self) {
        let has_next = self.spool.has_next();
        let Some(frame) = self.spool.next_frame() else {
            assert!(!has_next);
            return;
        };
        assert!(has_next);
        assert!(frame.seq > self.last_sent, "frames go out in order within a session");
        assert!(!self.acked.contains(&frame.seq), "an acknowledged frame was sent again");
        assert_eq!(frame, self.pushed[&frame.seq]);
        self.last_sent = frame.seq;
        self.sent.insert(frame.seq);
        self.open.insert(frame.seq);
        frame.seq.hash(&mut self.trace);
        assert!(self.open.range(..=self.last_sent).count() <= self.limits.window);
    }

    /// Any frame that was sent, or one that was acknowledged before, or was never sent.
    fn acknowledge(&mut self) {
        let at = self.dice.below(self.open.len());
        let seq = match self.dice.below(20) {
            0 => self.dice.roll() % 3000,
            _ => self.open.iter().nth(at).copied().unwrap_or(1),
        };
        self.acknowledge_one(seq);
    }

    fn acknowledge_one(&mut self, seq: u64) {
        let samples = self.pushed.get(&seq).map_or(1, |frame| frame.value.len() as u64);
        let rejected = BTreeMap::from([("too old".to_owned(), samples / 3)]);
        let stored = samples - samples / 3;
        let outputs = vec![OutputCounts { name: "timestream".to_owned(), stored, rejected }];
        let before = self.spool.totals().acked;
        self.spool.ack(&Ack { seq, outputs });
        let counted = self.spool.totals().acked - before;
        let counts = self.sent.contains(&seq) && self.acked.insert(seq);
        assert_eq!(counted, if counts { samples } else { 0 }, "frame {seq}");
        self.open.remove(&seq);
        self.acked_samples += counted;
    }

    fn check(&self) {
        let totals = self.spool.totals();
        let in_memory: u64 =
            self.spool.frames.values().map(|kept| kept.frame.value.len() as u64).sum();
        let held = in_memory + self.spool.segments.unread().samples;
        assert_eq!(totals.framed, self.framed_samples);
        assert_eq!(totals.framed, totals.acked + held + totals.dropped);
        assert_eq!(totals.acked, self.acked_samples);
        assert_eq!(totals.dropped, self.refused_samples + totals.unreadable);
        assert_eq!(self.spool.is_empty(), held == 0);
        assert_eq!(totals.dropped > 0, !self.losses.is_empty(), "no loss without a word");
        let memory: usize = self.spool.frames.values().map(|kept| kept.memory_bytes).sum();
        let read = self.limits.read_bytes.max(self.record_max);
        let frames_read = usize::try_from(read / 20).unwrap();
        let bound = self.limits.queue_bytes
            + self.limits.window_bytes
            + 400 * frames_read
            + 3 * usize::try_from(read).unwrap();
        assert!(memory <= bound, "{memory} bytes of memory, at most {bound}");
        let queue: usize = {
            let waiting = self.spool.frames.values().filter(|kept| !matches!(kept.at, At::Disk(_)));
            waiting.map(|kept| kept.memory_bytes).sum()
        };
        assert_eq!(queue, self.spool.queue.memory_bytes);
        let used = self.disk.used();
        assert!(used as u64 <= self.limits.bytes_max, "{used} bytes of disk");
        for (number, file) in &self.disk.files {
            let most = self.limits.segment_bytes + self.limits.group_bytes + self.record_max + 40;
            assert!(file.len() as u64 <= most, "segment {number} has {} bytes", file.len());
        }
    }

    /// Nothing fails any more, and outputs take everything.
    fn end(&mut self) {
        let rot = self.disk.faults.rot;
        self.disk.faults = Faults { capacity: usize::MAX, rot, ..Faults::default() };
        self.spool.rewind();
        self.last_sent = 0;
        for _ in 0..100_000 {
            if self.spool.is_empty() {
                break;
            }
            self.now_ms += 50;
            self.end_job();
            self.begin_job();
            self.send();
            let open: Vec<u64> = self.open.range(..=self.last_sent).copied().collect();
            for seq in open {
                self.acknowledge_one(seq);
            }
        }
        self.check();
        assert!(self.spool.is_empty(), "every frame is sent until it is acknowledged");
        let totals = self.spool.totals();
        assert_eq!(totals.framed, totals.acked + totals.dropped, "the account closes");
        let outputs = totals.output_counts();
        let settled: u64 =
            outputs.iter().map(|o| o.stored + o.rejected.values().sum::<u64>()).sum();
        assert_eq!(settled, totals.acked);
        if rot == 0 {
            let all: BTreeSet<u64> = self.pushed.keys().copied().collect();
            assert_eq!(self.acked, all.difference(&self.refused).copied().collect());
        }
        self.spool.close();
        while !self.spool.is_closed() {
            self.end_job();
            self.begin_job();
        }
        assert!(self.disk.files.is_empty(), "{:?}", self.disk.files.keys());
    }
}

#[test]
fn whatever_the_disk_does_every_sample_is_acknowledged_once_or_counted_as_lost() {
    let (mut spilled, mut full, mut refused, mut unreadable) = (0, 0, 0, 0);
    for seed in seeds(LIVES) {
        let (life, trace) = Life::new(seed).live();
        if seed % 50 == 0 {
            assert_eq!(Life::new(seed).live().1, trace, "the same seed is the same life");
        }
        spilled += u32::from(life.spool.segments.next() > 3);
        full += u32::from(life.losses.iter().any(|loss| loss.text.contains("is full")));
        refused +=
            u32::from(life.losses.iter().any(|loss| loss.text.contains("cannot be written")));
        unreadable += u32::from(life.spool.totals().unreadable > 0);
    }
    let seen = [spilled, full, refused, unreadable];
    assert!(seen.iter().all(|lives| *lives > 10), "each must happen to be tested: {seen:?}");
}
