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
    batch::{BATCH_RECORDS_MAX, Batch, BatchId, FrameId, Record},
    frame::Sample,
    retries::{Attempt, Retries},
    retry::{Failure, Written},
    row::{Refusal, Row},
};

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
}

/// Account of one output within this process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LaneCounts {
    /// Records stored.
    pub stored: u64,
    /// Records refused for good.
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

/// A frame's samples as this output writes them.
#[derive(Clone, Debug)]
pub(super) struct Rows {
    pub(super) rows: Vec<Result<Arc<Row>, Refusal>>,
}

impl Rows {
    /// The row that carries `sample`, or why none does.
    pub(super) fn row(&self, sample: &Sample) -> Result<&Arc<Row>, Refusal> {
        let at = usize::try_from(sample.series).ok().and_then(|at| self.rows.get(at));
        match at {
            None => Err(Refusal::Malformed),
            Some(Err(refusal)) => Err(*refusal),
            Some(Ok(_)) if !sample.value.is_finite() => Err(Refusal::NotFinite),
            Some(Ok(_)) if sample.time_ns < 0 => Err(Refusal::InvalidTime),
            Some(Ok(row)) => Ok(row),
        }
    }
}

/// Where a lane finds the samples of a frame that is queued.
pub(super) trait Frames {
    fn samples(&self, frame: FrameId) -> Option<(&[Sample], &Rows)>;
}

/// Records of one frame that are settled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Settled {
    pub(super) frame: FrameId,
    pub(super) how: Result<(), Refusal>,
}

#[derive(Clone, Copy, Debug)]
struct Cursor {
    frame: FrameId,
    next: usize,
    arrived_ms: i64,
}

/// One output's queue and writes.
#[derive(Debug)]
pub struct Lane {
    config: LaneConfig,
    queue: VecDeque<Cursor>,
    queued: usize,
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
            config,
            queue: VecDeque::new(),
            queued: 0,
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

    /// Account within this process.
    pub fn counts(&self) -> LaneCounts {
        self.counts
    }

    /// Records that are queued, under way, or waiting for another try.
    pub fn open_count(&self) -> usize {
        let held = self.under_way.values().chain(&self.halves).chain(self.retries.iter());
        self.queued + held.map(|attempt| attempt.batch.records.len()).sum::<usize>()
    }

    /// Writes under way.
    pub fn under_way_count(&self) -> usize {
        self.under_way.len()
    }

    /// What the output said when a write last failed; empty when none did since the last success.
    pub fn last_failure(&self) -> &str {
        &self.last_failure
    }

    pub(super) fn is_failed(&self) -> bool {
        self.failed
    }

    pub(super) fn push(&mut self, frame: FrameId, records: usize, shortened: u64, now_ms: i64) {
        self.counts.shortened += shortened;
        if records > 0 {
            self.queue.push_back(Cursor { frame, next: 0, arrived_ms: now_ms });
            self.queued += records;
        }
    }

    pub(super) fn count_refused(&mut self, records: u64) {
        self.counts.rejected += records;
    }

    /// The next write to begin, if one may.
    pub(super) fn next(
        &mut self,
        frames: &impl Frames,
        now_ms: i64,
        hurry: bool,
    ) -> Option<Arc<Batch>> {
        if self.under_way.len() >= self.config.writes_max {
            return None;
        }
        let attempt = self
            .halves
            .pop_front()
            .or_else(|| self.retries.pop_due(now_ms))
            .or_else(|| self.cut(frames, now_ms, hurry))?;
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
        let linger = match self.queue.front() {
            Some(first) if self.may_cut() => Some(first.arrived_ms + self.config.linger_ms),
            Some(_) | None => None,
        };
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
                self.counts.throttled += u64::from(failure == Failure::Throttled);
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
    pub(super) fn give_up(&mut self, frames: &impl Frames) -> Vec<Settled> {
        self.failed = true;
        let held = self.retries.take_all().into_iter().chain(std::mem::take(&mut self.halves));
        let mut settled = Vec::new();
        for attempt in held.collect::<Vec<_>>() {
            settled.extend(self.settle(&attempt.batch, |_| Err(Refusal::OutputFailed)));
        }
        while let Some(records) = self.take(frames) {
            self.counts.rejected += u64::try_from(records.len()).unwrap_or(u64::MAX);
            settled.extend(
                records
                    .iter()
                    .map(|record| Settled { frame: record.frame, how: Err(Refusal::OutputFailed) }),
            );
        }
        settled
    }

    fn may_cut(&self) -> bool {
        let waiting = self.retries.len() + self.halves.len();
        self.queued > 0 && waiting < self.config.writes_max * WAITING_PER_WRITE
    }

    fn cut(&mut self, frames: &impl Frames, now_ms: i64, hurry: bool) -> Option<Attempt> {
        let first = self.queue.front()?;
        let is_due = hurry || first.arrived_ms + self.config.linger_ms <= now_ms;
        if !self.may_cut() || !(is_due || self.queued >= BATCH_RECORDS_MAX) {
            return None;
        }
        let records = self.take(frames)?;
        Some(Attempt::new(self.batch(records), false))
    }

    fn batch(&mut self, records: Vec<Record>) -> Arc<Batch> {
        self.next_batch += 1;
        Arc::new(Batch::new(BatchId(self.next_batch), records))
    }

    /// Takes the records of one batch off the queue.
    fn take(&mut self, frames: &impl Frames) -> Option<Vec<Record>> {
        let mut records = Vec::with_capacity(BATCH_RECORDS_MAX.min(self.queued));
        while records.len() < BATCH_RECORDS_MAX {
            let Some(cursor) = self.queue.front_mut() else { break };
            let (samples, rows) = frames.samples(cursor.frame).unwrap_or((&[], EMPTY));
            match samples.get(cursor.next) {
                None => {
                    self.queue.pop_front();
                }
                Some(sample) => {
                    cursor.next += 1;
                    if let Ok(row) = rows.row(sample) {
                        records.push(Record {
                            row: row.clone(),
                            value: sample.value,
                            time_ns: sample.time_ns,
                            frame: cursor.frame,
                        });
                    }
                }
            }
        }
        self.queued = self.queued.saturating_sub(records.len());
        (!records.is_empty()).then_some(records)
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
        let mut settled = Vec::with_capacity(batch.records.len());
        for (at, record) in batch.records.iter().enumerate() {
            let how = how(at);
            match how {
                Ok(()) => self.counts.stored += 1,
                Err(_) => self.counts.rejected += 1,
            }
            settled.push(Settled { frame: record.frame, how });
        }
        settled
    }
}

const EMPTY: &Rows = &Rows { rows: Vec::new() };
