//! The real client against a server that answers as AWS does.

mod hostile;

use std::collections::VecDeque;

use aws_credential_types::{Credentials, provider::SharedCredentialsProvider};
use axum::{
    Router,
    extract::State,
    http::{HeaderMap, StatusCode},
    response::IntoResponse,
};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::*;
use crate::{
    api::v1alpha1,
    core::{
        dimensions::Kept,
        pipeline::{
            lane::LaneConfig,
            pipeline::{FrameKey, Pipeline},
            row::{Refusal, Row},
            shape::Shape,
        },
    },
    wire::session::{Frame, Series},
};

type Answers = Arc<std::sync::Mutex<Server>>;

#[derive(Default)]
struct Server {
    answers: VecDeque<(u16, Value)>,
    calls: Vec<(String, Value)>,
    headers: Vec<HeaderMap>,
}

async fn answer(
    State(server): State<Answers>,
    headers: HeaderMap,
    body: String,
) -> impl IntoResponse {
    let target = headers.get("x-amz-target").map_or("", |value| value.to_str().unwrap());
    let mut server = server.lock().unwrap();
    server.calls.push((target.to_owned(), serde_json::from_str(&body).unwrap()));
    server.headers.push(headers.clone());
    let (status, body) = server.answers.pop_front().unwrap_or((200, json!({})));
    let json = [("content-type", "application/x-amz-json-1.0")];
    (StatusCode::from_u16(status).unwrap(), json, body.to_string())
}

async fn server(answers: Vec<(u16, Value)>) -> (TimestreamOutput, Answers) {
    let server =
        Arc::new(std::sync::Mutex::new(Server { answers: answers.into(), ..Server::default() }));
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = Router::new().fallback(answer).with_state(server.clone());
    tokio::spawn(async move { axum::serve(listener, router).await });
    (output(&format!("http://{address}"), None).await, server)
}

async fn output(url: &str, create: Option<v1alpha1::TimestreamCreate>) -> TimestreamOutput {
    let spec = Timestream {
        region: Some("eu-west-1".to_owned()),
        database_name: "k6".to_owned(),
        table_name: "samples".to_owned(),
        endpoint_url: Some(url.to_owned()),
        max_concurrent_writes: 4,
        create,
        ..Timestream::default()
    };
    let settings = settings(&spec).await;
    assert_eq!(settings.endpoint_url.as_deref(), Some(url), "one's own is not discovered");
    with(spec, settings)
}

/// The settings for `spec`, with keys that are none.
async fn settings(spec: &Timestream) -> Settings {
    let settings = config::load(spec).await.unwrap();
    let keys = Credentials::new("AKIDEXAMPLE", "secret", Some("token".into()), None, "test");
    let sdk = settings.sdk.to_builder().credentials_provider(keys.clone()).build();
    Settings { sdk, credentials: Some(SharedCredentialsProvider::new(keys)), ..settings }
}

fn with(spec: Timestream, settings: Settings) -> TimestreamOutput {
    let output = TimestreamOutput::new(spec);
    assert!(output.base.set(Base::new(settings, 4).unwrap()).is_ok());
    output
}

fn batch() -> Arc<Batch> {
    let lane = LaneConfig {
        name: "a".to_owned(),
        writes_max: 1,
        linger_ms: 0,
        kept: Kept::All,
        shape: Shape::Records,
    };
    let mut pipeline = Pipeline::new(vec![lane]);
    let frame = Frame {
        seq: 1,
        strings: ["http_req_duration", "status", "200", "404"].map(Into::into).into(),
        series: vec![
            Series { metric: 0, dimensions: vec![1, 2] },
            Series { metric: 0, dimensions: vec![1, 3] },
        ],
        base_time_ns: 1_700_000_000_123_456_789,
        sample_series: vec![0, 1, 0],
        time_delta_ns: vec![0, 1, 1],
        value: vec![0.1, 2.5, 1e-9],
        ..Frame::default()
    };
    let key = FrameKey { instance_id: 3, incarnation: "i".into(), seq: 1 };
    pipeline.accept(key, &frame, 0);
    pipeline.poll_write(0).unwrap().batch
}

fn error(kind: &str, message: &str) -> Value {
    json!({ "__type": format!("com.amazonaws.timestream.v20181101#{kind}"), "message": message })
}

async fn written(status: u16, body: Value) -> Written {
    let (output, _server) = server(vec![(status, body)]).await;
    output.write(&batch()).await
}

#[tokio::test]
async fn a_batch_goes_out_as_timestream_wants_it() {
    let (output, server) = server(vec![]).await;
    assert_eq!(output.write(&batch()).await, Written::Stored);
    let (target, body) = server.lock().unwrap().calls[0].clone();
    assert_eq!(target, "Timestream_20181101.WriteRecords");
    assert_eq!(
        body,
        json!({
            "DatabaseName": "k6",
            "TableName": "samples",
            "CommonAttributes": {
                "Dimensions": [{ "Name": "instance_id", "Value": "3" }],
                "MeasureName": "http_req_duration",
                "MeasureValueType": "DOUBLE",
                "TimeUnit": "NANOSECONDS",
            },
            "Records": [
                {
                    "Dimensions": [{ "Name": "status", "Value": "200" }],
                    "MeasureValue": "0.1",
                    "Time": "1700000000123456789",
                },
                {
                    "Dimensions": [{ "Name": "status", "Value": "404" }],
                    "MeasureValue": "2.5",
                    "Time": "1700000000123456790",
                },
                {
                    "Dimensions": [{ "Name": "status", "Value": "200" }],
                    "MeasureValue": "1e-9",
                    "Time": "1700000000123456791",
                },
            ],
        })
    );
}

#[tokio::test]
async fn a_measure_that_not_all_records_have_stands_in_each() {
    let (output, server) = server(vec![]).await;
    let mut records = batch().records.clone();
    let vus = Row { measure: "vus".into(), ..(*records[0].row).clone() };
    records[0].row = Arc::new(vus);
    let batch = Batch::new(batch().id, records);
    assert_eq!(output.write(&batch).await, Written::Stored);
    let (_, body) = server.lock().unwrap().calls[0].clone();
    assert_eq!(body["CommonAttributes"].get("MeasureName"), None);
    let names: Vec<&str> =
        (0..3).map(|at| body["Records"][at]["MeasureName"].as_str().unwrap()).collect();
    assert_eq!(names, ["vus", "http_req_duration", "http_req_duration"]);
}

#[tokio::test]
async fn rejected_records_are_named_by_place_and_reason() {
    let body = json!({
        "__type": "com.amazonaws.timestream.v20181101#RejectedRecordsException",
        "Message": "One or more records have been rejected. See RejectedRecords for details.",
        "RejectedRecords": [
            {
                "RecordIndex": 0,
                "Reason": "A record already exists with the same time, dimensions, measure name, and record \
                           version. A higher record version must be specified in order to update the measure value.",
                "ExistingVersion": 1,
            },
            {
                "RecordIndex": 1,
                "Reason": "The record timestamp is outside the time range [2026-11-22T00:00:00Z, 2026-11-23T00:00:00Z) \
                           of the memory store.",
            },
            {
                "RecordIndex": 2,
                "Reason": "The record timestamp is outside the time range [2023-11-13T00:00:00Z, 2023-11-14T00:00:00Z) \
                           of the memory store.",
            },
        ],
    });
    assert_eq!(
        written(419, body).await,
        Written::Partly(vec![
            (0, Refusal::VersionConflict),
            (1, Refusal::TooOld),
            (2, Refusal::TooFarInFuture),
        ])
    );
}

#[tokio::test]
async fn a_rejection_that_points_nowhere_makes_us_look_ourselves() {
    for rejected in
        [json!([]), json!([{ "RecordIndex": 7, "Reason": "?" }]), json!([{ "RecordIndex": -1 }])]
    {
        let mut body = error("RejectedRecordsException", "rejected");
        body["RejectedRecords"] = rejected;
        assert!(matches!(written(419, body).await, Written::Invalid(_)));
    }
}

#[tokio::test]
async fn what_may_pass_later_is_tried_again() {
    for (status, kind, failure) in [
        (429, "ThrottlingException", Failure::Throttled),
        (400, "ThrottlingException", Failure::Throttled),
        (500, "InternalServerException", Failure::Server),
        (503, "ServiceUnavailable", Failure::Server),
        (421, "InvalidEndpointException", Failure::Endpoint),
        (404, "UnknownOperationException", Failure::Endpoint),
        (400, "ExpiredTokenException", Failure::Server),
    ] {
        let written = written(status, error(kind, "no")).await;
        assert!(
            matches!(&written, Written::Failed(as_what, _) if *as_what == failure),
            "{kind}: {written:?}"
        );
    }
}

#[tokio::test]
async fn what_can_never_pass_says_what_to_do() {
    let missing =
        written(404, error("ResourceNotFoundException", "The table samples does not exist.")).await;
    let Written::Fatal(text) = missing else { panic!("{missing:?}") };
    assert!(text.contains("table samples in database k6") && text.contains("create"), "{text}");
    for (status, kind) in [
        (403, "AccessDeniedException"),
        (403, "UnrecognizedClientException"),
        (403, "InvalidSignatureException"),
    ] {
        let written = written(status, error(kind, "not allowed")).await;
        let Written::Fatal(text) = written else { panic!("{kind}: {written:?}") };
        assert!(text.contains("timestream:WriteRecords"), "{text}");
    }
}

#[tokio::test]
async fn a_refused_call_is_searched_for_its_bad_record() {
    let written = written(
        400,
        error("ValidationException", "At least one dimension is required for a record."),
    )
    .await;
    assert_eq!(
        written,
        Written::Invalid(
            "ValidationException: At least one dimension is required for a record.".to_owned()
        )
    );
}

#[tokio::test]
async fn an_answer_of_something_between_is_none() {
    let (output, _server) = server(vec![(200, json!("welcome")), (302, json!({}))]).await;
    for _ in 0..2 {
        let written = output.write(&batch()).await;
        assert!(
            matches!(written, Written::Failed(Failure::Connection | Failure::Server, _)),
            "{written:?}"
        );
    }
}

#[tokio::test]
async fn a_call_is_signed_for_the_region_with_the_token() {
    let (output, server) = server(vec![]).await;
    assert_eq!(output.write(&batch()).await, Written::Stored);
    let headers = server.lock().unwrap().headers[0].clone();
    let header = |name: &str| headers.get(name).unwrap().to_str().unwrap();
    let authorization = header("authorization");
    assert!(
        authorization.starts_with("AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/"),
        "{authorization}"
    );
    assert!(authorization.contains("/eu-west-1/timestream/aws4_request"), "{authorization}");
    for signed in ["content-type", "host", "x-amz-date", "x-amz-security-token", "x-amz-target"] {
        assert!(authorization.contains(signed), "{signed} is not signed: {authorization}");
    }
    assert_eq!(header("x-amz-security-token"), "token");
}

#[tokio::test]
async fn an_address_that_is_none_is_told() {
    for url in ["localhost:8080", "http//x", "/a", "http://", "http://x/a", "http://x/?a"] {
        let spec = Timestream { endpoint_url: Some(url.to_owned()), ..Timestream::default() };
        let settings = Settings { endpoint_url: Some(url.to_owned()), ..settings(&spec).await };
        let error = Base::new(settings, 1).unwrap_err();
        assert!(error.to_string().contains("endpointUrl"), "{error}");
    }
}

#[tokio::test]
async fn a_dead_endpoint_and_a_cut_connection_are_tried_again() {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let cutter = tokio::spawn(async move {
        drop(listener.accept().await);
        listener
    });
    let output = output(&url, None).await;
    let cut = output.write(&batch()).await;
    assert!(matches!(cut, Written::Failed(Failure::Connection, _)), "{cut:?}");
    drop(cutter.await);
    let dead = output.write(&batch()).await;
    assert!(matches!(dead, Written::Failed(Failure::Connection, _)), "{dead:?}");
    assert!(matches!(output.probe().await, Probe::Waiting(_)));
}

#[tokio::test]
async fn a_probe_tells_ready_missing_denied_and_not_yet() {
    let (output, server) = server(vec![
        (200, json!({ "Table": { "TableName": "samples" } })),
        (404, error("ResourceNotFoundException", "The table samples does not exist.")),
        (
            403,
            error(
                "AccessDeniedException",
                "User is not authorized to perform: timestream:DescribeTable",
            ),
        ),
        (500, error("InternalServerException", "later")),
        (400, error("ValidationException", "bad name")),
    ])
    .await;
    assert_eq!(output.probe().await, Probe::Ready);
    assert!(
        matches!(output.probe().await, Probe::Failed(text) if text.contains("table samples in database k6"))
    );
    assert!(matches!(output.probe().await, Probe::ReadyUnproved(_)));
    assert!(matches!(output.probe().await, Probe::Waiting(_)));
    assert!(matches!(output.probe().await, Probe::Failed(_)));
    let calls = &server.lock().unwrap().calls;
    assert!(calls.iter().all(|(target, _)| target == "Timestream_20181101.DescribeTable"));
}

#[tokio::test]
async fn a_missing_table_is_made_where_that_is_asked_for() {
    let (plain, server) = server(vec![
        (404, error("ResourceNotFoundException", "no table")),
        (409, error("ConflictException", "the database exists")),
        (200, json!({ "Table": { "TableName": "samples" } })),
    ])
    .await;
    let url = plain.spec.endpoint_url.clone().unwrap();
    let wanted =
        v1alpha1::TimestreamCreate { memory_retention_hours: 24, magnetic_retention_days: 365 };
    let output = output(&url, Some(wanted)).await;
    assert_eq!(output.probe().await, Probe::Ready);
    let calls = server.lock().unwrap().calls.clone();
    let targets: Vec<&str> = calls.iter().map(|(target, _)| target.as_str()).collect();
    assert_eq!(
        targets,
        [
            "Timestream_20181101.DescribeTable",
            "Timestream_20181101.CreateDatabase",
            "Timestream_20181101.CreateTable"
        ]
    );
    assert_eq!(calls[2].1["RetentionProperties"]["MemoryStoreRetentionPeriodInHours"], 24);
}

#[tokio::test]
async fn an_endpoint_is_discovered_and_found_anew_when_it_is_wrong() {
    let (plain, server) = server(vec![
        (200, json!({ "Endpoints": [{ "Address": "127.0.0.1:1", "CachePeriodInMinutes": 1440 }] })),
        (200, json!({ "Endpoints": [] })),
    ])
    .await;
    let settings = Settings { endpoint_url: None, ..settings(&plain.spec).await };
    let output = with(plain.spec.clone(), settings);
    output.client().await.unwrap();
    let base = output.base().await.unwrap();
    assert_eq!(output.endpoint(base).await.unwrap().uri, "https://127.0.0.1:1/");
    output.client().await.unwrap();
    assert_eq!(server.lock().unwrap().calls.len(), 1, "the endpoint is kept");
    output.set_found(None);
    let none = output.client().await;
    assert!(matches!(none, Err(ClientError::Discovery(_))), "{none:?}");
    let calls = server.lock().unwrap().calls.clone();
    assert!(calls.iter().all(|(target, _)| target == "Timestream_20181101.DescribeEndpoints"));
}
