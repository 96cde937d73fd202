//! Cases for whole calls: what is stored, what is counted, what the flags change.

use clap::Parser;

use super::*;
use crate::timestream::Settings;

const NOW_NS: i64 = 1_700_000_000_000_000_000;
const HOUR_MS: i64 = 3_600_000;

#[derive(Parser)]
struct Flags {
    #[command(flatten)]
    settings: Settings,
}

fn server(flags: &[&str]) -> Server {
    let flags = ["test", "--table", "k6.samples"].iter().chain(flags);
    Server::new(Flags::parse_from(flags).settings).expect("a server")
}

/// Writes records given as (measure, value, milliseconds from now): what was stored, or the error.
fn write(server: &Server, records: &[(&str, &str, i64)]) -> Result<Json, ApiError> {
    let records: Vec<Json> = records
        .iter()
        .map(|(measure, value, offset_ms)| {
            json!({
                "Dimensions": [{"Name": "instance_id", "Value": "1"}],
                "MeasureName": measure,
                "MeasureValue": value,
                "Time": (NOW_NS / 1_000_000 + offset_ms).to_string(),
            })
        })
        .collect();
    let call = json!({"DatabaseName": "k6", "TableName": "samples", "Records": records});
    let call = call.to_string();
    let call = serde_json::from_str(&call).expect("a call");
    write_records(server, &call, 1000, NOW_NS)
}

/// Records received, refused, stored, upserted, repeated, rejected, and rows that can be read.
fn counts(server: &Server) -> [u64; 7] {
    let rows = server.catalog().tables().map(|(_, _, t)| t.len()).sum();
    let stats = server.stats().json(rows);
    let keys = ["received", "refused", "stored", "upserted", "repeated", "rejected"];
    let mut counts = keys.map(|key| stats[format!("records_{key}")].as_u64().expect("a count"));
    counts.reverse();
    let [rejected, repeated, upserted, stored, refused, received] = counts;
    assert_eq!(received, stored + upserted + repeated + rejected);
    [received, refused, stored, upserted, repeated, rejected, rows as u64]
}

#[test]
fn rejected_records_do_not_hinder_the_others() {
    let server = server(&[]);
    let first = [("a", "1", 0), ("b", "1", 0)];
    assert!(write(&server, &first).is_ok());
    let second = [("a", "2", 0), ("c", "1", 0), ("b", "1", 0), ("d", "1", -7 * HOUR_MS)];
    let error = write(&server, &second).expect_err("two are rejected");
    let rejected: Vec<_> = error.rejected.iter().map(|(i, r)| (*i, r.reason)).collect();
    assert_eq!(rejected, [(0, Reason::Duplicate), (3, Reason::TooOld)]);
    assert_eq!(error.status, 419);
    assert_eq!(counts(&server), [6, 0, 3, 0, 1, 2, 3]);
}

#[test]
fn a_call_that_fails_stores_nothing() {
    let server = server(&[]);
    let error = write(&server, &[("a", "1", 0), ("b", "NaN", 0)]).expect_err("a bad value");
    assert_eq!((error.status, error.code), (400, "ValidationException"));
    assert_eq!(counts(&server), [0, 2, 0, 0, 0, 0, 0]);
    let many = vec![("a", "1", 0); 101];
    assert_eq!(write(&server, &many).expect_err("too many").status, 400);
    assert_eq!(write(&server, &[]).expect_err("too few").status, 400);
    assert_eq!(counts(&server), [0, 103, 0, 0, 0, 0, 0]);
}

#[test]
fn the_same_record_twice_in_a_call_is_one_row() {
    let server = server(&[]);
    assert!(write(&server, &[("a", "1", 0), ("a", "1", 0)]).is_ok());
    assert_eq!(counts(&server), [2, 0, 1, 0, 1, 0, 1]);
    let error = write(&server, &[("b", "1", 0), ("b", "2", 0)]).expect_err("another value");
    assert_eq!(error.rejected[0].0, 1);
}

#[test]
fn flags_change_what_they_say() {
    let lenient = server(&["--invalid-rejects-record"]);
    let error = write(&lenient, &[("a", "1", 0), ("b", "NaN", 0)]).expect_err("a bad value");
    assert_eq!((error.status, error.rejected[0].0), (419, 1));
    assert_eq!(counts(&lenient), [2, 0, 1, 0, 0, 1, 1]);

    let small = server(&["--max-rows", "2"]);
    assert!(write(&small, &[("a", "1", 0), ("b", "1", 0)]).is_ok());
    assert_eq!(write(&small, &[("c", "1", 0)]).expect_err("full").status, 500);
    assert_eq!(counts(&small), [2, 1, 2, 0, 0, 0, 2]);

    let long = server(&["--memory-hours", "24"]);
    assert!(write(&long, &[("a", "1", -23 * HOUR_MS)]).is_ok());
}

#[test]
fn late_records_go_to_the_magnetic_store_if_the_table_says_so() {
    let server = server(&[]);
    if let Ok(table) = server.catalog().table_mut("k6", "samples") {
        table.retention.is_magnetic_write = true;
    }
    let answer = write(&server, &[("a", "1", 0), ("b", "1", -7 * HOUR_MS)]).expect("accepted");
    let want = json!({"RecordsIngested": {"Total": 2, "MemoryStore": 1, "MagneticStore": 1}});
    assert_eq!(answer, want);
}
