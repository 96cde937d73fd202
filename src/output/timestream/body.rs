//! A batch as the body of a `WriteRecords` call.
//!
//! The SDK would build its own types of every record and make text of them: most of what a call costs. The body is written
//! here straight from the batch. Shape: the API's `WriteRecordsRequest`, AWS JSON 1.0.

use std::{collections::BTreeMap, ops::Range, sync::Arc};

use crate::core::pipeline::{
    batch::{Batch, Record},
    rolled::{self, Rolled},
    row::{Row, value_text},
};

/// The body of the call that writes `batch` to this table.
pub fn write(batch: &Batch, database: &str, table: &str) -> Vec<u8> {
    // What a record takes, with some dimensions of its own.
    let mut body = Body(Vec::with_capacity(1024 + batch.records.len() * 160));
    body.raw("{\"DatabaseName\":");
    body.text(database);
    body.raw(",\"TableName\":");
    body.text(table);
    let is_rolled = batch.records.iter().any(|record| record.rolled.is_some());
    let time_ns = batch.common_time_ns();
    body.raw(",\"CommonAttributes\":{\"TimeUnit\":\"NANOSECONDS\",\"MeasureValueType\":");
    body.raw(if is_rolled { "\"MULTI\"" } else { "\"DOUBLE\"" });
    if let Some(time_ns) = time_ns {
        body.raw(",\"Time\":");
        body.number(time_ns);
    }
    if let Some(measure) = &batch.measure {
        body.raw(",\"MeasureName\":");
        body.text(measure);
    }
    body.dimensions(batch.common.iter());
    body.raw("},\"Records\":[");
    let mut written = Written::default();
    for (at, record) in batch.records.iter().enumerate() {
        body.raw(if at == 0 { "{" } else { ",{" });
        body.values(record);
        if time_ns.is_none() {
            body.raw(",\"Time\":");
            body.number(record.time_ns);
        }
        body.series(batch, record, &mut written);
        body.raw("}");
    }
    body.raw("]}");
    body.0
}

struct Body(Vec<u8>);

/// Where in the body the rows' own parts stand.
#[derive(Default)]
struct Written {
    /// The last one: the next record is likely of the same row.
    last: Option<(*const Row, Range<usize>)>,
    all: BTreeMap<*const Row, Range<usize>>,
}

impl Written {
    fn find(&mut self, row: *const Row) -> Option<Range<usize>> {
        if let Some((_, place)) = self.last.as_ref().filter(|(last, _)| *last == row) {
            return Some(place.clone());
        }
        let place = self.all.get(&row)?.clone();
        self.last = Some((row, place.clone()));
        Some(place)
    }

    fn keep(&mut self, row: *const Row, place: Range<usize>) {
        self.all.insert(row, place.clone());
        self.last = Some((row, place));
    }
}

impl Body {
    fn raw(&mut self, text: &str) {
        self.0.extend_from_slice(text.as_bytes());
    }

    /// A string of JSON.
    fn text(&mut self, text: &str) {
        let is_plain = |byte: u8| byte >= 0x20 && byte != b'"' && byte != b'\\';
        if text.bytes().all(is_plain) {
            self.quoted(text);
        } else {
            // Writing to memory does not fail.
            serde_json::to_writer(&mut self.0, text).unwrap_or_default();
        }
    }

    /// What a record's series has of its own; copied where another record of the same row has it already.
    fn series(&mut self, batch: &Batch, record: &Record, written: &mut Written) {
        let row = Arc::as_ptr(&record.row);
        if let Some(place) = written.find(row) {
            return self.0.extend_from_within(place);
        }
        let from = self.0.len();
        if batch.measure.is_none() {
            self.raw(",\"MeasureName\":");
            self.text(&record.row.measure);
        }
        self.dimensions(batch.own_dimensions(record));
        written.keep(row, from..self.0.len());
    }

    /// A number, which the API wants as a string.
    fn number(&mut self, number: impl itoa::Integer) {
        self.quoted(itoa::Buffer::new().format(number));
    }

    fn value(&mut self, value: f64) {
        self.quoted(value_text(value, &mut zmij::Buffer::new()));
    }

    /// Text without a character that JSON escapes.
    fn quoted(&mut self, text: &str) {
        self.0.push(b'"');
        self.raw(text);
        self.0.push(b'"');
    }

    fn values(&mut self, record: &Record) {
        let Some(rolled) = &record.rolled else {
            self.raw("\"MeasureValue\":");
            return self.value(record.value);
        };
        self.columns(record.value, rolled);
    }

    /// The columns of a row of a second.
    fn columns(&mut self, sum: f64, rolled: &Rolled) {
        self.raw("\"MeasureValues\":[{\"Name\":\"");
        self.raw(rolled::COUNT);
        self.raw("\",\"Type\":\"BIGINT\",\"Value\":");
        self.number(rolled.count);
        let doubles = [(rolled::SUM, sum), (rolled::MIN, rolled.min), (rolled::MAX, rolled.max)];
        for (name, value) in doubles.into_iter().chain(rolled.last.map(|last| (rolled::LAST, last)))
        {
            self.raw("},{\"Name\":\"");
            self.raw(name);
            self.raw("\",\"Type\":\"DOUBLE\",\"Value\":");
            self.value(value);
        }
        if !rolled.histogram.is_empty() {
            self.raw("},{\"Name\":\"");
            self.raw(rolled::HISTOGRAM);
            self.raw("\",\"Type\":\"VARCHAR\",\"Value\":");
            self.text(&rolled.histogram);
        }
        self.raw("}]");
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

#[cfg(test)]
mod tests;
