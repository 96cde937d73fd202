//! What a sample costs on its way, part by part: read from k6's line, folded into the ledger, put into a frame, written to
//! bytes, opened, cut into batches, made a request.
//!
//! The lines are those of HTTP requests as k6 writes them, nine samples to a request. `cargo bench --bench samples --
//! --profile-time 5` under `valgrind --tool=callgrind` counts instructions, which are the same on any machine.
#![expect(missing_docs, reason = "the macro's functions have none")]
#![expect(clippy::expect_used, reason = "a benchmark that cannot be set up has nothing to say")]

#[path = "common/http.rs"]
mod http;

use std::hint::black_box;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use http::REQUEST_METRICS;
use prost::Message;
use weir::{
    core::{
        ledger::{
            ledger::{self, Ledger},
            threshold::{RuleOptions, Rules, ThresholdSpec, Thresholds},
        },
        pipeline::{
            batch::Batch,
            frame::open,
            lane::LaneConfig,
            line,
            pipeline::{FrameKey, Pipeline},
            retry::Written,
        },
        samples::{
            decode::{Line, decode},
            frame::{self, Closed, FrameBuilder, Limits},
            lines::{Known, Lines, Read},
        },
    },
    output::{influxdb::gzip::gzip, timestream::body},
};

// As in the binary.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Samples of each round.
const SAMPLES: usize = 9 * 4000;

/// Requests to twenty addresses, one in fifty not found, a millisecond apart.
fn lines() -> Vec<String> {
    let line = |n: usize| {
        let (request, metric) = (n / REQUEST_METRICS.len(), n % REQUEST_METRICS.len());
        let status = if request % 50 == 49 { 404 } else { 200 };
        let value = match metric {
            0 => "1".to_owned(),
            3 | 4 | 8 => "0".to_owned(),
            _ => format!("{}.{:06}", request * 7919 % 300, n * 104_729 % 1_000_000),
        };
        let (second, fraction) = (10 + request / 1000, request % 1000 * 1_000_000 + request * 37);
        let (name, url) = (REQUEST_METRICS[metric], request * 31 % 20);
        format!(
            r#"{{"metric":"{name}","type":"Point","data":{{"time":"2026-11-22T07:28:{second}.{fraction:09}Z","value":{value},"tags":{{"expected_response":"{}","group":"","instance_id":"1","method":"GET","name":"http://test.k6.io/page/{url}","proto":"HTTP/1.1","scenario":"default","status":"{status}","testid":"checkout-1","url":"http://test.k6.io/page/{url}"}}}}}}"#,
            status == 200,
        )
    };
    (0..SAMPLES).map(line).collect()
}

fn rules() -> Rules {
    let mut script = Thresholds::new();
    for (metric, source) in [
        ("http_req_duration", "p(95)<500"),
        ("http_req_duration{status:200}", "p(99)<800"),
        ("http_req_failed", "rate<0.1"),
    ] {
        let spec = ThresholdSpec { source: source.to_owned(), ..ThresholdSpec::default() };
        script.entry(metric.to_owned()).or_default().push(spec);
    }
    Rules::new(&script, &Thresholds::new(), RuleOptions::default()).expect("the rules are k6's")
}

/// The agent's way: every line into the ledger and into frames.
struct Agent {
    ledger: Ledger,
    builder: FrameBuilder,
    lines: Lines<(ledger::Memo, frame::Memo)>,
}

impl Agent {
    fn new() -> Self {
        let builder = FrameBuilder::new(1, Limits::default());
        Self { ledger: Ledger::new(&rules(), false), builder, lines: Lines::default() }
    }

    fn take(&mut self, lines: &[String], frames: &mut Vec<Closed>) {
        for line in lines {
            match self.lines.read(line.as_bytes(), &[]) {
                Ok(Read::Known(Known { point, memo: (ledger, frame) })) => {
                    self.ledger.add_again(point, ledger);
                    frames.extend(self.builder.push_again(point, frame, 0));
                }
                Ok(Read::Line(Line::Point(point))) => {
                    self.ledger.add(&point);
                    frames.extend(self.builder.push(&point, 0));
                }
                _ => {}
            }
        }
        frames.extend(self.builder.close());
    }
}

fn agent(criterion: &mut Criterion) {
    let lines = lines();
    let mut group = criterion.benchmark_group("agent");
    group.throughput(Throughput::Elements(SAMPLES as u64));
    group.bench_function("decode, as JSON", |bencher| {
        bencher.iter(|| lines.iter().filter(|line| decode(line.as_bytes()).is_ok()).count());
    });
    let mut known = Lines::<()>::default();
    group.bench_function("line read, as one of a known series", |bencher| {
        bencher
            .iter(|| lines.iter().filter(|line| known.read(line.as_bytes(), &[]).is_ok()).count());
    });
    group.bench_function("line to ledger and frame", |bencher| {
        let fill = |mut agent: Agent| {
            let mut frames = Vec::new();
            agent.take(black_box(&lines), &mut frames);
            (agent, frames)
        };
        bencher.iter_batched(Agent::new, fill, BatchSize::LargeInput);
    });
    let frames = frames(&lines);
    let bytes: usize = frames.iter().map(|closed| closed.encoded_bytes).sum();
    group.bench_function(format!("frame to bytes ({} a sample)", hundredths(bytes)), |bencher| {
        bencher
            .iter(|| frames.iter().map(|closed| closed.frame.encode_to_vec().len()).sum::<usize>());
    });
    group.finish();
}

fn frames(lines: &[String]) -> Vec<Closed> {
    let mut frames = Vec::new();
    Agent::new().take(lines, &mut frames);
    frames
}

fn aggregator(criterion: &mut Criterion) {
    let lines = lines();
    let frames = frames(&lines);
    let bytes: Vec<Vec<u8>> = frames.iter().map(|closed| closed.frame.encode_to_vec()).collect();
    let mut group = criterion.benchmark_group("aggregator");
    group.throughput(Throughput::Elements(SAMPLES as u64));
    group.bench_function("bytes to frame", |bencher| {
        bencher.iter(|| {
            let decode = |bytes: &Vec<u8>| weir::wire::session::Frame::decode(bytes.as_slice());
            bytes
                .iter()
                .filter_map(|bytes| decode(bytes).ok())
                .map(|f| f.value.len())
                .sum::<usize>()
        });
    });
    group.bench_function("frame opened", |bencher| {
        bencher.iter(|| frames.iter().map(|f| open(&f.frame, 1).samples.len()).sum::<usize>());
    });
    for with_requests in [false, true] {
        let name = if with_requests { "frame to requests" } else { "frame to batches" };
        group.bench_function(name, |bencher| {
            bencher.iter_batched(
                || Pipeline::new(vec![timestream()]),
                |mut pipeline| {
                    batches(&mut pipeline, &frames, |batch| {
                        if with_requests {
                            black_box(body::write(batch, "k6-db", "samples"));
                        }
                    });
                },
                BatchSize::LargeInput,
            );
        });
    }
    group.finish();
}

fn timestream() -> LaneConfig {
    lane(serde_json::json!({"timestream": {"databaseName": "k6-db", "tableName": "samples"}}))
}

fn lane(output: serde_json::Value) -> LaneConfig {
    let outputs = [serde_json::from_value(output).expect("the spec is valid")];
    weir::output::output::open(&outputs).remove(0).lane
}

/// Takes all frames through the pipeline, and does `each` to what goes out.
fn batches(pipeline: &mut Pipeline, frames: &[Closed], mut each: impl FnMut(&Batch)) {
    pipeline.set_hurry(true);
    let mut stored = 0;
    for closed in frames {
        let key = FrameKey { instance_id: 1, incarnation: "i".into(), seq: closed.frame.seq };
        pipeline.accept(key, &closed.frame, 0);
        while let Some(write) = pipeline.poll_write(0) {
            each(&write.batch);
            stored += write.batch.records.len();
            pipeline.finish(write.lane, write.batch.id, Written::Stored, 0, 0);
        }
        while pipeline.poll_ack().is_some() {}
    }
    assert_eq!(stored, SAMPLES, "every sample is one record");
}

/// What the line protocol costs, as it is and compressed.
fn influxdb(criterion: &mut Criterion) {
    let output = serde_json::json!({"influxdb": {"url": "http://host", "org": "o", "bucket": "b"}});
    let mut pipeline = Pipeline::new(vec![lane(output)]);
    let mut calls = Vec::new();
    batches(&mut pipeline, &frames(&lines()), |batch| calls.push(batch.clone()));
    let texts: Vec<String> = calls.iter().map(|batch| line::body(&batch.records)).collect();
    let zipped: usize = texts.iter().map(|text| zip(text)).sum();
    let plain: usize = texts.iter().map(String::len).sum();
    let mut group = criterion.benchmark_group("influxdb");
    group.throughput(Throughput::Elements(SAMPLES as u64));
    group.bench_function(
        format!("batches to lines ({} bytes a sample)", plain / SAMPLES),
        |bencher| {
            bencher
                .iter(|| calls.iter().map(|batch| line::body(&batch.records).len()).sum::<usize>());
        },
    );
    group.bench_function(
        format!("lines compressed ({} a sample)", hundredths(zipped)),
        |bencher| {
            bencher.iter(|| texts.iter().map(|text| zip(text)).sum::<usize>());
        },
    );
    group.finish();
}

fn zip(text: &str) -> usize {
    gzip(text.as_bytes()).expect("a vector takes every byte").len()
}

/// So many bytes for each sample, as a number with two decimals.
fn hundredths(bytes: usize) -> String {
    format!("{}.{:02}", bytes / SAMPLES, bytes * 100 / SAMPLES % 100)
}

criterion_group!(benches, agent, aggregator, influxdb);
criterion_main!(benches);
