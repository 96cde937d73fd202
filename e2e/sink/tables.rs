//! Tables that are not there, or not to be written to.

use weir::api::v1alpha1::{Reason, Timestream, TimestreamCreate};

use crate::{
    rows::{everyone, verify_whole},
    runs::{output, run},
    server::Server,
};

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_table_ends_the_run_before_its_start() {
    let server = Server::standin(&[]);
    let result = run(output(&server.endpoint()), everyone().0).await;
    let outcome = result.outcome.unwrap();
    assert_eq!(outcome.reason, Reason::OutputFailed);
    assert!(
        outcome.message.contains("no table samples in database loadtests"),
        "{}",
        outcome.message
    );
    assert_eq!(result.started_unix_ms, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_table_is_made_where_that_is_asked_for() {
    let server = Server::standin(&[]);
    let (frames, rows) = everyone();
    let create =
        Some(TimestreamCreate { memory_retention_hours: 24, magnetic_retention_days: 365 });
    let result = run(Timestream { create, ..output(&server.endpoint()) }, frames).await;
    verify_whole(&server, &result, &rows);
}

#[tokio::test(flavor = "multi_thread")]
async fn denied_writes_end_the_run_and_say_what_to_allow() {
    let server = Server::standin(&["--table", "loadtests.samples", "--deny"]);
    let (frames, _) = everyone();
    let result = run(output(&server.endpoint()), frames).await;
    let outcome = result.outcome.unwrap();
    assert_eq!(outcome.reason, Reason::OutputFailed);
    assert!(outcome.message.contains("allow timestream:WriteRecords"), "{}", outcome.message);
    let output = &result.outputs[0];
    assert_eq!(output.emitted, output.rejected["OutputFailed"]);
}
