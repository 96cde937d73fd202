//! `WriteRecords`: the whole call is judged first, then its good records are stored.
//!
//! Source: `API_WriteRecords`: a call that fails with a `ValidationException` stores nothing; with
//! rejected records the others are stored.

use serde_json::{Value as Json, json};

use crate::aws_json::ApiError;
use crate::limits::{self, Checked, Fault, Reason, Reject};
use crate::model::{Record, WriteRecords, text};
use crate::stats;
use crate::table::{Tier, Written};
use crate::timestream::Server;

/// Carries out one call.
pub(crate) fn write_records(
    server: &Server,
    call: &WriteRecords,
    bytes: usize,
    now_ns: i64,
) -> Result<Json, ApiError> {
    let count = call.records.as_ref().map_or(0, Vec::len);
    let answer = apply(server, call, bytes, now_ns);
    let is_whole_failure = answer.as_ref().is_err_and(|error| error.rejected.is_empty());
    if is_whole_failure {
        server.stats().records_refused += count as u64;
    }
    answer
}

fn apply(
    server: &Server,
    call: &WriteRecords,
    bytes: usize,
    now_ns: i64,
) -> Result<Json, ApiError> {
    let database = text(&call.database_name).filter(|name| !name.is_empty());
    let table = text(&call.table_name).filter(|name| !name.is_empty());
    let (Some(database), Some(table)) = (database, table) else {
        return Err(ApiError::validation("The database name and the table name are required."));
    };
    let records = call.records.as_ref().map_or(&[][..], Vec::as_slice);
    let count = records.len();
    if count == 0 || count > limits::RECORDS_MAX {
        let bound =
            if count == 0 { "greater than or equal to 1" } else { "less than or equal to 100" };
        return Err(ApiError::validation(format!(
            "1 validation error detected: Value at 'records' failed to satisfy constraint: Member \
             must have length {bound}"
        )));
    }
    let retention = server.catalog().table_mut(database, table)?.retention;
    let none = Record::default();
    let common = call.common_attributes.as_ref().unwrap_or(&none);
    let mut rejected = Vec::new();
    let mut good: Vec<(usize, Checked, Tier)> = Vec::with_capacity(count);
    for (index, record) in records.iter().enumerate() {
        match check(record, common, server.is_invalid_rejecting)? {
            Ok(record) => match retention.tier(record.time_ns, now_ns) {
                Ok(tier) => good.push((index, record, tier)),
                Err(reject) => rejected.push((index, reject)),
            },
            Err(reject) => rejected.push((index, reject)),
        }
    }
    let mut catalog = server.catalog();
    let held: usize = catalog.tables().map(|(_, _, table)| table.held()).sum();
    if held + good.len() > server.rows_max {
        return Err(ApiError::internal("The stand-in is full (--max-rows)."));
    }
    let table = catalog.table_mut(database, table)?;
    let (indexes, records): (Vec<(usize, Tier)>, Vec<Checked>) =
        good.into_iter().map(|(index, record, tier)| ((index, tier), record)).unzip();
    let metered = stats::meter(&records, common);
    let mut stats = server.stats();
    stats.applied(count, bytes, metered);
    let (mut memory, mut magnetic) = (0, 0);
    for ((index, tier), record) in indexes.into_iter().zip(records) {
        match table.write(record) {
            Ok(written) => {
                match written {
                    Written::Stored => stats.records_stored += 1,
                    Written::Upserted => stats.records_upserted += 1,
                    Written::Repeated => stats.records_repeated += 1,
                }
                match tier {
                    Tier::Memory => memory += 1,
                    Tier::Magnetic => magnetic += 1,
                }
            }
            Err(reject) => rejected.push((index, reject)),
        }
    }
    stats.records_memory += memory;
    stats.records_magnetic += magnetic;
    for (_, reject) in &rejected {
        *stats.rejected.entry(reject.reason).or_default() += 1;
    }
    if rejected.is_empty() {
        let total = memory + magnetic;
        let ingested = json!({"Total": total, "MemoryStore": memory, "MagneticStore": magnetic});
        return Ok(json!({ "RecordsIngested": ingested }));
    }
    rejected.sort_by_key(|(index, _)| *index);
    Err(ApiError::rejected(rejected))
}

/// Checks one record; the outer error fails the call, the inner one the record.
fn check<'a>(
    record: &'a Record<'_>,
    common: &'a Record<'_>,
    is_invalid_rejecting: bool,
) -> Result<Result<Checked<'a>, Reject>, ApiError> {
    match limits::check(record, common) {
        Ok(checked) => Ok(Ok(checked)),
        Err(Fault::Rejected(reject)) => Ok(Err(reject)),
        Err(Fault::Invalid(text)) if is_invalid_rejecting => {
            Ok(Err(Reject::new(Reason::Invalid, text)))
        }
        Err(Fault::Invalid(text) | Fault::Malformed(text)) => Err(ApiError::validation(text)),
    }
}

#[cfg(test)]
mod tests;
