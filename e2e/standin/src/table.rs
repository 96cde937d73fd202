//! One table: its rows, what makes a row the same row, and the limits over a table's life.
//!
//! Sources: `API_WriteRecords` (upserts and versions), `API_RejectedRecord`, "Quotas".
//! The identity of a row is (set of dimensions, measure name, time). The texts of the two version
//! rejects are the service's own, as clients have shown them in public issues.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};

use crate::clock;
use crate::intern::{DimensionSets, Names};
use crate::limits::{self, Checked, Reason, Reject};
use crate::value::Value;

/// Most measure names of a table ("Quotas").
pub(crate) const MEASURES_MAX: usize = 8192;
/// Most distinct multi-measure columns of a table ("Quotas").
pub(crate) const COLUMNS_MAX: usize = 1024;

const HOUR_NS: i64 = 3_600_000_000_000;

/// How long a table keeps what, and whether late data goes to the magnetic store.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Retention {
    pub(crate) memory_hours: i64,
    pub(crate) magnetic_days: i64,
    pub(crate) is_magnetic_write: bool,
}

impl Default for Retention {
    /// The service's defaults ("Quotas").
    fn default() -> Self {
        Self { memory_hours: 6, magnetic_days: 73_000, is_magnetic_write: false }
    }
}

/// The store that takes a record.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Tier {
    Memory,
    Magnetic,
}

impl Retention {
    /// Which store takes a record of this time, if any does.
    pub(crate) fn tier(&self, time_ns: i64, now_ns: i64) -> Result<Tier, Reject> {
        let oldest_ns = now_ns.saturating_sub(self.memory_hours.saturating_mul(HOUR_NS));
        let newest_ns = now_ns.saturating_add(limits::FUTURE_NS_MAX);
        let magnetic_ns = now_ns.saturating_sub(self.magnetic_days.saturating_mul(24 * HOUR_NS));
        let text = || {
            let (from, to) = (clock::iso(oldest_ns), clock::iso(newest_ns));
            format!(
                "The record timestamp is outside the time range [{from}, {to}) of the memory store."
            )
        };
        if time_ns >= newest_ns {
            Err(Reject::new(Reason::TooNew, text()))
        } else if time_ns >= oldest_ns {
            Ok(Tier::Memory)
        } else if self.is_magnetic_write && time_ns >= magnetic_ns {
            Ok(Tier::Magnetic)
        } else {
            Err(Reject::new(Reason::TooOld, text()))
        }
    }
}

/// What became of an accepted record.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Written {
    /// A new row.
    Stored,
    /// A row with a higher version took the place of the old one.
    Upserted,
    /// The row was there already, with the same value: nothing changed.
    Repeated,
}

/// A stored row.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) set: u32,
    pub(crate) measure: u32,
    pub(crate) time_ns: i64,
    pub(crate) version: i64,
    pub(crate) value: Value,
}

/// A table.
#[derive(Debug)]
pub(crate) struct Table {
    pub(crate) retention: Retention,
    pub(crate) created_ns: i64,
    pub(crate) names: Names,
    pub(crate) sets: DimensionSets,
    dimension_names: HashSet<u32>,
    measure_names: HashSet<u32>,
    column_names: HashSet<u32>,
    /// Rows in the order of their writes; row i has the sequence number `seq_base + i + 1`.
    rows: Vec<Row>,
    superseded: HashSet<u32>,
    index: HashMap<(u32, u32, i64), u32>,
    seq_base: u64,
}

impl Table {
    pub(crate) fn new(retention: Retention, created_ns: i64) -> Self {
        Self {
            retention,
            created_ns,
            names: Names::default(),
            sets: DimensionSets::default(),
            dimension_names: HashSet::new(),
            measure_names: HashSet::new(),
            column_names: HashSet::new(),
            rows: Vec::new(),
            superseded: HashSet::new(),
            index: HashMap::new(),
            seq_base: 0,
        }
    }

    /// Writes one record, or says why not.
    pub(crate) fn write(&mut self, record: Checked) -> Result<Written, Reject> {
        self.life_limits(&record)?;
        let columns = record.value.columns().iter();
        let columns: Vec<u32> = columns.map(|(name, _)| self.names.intern(name)).collect();
        self.column_names.extend(columns);
        let measure = self.names.intern(record.measure_name);
        self.measure_names.insert(measure);
        let pairs = record.dimensions.iter();
        let set: Vec<(u32, u32)> =
            pairs.map(|(n, v)| (self.names.intern(n), self.names.intern(v))).collect();
        self.dimension_names.extend(set.iter().map(|(name, _)| *name));
        let set = self.sets.intern(set);
        let Ok(position) = u32::try_from(self.rows.len()) else {
            return Err(Reject::new(Reason::RecordTooLarge, "The stand-in's table is full."));
        };
        let row = Row {
            set,
            measure,
            time_ns: record.time_ns,
            version: record.version,
            value: record.value,
        };
        match self.index.entry((set, measure, record.time_ns)) {
            Entry::Vacant(free) => {
                free.insert(position);
                self.rows.push(row);
                Ok(Written::Stored)
            }
            Entry::Occupied(mut taken) => {
                let before = &self.rows[*taken.get() as usize];
                if row.version <= before.version {
                    return same_or_reject(before, &row);
                }
                self.superseded.insert(taken.insert(position));
                self.rows.push(row);
                Ok(Written::Upserted)
            }
        }
    }

    /// Rows that can be read (replaced ones cannot).
    pub(crate) fn len(&self) -> usize {
        self.rows.len() - self.superseded.len()
    }

    /// Rows held in memory, replaced ones included.
    pub(crate) fn held(&self) -> usize {
        self.rows.len()
    }

    /// The sequence number of the newest row.
    pub(crate) fn seq(&self) -> u64 {
        self.seq_base + self.rows.len() as u64
    }

    /// Readable rows written after `since`, with their sequence numbers.
    pub(crate) fn rows_since(&self, since: u64) -> impl Iterator<Item = (u64, &Row)> {
        let start = usize::try_from(since.saturating_sub(self.seq_base)).unwrap_or(usize::MAX);
        let rows = self.rows.iter().enumerate().skip(start);
        rows.filter(|(i, _)| !u32::try_from(*i).is_ok_and(|i| self.superseded.contains(&i)))
            .map(|(i, row)| (self.seq_base + i as u64 + 1, row))
    }

    /// Forgets all rows; names once seen still count against the table's limits.
    pub(crate) fn clear(&mut self) {
        self.seq_base = self.seq();
        self.rows = Vec::new();
        self.superseded = HashSet::new();
        self.index = HashMap::new();
    }

    /// Names of all dimensions that the table has seen, sorted.
    pub(crate) fn dimensions(&self) -> Vec<&str> {
        let mut names: Vec<&str> =
            self.dimension_names.iter().map(|id| self.names.text(*id)).collect();
        names.sort_unstable();
        names
    }

    /// How many measure names the table has seen.
    pub(crate) fn measure_count(&self) -> usize {
        self.measure_names.len()
    }

    /// The limits that count over a table's life; nothing is remembered of a rejected record.
    fn life_limits(&self, record: &Checked) -> Result<(), Reject> {
        let is_new = |set: &HashSet<u32>, name: &str| {
            !self.names.get(name).is_some_and(|id| set.contains(&id))
        };
        let dimensions = record.dimensions.iter();
        let fresh = dimensions.filter(|(name, _)| is_new(&self.dimension_names, name)).count();
        if self.dimension_names.len() + fresh > limits::DIMENSIONS_MAX {
            let text = "The table exceeds the limit of 128 dimensions.";
            return Err(Reject::new(Reason::TableDimensions, text));
        }
        let fresh = usize::from(is_new(&self.measure_names, record.measure_name));
        if self.measure_names.len() + fresh > MEASURES_MAX {
            let text = "The table exceeds the limit of 8192 measure names.";
            return Err(Reject::new(Reason::TableMeasures, text));
        }
        let columns = record.value.columns();
        let fresh = columns.iter().filter(|(name, _)| is_new(&self.column_names, name)).count();
        if self.column_names.len() + fresh > COLUMNS_MAX {
            let text = "The table exceeds the limit of 1024 multi-measure columns.";
            return Err(Reject::new(Reason::TableColumns, text));
        }
        let is_dimension = |name: &str| {
            !is_new(&self.dimension_names, name)
                || record.dimensions.binary_search_by(|(n, _)| (*n).cmp(name)).is_ok()
        };
        let is_taken = columns.iter().any(|(name, _)| is_dimension(name))
            || record.dimensions.iter().any(|(name, _)| !is_new(&self.column_names, name));
        if is_taken {
            let text = "A dimension and a measure of the table must not have the same name.";
            return Err(Reject::new(Reason::ColumnConflict, text));
        }
        Ok(())
    }
}

/// The row is there with the same or a higher version: the same value changes nothing and is
/// accepted (writes are idempotent), another one is rejected.
fn same_or_reject(before: &Row, row: &Row) -> Result<Written, Reject> {
    if row.value == before.value {
        return Ok(Written::Repeated);
    }
    let existing = before.version;
    let (reason, text) = if row.version == existing {
        let text = "A record already exists with the same time, dimensions, measure name, and \
                    record version. A higher record version must be specified in order to update \
                    the measure value. Specifying record version is supported by the latest SDKs.";
        (Reason::Duplicate, text.to_owned())
    } else {
        let text = format!(
            "The record version {} is lower than the existing version {existing}. A higher \
             version is required to update the measure value.",
            row.version
        );
        (Reason::LowerVersion, text)
    };
    Err(Reject { reason, text, existing_version: Some(existing) })
}

#[cfg(test)]
mod tests;
