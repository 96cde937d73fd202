//! The real client against a server on loopback that answers as told.

use std::{
    collections::VecDeque,
    io,
    sync::{Arc, Mutex},
};

use axum::{
    Router,
    extract::{Request as Asked, State},
    http::StatusCode,
    response::IntoResponse,
};
use flate2::read::GzDecoder;
use http_body_util::BodyExt;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

use super::*;
use crate::{
    api::v1alpha1::SecretKey,
    core::{
        dimensions::Kept,
        pipeline::{
            lane::LaneConfig,
            pipeline::{FrameKey, Pipeline},
            retry::Failure,
            row::Refusal,
            shape::Shape,
        },
    },
    wire::session::{Frame, Series},
};

type Answers = Arc<Mutex<Server>>;

#[derive(Default)]
struct Server {
    answers: VecDeque<(u16, &'static str)>,
    calls: Vec<Call>,
}

struct Call {
    uri: String,
    token: String,
    encoding: String,
    bytes: usize,
    /// The lines, as they were before they were compressed.
    body: String,
}

async fn answer(State(server): State<Answers>, asked: Asked) -> impl IntoResponse {
    let (head, body) = asked.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    let header = |name| head.headers.get(name).map_or("", |value| value.to_str().unwrap());
    let (token, encoding) = (header("authorization"), header("content-encoding"));
    let text = match encoding {
        "" => io::read_to_string(&body[..]),
        _ => io::read_to_string(GzDecoder::new(&body[..])),
    };
    let mut server = server.lock().unwrap();
    server.calls.push(Call {
        uri: head.uri.to_string(),
        token: token.to_owned(),
        encoding: encoding.to_owned(),
        bytes: body.len(),
        body: text.unwrap(),
    });
    let (status, text) = server.answers.pop_front().unwrap_or((204, ""));
    (StatusCode::from_u16(status).unwrap(), [("retry-after", "7")], text)
}

fn spec(url: String) -> InfluxDb {
    InfluxDb {
        url,
        org: Some("o".to_owned()),
        bucket: Some("b".to_owned()),
        token_secret: Some(SecretKey { name: "s".to_owned(), key: "k".to_owned() }),
        max_concurrent_writes: 2,
        ..InfluxDb::default()
    }
}

fn output(url: String) -> InfluxDbOutput {
    InfluxDbOutput::new(&spec(url), "WEIR_INFLUXDB_TOKEN_0", Some("s3cret"))
}

/// A server that gives these answers, then 204.
async fn serving(answers: &[(u16, &'static str)]) -> (Answers, InfluxDbOutput) {
    let (server, url) = listening(answers).await;
    (server, output(url))
}

/// The same, written to with compressed lines.
async fn serving_compressed(answers: &[(u16, &'static str)]) -> (Answers, InfluxDbOutput) {
    let (server, url) = listening(answers).await;
    let spec = InfluxDb { compression: InfluxDbCompression::Gzip, ..spec(url) };
    (server, InfluxDbOutput::new(&spec, "WEIR_INFLUXDB_TOKEN_0", Some("s3cret")))
}

async fn listening(answers: &[(u16, &'static str)]) -> (Answers, String) {
    let server = Answers::default();
    server.lock().unwrap().answers.extend(answers);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let router = Router::new().fallback(answer).with_state(server.clone());
    tokio::spawn(async move { axum::serve(listener, router).await });
    (server, url)
}

/// A batch of so many lines.
fn batch(lines: u32) -> Arc<Batch> {
    let lane = LaneConfig {
        name: "a".to_owned(),
        writes_max: 1,
        linger_ms: 0,
        kept: Kept::All,
        shape: Shape::Lines,
    };
    let mut pipeline = Pipeline::new(vec![lane]);
    let strings = ["m", "status", "200"].map(str::to_owned).into();
    let frame = Frame {
        seq: 1,
        strings,
        series: vec![Series { metric: 0, dimensions: vec![1, 2] }],
        base_time_ns: 1000,
        sample_series: (0..lines).map(|_| 0).collect(),
        time_delta_ns: (0..lines).map(|_| 1).collect(),
        value: (0..lines).map(f64::from).collect(),
        ..Frame::default()
    };
    let key = FrameKey { instance_id: 1, incarnation: "i".into(), seq: 1 };
    pipeline.accept(key, &frame, 0);
    pipeline.poll_write(0).unwrap().batch
}

#[tokio::test]
async fn a_batch_is_one_post_of_its_lines_with_the_token() {
    let (server, output) = serving(&[]).await;
    assert_eq!(output.write(&batch(2)).await, Written::Stored);
    let server = server.lock().unwrap();
    let call = &server.calls[0];
    assert_eq!(call.uri, "/api/v2/write?org=o&bucket=b&precision=ns");
    assert_eq!(call.token, "Token s3cret");
    assert_eq!(
        call.body,
        "m,instance_id=1,status=200 value=0 1001\nm,instance_id=1,status=200 value=1 1002\n"
    );
    assert_eq!((call.encoding.as_str(), call.bytes), ("", call.body.len()));
}

#[tokio::test]
async fn compressed_lines_are_the_same_lines_in_a_fraction_of_the_bytes() {
    let (plain, output) = serving(&[]).await;
    let (compressed, compressing) = serving_compressed(&[]).await;
    assert_eq!(output.write(&batch(1000)).await, Written::Stored);
    assert_eq!(compressing.write(&batch(1000)).await, Written::Stored);
    let (plain, compressed) =
        (&plain.lock().unwrap().calls[0], &compressed.lock().unwrap().calls[0]);
    assert_eq!(compressed.encoding, "gzip");
    assert_eq!(compressed.body, plain.body);
    assert!(compressed.bytes * 8 < plain.bytes, "{} of {}", compressed.bytes, plain.bytes);
}

#[tokio::test]
async fn a_server_that_does_not_read_compressed_lines_is_known_before_the_first_of_them() {
    let (server, output) = serving_compressed(&[
        (204, ""),
        (400, r#"{"error":"incoming write was empty"}"#),
        (400, "unable to parse '\u{1f}'"),
        (415, ""),
    ])
    .await;
    assert_eq!(output.probe().await, Probe::Ready);
    assert_eq!(output.probe().await, Probe::Ready);
    for status in ["400", "415"] {
        let Probe::Failed(text) = output.probe().await else { panic!("{status}") };
        for word in ["spec.outputs[].influxdb.compression", status] {
            assert!(text.contains(word), "{text}");
        }
    }
    let server = server.lock().unwrap();
    assert!(server.calls.iter().all(|call| call.encoding == "gzip" && call.body.is_empty()));
}

#[tokio::test]
async fn each_answer_says_what_became_of_the_lines() {
    let partial = r#"{"error":"partial write of line protocol occurred","data":[{"line_number":2,"error_message":"bad"}]}"#;
    let (_server, output) = serving(&[
        (400, "bad"),
        (400, partial),
        (413, ""),
        (429, ""),
        (500, "broken"),
        (403, "no"),
    ])
    .await;
    assert_eq!(output.write(&batch(2)).await, Written::Invalid("HTTP 400: bad".to_owned()));
    assert_eq!(output.write(&batch(2)).await, Written::Partly(vec![(1, Refusal::Invalid)]));
    assert!(matches!(output.write(&batch(2)).await, Written::Invalid(_)));
    let throttled = Written::Failed(Failure::ThrottledFor(7000), "HTTP 429".to_owned());
    assert_eq!(output.write(&batch(2)).await, throttled);
    let failed = Written::Failed(Failure::Server, "HTTP 500: broken".to_owned());
    assert_eq!(output.write(&batch(2)).await, failed);
    let Written::Fatal(text) = output.write(&batch(2)).await else { panic!("403 is fatal") };
    assert!(text.contains("bucket b of organization o") && !text.contains("s3cret"), "{text}");
}

#[tokio::test]
async fn a_server_that_is_not_there_or_breaks_off_may_have_the_lines() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let output = output(url);
    let breaking = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut bytes = [0; 64];
        stream.read_exact(&mut bytes).await.unwrap();
        stream.write_all(b"HTTP/1.1 204 No").await.unwrap();
    });
    let written = output.write(&batch(2)).await;
    assert!(matches!(written, Written::Failed(Failure::Connection, _)), "{written:?}");
    breaking.await.unwrap();
    let written = output.write(&batch(2)).await;
    assert!(matches!(written, Written::Failed(Failure::Connection, _)), "{written:?}");
}

#[tokio::test]
async fn the_probe_writes_no_line_and_tells_what_it_learned() {
    let empty = r#"{"error":"incoming write was empty"}"#;
    let (server, output) = serving(&[
        (204, ""),
        (400, empty),
        (400, "what?"),
        (400, "invalid character in database name"),
        (503, "starting"),
        (401, "who?"),
        (404, "no bucket"),
    ])
    .await;
    assert_eq!(output.probe().await, Probe::Ready);
    assert_eq!(output.probe().await, Probe::Ready);
    assert_eq!(output.probe().await, Probe::ReadyUnproved("HTTP 400: what?".to_owned()));
    assert!(matches!(output.probe().await, Probe::Failed(_)));
    assert_eq!(output.probe().await, Probe::Waiting("HTTP 503: starting".to_owned()));
    for word in ["tokenSecret", "create it"] {
        let Probe::Failed(text) = output.probe().await else { panic!("{word}") };
        assert!(text.contains(word), "{text}");
    }
    assert!(server.lock().unwrap().calls.iter().all(|call| call.body.is_empty()));
}

#[tokio::test]
async fn a_server_that_is_not_there_is_waited_for() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    assert!(matches!(output(url).probe().await, Probe::Waiting(_)));
}

#[tokio::test]
async fn without_the_token_that_is_named_no_call_is_made() {
    let spec = spec("http://127.0.0.1:1".to_owned());
    let output = InfluxDbOutput::new(&spec, "WEIR_INFLUXDB_TOKEN_0", None);
    let Probe::Failed(text) = output.probe().await else { panic!("it must fail") };
    assert!(text.contains("WEIR_INFLUXDB_TOKEN_0"), "{text}");
    assert!(matches!(output.write(&batch(1)).await, Written::Fatal(_)));
}

#[test]
fn tls_is_for_urls_that_ask_for_it() {
    let output = output("https://influxdb.example.com:8086".to_owned());
    assert!(output.base.is_ok(), "{output:?}");
    assert!(!format!("{output:?}").contains("s3cret"));
}
