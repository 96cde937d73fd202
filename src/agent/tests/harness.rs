//! An aggregator that does what a test tells it.

use std::{collections::BTreeMap, path::Path, time::Duration};

use tempfile::TempDir;
use tokio::{sync::mpsc, task::JoinHandle, time::timeout};
use tokio_util::sync::CancellationToken;

use crate::{
    agent::{Exit, Settings, run},
    api::v1alpha1::OnFull,
    core::{
        ledger::codec::decode,
        plan::RunRef,
        samples::{rollup::spec::Wanted, spool::Limits},
        tests::k6::k6,
        verdict::Verdict,
    },
    io::{
        link::{AggregatorEnd, Dialer},
        telemetry,
    },
    wire::session::{
        Ack, AgentPhase, BundlePart, Finish, Frame, Goodbye, Hello, Outcome, OutputCounts, Report,
        RunSetup, RunTeardown, SendBundle, SetupData, Start, Stop, ToAgent, ToAggregator, Welcome,
        to_agent::Message as ToAgentMessage, to_aggregator::Message,
    },
};

/// How long a test waits for anything before it fails. Nothing here takes more than a few seconds.
const PATIENCE: Duration = Duration::from_mins(1);

/// One sample as it arrives.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Sample {
    pub(super) metric: String,
    pub(super) dimensions: BTreeMap<String, String>,
    pub(super) time_ns: i64,
    pub(super) value: f64,
}

/// An agent, and the aggregator's side of its session.
pub(super) struct Rig {
    pub(super) dir: TempDir,
    pub(super) agent: JoinHandle<Exit>,
    pub(super) shutdown: CancellationToken,
    dials: mpsc::Receiver<AggregatorEnd>,
    session: Option<AggregatorEnd>,
    /// Greetings, one for each session.
    pub(super) hellos: Vec<Hello>,
    pub(super) report: Report,
    pub(super) phases: Vec<AgentPhase>,
    pub(super) frames: BTreeMap<u64, Frame>,
    pub(super) frames_received: usize,
    pub(super) summaries: Vec<Outcome>,
    /// What the aggregator would know of the samples.
    pub(super) verdict: Verdict,
    pub(super) bundles: Vec<BundlePart>,
    pub(super) parts_wanted: Vec<u64>,
    pub(super) setups: Vec<Outcome>,
    pub(super) teardowns: Vec<Outcome>,
    /// Whether frames are acknowledged as they come.
    pub(super) acknowledges: bool,
}

/// The settings of the only instance of a run of `script`, which is written into `dir`.
pub(super) fn settings(dir: &Path, script: &str) -> Settings {
    let path = dir.join("test.js");
    std::fs::write(&path, script).unwrap();
    Settings {
        run: RunRef { namespace: "ns".into(), name: "checkout-1".into(), uid: "u".into() },
        instances: 1,
        instance_id: 1,
        k6: k6(),
        work_dir: dir.join("work"),
        script: path.to_string_lossy().into_owned(),
        thresholds: BTreeMap::new(),
        tags: BTreeMap::new(),
        args: vec!["--no-usage-report".to_owned(), "--quiet".to_owned()],
        env: BTreeMap::new(),
        ship_samples: true,
        writer: None,
        dimensions: Vec::new(),
        rollups: Wanted::default(),
        spool: Limits::new(64 << 20, OnFull::Fail),
        orphan_ms: 60_000,
        grace_ms: 20_000,
        log_prefix: None,
    }
}

impl Rig {
    /// Starts an agent on `script`, with settings as `change` leaves them.
    pub(super) fn start(script: &str, change: impl FnOnce(&mut Settings)) -> Self {
        if std::env::var_os("WEIR_LOG").is_some() {
            telemetry::init();
        }
        let dir = tempfile::tempdir().unwrap();
        let mut settings = settings(dir.path(), script);
        change(&mut settings);
        let (dialed, dials) = mpsc::channel(4);
        let shutdown = CancellationToken::new();
        let agent = tokio::spawn(run(settings, Dialer::Local(dialed), shutdown.clone()));
        Self {
            dir,
            agent,
            shutdown,
            dials,
            session: None,
            hellos: Vec::new(),
            report: Report::default(),
            phases: Vec::new(),
            frames: BTreeMap::new(),
            frames_received: 0,
            summaries: Vec::new(),
            verdict: Verdict::default(),
            bundles: Vec::new(),
            parts_wanted: Vec::new(),
            setups: Vec::new(),
            teardowns: Vec::new(),
            acknowledges: true,
        }
    }

    /// Takes what comes until `done` holds.
    pub(super) async fn until(&mut self, what: &str, done: impl Fn(&Self) -> bool) {
        let wait = async {
            while !done(self) {
                self.step().await;
            }
        };
        let waited = timeout(PATIENCE, wait).await;
        assert!(
            waited.is_ok(),
            "waited in vain until {what}; the last report was {:?}",
            self.report
        );
    }

    pub(super) async fn until_phase(&mut self, phase: AgentPhase) {
        let reached = |rig: &Self| rig.report.phase() >= phase;
        self.until(phase.as_str_name(), reached).await;
    }

    async fn step(&mut self) {
        if self.session.is_none() {
            let end = self.dials.recv().await.expect("the agent is gone");
            self.session = Some(end);
        }
        let Some(session) = &mut self.session else { return };
        match session.rx.recv().await {
            Some(ToAggregator { message: Some(message) }) => self.take(message).await,
            Some(_) => {}
            None => self.session = None,
        }
    }

    async fn take(&mut self, message: Message) {
        match message {
            Message::Hello(hello) => {
                self.report = hello.report.clone().unwrap();
                self.phases.push(self.report.phase());
                self.hellos.push(hello);
                self.send(ToAgentMessage::Welcome(Welcome {})).await;
            }
            Message::Report(report) => {
                self.phases.push(report.phase());
                self.report = report;
            }
            Message::Frame(frame) => {
                self.frames_received += 1;
                let seq = frame.seq;
                if self.acknowledges {
                    self.acknowledge(&frame).await;
                }
                if let Some(before) = self.frames.insert(seq, frame) {
                    assert_eq!(before, self.frames[&seq], "a frame sent again is the same frame");
                }
            }
            Message::Ledger(ledger) => {
                self.verdict.take(1, 1, decode(ledger).unwrap()).unwrap();
            }
            Message::Terms(terms) => self.verdict.learn(terms),
            Message::Summary(outcome) => self.summaries.push(outcome),
            Message::Bundle(part) => self.bundles.push(part),
            Message::WantBundle(wanted) => self.parts_wanted.push(wanted.offset),
            Message::Setup(outcome) => self.setups.push(outcome),
            Message::Teardown(outcome) => self.teardowns.push(outcome),
            Message::Writer(_) => panic!("an agent is no writer"),
        }
    }

    pub(super) async fn acknowledge(&mut self, frame: &Frame) {
        let stored = frame.value.len() as u64;
        let counts = OutputCounts { name: "timestream".to_owned(), stored, ..Default::default() };
        self.send(ToAgentMessage::Ack(Ack { seq: frame.seq, outputs: vec![counts] })).await;
    }

    pub(super) async fn send(&mut self, message: ToAgentMessage) {
        if let Some(session) = &self.session {
            drop(session.tx.send(ToAgent { message: Some(message) }).await);
        }
    }

    /// Cuts the session; the next dial is answered.
    pub(super) fn cut(&mut self) {
        self.session = None;
    }

    /// Cuts the session, and answers no dial any more.
    pub(super) fn forget(&mut self) {
        self.session = None;
        self.dials.close();
    }

    /// The bundle of instance 1, which is small enough for one part.
    pub(super) async fn fetch_bundle(&mut self) -> BundlePart {
        self.until("the session is up", |rig| !rig.hellos.is_empty()).await;
        self.send(ToAgentMessage::SendBundle(SendBundle { offset: 0 })).await;
        self.until("the bundle comes", |rig| !rig.bundles.is_empty()).await;
        self.bundles[0].clone()
    }

    pub(super) async fn give_bundle(&mut self, part: BundlePart) {
        self.until("the bundle is wanted", |rig| rig.parts_wanted == [0]).await;
        self.send(ToAgentMessage::Bundle(part)).await;
    }

    pub(super) async fn start_load(&mut self) {
        self.send(ToAgentMessage::Start(Start {})).await;
    }

    pub(super) async fn stop(&mut self) {
        self.send(ToAgentMessage::Stop(Stop { reason: "a test".to_owned() })).await;
    }

    pub(super) async fn run_setup(&mut self) {
        self.send(ToAgentMessage::RunSetup(RunSetup {})).await;
    }

    pub(super) async fn give_setup_data(&mut self, data: &'static str) {
        self.send(ToAgentMessage::SetupData(SetupData { data: data.into() })).await;
    }

    pub(super) async fn run_teardown(&mut self) {
        self.send(ToAgentMessage::RunTeardown(RunTeardown {})).await;
    }

    /// Lets k6 go, waits until all samples are acknowledged or dropped, and says goodbye.
    pub(super) async fn finish(mut self) -> Ended {
        self.send(ToAgentMessage::Finish(Finish::default())).await;
        self.until_phase(AgentPhase::Finished).await;
        let settled = |report: &Report| report.acked + report.dropped == report.emitted;
        self.until("all is acknowledged", |rig| settled(&rig.report)).await;
        self.send(ToAgentMessage::Goodbye(Goodbye {})).await;
        let exit = timeout(PATIENCE, self.agent).await.unwrap().unwrap();
        let samples = self.frames.values().flat_map(expand).collect();
        let frames = self.frames.into_keys().collect();
        let frames_received = self.frames_received;
        Ended { report: self.report, samples, frames, frames_received, exit }
    }
}

/// What is left of an agent.
pub(super) struct Ended {
    pub(super) report: Report,
    pub(super) samples: Vec<Sample>,
    /// Their numbers.
    pub(super) frames: Vec<u64>,
    pub(super) frames_received: usize,
    pub(super) exit: Exit,
}

impl Ended {
    pub(super) fn of(&self, metric: &str) -> Vec<&Sample> {
        self.samples.iter().filter(|sample| sample.metric == metric).collect()
    }
}

fn expand(frame: &Frame) -> Vec<Sample> {
    let text = |index: u32| frame.strings[index as usize].clone();
    let mut time_ns = frame.base_time_ns;
    let samples = frame.sample_series.iter().enumerate().map(|(at, index)| {
        let series = &frame.series[*index as usize];
        time_ns += frame.time_delta_ns[at];
        let pairs = series.dimensions.chunks(2).map(|pair| (text(pair[0]), text(pair[1])));
        let dimensions = pairs.collect();
        Sample { metric: text(series.metric), dimensions, time_ns, value: frame.value[at] }
    });
    samples.collect()
}
