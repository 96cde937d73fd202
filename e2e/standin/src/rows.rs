//! The stored rows as a stream: NDJSON or CSV, a slice at a time, so that the table is never held
//! for long and never copied whole.

use std::convert::Infallible;
use std::fmt::Write;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use hyper::body::{Body, Bytes, Frame};
use serde_json::{Map, Value as Json, json};

use crate::table::{Row, Table};
use crate::timestream::Server;

/// Rows looked at for one slice.
const SLICE_ROWS: usize = 2000;

/// How rows are written.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Format {
    Ndjson,
    Csv,
}

/// The body of `GET /rows`.
#[derive(Debug)]
pub(crate) struct Rows {
    pub(crate) server: Arc<Server>,
    pub(crate) database: String,
    pub(crate) table: String,
    pub(crate) measure: Option<String>,
    pub(crate) format: Format,
    /// Rows up to this number are done.
    pub(crate) since: u64,
    /// The columns of a CSV head; empty until the head is written.
    pub(crate) columns: Vec<String>,
}

impl Body for Rows {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let text = self.slice();
        Poll::Ready((!text.is_empty()).then(|| Ok(Frame::data(Bytes::from(text)))))
    }
}

impl Rows {
    /// The next rows as text; empty at the end, or once the table is gone.
    fn slice(&mut self) -> String {
        let server = Arc::clone(&self.server);
        let catalog = server.catalog();
        let mut text = String::new();
        let Some(table) = catalog.table(&self.database, &self.table) else {
            return text;
        };
        if self.format == Format::Csv && self.columns.is_empty() {
            self.columns = table.dimensions().iter().map(ToString::to_string).collect();
            text.push_str("time_ns,measure_name,type,value,version");
            self.columns.iter().for_each(|name| push_csv(&mut text, name));
            text.push('\n');
        }
        let measure = self.measure.as_deref().map(|name| table.names.get(name));
        while text.is_empty() && self.since < table.seq() {
            let mut last = table.seq();
            for (i, (seq, row)) in table.rows_since(self.since).enumerate() {
                if i == SLICE_ROWS {
                    last = seq - 1;
                    break;
                }
                if measure.is_some_and(|id| id != Some(row.measure)) {
                    continue;
                }
                match self.format {
                    Format::Ndjson => push_ndjson(&mut text, table, seq, row),
                    Format::Csv => push_csv_row(&mut text, table, row, &self.columns),
                }
            }
            self.since = last;
        }
        text
    }
}

fn push_ndjson(text: &mut String, table: &Table, seq: u64, row: &Row) {
    let pairs = table.sets.pairs(row.set).iter();
    let dimensions: Map<String, Json> = pairs
        .map(|(name, value)| (table.names.text(*name).to_owned(), table.names.text(*value).into()))
        .collect();
    let line = json!({
        "seq": seq,
        "dimensions": dimensions,
        "measure_name": table.names.text(row.measure),
        "value": row.value.json(),
        "type": row.value.kind(),
        "time_ns": row.time_ns,
        "version": row.version,
    });
    text.push_str(&line.to_string());
    text.push('\n');
}

fn push_csv_row(text: &mut String, table: &Table, row: &Row, columns: &[String]) {
    let value = match row.value.json() {
        Json::String(text) => text,
        other @ (Json::Null
        | Json::Bool(_)
        | Json::Number(_)
        | Json::Array(_)
        | Json::Object(_)) => other.to_string(),
    };
    // Writing to a string cannot fail.
    let _ignored = write!(text, "{}", row.time_ns);
    push_csv(text, table.names.text(row.measure));
    push_csv(text, row.value.kind());
    push_csv(text, &value);
    push_csv(text, &row.version.to_string());
    let pairs = table.sets.pairs(row.set);
    for column in columns {
        let pair = pairs.iter().find(|(name, _)| table.names.text(*name) == column);
        push_csv(text, pair.map_or("", |(_, value)| table.names.text(*value)));
    }
    text.push('\n');
}

/// A comma and a field, quoted where it must be.
fn push_csv(text: &mut String, field: &str) {
    text.push(',');
    if field.contains([',', '"', '\n', '\r']) {
        text.push('"');
        text.push_str(&field.replace('"', "\"\""));
        text.push('"');
    } else {
        text.push_str(field);
    }
}
