//! One write: up to a hundred records and what they share.

use std::{collections::BTreeSet, sync::Arc};

use super::{rolled::Rolled, row::Row};

/// Most records of one write.
pub const BATCH_RECORDS_MAX: usize = 100;

/// Names a frame that the pipeline holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct FrameId(pub(super) u64);

/// Names a batch of one output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct BatchId(pub(super) u64);

/// One sample, or those of a second, as they are written.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// Measure and dimensions.
    pub row: Arc<Row>,
    /// The value, finite; of a row of a second, the sum.
    pub value: f64,
    /// What else a row of a second holds; none for a sample.
    pub rolled: Option<Arc<Rolled>>,
    /// Unix time in nanoseconds.
    pub time_ns: i64,
    /// The frame it came in.
    pub(super) frame: FrameId,
}

impl Record {
    /// Samples that it stands for.
    pub fn samples(&self) -> u64 {
        self.rolled.as_ref().map_or(1, |rolled| rolled.count)
    }
}

/// Records that go out in one call.
#[derive(Clone, Debug, PartialEq)]
pub struct Batch {
    /// Names the batch when its outcome comes back.
    pub id: BatchId,
    /// Dimensions that every record has with the same value; they are sent once and left out of the records.
    pub common: Vec<(Arc<str>, Arc<str>)>,
    /// The measure, where every record has the same; it is sent once as well.
    pub measure: Option<Arc<str>>,
    /// The records.
    pub records: Vec<Record>,
}

impl Batch {
    /// A batch of `records` with what they share.
    pub fn new(id: BatchId, records: Vec<Record>) -> Self {
        let common = common_dimensions(&records);
        Self { id, common, measure: common_measure(&records), records }
    }

    /// The time, where all records are rows of the same second: it is sent once as well.
    pub fn common_time_ns(&self) -> Option<i64> {
        let first = self.records.first()?;
        let is_same = |record: &Record| record.rolled.is_some() && record.time_ns == first.time_ns;
        (self.records.len() > 1 && self.records.iter().all(is_same)).then_some(first.time_ns)
    }

    /// Dimensions of `record` that are not common to the batch.
    pub fn own_dimensions<'a>(
        &'a self,
        record: &'a Record,
    ) -> impl Iterator<Item = &'a (Arc<str>, Arc<str>)> {
        record.row.dimensions.iter().filter(|pair| self.common.binary_search(pair).is_err())
    }
}

fn common_measure(records: &[Record]) -> Option<Arc<str>> {
    let first = &records.first()?.row.measure;
    records.iter().all(|record| record.row.measure == *first).then(|| first.clone())
}

fn common_dimensions(records: &[Record]) -> Vec<(Arc<str>, Arc<str>)> {
    let mut rows = records.iter().map(|record| &record.row);
    let Some(first) = rows.next() else { return Vec::new() };
    let mut common = first.dimensions.clone();
    let mut seen = BTreeSet::from([Arc::as_ptr(first)]);
    for row in rows {
        if seen.insert(Arc::as_ptr(row)) {
            common.retain(|pair| row.dimensions.binary_search(pair).is_ok());
        }
    }
    common
}
