//! One output's way through the pipeline: its queue, its writes under way, those that wait to be tried again.
//!
//! A write that failed gives its place back while it waits, so others keep offering load; the number that may wait is
//! bounded, and while it is reached no new batch is cut.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use super::{
    batch::{Batch, BatchId, FrameId, Record},
    queue::{Queue, Waiting},
    retry::{Written, delay_ms},
    row::{Refusal, Row},
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
}

/// Account of one output within this process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LaneCounts {
    /// Records stored.
    pub stored: u64,
    /// Records refused for good.
    pub rejected: u64,
    /// Writes begun.
    pub writes: u64,
    /// Writes that the output throttled.
    pub throttled: u64,
    /// Writes that will be tried again, throttled ones among them.
    pub retried: u64,
    /// Calls cut in halves to find a record that spoils them.
    pub bisected: u64,
    /// Records of series that had a value cut.
    pub shortened: u64,
}

/// Records of one frame that are settled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Settled {
    pub(super) frame: FrameId,
    pub(super) how: Result<(), Refusal>,
}

#[derive(Clone, Debug)]
struct Attempt {
    batch: Arc<Batch>,
    tries: u32,
    /// An earlier try may have stored its records.
    ambiguous: bool,
}

/// One output's queue and writes.
#[derive(Debug)]
pub struct Lane {
    config: LaneConfig,
    queue: Queue,
    next_batch: u64,
    under_way: BTreeMap<BatchId, Attempt>,
    halves: VecDeque<Attempt>,
    waiting: BTreeMap<(i64, BatchId), Attempt>,
    failed: bool,
    last_failure: String,
    counts: LaneCounts,
}

impl Lane {
    pub(super) fn new(config: LaneConfig) -> Self {
        Self {
            config,
            queue: Queue::default(),
            next_batch: 0,
            under_way: BTreeMap::new(),
            halves: VecDeque::new(),
            waiting: BTreeMap::new(),
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

    /// Account within this process.
    pub fn counts(&self) -> LaneCounts {
        self.counts
    }

    /// Records that are queued, under way, or waiting for another try.
    pub fn open_count(&self) -> usize {
        let held = self.under_way.values().chain(self.halves.iter()).chain(self.waiting.values());
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
                self.counts.shortened += u64::try_from(waiting.len()).unwrap_or(u64::MAX);
            }
            self.queue.push(&row, &waiting);
        }
    }

    pub(super) fn count_refused(&mut self, records: u64) {
        self.counts.rejected += records;
    }

    /// The next write to begin, if one may.
    pub(super) fn next(&mut self, now_ms: i64, hurry: bool) -> Option<Arc<Batch>> {
        if self.under_way.len() >= self.config.writes_max {
            return None;
        }
        let attempt = self
            .halves
            .pop_front()
            .or_else(|| self.pop_due(now_ms))
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
        let due = self.waiting.keys().next().map(|(due_ms, _)| *due_ms);
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
        let Some(mut attempt) = self.under_way.remove(&id) else { return Vec::new() };
        match written {
            Written::Stored => {
                self.last_failure.clear();
                self.settle(&attempt.batch, |_| Ok(()))
            }
            Written::Partly(refused) => {
                self.last_failure.clear();
                let refused: BTreeMap<usize, Refusal> = refused.into_iter().collect();
                let stored_before = attempt.ambiguous;
                self.settle(&attempt.batch, |at| match refused.get(&at) {
                    // Our own earlier try may have stored this very record.
                    Some(Refusal::VersionConflict) if stored_before => Ok(()),
                    Some(refusal) => Err(*refusal),
                    None => Ok(()),
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
                self.counts.throttled += u64::from(failure == super::retry::Failure::Throttled);
                attempt.tries += 1;
                attempt.ambiguous |= failure.is_ambiguous();
                let due_ms = now_ms + delay_ms(failure, attempt.tries, random);
                self.waiting.insert((due_ms, id), attempt);
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
        let held: Vec<Attempt> = std::mem::take(&mut self.waiting)
            .into_values()
            .chain(std::mem::take(&mut self.halves))
            .collect();
        let mut settled = Vec::new();
        for attempt in held {
            settled.extend(self.settle(&attempt.batch, |_| Err(Refusal::OutputFailed)));
        }
        let queued = self.queue.take_all();
        self.counts.rejected += u64::try_from(queued.len()).unwrap_or(u64::MAX);
        let refused =
            |record: Record| Settled { frame: record.frame, how: Err(Refusal::OutputFailed) };
        settled.extend(queued.into_iter().map(refused));
        settled
    }

    fn may_cut(&self) -> bool {
        self.queue.len() > 0
            && self.waiting.len() + self.halves.len() < self.config.writes_max * WAITING_PER_WRITE
    }

    fn pop_due(&mut self, now_ms: i64) -> Option<Attempt> {
        let (due_ms, _) = self.waiting.keys().next()?;
        if *due_ms > now_ms {
            return None;
        }
        self.waiting.pop_first().map(|(_, attempt)| attempt)
    }

    fn cut(&mut self, now_ms: i64, hurry: bool) -> Option<Attempt> {
        if !self.may_cut() {
            return None;
        }
        let records = self.queue.cut(now_ms, self.config.linger_ms, hurry)?;
        Some(Attempt { batch: self.batch(records), tries: 0, ambiguous: false })
    }

    fn batch(&mut self, records: Vec<Record>) -> Arc<Batch> {
        self.next_batch += 1;
        Arc::new(Batch::new(BatchId(self.next_batch), records))
    }

    fn bisect(&mut self, attempt: &Attempt) {
        let records = &attempt.batch.records;
        let (left, right) = records.split_at(records.len() / 2);
        for half in [left, right] {
            let batch = self.batch(half.to_vec());
            self.halves.push_back(Attempt { batch, tries: 0, ambiguous: attempt.ambiguous });
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
