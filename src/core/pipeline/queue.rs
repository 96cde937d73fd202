//! What an output has yet to write, and which of it goes out in one call.
//!
//! Timestream bills a call by its bytes, rounded up to whole KiB, and counts what all its records share once ("Metering
//! and pricing, writes"). Most bytes of k6's samples are their dimensions, so records wait with those of their own row
//! (dimensions and measure), the rows in the order of their dimensions:
//! - a hundred records of one row go out at once;
//! - a row whose oldest record has waited long enough goes out with what it has. It takes rows of the same dimensions
//!   along as long as one call costs no more than two, and others as long as they cost no more than their bytes: these may
//!   yet become more;
//! - once it has waited twice as long, the output is slower than the load: then only full calls count, whatever they cost.
//!
//! Long enough is [`LaneConfig::linger_ms`](super::lane::LaneConfig::linger_ms), but no more than a second since there are
//! records for a whole call: a frame is acknowledged when all of it is written, and of what is not acknowledged an agent
//! sends no more than its window holds.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    ops::Bound,
    sync::Arc,
};

use super::{
    batch::{BATCH_RECORDS_MAX, FrameId, Record},
    rolled::Rolled,
    row::Row,
};

/// What the time of a record is metered with, in bytes.
const TIME_BYTES: usize = 8;
/// What a DOUBLE is metered with, in bytes.
const VALUE_BYTES: usize = 8;
/// Longest time that records for a whole call wait for more of their like, in milliseconds.
const LIKENESS_MS_MAX: i64 = 1000;
/// Calls are billed in units of so many bytes.
const UNIT_BYTES: usize = 1024;

/// A sample that waits; its row is known by where it waits.
#[derive(Clone, Debug)]
pub(super) struct Waiting {
    pub(super) frame: FrameId,
    pub(super) time_ns: i64,
    pub(super) value: f64,
    pub(super) rolled: Option<Arc<Rolled>>,
}

impl Waiting {
    /// Samples that it stands for.
    pub(super) fn samples(&self) -> u64 {
        self.rolled.as_ref().map_or(1, |rolled| rolled.count)
    }

    /// What its values are metered with.
    fn value_bytes(&self) -> usize {
        self.rolled.as_ref().map_or(VALUE_BYTES, |rolled| rolled.metered_bytes())
    }
}

/// All that waits.
#[derive(Debug, Default)]
pub(super) struct Queue {
    rows: BTreeMap<Arc<Row>, VecDeque<Waiting>>,
    /// Rows by the frame of their oldest record.
    by_age: BTreeSet<(FrameId, Arc<Row>)>,
    /// Rows that fill a call.
    full: BTreeSet<Arc<Row>>,
    /// When frames came, the oldest that still waits first.
    arrivals: VecDeque<(FrameId, i64)>,
    len: usize,
    /// Since when there are records for a whole call.
    whole_since_ms: Option<i64>,
}

impl Queue {
    /// Records that wait.
    pub(super) const fn len(&self) -> usize {
        self.len
    }

    /// A frame has come; what it holds follows by [`Queue::push`]. Frames come in the order of their numbers.
    pub(super) fn arrive(&mut self, frame: FrameId, now_ms: i64) {
        self.arrivals.push_back((frame, now_ms));
    }

    /// Takes samples of one row and of the frame that came last.
    pub(super) fn push(&mut self, row: &Arc<Row>, samples: Vec<Waiting>) {
        let Some(first) = samples.first() else { return };
        self.len += samples.len();
        if self.len >= BATCH_RECORDS_MAX {
            let came_ms = self.arrivals.back().map(|(_, came_ms)| *came_ms);
            self.whole_since_ms = self.whole_since_ms.or(came_ms);
        }
        if let Some((row, waiting)) = self.row_mut(row) {
            waiting.extend(samples);
            if waiting.len() >= BATCH_RECORDS_MAX {
                self.full.insert(row);
            }
            return;
        }
        self.by_age.insert((first.frame, row.clone()));
        if samples.len() >= BATCH_RECORDS_MAX {
            self.full.insert(row.clone());
        }
        self.rows.insert(row.clone(), samples.into());
    }

    /// The queue of a row, with the row as the queue has it: records of equal rows share one.
    fn row_mut(&mut self, row: &Arc<Row>) -> Option<(Arc<Row>, &mut VecDeque<Waiting>)> {
        let (own, waiting) = self.rows.range_mut(row.clone()..=row.clone()).next()?;
        Some((own.clone(), waiting))
    }

    /// When the oldest record has waited long enough.
    pub(super) fn due_ms(&self, linger_ms: i64) -> Option<i64> {
        let (_, arrived_ms) = *self.arrivals.front()?;
        let due_ms = arrived_ms.saturating_add(linger_ms);
        let Some(since_ms) = self.whole_since_ms else { return Some(due_ms) };
        Some(due_ms.min(arrived_ms.max(since_ms).saturating_add(LIKENESS_MS_MAX)))
    }

    /// Whether what was due has waited as long again.
    fn is_late(&self, overdue_ms: i64, linger_ms: i64) -> bool {
        let likeness_ms = self.whole_since_ms.map_or(linger_ms, |_| LIKENESS_MS_MAX);
        overdue_ms >= linger_ms.min(likeness_ms)
    }

    /// Takes the records of the next call, if its time has come. In a hurry, none waits.
    pub(super) fn cut(&mut self, now_ms: i64, linger_ms: i64, hurry: bool) -> Option<Vec<Record>> {
        let overdue_ms = now_ms.saturating_sub(self.due_ms(linger_ms)?);
        let is_late = self.is_late(overdue_ms, linger_ms);
        if let Some(row) = self.full.first().filter(|_| !is_late) {
            let row = row.clone();
            return Some(self.take(&[(row, BATCH_RECORDS_MAX)]));
        }
        if !(hurry || overdue_ms >= 0) {
            return None;
        }
        let (_, oldest) = self.by_age.first()?;
        let parts = self.gather(&oldest.clone(), !is_late);
        Some(self.take(&parts))
    }

    /// The rows of a call around this one, and how many records of each: all that fit, or as many as pay.
    fn gather(&self, start: &Arc<Row>, must_pay: bool) -> Vec<(Arc<Row>, usize)> {
        let Some(waiting) = self.rows.get(start) else { return Vec::new() };
        let records = waiting.len().min(BATCH_RECORDS_MAX);
        let mut call = Call::of(start, waiting, records);
        let mut parts = vec![(start.clone(), records)];
        let after = self.rows.range((Bound::Excluded(start.clone()), Bound::Unbounded));
        let before = self.rows.range((Bound::Unbounded, Bound::Excluded(start.clone()))).rev();
        for (row, waiting) in after {
            if !call.join(row, waiting, must_pay, &mut parts) {
                break;
            }
        }
        for (row, waiting) in before {
            if !call.join(row, waiting, must_pay, &mut parts) {
                break;
            }
        }
        parts
    }

    /// Takes so many records off each of these rows, in the order of their times, as Timestream likes them best.
    fn take(&mut self, parts: &[(Arc<Row>, usize)]) -> Vec<Record> {
        let mut records = Vec::with_capacity(parts.iter().map(|(_, count)| count).sum());
        for (row, count) in parts {
            let Some(waiting) = self.rows.get_mut(row) else { continue };
            let before = waiting.front().map(|first| first.frame);
            let taken = waiting.drain(..(*count).min(waiting.len()));
            records.extend(taken.map(|Waiting { frame, time_ns, value, rolled }| Record {
                row: row.clone(),
                value,
                rolled,
                time_ns,
                frame,
            }));
            let after = waiting.front().map(|first| first.frame);
            if waiting.len() < BATCH_RECORDS_MAX {
                self.full.remove(row);
            }
            if after.is_none() {
                self.rows.remove(row);
            }
            if before != after {
                self.by_age.extend(after.map(|frame| (frame, row.clone())));
                if let Some(frame) = before {
                    self.by_age.remove(&(frame, row.clone()));
                }
            }
        }
        self.len -= records.len();
        if self.len < BATCH_RECORDS_MAX {
            self.whole_since_ms = None;
        }
        let oldest = self.by_age.first().map(|(frame, _)| *frame);
        while self.arrivals.front().is_some_and(|(frame, _)| oldest.is_none_or(|o| *frame < o)) {
            self.arrivals.pop_front();
        }
        records.sort_by_key(|record| record.time_ns);
        records
    }

    /// Takes all that waits.
    pub(super) fn take_all(&mut self) -> Vec<Record> {
        let parts: Vec<_> =
            self.rows.iter().map(|(row, waiting)| (row.clone(), waiting.len())).collect();
        self.take(&parts)
    }
}

/// What a call costs.
#[derive(Debug)]
struct Call {
    records: usize,
    /// As if nothing were shared.
    bytes: usize,
    /// Dimensions that all records have.
    common: Vec<(Arc<str>, Arc<str>)>,
    /// The measure, where all records have the same.
    measure: Option<Arc<str>>,
}

impl Call {
    fn of(row: &Row, waiting: &VecDeque<Waiting>, records: usize) -> Self {
        let values: usize = waiting.iter().take(records).map(Waiting::value_bytes).sum();
        let bytes = TIME_BYTES + row.measure.len() + size(&row.dimensions);
        Self {
            records,
            bytes: records * bytes + values,
            common: row.dimensions.clone(),
            measure: Some(row.measure.clone()),
        }
    }

    fn metered_bytes(&self) -> usize {
        let shared = size(&self.common) + self.measure.as_ref().map_or(0, |name| name.len());
        self.bytes - shared * self.records.saturating_sub(1)
    }

    fn units(&self) -> usize {
        self.metered_bytes().div_ceil(UNIT_BYTES)
    }

    /// Takes a row's records in as far as there is room; answers whether it did.
    fn join(
        &mut self,
        row: &Arc<Row>,
        waiting: &VecDeque<Waiting>,
        must_pay: bool,
        parts: &mut Vec<(Arc<Row>, usize)>,
    ) -> bool {
        let records = waiting.len().min(BATCH_RECORDS_MAX - self.records);
        if records == 0 {
            return false;
        }
        let alone = Self::of(row, waiting, records);
        let mut common = self.common.clone();
        common.retain(|pair| row.dimensions.binary_search(pair).is_ok());
        let joined = Self {
            records: self.records + records,
            bytes: self.bytes + alone.bytes,
            common,
            measure: self.measure.clone().filter(|name| *name == row.measure),
        };
        let is_alike = joined.common == row.dimensions && joined.common.len() == self.common.len();
        let alone_units = if is_alike { alone.units() } else { alone.metered_bytes() / UNIT_BYTES };
        if must_pay && joined.units() > self.units() + alone_units {
            return false;
        }
        *self = joined;
        parts.push((row.clone(), records));
        true
    }
}

fn size(dimensions: &[(Arc<str>, Arc<str>)]) -> usize {
    dimensions.iter().map(|(name, value)| name.len() + value.len()).sum()
}

#[cfg(test)]
mod tests;
