//! Bytes as those write them from whom they come.

use std::{collections::BTreeMap, sync::Arc};

use prost::Message;

use crate::{
    core::{
        bundle::Bundle,
        ledger::{
            codec::Detail,
            ledger::Ledger,
            threshold::{RuleOptions, Rules, ThresholdSpec, Thresholds},
        },
        samples::{
            decode::{Line, decode},
            frame::{FrameBuilder, Limits},
            framer::Framer,
            rollup::spec::{RollupSpec, Wanted},
            spool::record::{self, FORMAT, SegmentHeader},
        },
    },
    wire::{
        PROTOCOL,
        result::RunResult,
        session::{
            self, Ack, AgentPhase, Frame, Hello, Outcome, OutputCounts, Report, Requirements,
            SettledFrame, Tally, Terms, ToAgent, ToAggregator, WantBundle, WriterOutput,
            WriterState, to_agent::Message as Down, to_aggregator::Message as Up,
        },
    },
};

use super::field::Field;

/// The run that all of them are of.
pub const RUN: &str = "ns/run/uid";
/// Lines of k6.
pub const LINES: [&str; 5] = [
    r#"{"type":"Metric","data":{"name":"mine","type":"trend","contains":"time","thresholds":["p(95)<5"],"submetrics":null},"metric":"mine"}"#,
    r#"{"metric":"mine","type":"Point","data":{"time":"2026-11-22T07:28:28.250116571Z","value":1.5,"tags":{"group":"","name":"a\"b"},"metadata":{"vu":"1"}}}"#,
    r#"{"metric":"mine","type":"Point","data":{"time":"2026-11-22T07:28:28.25+01:00","value":-7e-9,"tags":{"scenario":"default","url":"http://shop/?q=\u00e4"}}}"#,
    r#"{"metric":"checks","type":"Point","data":{"time":"2026-11-22T07:28:29Z","value":1,"tags":{"check":"status is 200","group":"::a::b","time":"x","ts_":"y"}}}"#,
    r#"{"type":"Metric","data":{"name":"checks","type":"rate","contains":"default"},"metric":"checks"}"#,
];

/// Thresholds on what the lines measure.
pub fn rules() -> Rules {
    let spec = |source: &str| ThresholdSpec { source: source.into(), ..ThresholdSpec::default() };
    let script = Thresholds::from([
        ("mine".to_owned(), vec![spec("p(95)<5"), spec("max<100")]),
        ("checks{check:status is 200}".to_owned(), vec![spec("rate>0.5")]),
    ]);
    Rules::new(&script, &Thresholds::new(), RuleOptions::default()).unwrap()
}

/// A ledger and frames of the lines, each so many times.
pub fn measured(times: usize) -> (Ledger, Vec<Frame>) {
    let mut ledger = Ledger::new(&rules(), true);
    let mut builder = FrameBuilder::new(1, Limits { samples_max: 1 + times, ..Limits::default() });
    let mut frames = Vec::new();
    for line in LINES.iter().cycle().take(times * LINES.len()) {
        match decode(line.as_bytes()).unwrap() {
            Line::Metric(definition) => ledger.define(&definition),
            Line::Point(point) => {
                ledger.add(&point);
                frames.extend(
                    builder.push(&point, 0).map(|closed| Arc::unwrap_or_clone(closed.frame)),
                );
            }
        }
    }
    frames.extend(builder.close().map(|closed| Arc::unwrap_or_clone(closed.frame)));
    (ledger, frames)
}

/// Frames of rows of a second, or of these and samples; the rows are for both outputs of a [`Field`].
pub fn folded(times: usize, only: bool) -> Vec<Frame> {
    let rollups = [0, 1].map(|output| RollupSpec { output, dimensions: None }).into();
    let limits = Limits { samples_max: 1 + times, ..Limits::default() };
    let mut maker = Framer::new(1, limits, [], &Wanted { rollups, only });
    let mut frames = Vec::new();
    for line in LINES.iter().cycle().take(times * LINES.len()) {
        match decode(line.as_bytes()).unwrap() {
            Line::Metric(definition) => maker.define(&definition),
            Line::Point(point) => frames.extend(maker.push(&point, 0)),
        }
    }
    frames.extend(maker.close());
    frames.into_iter().map(|closed| Arc::unwrap_or_clone(closed.frame)).collect()
}

/// An account of an output.
pub fn counts() -> Vec<OutputCounts> {
    let rejected = BTreeMap::from([("TooOld".to_owned(), 2)]);
    vec![OutputCounts { name: "timestream".to_owned(), stored: 5, rejected }]
}

/// A report of an agent that has come so far.
pub fn report(phase: AgentPhase) -> Report {
    Report {
        phase: phase.into(),
        emitted: 9,
        framed: 8,
        acked: 7,
        outputs: counts(),
        requirements: Some(Requirements {
            max_vus: 10,
            total_duration_ms: 10_000,
            setup_timeout_ms: 1_000,
            ..Requirements::default()
        }),
        started_unix_ns: i64::from(phase > AgentPhase::Ready) * 5_000_000_000,
        vus: 3,
        last_seq: 2,
        bundle_sha256: vec![7; 32].into(),
        ..Report::default()
    }
}

/// The first message of such an agent.
pub fn hello(instance_id: u32, phase: AgentPhase) -> Up {
    Up::Hello(Hello {
        protocol: PROTOCOL,
        run: RUN.to_owned(),
        instance_id,
        incarnation: "i".to_owned(),
        k6_version: "v2.2.0".to_owned(),
        report: Some(report(phase)),
        born_unix_ns: 1,
        ..Hello::default()
    })
}

/// What agents say.
pub fn ups() -> Vec<Vec<u8>> {
    let (mut ledger, frames) = measured(3);
    let bundle = Bundle::new(b"archive".to_vec(), b"{}".to_vec()).unwrap();
    let answer = Outcome { ok: true, data: Some(b"{}".to_vec().into()), failure: None };
    let terms = Terms { summary: b"{}".to_vec().into(), ..Terms::default() };
    let phases = [AgentPhase::Ready, AgentPhase::Running, AgentPhase::Ended, AgentPhase::Finished];
    let mut all: Vec<Up> = phases.map(|phase| Up::Report(report(phase))).into();
    all.extend(phases.map(|phase| hello(1, phase)));
    all.extend([Up::Setup(answer.clone()), Up::Teardown(answer.clone()), Up::Summary(answer)]);
    all.extend([Up::Terms(terms), Up::Bundle(bundle.part(0))]);
    all.push(Up::WantBundle(WantBundle { offset: 0 }));
    all.extend(frames.into_iter().map(Up::Frame));
    all.extend(ledger.snapshot(Detail::Summary, true).into_iter().map(Up::Ledger));
    all.extend(ledger.snapshot(Detail::Verdict, false).into_iter().map(Up::Ledger));
    all.extend([1, 2].map(|replica| Up::Writer(writer_state(replica))));
    all.into_iter().map(|up| ToAggregator { message: Some(up) }.encode_to_vec()).collect()
}

/// What a writer says of itself.
pub fn writer_state(replica: u32) -> WriterState {
    let tally = Tally {
        instance_id: 2,
        incarnation: "i".to_owned(),
        held: 2,
        acked: 3,
        outputs: counts(),
        acked_to: 9,
        acked_but: vec![7, 9],
        settled: vec![SettledFrame { seq: 9, samples: 7, outputs: counts() }],
        early: vec![SettledFrame { seq: 10, samples: 7, outputs: counts() }],
    };
    let output = WriterOutput { ready: true, duplicates: 1, ..WriterOutput::default() };
    WriterState {
        protocol: PROTOCOL,
        run: RUN.to_owned(),
        replica,
        outputs: vec![output],
        in_flight: replica == 1,
        tallies: vec![tally],
        order: 0,
    }
}

/// What the aggregator says.
pub fn downs() -> Vec<Vec<u8>> {
    let bundle = Bundle::new(b"archive".to_vec(), b"{\"totalDuration\":\"10s\"}".to_vec()).unwrap();
    let all = [
        Down::Welcome(session::Welcome {}),
        Down::Refused(session::Refused { message: "no".to_owned() }),
        Down::SendBundle(session::SendBundle { offset: 0 }),
        Down::Bundle(bundle.part(0)),
        Down::RunSetup(session::RunSetup {}),
        Down::SetupData(session::SetupData { data: b"{}".to_vec().into() }),
        Down::Start(session::Start {}),
        Down::Stop(session::Stop { reason: "enough".to_owned() }),
        Down::RunTeardown(session::RunTeardown {}),
        Down::RunSummary(session::RunSummary { data: b"{}".to_vec().into() }),
        Down::Finish(session::Finish::default()),
        Down::Ack(Ack { seq: 1, outputs: counts() }),
        Down::Goodbye(session::Goodbye {}),
    ];
    all.into_iter().map(|down| ToAgent { message: Some(down) }.encode_to_vec()).collect()
}

/// A piece of a segment of a spool, or a whole one.
pub fn segment(has_head: bool, times: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    if has_head {
        record::put_head(&SegmentHeader { format: FORMAT, ..SegmentHeader::default() }, &mut bytes);
    }
    measured(times).1.iter().for_each(|frame| record::put_frame(frame, &mut bytes));
    bytes
}

/// What an aggregator has published of a run that lost an instance, and is over or not.
pub fn published(is_over: bool) -> RunResult {
    let mut field = Field::with_agents(AgentPhase::Running);
    field.lose(2);
    if is_over {
        field.end();
    }
    field.rally.result()
}
