//! The process of the agents: each has its own session and its own ledger, and does what an agent does without a k6.

use std::{sync::Arc, thread, time::Duration};

use prost::Message as _;
use serde_json::{Value, json};
use tokio::{
    sync::{mpsc, watch},
    time::{Instant, MissedTickBehavior, interval, sleep, sleep_until, timeout},
};
use weir::{
    core::ledger::{codec::Detail, ledger::Ledger},
    io::{
        clock,
        link::{AgentEnd, Dialer, GrpcDialer},
    },
    wire::{
        PROTOCOL,
        session::{
            AgentPhase, Failure, Hello, Outcome, Report, Requirements, Terms, ToAggregator,
            to_agent::Message as Down, to_aggregator::Message as Up,
        },
    },
};

use crate::{
    PATIENCE, Scene, TOKEN, aggregator,
    load::{self, Dice},
    usage::{self, Usage},
};

const BEAT: Duration = Duration::from_secs(1);
/// As agents do it.
const BETWEEN_SUMMARIES: Duration = Duration::from_secs(10);
/// Time in which all but one become ready.
const READY_SPREAD: Duration = Duration::from_secs(3);
/// Then the last one keeps them waiting for so long.
const LAST_READY: Duration = Duration::from_secs(2);
const REDIAL_MAX: Duration = Duration::from_secs(5);
/// What `setup()` returns.
const SETUP_BYTES: usize = 1024;
/// Every so many agents count their bytes.
const COUNTING: u32 = 20;

/// What happens to agents, each once, with its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Seen {
    DialFailed,
    Redialled,
    Welcomed,
    SaidReady,
    Started,
    SaidAbort,
    Stopped,
    LoadBytes(u64),
    SummaryBytes(u64),
    Finishing,
    Gone,
    Refused,
}

struct Shared {
    scene: Scene,
    dialer: Dialer,
    seen: mpsc::UnboundedSender<(Seen, i64)>,
    /// When agents may be ready: none yet, all but the last from then on, all.
    gate: watch::Receiver<Gate>,
}

#[derive(Clone, Copy, Debug)]
enum Gate {
    Closed,
    AllButLast(Instant),
    All,
}

pub(crate) fn run(scene: &Scene) {
    usage::raise_descriptors();
    let ledgers = ledgers(scene.agents);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    println!("{}", runtime.expect("a runtime").block_on(all(scene, ledgers)));
}

fn ledgers(agents: u32) -> Vec<(Ledger, Dice)> {
    let one = |id| {
        let mut dice = Dice::new(id);
        (load::ledger(&mut dice), dice)
    };
    let half = agents / 2;
    let first = thread::spawn(move || (1..=half).map(one).collect::<Vec<_>>());
    let second: Vec<_> = (half + 1..=agents).map(one).collect();
    let mut ledgers = first.join().expect("the ledgers");
    ledgers.extend(second);
    ledgers
}

async fn all(scene: &Scene, ledgers: Vec<(Ledger, Dice)>) -> Value {
    let (seen, mut happened) = mpsc::unbounded_channel();
    let (open, gate) = watch::channel(Gate::Closed);
    let dialer = Dialer::Grpc(Arc::new(GrpcDialer {
        endpoints: vec![format!("https://localhost:{}", scene.port)],
        service_domain: None,
        ca_pem: scene.cert_pem.clone(),
        token: TOKEN.to_owned(),
    }));
    let shared = Arc::new(Shared { scene: scene.clone(), dialer, seen, gate });
    let began_ns = clock::unix_ns();
    for (id, (ledger, dice)) in (1..).zip(ledgers) {
        tokio::spawn(Agent::new(id, ledger, dice, shared.clone()).live());
    }
    drop(shared);
    let mut log = Log::default();
    let all_of_it = async {
        let mut at_start = (0, 0, Usage::default());
        let mut at_abort = at_start;
        while let Some((what, at_ns)) = happened.recv().await {
            log.0.push((what, at_ns));
            let now = || (at_ns, usage::loopback_bytes(), Usage::now());
            match what {
                Seen::Welcomed if log.count(what) == scene.agents => {
                    open.send_replace(Gate::AllButLast(Instant::now()));
                }
                Seen::SaidReady if log.count(what) == scene.agents - 1 => {
                    sleep(LAST_READY).await;
                    open.send_replace(Gate::All);
                }
                Seen::Started if log.count(what) == scene.agents => at_start = now(),
                Seen::SaidAbort => at_abort = now(),
                _ => {}
            }
        }
        (at_start, at_abort)
    };
    let Ok((at_start, at_abort)) = timeout(PATIENCE, all_of_it).await else {
        return json!({ "failed_dials": format!("not over in time: {:?}", log.counts()) });
    };
    let load_ms = (at_abort.0 - at_start.0) / 1_000_000;
    let wire = (at_abort.1 - at_start.1) * 1000;
    let wire = wire / u64::try_from(load_ms).unwrap_or(1).max(1) / u64::from(scene.agents);
    let cpu = (at_abort.2.cpu_ms - at_start.2.cpu_ms) * 100 / load_ms.max(1);
    json!({
        "connect": usage::time(log.last(Seen::Welcomed) - began_ns),
        "start": usage::time(log.last(Seen::Started) - log.last(Seen::SaidReady)),
        "abort": usage::time(log.last(Seen::Stopped) - log.last(Seen::SaidAbort)),
        "close": usage::time(log.last(Seen::Gone) - log.first(Seen::Finishing)),
        "failed_dials": log.count(Seen::DialFailed).to_string(),
        "redials": format!(
            "{}, {} of them under load, {} after",
            log.count(Seen::Redialled),
            log.times(Seen::Redialled).filter(|at| (at_start.0..at_abort.0).contains(at)).count(),
            log.times(Seen::Redialled).filter(|at| *at >= at_abort.0).count(),
        ),
        "bytes": log.mean(|seen| if let Seen::LoadBytes(n) = seen { Some(n) } else { None }),
        "summary_bytes": log.mean(|seen| if let Seen::SummaryBytes(n) = seen { Some(n) } else { None }),
        "wire": wire.to_string(),
        "cpu_load": format!("{cpu} % of a processor"),
    })
}

/// All that was seen.
#[derive(Debug, Default)]
struct Log(Vec<(Seen, i64)>);

impl Log {
    fn times(&self, of: Seen) -> impl Iterator<Item = i64> {
        self.0.iter().filter(move |(seen, _)| *seen == of).map(|(_, at_ns)| *at_ns)
    }

    fn count(&self, of: Seen) -> u32 {
        u32::try_from(self.times(of).count()).unwrap_or(u32::MAX)
    }

    fn first(&self, of: Seen) -> i64 {
        self.times(of).min().unwrap_or(0)
    }

    fn last(&self, of: Seen) -> i64 {
        self.times(of).max().unwrap_or(0)
    }

    fn mean(&self, of: impl Fn(Seen) -> Option<u64>) -> String {
        let found: Vec<u64> = self.0.iter().filter_map(|(seen, _)| of(*seen)).collect();
        let count = u64::try_from(found.len()).unwrap_or(1).max(1);
        (found.iter().sum::<u64>() / count).to_string()
    }

    fn counts(&self) -> Vec<(Seen, u32)> {
        [Seen::Welcomed, Seen::Started, Seen::Stopped, Seen::Finishing, Seen::Gone, Seen::Redialled]
            .map(|seen| (seen, self.count(seen)))
            .into()
    }
}

struct Agent {
    id: u32,
    ledger: Ledger,
    dice: Dice,
    shared: Arc<Shared>,
    report: Report,
    setup_data: Option<Vec<u8>>,
    summary_due: Instant,
    started: Option<Instant>,
    sent_bytes: u64,
}

/// What comes next for an agent.
enum Next {
    Beat,
    Ready,
    Abort,
    Message(Option<Down>),
}

impl Agent {
    fn new(id: u32, ledger: Ledger, dice: Dice, shared: Arc<Shared>) -> Self {
        let report = Report {
            phase: AgentPhase::Preparing.into(),
            requirements: Some(Requirements {
                max_vus: 10_000_000,
                total_duration_ms: 120_000,
                setup_timeout_ms: 60_000,
                teardown_timeout_ms: 60_000,
                ..Requirements::default()
            }),
            bundle_sha256: vec![7; 32].into(),
            ..Report::default()
        };
        let summary_due = Instant::now();
        Self {
            id,
            ledger,
            dice,
            shared,
            report,
            setup_data: None,
            summary_due,
            started: None,
            sent_bytes: 0,
        }
    }

    fn see(&self, what: Seen) {
        // Nobody listens any more when time is up.
        self.shared.seen.send((what, clock::unix_ns())).unwrap_or_default();
    }

    fn is(&self, phase: AgentPhase) -> bool {
        self.report.phase == i32::from(phase)
    }

    fn enter(&mut self, phase: AgentPhase) {
        self.report.phase = phase.into();
    }

    async fn live(mut self) {
        let mut dials = 0_u32;
        loop {
            let Ok(end) = self.shared.dialer.dial().await else {
                self.see(Seen::DialFailed);
                dials += 1;
                let pause = Duration::from_millis(200) * 2_u32.pow(dials.min(5));
                sleep(pause.min(REDIAL_MAX).mul_f64(self.dice.share())).await;
                continue;
            };
            dials = 0;
            if self.session(end).await {
                return;
            }
            self.see(Seen::Redialled);
        }
    }

    /// One session; true when nothing comes after it.
    async fn session(&mut self, mut end: AgentEnd) -> bool {
        let hello = Hello {
            protocol: PROTOCOL,
            run: aggregator::the_run().to_string(),
            instance_id: self.id,
            incarnation: format!("agent-{}", self.id),
            k6_version: "v2.2.0".to_owned(),
            report: Some(self.report.clone()),
            setup_data: self.setup_data.clone().map(Into::into),
            born_unix_ns: 1,
            replica: 0,
        };
        let mut letters = vec![Up::Hello(hello)];
        let mut beat = interval(BEAT);
        beat.set_missed_tick_behavior(MissedTickBehavior::Skip);
        self.summary_due = self.first_summary();
        loop {
            for letter in letters.drain(..) {
                let letter = ToAggregator { message: Some(letter) };
                if self.id % COUNTING == 1 && self.started.is_some() {
                    self.sent_bytes += u64::try_from(letter.encoded_len()).unwrap_or(0);
                }
                if end.tx.send(letter).await.is_err() {
                    return false;
                }
            }
            let next = tokio::select! {
                _ = beat.tick() => Next::Beat,
                () = self.ready() => Next::Ready,
                () = self.abort() => Next::Abort,
                message = end.rx.recv() => Next::Message(message.and_then(|message| message.message)),
            };
            match next {
                Next::Beat => letters = self.go_on(),
                Next::Ready => {
                    self.enter(AgentPhase::Ready);
                    self.see(Seen::SaidReady);
                    letters.push(Up::Report(self.report.clone()));
                }
                Next::Abort => {
                    self.report.failure = Some(Failure {
                        reason: "Aborted".to_owned(),
                        message: "test aborted: enough".to_owned(),
                        exit_code: Some(108),
                        ..Failure::default()
                    });
                    self.see(Seen::SaidAbort);
                    letters.push(Up::Report(self.report.clone()));
                }
                Next::Message(None) => return false,
                Next::Message(Some(Down::Goodbye(_))) => {
                    self.see(Seen::Gone);
                    return true;
                }
                Next::Message(Some(Down::Refused(_))) => {
                    self.see(Seen::Refused);
                    return true;
                }
                Next::Message(Some(message)) => {
                    if matches!(message, Down::Start(_)) {
                        beat.reset();
                        self.summary_due = self.first_summary();
                    }
                    letters = self.obey(message);
                }
            }
        }
    }

    fn first_summary(&self) -> Instant {
        Instant::now() + BETWEEN_SUMMARIES * (self.id - 1) / self.shared.scene.agents
    }

    /// Until this agent is to be ready.
    async fn ready(&self) {
        if !self.is(AgentPhase::Preparing) {
            return std::future::pending().await;
        }
        let mut gate = self.shared.gate.clone();
        let agents = self.shared.scene.agents;
        let may = |gate: &Gate| match gate {
            Gate::Closed => false,
            Gate::AllButLast(_) => self.id < agents,
            Gate::All => true,
        };
        let opened = gate.wait_for(may).await.map(|gate| *gate);
        if let Ok(Gate::AllButLast(since)) = opened {
            sleep_until(since + READY_SPREAD * self.id / agents).await;
        }
    }

    /// Until this agent's script aborts the test, if it is the one.
    async fn abort(&self) {
        let is_the_one = self.id == self.shared.scene.agents / 2;
        match self.started {
            Some(at) if is_the_one && self.report.failure.is_none() => {
                sleep_until(at + self.shared.scene.load).await;
            }
            _ => std::future::pending().await,
        }
    }

    fn go_on(&mut self) -> Vec<Up> {
        if !self.is(AgentPhase::Running) {
            return vec![Up::Report(self.report.clone())];
        }
        load::second(&mut self.ledger, &mut self.dice);
        self.report.emitted = self.ledger.samples();
        let detail = if Instant::now() >= self.summary_due {
            self.summary_due = Instant::now() + BETWEEN_SUMMARIES;
            Detail::Summary
        } else {
            Detail::Verdict
        };
        let mut letters = vec![Up::Report(self.report.clone())];
        letters.extend(self.ledger.snapshot(detail, false).into_iter().map(Up::Ledger));
        letters
    }

    fn obey(&mut self, message: Down) -> Vec<Up> {
        match message {
            Down::Welcome(_) => {
                if self.is(AgentPhase::Preparing) {
                    self.see(Seen::Welcomed);
                }
                let terms = Terms {
                    summary: b"{}".as_slice().into(),
                    k6_version: "v2.2.0".to_owned(),
                    ..Terms::default()
                };
                return vec![Up::Terms(terms)];
            }
            Down::RunSetup(_) => {
                let data = format!("\"{}\"", "x".repeat(SETUP_BYTES));
                let data = Some(data.into_bytes().into());
                return vec![Up::Setup(Outcome { ok: true, data, failure: None })];
            }
            Down::SetupData(data) => self.setup_data = Some(data.data.to_vec()),
            Down::Start(_) if self.is(AgentPhase::Ready) => {
                self.see(Seen::Started);
                self.started = Some(Instant::now());
                self.report.started_unix_ns = clock::unix_ns();
                self.enter(AgentPhase::Starting);
                let starting = self.report.clone();
                self.enter(AgentPhase::Running);
                return vec![Up::Report(starting), Up::Report(self.report.clone())];
            }
            Down::Stop(_) if self.is(AgentPhase::Running) => {
                self.see(Seen::Stopped);
                if let Some(started) = self.started.take().filter(|_| self.sent_bytes > 0) {
                    self.see(Seen::LoadBytes(self.sent_bytes / started.elapsed().as_secs().max(1)));
                }
                self.enter(AgentPhase::Ended);
                self.report.ended_unix_ns = clock::unix_ns();
                return vec![Up::Report(self.report.clone())];
            }
            Down::RunTeardown(_) => {
                return vec![Up::Teardown(Outcome { ok: true, ..Outcome::default() })];
            }
            Down::Finish(_) => {
                self.see(Seen::Finishing);
                self.enter(AgentPhase::Finished);
                self.report.k6_exit_code =
                    Some(if self.report.failure.is_some() { 108 } else { 0 });
                let mut letters = vec![Up::Report(self.report.clone())];
                let last = self.ledger.snapshot(Detail::Summary, true);
                if self.id % COUNTING == 1 {
                    let bytes: usize = last.iter().map(prost::Message::encoded_len).sum();
                    self.see(Seen::SummaryBytes(u64::try_from(bytes).unwrap_or(0)));
                }
                letters.extend(last.into_iter().map(Up::Ledger));
                return letters;
            }
            _ => {}
        }
        Vec::new()
    }
}
