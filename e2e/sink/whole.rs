//! Every sample is a row of its own, whatever the server does.

use std::{collections::BTreeSet, time::Duration};

use serde_json::Value;
use weir::{
    api::v1alpha1::Reason,
    wire::session::{Frame, Series},
};

use crate::{
    FRAMES, INSTANCES, SAMPLES,
    rows::{everyone, now_ns, stored_rows, verify_whole},
    runs::{output, run, run_with},
    server::Server,
};

#[tokio::test(flavor = "multi_thread")]
async fn every_row_is_exactly_what_was_emitted() {
    let server = Server::standin(&["--table", "loadtests.samples"]);
    let (frames, rows) = everyone();
    let result = run(output(&server.endpoint()), frames).await;
    verify_whole(&server, &result, &rows);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_troubled_server_costs_time_but_no_row() {
    let server = Server::standin(&[
        "--table",
        "loadtests.samples",
        "--throttle-percent",
        "30",
        "--fail-percent",
        "10",
        "--cut-percent",
        "5",
        "--cut-after-apply-percent",
        "5",
        "--latency-ms",
        "5",
    ]);
    let (frames, rows) = everyone();
    let result = run(output(&server.endpoint()), frames).await;
    verify_whole(&server, &result, &rows);
}

#[tokio::test(flavor = "multi_thread")]
async fn replicas_share_the_instances_and_one_that_is_killed_costs_no_row() {
    let server = Server::standin(&[
        "--table",
        "loadtests.samples",
        "--throttle-percent",
        "30",
        "--fail-percent",
        "10",
        "--cut-after-apply-percent",
        "5",
        "--latency-ms",
        "20",
    ]);
    let (frames, rows) = everyone();
    let result = run_with(3, output(&server.endpoint()), frames).await;
    verify_whole(&server, &result, &rows);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_down_for_a_while_costs_time_but_no_row() {
    let server = Server::standin(&["--table", "loadtests.samples"]);
    let (frames, rows) = everyone();
    let output = output(&server.endpoint());
    let down = async {
        while server.ask("GET", "/stats", "").contains("\"records_stored\":0") {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        server.ask("PUT", "/control/faults", r#"{"down_ms": 4000}"#);
    };
    let (result, ()) = tokio::join!(run(output, frames), down);
    verify_whole(&server, &result, &rows);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_record_costs_itself_alone_and_is_counted_by_its_reason() {
    let server = Server::standin(&["--table", "loadtests.samples"]);
    let (mut frames, rows) = everyone();
    let own = |value: f64, seconds: i64, seq: u64| Frame {
        seq,
        strings: vec!["my_gauge".to_owned(), "instance_id".to_owned(), "1".to_owned()],
        series: vec![Series { metric: 0, dimensions: vec![1, 2] }],
        base_time_ns: now_ns() / 1_000_000_000 * 1_000_000_000 + seconds * 1_000_000_000,
        sample_series: vec![0],
        time_delta_ns: vec![0],
        value: vec![value],
        ..Frame::default()
    };
    let base = own(0.0, -300, 0).base_time_ns;
    let bad = [
        own(1.0, -7 * 3600, FRAMES + 1),
        own(2.0, 3600, FRAMES + 2),
        own(f64::NAN, 0, FRAMES + 3),
        own(f64::NEG_INFINITY, 0, FRAMES + 4),
        Frame { base_time_ns: base, ..own(5.0, 0, FRAMES + 5) },
        Frame { base_time_ns: base, ..own(6.0, 0, FRAMES + 6) },
    ];
    frames[0].extend(bad);
    let result = run(output(&server.endpoint()), frames).await;
    assert_eq!(
        result.outcome.as_ref().unwrap().reason,
        Reason::ThresholdsMet,
        "{}",
        result.message
    );
    let output = &result.outputs[0];
    let good = u64::from(INSTANCES) * FRAMES * u64::from(SAMPLES);
    assert_eq!((output.emitted, output.stored), (good + 6, good + 1));
    let rejected: Vec<(&str, u64)> =
        output.rejected.iter().map(|(reason, count)| (reason.as_str(), *count)).collect();
    assert_eq!(
        rejected,
        [("NotFinite", 2), ("TooFarInFuture", 1), ("TooOld", 1), ("VersionConflict", 1)]
    );
    let stored = stored_rows(&server);
    assert_eq!(stored.len() as u64, good + 1);
    assert!(rows.is_subset(&stored));
}

#[tokio::test(flavor = "multi_thread")]
async fn moto_takes_every_record_too() {
    let server = Server::start("WEIR_MOTO", &["--table", "loadtests.samples"]);
    let (frames, rows) = everyone();
    let result = run(output(&server.endpoint()), frames).await;
    assert_eq!(
        result.outcome.as_ref().unwrap().reason,
        Reason::ThresholdsMet,
        "{}",
        result.message
    );
    assert_eq!(result.outputs[0].stored, rows.len() as u64);
    let data: Value = serde_json::from_str(&server.ask("GET", "/moto-api/data.json", "")).unwrap();
    let records = data["timestreamwrite"]["TimestreamTable"][0]["records"].as_array().unwrap();
    assert_eq!(records.len(), rows.len());
    let times: BTreeSet<&str> = records.iter().map(|r| r["Time"].as_str().unwrap()).collect();
    assert!(rows.iter().all(|row| times.contains(row.time_ns.to_string().as_str())));
    // moto keeps no common attributes: a measure that stands in a record must be that of a row of its time.
    let known: BTreeSet<(String, &str)> =
        rows.iter().map(|row| (row.time_ns.to_string(), row.measure.as_str())).collect();
    let named =
        records.iter().filter_map(|r| Some((r["Time"].as_str()?, r["MeasureName"].as_str()?)));
    for (time, measure) in named {
        assert!(known.contains(&(time.to_owned(), measure)), "{measure} at {time}");
    }
}
