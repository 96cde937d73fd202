//! Rows of a second: how a runner's frame holds them, and what they become.
//!
//! The names of dimensions follow the rule for samples ([`row`](super::row)), but that a dimension which is called as one
//! of the [`COLUMNS`] is prefixed as well, and that values are cut earlier: the record needs room for its columns.

use std::{collections::BTreeMap, sync::Arc};

use super::{
    frame::series_of,
    row::{Refusal, Row, rollup_row},
};
use crate::wire::session::Frame;

/// Column of the number of samples.
pub const COUNT: &str = "count";
/// Column of the sum of their values.
pub const SUM: &str = "sum";
/// Column of the lowest.
pub const MIN: &str = "min";
/// Column of the highest.
pub const MAX: &str = "max";
/// Column of the latest, of gauges.
pub const LAST: &str = "last";
/// Column of all of them by size class, of trends.
pub const HISTOGRAM: &str = "histogram";
/// The columns that rows of a second may have.
pub const COLUMNS: [&str; 6] = [COUNT, SUM, MIN, MAX, LAST, HISTOGRAM];

/// What a number is metered with, in bytes.
const NUMBER_BYTES: usize = 8;

/// What a row of a second holds besides its sum.
#[derive(Clone, Debug, PartialEq)]
pub struct Rolled {
    /// Samples.
    pub count: u64,
    /// The lowest.
    pub min: f64,
    /// The highest.
    pub max: f64,
    /// The latest, of a gauge.
    pub last: Option<f64>,
    /// All of them by size class, of a trend; else empty.
    pub histogram: Box<str>,
}

impl Rolled {
    /// What the columns are metered with: the guide counts the name of each with its value.
    pub fn metered_bytes(&self) -> usize {
        let mut bytes = 4 * NUMBER_BYTES + COUNT.len() + SUM.len() + MIN.len() + MAX.len();
        if self.last.is_some() {
            bytes += LAST.len() + NUMBER_BYTES;
        }
        if !self.histogram.is_empty() {
            bytes += HISTOGRAM.len() + self.histogram.len();
        }
        bytes
    }

    fn is_finite(&self) -> bool {
        [self.min, self.max, self.last.unwrap_or(0.0)].into_iter().all(f64::is_finite)
    }
}

/// A row of a second in an opened frame.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct RolledRow {
    pub(super) row: Result<Arc<Row>, Refusal>,
    pub(super) time_ns: i64,
    pub(super) sum: f64,
    pub(super) rolled: Arc<Rolled>,
}

/// What one output is to write of a frame's rows, and samples that no row holds.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct RolledUp {
    pub(super) rows: Vec<RolledRow>,
    pub(super) refused: BTreeMap<Refusal, u64>,
}

/// The rows of a frame of `all` samples for each output that has some, by its place.
///
/// Every one of these is in one row or refused: rows that cannot be read, or say that they are more
/// than these, are refused.
pub(super) fn open(frame: &Frame, instance_id: u32, all: u64) -> BTreeMap<u32, Arc<RolledUp>> {
    let mut by_output = BTreeMap::new();
    if frame.rollups.is_empty() {
        return by_output;
    }
    let series = series_of(frame, instance_id);
    for rollup in &frame.rollups {
        let mut rows: BTreeMap<u32, Result<Arc<Row>, Refusal>> = BTreeMap::new();
        let mut opened = RolledUp::default();
        let mut left = all.checked_sub(rollup.not_finite);
        for wire in &rollup.rows {
            if wire.count == 0 {
                continue;
            }
            left = left.and_then(|left| left.checked_sub(wire.count));
            let at = usize::try_from(wire.series).unwrap_or(usize::MAX);
            let row = rows.entry(wire.series).or_insert_with(|| match series.get(at) {
                Some(Some(series)) => rollup_row(series).map(Arc::new),
                Some(None) | None => Err(Refusal::Malformed),
            });
            opened.rows.push(RolledRow {
                row: row.clone(),
                time_ns: frame.base_time_ns.wrapping_add(wire.after_ns),
                sum: wire.sum,
                rolled: Arc::new(Rolled {
                    count: wire.count,
                    min: wire.min,
                    max: wire.max,
                    last: wire.last,
                    histogram: wire.histogram.as_str().into(),
                }),
            });
        }
        let mut refuse = |refusal: Refusal, samples: u64| {
            if samples > 0 {
                *opened.refused.entry(refusal).or_default() += samples;
            }
        };
        if let Some(left) = left {
            refuse(Refusal::NotFinite, rollup.not_finite);
            refuse(Refusal::Malformed, left);
        } else {
            refuse(Refusal::Malformed, all);
            opened.rows.clear();
        }
        let opened = Arc::new(opened);
        by_output.extend(rollup.outputs.iter().map(|output| (*output, opened.clone())));
    }
    by_output
}

impl RolledRow {
    /// The row, or why it cannot be written.
    pub(super) fn writable(&self) -> Result<&Arc<Row>, Refusal> {
        match &self.row {
            Err(refusal) => Err(*refusal),
            Ok(_) if !(self.sum.is_finite() && self.rolled.is_finite()) => Err(Refusal::NotFinite),
            Ok(_) if self.time_ns < 0 => Err(Refusal::InvalidTime),
            Ok(row) => Ok(row),
        }
    }
}

#[cfg(test)]
mod tests;
