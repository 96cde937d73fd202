//! A batch as the body of a `WriteRecords` call.
//!
//! The SDK would build its own types of every record and make text of them: most of what a call costs. The body is written
//! here straight from the batch; the SDK still does all else (credentials, endpoint, signature, HTTP, errors). Shape: the
//! API's `WriteRecordsRequest`, AWS JSON 1.0.

use std::io::Write;

use crate::core::pipeline::{
    batch::{Batch, Record},
    row::value_text,
};

/// The body of the call that writes `batch` to this table.
pub fn write(batch: &Batch, database: &str, table: &str) -> Vec<u8> {
    // What a record takes, with some dimensions of its own.
    let mut body = Body(Vec::with_capacity(1024 + batch.records.len() * 160));
    body.raw("{\"DatabaseName\":");
    body.text(database);
    body.raw(",\"TableName\":");
    body.text(table);
    body.raw(",\"CommonAttributes\":{\"MeasureValueType\":\"DOUBLE\",\"TimeUnit\":\"NANOSECONDS\"");
    if let Some(measure) = &batch.measure {
        body.raw(",\"MeasureName\":");
        body.text(measure);
    }
    body.dimensions(batch.common.iter());
    body.raw("},\"Records\":[");
    for (at, record) in batch.records.iter().enumerate() {
        body.raw(if at == 0 { "{" } else { ",{" });
        body.record(batch, record);
        body.raw("}");
    }
    body.raw("]}");
    body.0
}

struct Body(Vec<u8>);

impl Body {
    fn raw(&mut self, text: &str) {
        self.0.extend_from_slice(text.as_bytes());
    }

    /// A string of JSON.
    fn text(&mut self, text: &str) {
        let is_plain = |byte: u8| byte >= 0x20 && byte != b'"' && byte != b'\\';
        if text.bytes().all(is_plain) {
            self.0.push(b'"');
            self.raw(text);
            self.0.push(b'"');
        } else {
            // Writing to memory does not fail.
            serde_json::to_writer(&mut self.0, text).unwrap_or_default();
        }
    }

    fn record(&mut self, batch: &Batch, record: &Record) {
        self.raw("\"MeasureValue\":\"");
        self.raw(&value_text(record.value));
        self.raw("\",\"Time\":\"");
        // As above.
        write!(self.0, "{}", record.time_ns).unwrap_or_default();
        self.raw("\"");
        if batch.measure.is_none() {
            self.raw(",\"MeasureName\":");
            self.text(&record.row.measure);
        }
        self.dimensions(batch.own_dimensions(record));
    }

    fn dimensions<'a, T: AsRef<str> + 'a>(&mut self, pairs: impl Iterator<Item = &'a (T, T)>) {
        let mut is_first = true;
        for (name, value) in pairs {
            self.raw(if is_first { ",\"Dimensions\":[{\"Name\":" } else { ",{\"Name\":" });
            self.text(name.as_ref());
            self.raw(",\"Value\":");
            self.text(value.as_ref());
            self.raw("}");
            is_first = false;
        }
        if !is_first {
            self.raw("]");
        }
    }
}
