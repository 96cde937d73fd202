//! One output's way through the pipeline: its queue, its writes under way, those that wait to be tried again.
//!
//! A write that failed gives its place back while it waits, so others keep offering load; the number that may wait is
//! bounded, and while it is reached no new batch is cut. Where an output only fails, most of them wait without a time, until
//! a write is answered ([`Budget`](super::retry::Budget)).

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use super::{
    batch::{Batch, BatchId, FrameId, Record},
    queue::Waiting,
    retries::{Attempt, Retries},
    retry::Written,
    row::{Refusal, Row},
    shape::{Shape, Waits},
};
use crate::core::dimensions::Kept;

/// Batches that may wait to be tried again, for each write that may be under way.
const WAITING_PER_WRITE: usize = 4;

/// What an output is, as the pipeline needs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LaneConfig {
    /// Name in the account.
    pub name: String,
    /// Writes under way at once.
    pub writes_max: usize,
    /// Longest wait of a sample for its batch to fill, in milliseconds.
    pub linger_ms: i64,
    /// Which dimensions its rows have.
    pub kept: Kept,
    /// What its rows and calls are.
    pub shape: Shape,
}

/// Account of one output within this process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LaneCounts {
    /// Samples stored.
    pub stored: u64,
    /// Samples refused for good.
    pub rejected: u64,
    /// Of the stored ones, those that the output says it had from an earlier try.
    pub repeated: u64,
    /// Writes begun.
    pub writes: u64,
    /// Writes that the output throttled.
    pub throttled: u64,
    /// Writes that will be tried again, throttled ones among them.
    pub retried: u64,
    /// Of these, writes that had to wait until another was answered.
    pub held_back: u64,
    /// Calls cut in halves to find a record that spoils them.
    pub bisected: u64,
    /// Records of series that had a value cut.
    pub shortened: u64,
}

/// Records of a frame that are settled alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Settled {
    pub(super) frame: FrameId,
    /// Samples that they stood for.
    pub(super) samples: u64,
    pub(super) how: Result<(), Refusal>,
}

/// One output's queue and writes.
#[derive(Debug)]
pub struct Lane {
    config: LaneConfig,
    queue: Waits,
    next_batch: u64,
    under_way: BTreeMap<BatchId, Attempt>,
    halves: VecDeque<Attempt>,
    retries: Retries,
    failed: bool,
    last_failure: String,
    counts: LaneCounts,
}

impl Lane {
    pub(super) fn new(config: LaneConfig) -> Self {
        Self {
            retries: Retries::new(config.writes_max),
            queue: Waits::new(config.shape),
            config,
            next_batch: 0,
            under_way: BTreeMap::new(),
            halves: VecDeque::new(),
            failed: false,
            last_failure: String::new(),
            counts: LaneCounts::default(),
        }
    }

    /// Name in the account.
    pub fn name(&self) -> &str {
        &self.config.name
    }

    /// Which dimensions its rows have.
    pub fn kept(&self) -> &Kept {
        &self.config.kept
    }

    /// What its rows and calls are.
    pub fn shape(&self) -> Shape {
        self.config.shape
    }

    /// Account within this process.
    pub fn counts(&self) -> LaneCounts {
        self.counts
    }

    /// Records that are queued, under way, or waiting for another try.
    pub fn open_count(&self) -> usize {
        let held = self.under_way.values().chain(&self.halves).chain(self.retries.iter());
        self.queue.len() + held.map(|attempt| attempt.batch.records.len()).sum::<usize>()
    }

    /// Writes under way.
    pub fn under_way_count(&self) -> usize {
        self.under_way.len()
    }

    /// What the output said when a write last failed; empty when none did since the last success.
    pub fn last_failure(&self) -> &str {
        &self.last_failure
    }

    /// Whether its rows are of a second.
    pub fn is_rollup(&self) -> bool {
        self.config.shape == Shape::Rollup
    }

    pub(super) fn is_failed(&self) -> bool {
        self.failed
    }

    /// Queues what a frame holds, by row. Frames come in the order of their numbers.
    pub(super) fn push(
        &mut self,
        frame: FrameId,
        samples: Vec<(Arc<Row>, Vec<Waiting>)>,
        now_ms: i64,
    ) {
        if !samples.is_empty() {
            self.queue.arrive(frame, now_ms);
        }
        for (row, waiting) in samples {
            if row.shortened {
                self.counts.shortened += waiting.iter().map(Waiting::samples).sum::<u64>();
            }
            self.queue.push(&row, waiting);
        }
    }

    pub(super) fn count_refused(&mut self, samples: u64) {
        self.counts.rejected += samples;
    }

    /// The next write to begin, if one may.
    pub(super) fn next(&mut self, now_ms: i64, hurry: bool) -> Option<Arc<Batch>> {
        if self.under_way.len() >= self.config.writes_max {
            return None;
        }
        let attempt = self
            .halves
            .pop_front()
            .or_else(|| self.retries.pop_due(now_ms))
            .or_else(|| self.cut(now_ms, hurry))?;
        let batch = attempt.batch.clone();
        self.under_way.insert(batch.id, attempt);
        self.counts.writes += 1;
        Some(batch)
    }

    /// When [`Lane::next`] may have something without any new input; never while all writes are under way.
    pub(super) fn poll_timeout(&self) -> Option<i64> {
        if self.under_way.len() >= self.config.writes_max {
            return None;
        }
        let due = self.retries.due_ms();
        let linger = self.queue.due_ms(self.config.linger_ms).filter(|_| self.may_cut());
        due.into_iter().chain(linger).min()
    }

    /// Takes the outcome of a write and tells which records are settled by it.
    pub(super) fn finish(
        &mut self,
        id: BatchId,
        written: Written,
        now_ms: i64,
        random: u64,
    ) -> Vec<Settled> {
        let Some(attempt) = self.under_way.remove(&id) else { return Vec::new() };
        if !matches!(written, Written::Failed(..) | Written::Fatal(_)) {
            self.retries.answered(&attempt, now_ms);
        }
        match written {
            Written::Stored => {
                self.last_failure.clear();
                self.settle(&attempt.batch, |_| Ok(()))
            }
            Written::Partly(refused) => {
                self.last_failure.clear();
                let refused: BTreeMap<usize, Refusal> = refused.into_iter().collect();
                // Our own earlier try may have stored this very record.
                let is_ours =
                    |refusal: Refusal| attempt.ambiguous && refusal == Refusal::VersionConflict;
                let ours = refused.values().filter(|refusal| is_ours(**refusal)).count();
                self.counts.repeated += u64::try_from(ours).unwrap_or(u64::MAX);
                self.settle(&attempt.batch, |at| match refused.get(&at) {
                    Some(refusal) if !is_ours(*refusal) => Err(*refusal),
                    Some(_) | None => Ok(()),
                })
            }
            Written::Invalid(text) if attempt.batch.records.len() <= 1 => {
                self.last_failure = text;
                self.settle(&attempt.batch, |_| Err(Refusal::Invalid))
            }
            _ if self.failed => self.settle(&attempt.batch, |_| Err(Refusal::OutputFailed)),
            Written::Invalid(text) => {
                self.last_failure = text;
                self.counts.bisected += 1;
                self.bisect(&attempt);
                Vec::new()
            }
            Written::Failed(failure, text) => {
                self.last_failure = text;
                self.counts.retried += 1;
                self.counts.throttled += u64::from(failure.is_throttle());
                let is_held_back = self.retries.put(attempt, failure, now_ms, random);
                self.counts.held_back += u64::from(is_held_back);
                Vec::new()
            }
            Written::Fatal(text) => {
                self.last_failure = text;
                self.failed = true;
                self.settle(&attempt.batch, |_| Err(Refusal::OutputFailed))
            }
        }
    }

    /// Gives up: everything that is not under way is refused. Writes under way still count as they end.
    pub(super) fn give_up(&mut self) -> Vec<Settled> {
        self.failed = true;
        let held = self.retries.take_all().into_iter().chain(std::mem::take(&mut self.halves));
        let mut settled = Vec::new();
        for attempt in held.collect::<Vec<_>>() {
            settled.extend(self.settle(&attempt.batch, |_| Err(Refusal::OutputFailed)));
        }
        let queued = self.queue.take_all();
        self.counts.rejected += queued.iter().map(Record::samples).sum::<u64>();
        let refused = |record: Record| Settled {
            frame: record.frame,
            samples: record.samples(),
            how: Err(Refusal::OutputFailed),
        };
        settled.extend(queued.into_iter().map(refused));
        settled
    }

    fn may_cut(&self) -> bool {
        let waiting = self.retries.len() + self.halves.len();
        self.queue.len() > 0 && waiting < self.config.writes_max * WAITING_PER_WRITE
    }

    fn cut(&mut self, now_ms: i64, hurry: bool) -> Option<Attempt> {
        if !self.may_cut() {
            return None;
        }
        let records = self.queue.cut(now_ms, self.config.linger_ms, hurry)?;
        Some(Attempt::new(self.batch(records), false))
    }

    fn batch(&mut self, records: Vec<Record>) -> Arc<Batch> {
        self.next_batch += 1;
        Arc::new(self.config.shape.batch(BatchId(self.next_batch), records))
    }

    fn bisect(&mut self, attempt: &Attempt) {
        let records = &attempt.batch.records;
        let (left, right) = records.split_at(records.len() / 2);
        for half in [left, right] {
            let batch = self.batch(half.to_vec());
            self.halves.push_back(Attempt::new(batch, attempt.ambiguous));
        }
    }

    fn settle(
        &mut self,
        batch: &Batch,
        how: impl Fn(usize) -> Result<(), Refusal>,
    ) -> Vec<Settled> {
        let mut settled: Vec<Settled> = Vec::new();
        for (at, record) in batch.records.iter().enumerate() {
            let (frame, how, samples) = (record.frame, how(at), record.samples());
            match how {
                Ok(()) => self.counts.stored += samples,
                Err(_) => self.counts.rejected += samples,
            }
            // Most records of a call are of one frame, and stored.
            match settled.last_mut().filter(|last| last.frame == frame && last.how == how) {
                Some(last) => last.samples += samples,
                None => settled.push(Settled { frame, samples, how }),
            }
        }
        settled
    }
}
