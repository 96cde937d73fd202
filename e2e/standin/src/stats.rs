//! What the stand-in counts, and what Amazon would meter.

use std::collections::{BTreeMap, HashSet};

use serde_json::{Value as Json, json};

use crate::limits::{Checked, Reason};
use crate::model::{Record, text};

/// A full call ("Quotas").
const FULL_CALL: usize = crate::limits::RECORDS_MAX;

/// Counters since the start, or since `DELETE /stats`.
///
/// For every call that was applied: `records_received = records_stored + records_upserted +
/// records_repeated + records_rejected`. Records of calls that failed whole are `records_refused`.
#[derive(Debug, Default)]
pub(crate) struct Stats {
    pub(crate) calls: BTreeMap<String, u64>,
    pub(crate) errors: BTreeMap<&'static str, u64>,
    pub(crate) throttled: u64,
    pub(crate) failed: u64,
    pub(crate) denied: u64,
    pub(crate) cut: u64,
    pub(crate) cut_after_apply: u64,
    pub(crate) refused_down: u64,
    pub(crate) bytes_received: u64,
    pub(crate) records_received: u64,
    pub(crate) records_refused: u64,
    pub(crate) records_stored: u64,
    pub(crate) records_upserted: u64,
    pub(crate) records_repeated: u64,
    pub(crate) records_memory: u64,
    pub(crate) records_magnetic: u64,
    pub(crate) rejected: BTreeMap<Reason, u64>,
    pub(crate) writes_applied: u64,
    pub(crate) writes_below_full: u64,
    pub(crate) largest_call_records: usize,
    pub(crate) largest_call_bytes: usize,
    pub(crate) kib_writes: u64,
    pub(crate) kib_writes_dimensions_once: u64,
}

impl Stats {
    /// Counts the shape of an applied `WriteRecords` call.
    pub(crate) fn applied(&mut self, records: usize, bytes: usize, metered: Metered) {
        self.records_received += records as u64;
        self.writes_applied += 1;
        self.writes_below_full += u64::from(records < FULL_CALL);
        self.largest_call_records = self.largest_call_records.max(records);
        self.largest_call_bytes = self.largest_call_bytes.max(bytes);
        self.kib_writes += kib(metered.bytes);
        self.kib_writes_dimensions_once += kib(metered.bytes_dimensions_once);
    }

    /// The counters as `/stats` shows them.
    pub(crate) fn json(&self, stored_rows: usize) -> Json {
        let rejected: BTreeMap<&str, u64> =
            self.rejected.iter().map(|(reason, count)| (reason.key(), *count)).collect();
        json!({
            "calls": self.calls,
            "calls_total": self.calls.values().sum::<u64>(),
            "errors": self.errors,
            "throttled": self.throttled,
            "failed": self.failed,
            "denied": self.denied,
            "cut": self.cut,
            "cut_after_apply": self.cut_after_apply,
            "refused_down": self.refused_down,
            "bytes_received": self.bytes_received,
            "records_received": self.records_received,
            "records_refused": self.records_refused,
            "records_stored": self.records_stored,
            "records_upserted": self.records_upserted,
            "records_repeated": self.records_repeated,
            "records_memory": self.records_memory,
            "records_magnetic": self.records_magnetic,
            "records_rejected": self.rejected.values().sum::<u64>(),
            "rejected": rejected,
            "stored_rows": stored_rows,
            "writes_applied": self.writes_applied,
            "writes_below_100": self.writes_below_full,
            "largest_call_records": self.largest_call_records,
            "largest_call_bytes": self.largest_call_bytes,
            "kib_writes": self.kib_writes,
            "kib_writes_dimensions_once": self.kib_writes_dimensions_once,
        })
    }
}

/// Bytes of a call as Amazon meters them.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Metered {
    /// Common attributes once, dimensions as often as they are sent.
    pub(crate) bytes: usize,
    /// The same with each repeated dimension once. The pricing page says that repeated dimensions
    /// are found and charged once; it is not known how far that goes, so both are counted.
    pub(crate) bytes_dimensions_once: usize,
}

/// Meters a call. Source: "Metering and pricing, writes": 8 bytes of time, names and values of the
/// dimensions, the measure name, the value; common attributes count once for the call; the call is
/// rounded up to whole KiB.
pub(crate) fn meter(records: &[Checked], common: &Record) -> Metered {
    let mut metered = Metered::default();
    let mut once = 0;
    let common_dimensions = common.dimensions.as_deref().unwrap_or_default();
    let common_names: HashSet<&str> =
        common_dimensions.iter().filter_map(|dimension| text(&dimension.name)).collect();
    let mut seen = HashSet::new();
    for (i, record) in records.iter().enumerate() {
        let fixed = |is_common: bool, bytes: usize| {
            if !is_common || i == 0 { bytes } else { 0 }
        };
        let mut bytes = fixed(common.time.is_some(), 8);
        bytes += fixed(common.measure_name.is_some(), record.measure_name.len());
        let is_common_value = common.measure_value.is_some() || common.measure_values.is_some();
        bytes += fixed(is_common_value, record.value.size());
        metered.bytes += bytes;
        once += bytes;
        for (name, value) in &record.dimensions {
            let size = name.len() + value.len();
            metered.bytes += fixed(common_names.contains(name), size);
            once += if seen.insert((name, value)) { size } else { 0 };
        }
    }
    Metered { bytes_dimensions_once: once, ..metered }
}

fn kib(bytes: usize) -> u64 {
    bytes.div_ceil(1024) as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::Value;

    fn record(host: &str) -> Checked<'_> {
        Checked {
            dimensions: vec![("host", host), ("region", "eu")],
            measure_name: "cpu",
            value: Value::Double(1.0),
            time_ns: 0,
            version: 1,
        }
    }

    #[test]
    fn a_call_is_metered_by_the_published_formula() {
        let records = [record("a"), record("b")];
        let event = 8 + (4 + 1) + (6 + 2) + 3 + 8;
        let plain = meter(&records, &Record::default());
        let want = Metered { bytes: 2 * event, bytes_dimensions_once: 2 * event - 8 };
        assert_eq!(plain, want);
        let common = r#"{"Dimensions": [{"Name": "region", "Value": "eu"}],
                         "MeasureName": "cpu", "Time": "0"}"#;
        let common = serde_json::from_str(common).expect("common attributes");
        let shared = 2 * event - 8 - 3 - 8;
        let want = Metered { bytes: shared, bytes_dimensions_once: shared };
        assert_eq!(meter(&records, &common), want);
        assert_eq!([kib(1), kib(1024), kib(1025)], [1, 1, 2]);
    }
}
