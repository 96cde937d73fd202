//! Whole runs with agents that are tasks, over both kinds of link, and an output that is a map.

use std::{
    collections::BTreeMap,
    sync::{Mutex, atomic::AtomicU64, atomic::Ordering},
};

use futures::{FutureExt, future::BoxFuture};
use tokio::net::TcpListener;

use super::*;
use crate::{
    aggregator::keeper,
    api::v1alpha1::{LossPolicy, Output as ApiOutput, Reason, RunnerLoss, Timestream},
    core::{
        dimensions::Kept,
        pipeline::{
            batch::Batch,
            lane::LaneConfig,
            retry::{Failure, Written},
            row::Refusal,
            row::value_text,
            shape::Shape,
        },
        plan::{RunPlan, RunRef},
    },
    io::{
        crypto,
        grpc::serve::{Credentials, serve},
        link::{DialError, Dialer, GrpcDialer},
    },
    output::output::{OpenOutput, Output},
    wire::{
        PROTOCOL,
        result::Stage,
        session::{
            AgentPhase, Hello, Ledger, LedgerSink, LedgerThreshold, MetricKind, Outcome as Answer,
            OutputCounts, Report, Requirements, Series, ToAggregator, to_agent::Message as Down,
            to_aggregator::Message as Up,
        },
    },
};

const INSTANCES: u32 = 4;
const FRAMES: u64 = 40;
const SAMPLES: u64 = 50;

type Identity = (Vec<(String, String)>, String, i64);

/// An output that keeps what it is given, and fails now and then.
#[derive(Default)]
struct Store {
    rows: Mutex<BTreeMap<Identity, String>>,
    calls: AtomicU64,
    /// Every so many calls: throttled, cut after the records were stored, refused for one record.
    trouble: u64,
    fatal_after: Option<u64>,
    missing: bool,
}

impl Store {
    fn keep(&self, batch: &Batch, but: Option<usize>) {
        let mut rows = self.rows.lock().unwrap();
        for (at, record) in batch.records.iter().enumerate() {
            if Some(at) == but {
                continue;
            }
            let dimensions = record
                .row
                .dimensions
                .iter()
                .map(|(name, value)| (name.to_string(), value.to_string()))
                .collect();
            let identity = (dimensions, record.row.measure.to_string(), record.time_ns);
            let value = value_text(record.value, &mut ryu::Buffer::new()).to_owned();
            let before = rows.insert(identity, value.clone());
            assert!(before.is_none_or(|before| before == value), "two samples in one row");
        }
    }
}

impl Output for Store {
    fn probe(&self) -> BoxFuture<'_, Probe> {
        let probe =
            if self.missing { Probe::Failed("no such table".to_owned()) } else { Probe::Ready };
        futures::future::ready(probe).boxed()
    }

    fn write<'a>(&'a self, batch: &'a Batch) -> BoxFuture<'a, Written> {
        async move {
            let call = self.calls.fetch_add(1, Ordering::Relaxed) + 1;
            tokio::time::sleep(Duration::from_millis(2)).await;
            if self.fatal_after.is_some_and(|after| call > after) {
                return Written::Fatal("access denied".to_owned());
            }
            match (self.trouble, call % self.trouble.max(1)) {
                (0, _) => {}
                (_, 1) => return Written::Failed(Failure::Throttled, "slow down".to_owned()),
                (_, 2) => {
                    self.keep(batch, None);
                    return Written::Failed(Failure::Connection, "cut".to_owned());
                }
                (_, 3) => {
                    self.keep(batch, Some(0));
                    return Written::Partly(vec![(0, Refusal::TooOld)]);
                }
                _ => {}
            }
            self.keep(batch, None);
            Written::Stored
        }
        .boxed()
    }
}

fn plan() -> RunPlan {
    let timestream = Timestream {
        database_name: "k6".into(),
        table_name: "samples".into(),
        ..Timestream::default()
    };
    RunPlan {
        run: RunRef { namespace: "ns".into(), name: "run".into(), uid: "uid".into() },
        instances: INSTANCES,
        created_unix_ms: clock::unix_ms(),
        ready_ms: 20_000,
        drain_ms: 20_000,
        runner_loss: RunnerLoss::default(),
        outputs: vec![ApiOutput { timestream: Some(timestream), ..ApiOutput::default() }],
        replicas: 1,
    }
}

fn settings(plan: &RunPlan, store: &Arc<Store>, former: Option<RunResult>) -> Settings {
    let lane = LaneConfig {
        name: "timestream".to_owned(),
        writes_max: 8,
        linger_ms: 50,
        kept: Kept::All,
        shape: Shape::Records,
    };
    Settings {
        plan: plan.clone(),
        outputs: vec![OpenOutput { lane, output: store.clone() }],
        former,
        on_shutdown: OnShutdown::StopTheRun,
        stdout_tty: false,
        stderr_tty: false,
        awaits_publication: false,
        meters: Arc::new(Meters::default()),
        keep_dir: None,
    }
}

/// What an agent does otherwise than to run and end well.
#[derive(Clone, Copy, Default, PartialEq)]
enum Manner {
    #[default]
    EndsWell,
    Fails,
    NeverReady,
    SetupFails,
    RunsOn,
    Dies,
}

struct FakeAgent {
    id: u32,
    /// Where its frames go, where that is not the aggregator.
    writer: Option<(u32, Dialer)>,
    manner: Manner,
    report: Report,
    data: Option<Vec<u8>>,
    unacked: BTreeMap<u64, Frame>,
    setups: u32,
    teardowns: u32,
    refused: bool,
}

/// Which frames are acknowledged.
fn note(report: &mut Report, unacked: &BTreeMap<u64, Frame>) {
    report.acked_to = report.acked_to.max(unacked.keys().last().copied().unwrap_or(0));
    report.acked_but = unacked.keys().copied().collect();
}

impl FakeAgent {
    fn new(id: u32, manner: Manner) -> Self {
        let phase =
            if manner == Manner::NeverReady { AgentPhase::Preparing } else { AgentPhase::Ready };
        Self {
            id,
            writer: None,
            manner,
            report: Report {
                phase: phase.into(),
                requirements: Some(Requirements {
                    max_vus: 10,
                    total_duration_ms: 5000,
                    setup_timeout_ms: 1000,
                    teardown_timeout_ms: 1000,
                    ..Requirements::default()
                }),
                ..Report::default()
            },
            data: None,
            unacked: BTreeMap::new(),
            setups: 0,
            teardowns: 0,
            refused: false,
        }
    }

    /// Dials until it is let go.
    async fn live(mut self, dialer: Dialer) -> Self {
        let mut link = self.writer.take().map(|writer| writers::Link::start(self.id, writer));
        loop {
            let mut end = match dialer.dial().await {
                Ok(end) => end,
                Err(DialError::Gone) => return self,
                Err(DialError::Unreachable(_) | DialError::Denied(_)) => {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    continue;
                }
            };
            let hello = Up::Hello(Hello {
                protocol: PROTOCOL,
                run: "ns/run/uid".to_owned(),
                instance_id: self.id,
                incarnation: format!("agent-{}", self.id),
                report: Some(self.report.clone()),
                setup_data: self.data.clone().map(Into::into),
                ..Hello::default()
            });
            let mut letters = vec![hello];
            if link.is_none() {
                letters.extend(self.unacked.values().cloned().map(Up::Frame));
            }
            let mut beat = tokio::time::interval(Duration::from_millis(20));
            'session: loop {
                for letter in letters.drain(..) {
                    if let (Some(link), Up::Frame(frame)) = (&link, &letter) {
                        link.frames.send(frame.clone()).unwrap();
                        continue;
                    }
                    if end.tx.send(ToAggregator { message: Some(letter) }).await.is_err() {
                        break 'session;
                    }
                }
                if self.manner == Manner::Dies && self.report.last_seq == 3 {
                    return self;
                }
                tokio::select! {
                    _ = beat.tick() => letters = self.go_on(),
                    Some(ack) = writers::next_ack(&mut link) => letters = self.obey(Down::Ack(ack)),
                    message = end.rx.recv() => match message.and_then(|m| m.message) {
                        Some(Down::Goodbye(_)) => return self,
                        Some(Down::Refused(_)) => {
                            self.refused = true;
                            return self;
                        }
                        Some(message) => letters = self.obey(message),
                        None => break 'session,
                    },
                }
            }
            tokio::time::sleep(Duration::from_millis(30)).await;
        }
    }

    fn is(&self, phase: AgentPhase) -> bool {
        self.report.phase == i32::from(phase)
    }

    fn go_on(&mut self) -> Vec<Up> {
        let mut letters = Vec::new();
        if self.is(AgentPhase::Running) {
            if self.report.last_seq < FRAMES || self.manner == Manner::RunsOn {
                letters.push(Up::Frame(self.frame()));
            } else {
                self.report.phase = AgentPhase::Ended.into();
                self.report.ended_unix_ns = clock::unix_ns();
            }
            letters.push(Up::Ledger(self.ledger(false)));
            if self.manner == Manner::Fails && self.report.last_seq == 3 {
                self.report.failure = Some(crate::wire::session::Failure {
                    reason: "ScriptFailed".to_owned(),
                    message: "TypeError: x is not a function".to_owned(),
                    exit_code: Some(107),
                    ..crate::wire::session::Failure::default()
                });
            }
        }
        letters.push(Up::Report(self.report.clone()));
        letters
    }

    fn ledger(&self, last: bool) -> Ledger {
        let judged = LedgerThreshold { source: "count>0".to_owned(), ..LedgerThreshold::default() };
        let ticks = LedgerSink {
            name: "ticks".to_owned(),
            kind: MetricKind::Counter.into(),
            count: self.report.emitted,
            sum: f64::from(u32::try_from(self.report.emitted).unwrap()),
            thresholds: vec![judged],
            ..LedgerSink::default()
        };
        let seq = self.report.last_seq + u64::from(last);
        Ledger { seq, parts: 1, last, sinks: vec![ticks], ..Ledger::default() }
    }

    fn frame(&mut self) -> Frame {
        self.report.last_seq += 1;
        self.report.emitted += SAMPLES;
        self.report.framed += SAMPLES;
        let count = usize::try_from(SAMPLES).unwrap();
        let frame = Frame {
            seq: self.report.last_seq,
            strings: ["http_reqs", "instance_id", &self.id.to_string(), "team", "checkout"]
                .map(str::to_owned)
                .into(),
            series: vec![Series { metric: 0, dimensions: vec![1, 2, 3, 4] }],
            base_time_ns: 1_800_000_000_000_000_000
                + i64::try_from(self.report.last_seq * SAMPLES).unwrap(),
            sample_series: vec![0; count],
            time_delta_ns: std::iter::once(0).chain(vec![1; count - 1]).collect(),
            value: (0..u32::try_from(SAMPLES).unwrap()).map(f64::from).collect(),
            ..Frame::default()
        };
        self.unacked.insert(frame.seq, frame.clone());
        note(&mut self.report, &self.unacked);
        frame
    }

    fn obey(&mut self, message: Down) -> Vec<Up> {
        match message {
            Down::RunSetup(_) => {
                self.setups += 1;
                self.data = Some(b"{\"token\":1}".to_vec());
                return vec![Up::Setup(Answer {
                    ok: self.manner != Manner::SetupFails,
                    data: self.data.clone().map(Into::into),
                    failure: (self.manner == Manner::SetupFails).then(|| {
                        crate::wire::session::Failure {
                            reason: "SetupFailed".to_owned(),
                            message: "setup() threw".to_owned(),
                            ..crate::wire::session::Failure::default()
                        }
                    }),
                })];
            }
            Down::SetupData(data) => self.data = Some(data.data.to_vec()),
            Down::Start(_) if self.is(AgentPhase::Ready) => {
                assert!(self.data.is_some(), "started without the data of setup()");
                self.report.phase = AgentPhase::Running.into();
                self.report.started_unix_ns = clock::unix_ns();
            }
            Down::Stop(_) => {
                let phase = if self.is(AgentPhase::Preparing) {
                    AgentPhase::Finished
                } else {
                    AgentPhase::Ended
                };
                self.report.phase = self.report.phase.max(phase.into());
            }
            Down::RunTeardown(_) => {
                self.teardowns += 1;
                return vec![Up::Teardown(Answer { ok: true, ..Answer::default() })];
            }
            Down::Finish(_) => {
                self.report.phase = AgentPhase::Finished.into();
                self.report.k6_exit_code = Some(0);
                return vec![Up::Ledger(self.ledger(true)), Up::Report(self.report.clone())];
            }
            Down::Ack(ack) => {
                if self.unacked.remove(&ack.seq).is_some() {
                    self.report.acked += SAMPLES;
                    self.count(&ack.outputs);
                    note(&mut self.report, &self.unacked);
                }
            }
            Down::Start(_)
            | Down::Welcome(_)
            | Down::Refused(_)
            | Down::Goodbye(_)
            | Down::Bundle(_)
            | Down::RunSummary(_)
            | Down::SendBundle(_) => {}
        }
        vec![Up::Report(self.report.clone())]
    }

    fn count(&mut self, outputs: &[OutputCounts]) {
        for counts in outputs {
            if self.report.outputs.is_empty() {
                self.report
                    .outputs
                    .push(OutputCounts { name: counts.name.clone(), ..OutputCounts::default() });
            }
            let own = &mut self.report.outputs[0];
            own.stored += counts.stored;
            for (reason, count) in &counts.rejected {
                *own.rejected.entry(reason.clone()).or_default() += count;
            }
        }
    }
}

/// Hands sessions to whichever aggregator is there.
fn hub() -> (Dialer, watch::Sender<Option<mpsc::Sender<AggregatorEnd>>>) {
    let (dial_tx, mut dialled) = mpsc::channel::<AggregatorEnd>(8);
    let (to_tx, to) = watch::channel::<Option<mpsc::Sender<AggregatorEnd>>>(None);
    tokio::spawn(async move {
        while let Some(end) = dialled.recv().await {
            let to = to.borrow().clone();
            match to {
                Some(to) if to.is_closed() => return,
                Some(to) => drop(to.send(end).await),
                None => {}
            }
        }
    });
    (Dialer::Local(dial_tx), to_tx)
}

struct Running {
    task: tokio::task::JoinHandle<RunResult>,
    sessions: mpsc::Sender<AggregatorEnd>,
    control: mpsc::Sender<Control>,
    results: watch::Receiver<RunResult>,
    shutdown: CancellationToken,
}

fn begin(settings: Settings) -> Running {
    let (sessions, sessions_rx) = mpsc::channel(8);
    let (control, control_rx) = mpsc::channel(8);
    let (publish, results) = watch::channel(RunResult::default());
    let shutdown = CancellationToken::new();
    let task = tokio::spawn(run(settings, sessions_rx, control_rx, publish, shutdown.clone()));
    Running { task, sessions, control, results, shutdown }
}

fn live(dialer: &Dialer, manners: &[Manner]) -> Vec<tokio::task::JoinHandle<FakeAgent>> {
    (1..=INSTANCES)
        .map(|id| {
            let manner = manners.get(usize::try_from(id).unwrap() - 1).copied().unwrap_or_default();
            tokio::spawn(FakeAgent::new(id, manner).live(dialer.clone()))
        })
        .collect()
}

async fn all(agents: Vec<tokio::task::JoinHandle<FakeAgent>>) -> Vec<FakeAgent> {
    let mut ended = Vec::new();
    for agent in agents {
        ended.push(within(agent).await.unwrap());
    }
    ended
}

async fn within<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_mins(1), what).await.expect("it comes to an end")
}

/// The whole run over a local link, with an output that behaves as `store` does.
async fn run_locally(store: &Arc<Store>, manners: &[Manner]) -> (RunResult, Vec<FakeAgent>) {
    let (dialer, to) = hub();
    let running = begin(settings(&plan(), store, None));
    to.send_replace(Some(running.sessions.clone()));
    let agents = live(&dialer, manners);
    let result = within(running.task).await.unwrap();
    (result, all(agents).await)
}

fn verify_whole(result: &RunResult, agents: &[FakeAgent], store: &Store) {
    let total = u64::from(INSTANCES) * FRAMES * SAMPLES;
    let output = &result.outputs[0];
    assert_eq!(
        result.outcome.as_ref().unwrap().reason,
        Reason::ThresholdsMet,
        "{}",
        result.message
    );
    assert_eq!(output.emitted, total);
    assert_eq!(output.stored + output.rejected.values().sum::<u64>(), total);
    let kept = store.rows.lock().unwrap().len() as u64;
    // A record may be stored by a call whose answer was cut off, and refused when it comes again.
    assert!(kept == output.stored || store.trouble > 0 && kept > output.stored);
    assert_eq!(agents.iter().map(|agent| agent.setups).sum::<u32>(), 1);
    assert_eq!(agents.iter().map(|agent| agent.teardowns).sum::<u32>(), 1);
    for agent in agents {
        assert!(!agent.refused && agent.unacked.is_empty());
    }
}

#[tokio::test]
async fn four_agents_in_one_process_run_to_the_end_and_every_sample_is_stored() {
    let store = Arc::new(Store::default());
    let (result, agents) = run_locally(&store, &[]).await;
    verify_whole(&result, &agents, &store);
    assert_eq!(result.outputs[0].rejected.len(), 0);
    assert_eq!(result.stage, Stage::Over);
    assert!(result.started_unix_ms <= result.ended_unix_ms);
}

#[tokio::test]
async fn a_troubled_output_costs_time_and_only_what_it_refuses() {
    let store = Arc::new(Store { trouble: 7, ..Store::default() });
    let (result, agents) = run_locally(&store, &[]).await;
    verify_whole(&result, &agents, &store);
    assert!(result.outputs[0].rejected["TooOld"] > 0);
}

#[tokio::test]
async fn a_killed_aggregator_is_followed_by_another_and_the_counts_are_exact() {
    let store = Arc::new(Store { trouble: 11, ..Store::default() });
    let plan = plan();
    let (dialer, to) = hub();
    let first = begin(settings(&plan, &store, None));
    to.send_replace(Some(first.sessions.clone()));
    let agents = live(&dialer, &[]);
    let mut results = first.results.clone();
    within(results.wait_for(|r| r.outputs.first().is_some_and(|o| o.stored > 500))).await.unwrap();
    first.task.abort();
    let former = results.borrow().clone();
    to.send_replace(None);
    let second = begin(settings(&plan, &store, Some(former)));
    to.send_replace(Some(second.sessions.clone()));
    let result = within(second.task).await.unwrap();
    let agents = all(agents).await;
    let total = u64::from(INSTANCES) * FRAMES * SAMPLES;
    let output = &result.outputs[0];
    assert_eq!(
        result.outcome.as_ref().unwrap().reason,
        Reason::ThresholdsMet,
        "{}",
        result.message
    );
    assert_eq!(
        (output.emitted, output.stored + output.rejected.values().sum::<u64>()),
        (total, total)
    );
    // A record refused in the first life may be stored in the second: the store may know more, never less.
    assert!(store.rows.lock().unwrap().len() as u64 >= output.stored);
    assert_eq!(agents.iter().map(|agent| agent.teardowns).sum::<u32>(), 1);
}

#[tokio::test]
async fn what_a_lost_instance_measured_outlives_a_killed_aggregator() {
    let keep_dir = std::env::temp_dir().join(format!("weir-engine-{}", clock::unix_ns()));
    let store = Arc::new(Store::default());
    let runner_loss = RunnerLoss { policy: LossPolicy::Tolerate, max_percent: 50 };
    let plan = RunPlan { runner_loss, ..plan() };
    let keeping =
        |former| Settings { keep_dir: Some(keep_dir.clone()), ..settings(&plan, &store, former) };
    let (dialer, to) = hub();
    let first = begin(keeping(None));
    to.send_replace(Some(first.sessions.clone()));
    let agents = live(&dialer, &[Manner::EndsWell, Manner::Dies]);
    let is_kept = || keeper::read_all(&keep_dir).iter().any(|k| k.instance_id == 2 && k.is_whole);
    within(async {
        while !is_kept() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    let mut results = first.results.clone();
    within(results.wait_for(|result| result.started_unix_ms.is_some())).await.unwrap();
    first.task.abort();
    let former = results.borrow().clone();
    to.send_replace(None);
    let second = begin(keeping(Some(former)));
    to.send_replace(Some(second.sessions.clone()));
    let gone = Control::Gone { instance_id: 2, reason: "OOMKilled".to_owned() };
    second.control.send(gone).await.unwrap();
    let result = within(second.task).await.unwrap();
    all(agents).await;
    // Its last files may still be on their way.
    within(async {
        while std::fs::remove_dir_all(&keep_dir).is_err() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    let reason = result.outcome.as_ref().unwrap().reason;
    assert_eq!(reason, Reason::ThresholdsMet, "{}", result.message);
    assert!(!result.message.contains("aggregator"), "nothing is missing: {}", result.message);
    let total = (u64::from(INSTANCES - 1) * FRAMES + 3) * SAMPLES;
    let value = result.thresholds[0].value.unwrap();
    assert_eq!(value.to_string(), total.to_string());
}

#[tokio::test]
async fn agents_over_tls_outlive_a_killed_aggregator() {
    crypto::install();
    let ca = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let credentials = Credentials {
        cert_pem: ca.cert.pem(),
        key_pem: ca.signing_key.serialize_pem(),
        token: "secret".to_owned(),
    };
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let dialer = |token: &str| {
        Dialer::Grpc(Arc::new(GrpcDialer {
            endpoints: vec![format!("https://localhost:{}", address.port())],
            service_domain: None,
            ca_pem: ca.cert.pem(),
            token: token.to_owned(),
        }))
    };
    let store = Arc::new(Store::default());
    let plan = plan();
    let first = begin(settings(&plan, &store, None));
    let server = tokio::spawn(serve(
        listener,
        credentials.clone(),
        8,
        first.sessions.clone(),
        CancellationToken::new(),
    ));
    let wrong = dialer("guess").dial().await;
    assert!(matches!(wrong, Err(DialError::Denied(_))), "{wrong:?}");
    let agents = live(&dialer("secret"), &[]);
    let mut results = first.results.clone();
    within(results.wait_for(|r| r.outputs.first().is_some_and(|o| o.stored > 500))).await.unwrap();
    first.task.abort();
    server.abort();
    drop(server.await);
    let second = begin(settings(&plan, &store, None));
    let listener = TcpListener::bind(address).await.unwrap();
    let stop = CancellationToken::new();
    tokio::spawn(serve(listener, credentials, 8, second.sessions.clone(), stop.clone()));
    let result = within(second.task).await.unwrap();
    let agents = all(agents).await;
    stop.cancel();
    verify_whole(&result, &agents, &store);
}

#[tokio::test]
async fn a_script_that_fails_in_one_instance_stops_all_and_what_was_emitted_is_stored() {
    let store = Arc::new(Store::default());
    let manners = [Manner::default(), Manner::Fails];
    let (result, agents) = run_locally(&store, &manners).await;
    let outcome = result.outcome.unwrap();
    assert_eq!((outcome.reason, outcome.exit_code), (Reason::ScriptFailed, 107));
    assert!(outcome.message.contains("instance 2: TypeError"), "{}", outcome.message);
    let emitted: u64 = agents.iter().map(|agent| agent.report.emitted).sum();
    assert_eq!((result.outputs[0].emitted, result.outputs[0].stored), (emitted, emitted));
    assert!(emitted < u64::from(INSTANCES) * FRAMES * SAMPLES);
    assert_eq!(agents.iter().map(|agent| agent.teardowns).sum::<u32>(), 1);
}

#[tokio::test]
async fn a_setup_that_fails_ends_the_run_before_the_start() {
    let store = Arc::new(Store::default());
    let manners = [Manner::SetupFails];
    let (result, agents) = run_locally(&store, &manners).await;
    assert_eq!(result.outcome.unwrap().reason, Reason::SetupFailed);
    assert_eq!(result.started_unix_ms, None);
    assert!(agents.iter().all(|agent| agent.teardowns == 0 && agent.report.emitted == 0));
}

#[tokio::test]
async fn a_missing_table_ends_the_run_before_the_start_with_its_name() {
    let store = Arc::new(Store { missing: true, ..Store::default() });
    let (result, _) = run_locally(&store, &[]).await;
    let outcome = result.outcome.unwrap();
    assert_eq!(outcome.reason, Reason::OutputFailed);
    assert_eq!(outcome.message, "output timestream: no such table");
}

#[tokio::test]
async fn a_denied_write_stops_the_run_and_the_rest_is_counted_as_refused() {
    let store = Arc::new(Store { fatal_after: Some(20), ..Store::default() });
    let (result, _) = run_locally(&store, &[]).await;
    let outcome = result.outcome.unwrap();
    assert_eq!(outcome.reason, Reason::OutputFailed);
    let output = &result.outputs[0];
    assert!(output.rejected["OutputFailed"] > 0);
    assert_eq!(output.emitted, output.stored + output.rejected["OutputFailed"]);
}

#[tokio::test]
async fn a_users_stop_ends_the_run_gracefully() {
    let store = Arc::new(Store::default());
    let (dialer, to) = hub();
    let running = begin(settings(&plan(), &store, None));
    to.send_replace(Some(running.sessions.clone()));
    let manners = [Manner::RunsOn; 4];
    let agents = live(&dialer, &manners);
    let mut results = running.results.clone();
    within(results.wait_for(|result| result.running == INSTANCES)).await.unwrap();
    running.control.send(Control::Stop("a user stopped the run".to_owned())).await.unwrap();
    let result = within(running.task).await.unwrap();
    let agents = all(agents).await;
    let outcome = result.outcome.unwrap();
    assert_eq!((outcome.reason, outcome.exit_code), (Reason::Stopped, 105));
    assert_eq!(result.outputs[0].emitted, result.outputs[0].stored);
    assert_eq!(agents.iter().map(|agent| agent.teardowns).sum::<u32>(), 1);
}

#[tokio::test]
async fn an_aggregator_that_must_end_stops_the_run_and_tells_its_outcome() {
    let store = Arc::new(Store::default());
    let (dialer, to) = hub();
    let running = begin(settings(&plan(), &store, None));
    to.send_replace(Some(running.sessions.clone()));
    let agents = live(&dialer, &[Manner::RunsOn; 4]);
    let mut results = running.results.clone();
    within(results.wait_for(|result| result.running == INSTANCES)).await.unwrap();
    running.shutdown.cancel();
    let result = within(running.task).await.unwrap();
    drop(all(agents).await);
    assert_eq!(result.outcome.unwrap().reason, Reason::Stopped);
    assert_eq!(result.outputs[0].emitted, result.outputs[0].stored);
}

#[tokio::test]
async fn an_aggregator_that_is_moved_leaves_and_the_next_goes_on() {
    let store = Arc::new(Store::default());
    let plan = plan();
    let (dialer, to) = hub();
    let leaves = Settings { on_shutdown: OnShutdown::Leave, ..settings(&plan, &store, None) };
    let first = begin(leaves);
    to.send_replace(Some(first.sessions.clone()));
    let agents = live(&dialer, &[]);
    let mut results = first.results.clone();
    within(results.wait_for(|r| r.outputs.first().is_some_and(|o| o.stored > 500))).await.unwrap();
    to.send_replace(None);
    first.shutdown.cancel();
    let left = within(first.task).await.unwrap();
    assert_eq!(left.outcome, None);
    let second = begin(settings(&plan, &store, Some(left)));
    to.send_replace(Some(second.sessions.clone()));
    let result = within(second.task).await.unwrap();
    verify_whole(&result, &all(agents).await, &store);
}

#[tokio::test]
async fn an_instance_that_is_never_ready_is_named_at_the_deadline() {
    let store = Arc::new(Store::default());
    let (dialer, to) = hub();
    let plan = RunPlan { ready_ms: 1000, ..plan() };
    let running = begin(settings(&plan, &store, None));
    to.send_replace(Some(running.sessions.clone()));
    let manners = [Manner::default(), Manner::NeverReady];
    let agents = live(&dialer, &manners);
    let result = within(running.task).await.unwrap();
    drop(all(agents).await);
    let outcome = result.outcome.unwrap();
    assert_eq!(outcome.reason, Reason::DeadlineExceeded);
    assert!(outcome.message.contains("1 of 4 instances: 2 (preparing)"), "{}", outcome.message);
}

#[tokio::test]
async fn agents_are_let_go_only_after_the_outcome_is_published() {
    let store = Arc::new(Store::default());
    let (dialer, to) = hub();
    let settings = Settings { awaits_publication: true, ..settings(&plan(), &store, None) };
    let running = begin(settings);
    to.send_replace(Some(running.sessions.clone()));
    let agents = live(&dialer, &[]);
    let mut results = running.results.clone();
    within(results.wait_for(|result| result.outcome.is_some())).await.unwrap();
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(agents.iter().all(|agent| !agent.is_finished()));
    running.control.send(Control::Published).await.unwrap();
    let result = within(running.task).await.unwrap();
    verify_whole(&result, &all(agents).await, &store);
}

#[tokio::test]
async fn nothing_a_stranger_says_stops_the_aggregator() {
    let store = Arc::new(Store::default());
    let (dialer, to) = hub();
    let running = begin(settings(&plan(), &store, None));
    to.send_replace(Some(running.sessions.clone()));
    let hello = |instance_id, run: &str, protocol| {
        Up::Hello(Hello { instance_id, run: run.to_owned(), protocol, ..Hello::default() })
    };
    let odd = Frame { sample_series: vec![9, 9], value: vec![1.0; 5], ..Frame::default() };
    for letters in [
        vec![Up::Frame(odd.clone())],
        vec![hello(0, "ns/run/uid", PROTOCOL)],
        vec![hello(9, "ns/run/uid", PROTOCOL)],
        vec![hello(1, "ns/other/uid", PROTOCOL)],
        vec![hello(1, "ns/run/uid", 99)],
        vec![hello(1, "ns/run/uid", PROTOCOL), hello(1, "ns/run/uid", PROTOCOL)],
        vec![hello(1, "ns/run/uid", PROTOCOL), Up::Frame(odd), Up::Setup(Answer::default())],
    ] {
        let end = dialer.dial().await.unwrap();
        for letter in letters {
            drop(end.tx.send(ToAggregator { message: Some(letter) }).await);
        }
        drop(end.tx);
        let mut rx = end.rx;
        while within(rx.recv()).await.is_some() {}
    }
    let agents = live(&dialer, &[]);
    let result = within(running.task).await.unwrap();
    verify_whole(&result, &all(agents).await, &store);
}

mod writers;
