//! Whatever reaches a decoder, from k6, from a disk or from a peer: it is read in bounded memory and without panic, what
//! is valid comes back as it was, and what it leads to is a decision like any other.

use std::{collections::BTreeMap, sync::Arc};

use proptest::{collection::vec, prelude::*, sample::select};
use prost::Message;

use super::changes::{bounded, changed};
use crate::{
    api::v1alpha1::RunnerLoss,
    core::{
        agent::{
            config::Config,
            events::{self, Now},
            machine::Machine,
        },
        bundle::Bundle,
        ledger::{
            codec::{self, Detail},
            ledger::Ledger,
            threshold::{RuleOptions, Rules, ThresholdSpec, Thresholds},
        },
        pipeline::{
            frame,
            lane::LaneConfig,
            pipeline::{FrameKey, Pipeline},
            retry::Written,
        },
        rally::{
            input::{Action, Input, RallyConfig, SessionId},
            rally::Rally,
        },
        replicas::writers::Writers,
        samples::{
            decode::{Line, decode},
            frame::{FrameBuilder, Limits},
            framer::Framer,
            rollup::{
                samples_in,
                spec::{RollupSpec, Wanted},
            },
            spool::record::{self, FORMAT, SegmentHeader},
        },
        verdict::{Surroundings, Verdict},
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

const RUN: &str = "ns/run/uid";
const LINES: [&str; 5] = [
    r#"{"type":"Metric","data":{"name":"mine","type":"trend","contains":"time","thresholds":["p(95)<5"],"submetrics":null},"metric":"mine"}"#,
    r#"{"metric":"mine","type":"Point","data":{"time":"2026-11-22T07:28:28.250116571Z","value":1.5,"tags":{"group":"","name":"a\"b"},"metadata":{"vu":"1"}}}"#,
    r#"{"metric":"mine","type":"Point","data":{"time":"2026-11-22T07:28:28.25+01:00","value":-7e-9,"tags":{"scenario":"default","url":"http://shop/?q=\u00e4"}}}"#,
    r#"{"metric":"checks","type":"Point","data":{"time":"2026-11-22T07:28:29Z","value":1,"tags":{"check":"status is 200","group":"::a::b","time":"x","ts_":"y"}}}"#,
    r#"{"type":"Metric","data":{"name":"checks","type":"rate","contains":"default"},"metric":"checks"}"#,
];

fn rules() -> Rules {
    let spec = |source: &str| ThresholdSpec { source: source.into(), ..ThresholdSpec::default() };
    let script = Thresholds::from([
        ("mine".to_owned(), vec![spec("p(95)<5"), spec("max<100")]),
        ("checks{check:status is 200}".to_owned(), vec![spec("rate>0.5")]),
    ]);
    Rules::new(&script, &Thresholds::new(), RuleOptions::default()).unwrap()
}

/// A ledger and frames of the lines, each so many times.
fn measured(times: usize) -> (Ledger, Vec<Frame>) {
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

fn frame_bytes() -> impl Strategy<Value = Vec<u8>> {
    (1..20_usize, 0..3_usize, 0..3_usize).prop_map(|(times, at, form)| {
        let (_, frames) = measured(times);
        let frames = if form == 0 { frames } else { folded(times, form == 1) };
        frames[at.min(frames.len() - 1)].encode_to_vec()
    })
}

/// Frames of rows of a second, or of these and samples; the rows are for both outputs of a [`Field`].
fn folded(times: usize, only: bool) -> Vec<Frame> {
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

fn counts() -> Vec<OutputCounts> {
    let rejected = BTreeMap::from([("TooOld".to_owned(), 2)]);
    vec![OutputCounts { name: "timestream".to_owned(), stored: 5, rejected }]
}

fn report(phase: AgentPhase) -> Report {
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

fn hello(instance_id: u32, phase: AgentPhase) -> Up {
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
fn ups() -> Vec<Vec<u8>> {
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

fn writer_state(replica: u32) -> WriterState {
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
fn downs() -> Vec<Vec<u8>> {
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

fn config() -> RallyConfig {
    RallyConfig {
        run: RUN.to_owned(),
        instances: 2,
        ready_deadline_ms: 60_000,
        drain_ms: 30_000,
        runner_loss: RunnerLoss::default(),
        outputs: vec!["timestream".to_owned()],
        has_writers: true,
    }
}

/// An aggregator without its shell.
struct Field {
    rally: Rally,
    verdict: Verdict,
    pipeline: Pipeline,
    writers: Writers,
    now_ms: i64,
    has_ended: bool,
}

impl Field {
    fn new(former: Option<RunResult>) -> Self {
        let lane = LaneConfig {
            name: "timestream".to_owned(),
            writes_max: 2,
            linger_ms: 0,
            kept: crate::core::dimensions::Kept::All,
            shape: crate::core::pipeline::shape::Shape::Records,
        };
        let of_rows = LaneConfig {
            name: "rows".to_owned(),
            shape: crate::core::pipeline::shape::Shape::Rollup,
            ..lane.clone()
        };
        Self {
            rally: Rally::new(config(), former, 0),
            verdict: Verdict::new(false, false),
            pipeline: Pipeline::new(vec![lane, of_rows]),
            writers: Writers::new(RUN, 3, false, 0),
            now_ms: 0,
            has_ended: false,
        }
    }

    fn tell(&mut self, input: Input) {
        self.rally.handle(input, self.now_ms);
        while let Some(action) = self.rally.poll_action() {
            match action {
                Action::Send(..) => {}
                Action::Close(session) => {
                    self.rally.handle(Input::Closed(session), self.now_ms);
                }
                Action::Judge => {
                    let around = Surroundings {
                        duration_ns: self.rally.duration_ns(),
                        ..Surroundings::default()
                    };
                    let judgement = self.verdict.judge(&around, self.rally.has_run());
                    self.rally.handle(Input::Judged(judgement), self.now_ms);
                }
                Action::End => self.has_ended = true,
            }
        }
    }

    fn take(&mut self, session: SessionId, up: Up) {
        match up {
            Up::Hello(hello) => self.tell(Input::Opened(session, hello)),
            Up::Report(report) => self.tell(Input::Reported(session, report)),
            Up::Setup(answer) => self.tell(Input::SetupAnswered(session, answer)),
            Up::Teardown(answer) => self.tell(Input::TeardownAnswered(session, answer)),
            Up::Summary(_) => self.tell(Input::SummaryAnswered(session)),
            Up::Terms(terms) => self.verdict.learn(terms),
            Up::Bundle(part) => self.tell(Input::BundleSent(session, part)),
            Up::WantBundle(wanted) => self.tell(Input::BundleWanted(session, wanted.offset)),
            Up::Ledger(ledger) => {
                let Some((id, born_unix_ns)) = self.rally.ledger_source(session) else { return };
                let taken = codec::decode(ledger)
                    .and_then(|ledger| self.verdict.take(id, born_unix_ns, ledger));
                if let Ok(is_last) = taken {
                    self.tell(Input::Ledgered { session, is_last });
                }
            }
            Up::Frame(frame) => {
                let Some((instance_id, incarnation)) = self.rally.frame_source(session) else {
                    return;
                };
                let samples = claimed(&frame);
                let key = FrameKey { instance_id, incarnation, seq: frame.seq };
                self.pipeline.accept(key, &frame, self.now_ms);
                self.tell(Input::Held { instance_id, samples });
                self.store();
            }
            Up::Writer(state) => {
                let Ok(news) = self.writers.take(session, &state) else { return };
                state.tallies.into_iter().for_each(|tally| self.tell(Input::Tallied(tally)));
                for (at, why) in news.failed {
                    self.tell(Input::OutputFailed(at, why));
                }
                if self.writers.are_ready(0) {
                    self.tell(Input::OutputReady(0));
                }
                self.tell(Input::OutputTrouble(0, self.writers.trouble(0)));
                self.writers.duplicates(0);
                if self.rally.is_draining() {
                    self.writers.finish(self.rally.silent());
                }
                self.tell(Input::InFlight(self.writers.are_in_flight(self.now_ms)));
            }
        }
        let elapsed_ms = self.rally.load_elapsed_ms(self.now_ms);
        if let Some(crossed) = self.verdict.look(elapsed_ms, self.now_ms) {
            self.tell(Input::Crossed(crossed));
        }
    }

    fn store(&mut self) {
        self.pipeline.set_hurry(true);
        while let Some(write) = self.pipeline.poll_write(self.now_ms) {
            self.pipeline.finish(write.lane, write.batch.id, Written::Stored, self.now_ms, 0);
        }
        assert!(self.pipeline.is_empty());
        while let Some(acked) = self.pipeline.poll_ack() {
            let input = Input::Acked {
                instance_id: acked.key.instance_id,
                incarnation: acked.key.incarnation.to_string(),
                seq: acked.key.seq,
                samples: acked.sample_count,
                outputs: acked.outputs,
            };
            self.tell(input);
        }
    }

    /// Time passes, and nobody says anything any more.
    fn end(&mut self) {
        self.tell(Input::OutputReady(0));
        for _ in 0..1000 {
            let Some(due_ms) = self.rally.poll_timeout().filter(|_| !self.has_ended) else { break };
            self.now_ms = self.now_ms.max(due_ms);
            self.tell(Input::Timeout { held_back: false });
        }
        assert!(self.has_ended, "every run ends: {:?}", self.rally.result());
        let result = self.rally.result();
        assert!(result.outcome.is_some());
        serde_json::to_string(&result).unwrap();
        drop(self.verdict.sum_up(&Surroundings::default(), None));
    }
}

fn claimed(frame: &Frame) -> u64 {
    frame.value.len().max(frame.sample_series.len()).max(frame.time_delta_ns.len()) as u64
}

/// So many cases, or as many as `PROPTEST_CASES` says.
fn settings(cases: u32) -> ProptestConfig {
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(settings(20_000))]

    #[test]
    fn a_line_of_k6(line in changed(select(&LINES[..]).prop_map(|line| line.as_bytes().to_vec()))) {
        let Ok(read) = bounded(&line, decode) else { return Ok(()) };
        let mut ledger = Ledger::new(&rules(), true);
        let mut builder = FrameBuilder::new(1, Limits::default());
        match read {
            Line::Metric(definition) => ledger.define(&definition),
            Line::Point(point) => {
                ledger.add(&point);
                prop_assert!(builder.push(&point, 0).is_none());
                let closed = builder.close().unwrap();
                let opened = frame::open(&closed.frame, 1);
                // k6 has no metric without a name, and a row has none: such a sample is counted as refused.
                let rows = usize::from(!point.metric.is_empty());
                let refused = u64::from(point.metric.is_empty());
                prop_assert_eq!((opened.samples.len(), opened.malformed_count), (rows, refused));
                if let Some(sample) = opened.samples.first() {
                    prop_assert_eq!(sample.value.to_bits(), point.value.to_bits());
                    prop_assert_eq!(sample.time_ns, point.time_ns);
                }
            }
        }
        drop(ledger.snapshot(Detail::Summary, true));
    }
}

proptest! {
    #![proptest_config(settings(2_000))]

    #[test]
    fn a_frame(bytes in changed(frame_bytes())) {
        let opened = bounded(&bytes, |bytes| {
            let frame = Frame::decode(bytes).ok()?;
            let opened = frame::open(&frame, 1);
            Some((frame, opened))
        });
        let Some((frame, opened)) = opened else { return Ok(()) };
        let claimed = claimed(&frame);
        prop_assert_eq!(opened.samples.len() as u64 + opened.malformed_count, claimed);
        let again = Frame::decode(frame.encode_to_vec().as_slice()).unwrap();
        prop_assert_eq!(again.encode_to_vec(), frame.encode_to_vec());
        let mut field = Field::new(None);
        let key = FrameKey { instance_id: 1, incarnation: "i".into(), seq: frame.seq };
        field.pipeline.accept(key, &frame, 0);
        field.store();
        for lane in field.pipeline.lanes() {
            let counts = lane.counts();
            prop_assert_eq!(counts.stored + counts.rejected, samples_in(&frame).max(claimed));
        }
    }

    #[test]
    fn a_piece_of_a_spool(
        bytes in changed((0..4_usize, 1..20_usize).prop_map(|(skip, times)| {
            let mut bytes = Vec::new();
            if skip == 0 {
                record::put_head(&SegmentHeader { format: FORMAT, ..SegmentHeader::default() }, &mut bytes);
            }
            measured(times).1.iter().for_each(|frame| record::put_frame(frame, &mut bytes));
            bytes
        })),
        is_last: bool,
    ) {
        let chunk = bounded(&bytes, |bytes| record::chunk(bytes, is_last));
        prop_assert!(chunk.bytes <= bytes.len() as u64);
        drop(bounded(&bytes, record::head));
    }

    #[test]
    fn what_agents_say(
        said in vec((0..3_u64, changed(select(ups()))), 1..12),
        phase in select(vec![AgentPhase::Ready, AgentPhase::Running, AgentPhase::Finished]),
    ) {
        let mut field = Field::new(None);
        for id in [1, 2] {
            field.take(SessionId(u64::from(id)), hello(id, phase));
        }
        field.tell(Input::OutputReady(0));
        for (session, bytes) in said {
            let read = bounded(&bytes, ToAggregator::decode);
            let Ok(ToAggregator { message: Some(up) }) = read else { continue };
            let bytes = ToAggregator { message: Some(up.clone()) }.encode_to_vec();
            let again = ToAggregator::decode(bytes.as_slice()).unwrap();
            prop_assert_eq!(again.encode_to_vec(), bytes);
            if let Up::Ledger(ledger) = &up {
                let bytes = ledger.encode_to_vec();
                drop(bounded(&bytes, |bytes| codec::decode(session::Ledger::decode(bytes).unwrap())));
            }
            field.take(SessionId(session), up);
            field.now_ms += 500;
        }
        field.end();
    }

    #[test]
    fn what_the_aggregator_says(said in vec(changed(select(downs())), 1..12)) {
        let config = Config::plain(2, 2);
        let mut now = Now { ms: 0, unix_ns: 1, drained: true };
        let mut machine = Machine::new(config, now);
        drop(machine.handle(events::Input::SessionUp, now));
        for bytes in said {
            let read = bounded(&bytes, ToAgent::decode);
            let Ok(ToAgent { message: Some(down) }) = read else { continue };
            let bytes = ToAgent { message: Some(down.clone()) }.encode_to_vec();
            let again = ToAgent::decode(bytes.as_slice()).unwrap();
            prop_assert_eq!(again.encode_to_vec(), bytes);
            drop(machine.handle(events::Input::Message(down), now));
            now = Now { ms: now.ms + 500, unix_ns: now.unix_ns + 500_000_000, drained: true };
            drop(machine.handle(events::Input::Tick, now));
        }
    }

    #[test]
    fn what_a_former_aggregator_published(
        bytes in changed(any::<bool>().prop_map(|over| {
            let mut field = Field::new(None);
            for id in [1, 2] {
                field.take(SessionId(u64::from(id)), hello(id, AgentPhase::Running));
            }
            field.tell(Input::Gone(2, "OOMKilled".to_owned()));
            field.tell(Input::Closed(SessionId(2)));
            if over {
                field.end();
            }
            serde_json::to_vec(&field.rally.result()).unwrap()
        })),
    ) {
        let read = bounded(&bytes, serde_json::from_slice::<RunResult>);
        let Ok(former) = read else { return Ok(()) };
        let mut field = Field::new(Some(former));
        field.take(SessionId(1), hello(1, AgentPhase::Running));
        if field.rally.result().outcome.is_none() {
            field.end();
        }
    }
}
