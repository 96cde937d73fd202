//! Whole runs in a simulated world: agents, network, aggregator and users do what a seed says, and what must never
//! happen is looked for.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap},
    fmt::Write,
};

use proptest::prelude::*;

use crate::core::rally::rally::*;
use crate::{
    api::v1alpha1::{LossPolicy, RunnerLoss},
    core::{
        bundle::{Assembly, Bundle, Progress},
        ledger::{
            codec::{Detail, decode},
            ledger::Ledger,
            threshold::{self, Rules, ThresholdSpec, Thresholds},
            view::{Contains, Kind},
        },
        samples::decode::{Definition, Pairs, Point},
        tests::dice::Dice,
        verdict::{Surroundings, Verdict},
    },
    wire::{
        PROTOCOL,
        result::Stage,
        session::{
            self, AgentPhase, BundlePart, Hello, Outcome as Answer, OutputCounts, Report, Terms,
        },
    },
};

const OUTPUT: &str = "timestream";
/// No run may take longer: the sum of all its deadlines and of the aggregator's absences.
const END_MS: i64 = 900_000;

/// What may go wrong, in percent of the chances it gets.
#[derive(Clone, Copy, Debug)]
struct Weather {
    session_breaks: u64,
    agent_dies: u64,
    aggregator_dies: u64,
    script_fails: u64,
    setup_fails: u64,
    user_stops: u64,
    output_fails: u64,
    tolerates: bool,
}

#[derive(Clone, Debug)]
enum Event {
    Dial(u32, String),
    ToRally(SessionId, Box<Up>),
    ToAgent(SessionId, Message),
    Closed(SessionId),
    Break(SessionId),
    Phase(u32, String, AgentPhase),
    Tick(u32, String),
    Die(u32),
    Replace(u32),
    Named(u32),
    Stored(u32, String, u64),
    Bundled(u32, String),
    Look,
    AggregatorDies,
    AggregatorComes,
    OutputReady,
    OutputFails,
    UserStops,
    Published(u64),
}

#[derive(Clone, Debug)]
enum Up {
    Hello(Hello),
    Report(Report),
    Setup(Answer),
    Teardown(Answer),
    Frame(u64),
    Bundle(BundlePart),
    WantBundle(u64),
    Ledger(session::Ledger),
    Terms,
    Summary,
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
enum Life {
    #[default]
    Unborn,
    Lives,
    Dead,
    /// Told to go.
    Gone,
}

#[derive(Debug, Default)]
struct Agent {
    incarnation: String,
    born_ms: i64,
    life: Life,
    session: Option<SessionId>,
    report: Report,
    frames: BTreeMap<u64, u64>,
    setup: Option<Answer>,
    data: Option<Vec<u8>>,
    teardown: bool,
    has_started: bool,
    measures: Option<Measures>,
    summary: Option<Answer>,
    assembly: Assembly,
    bundle: Option<Bundle>,
    part_wanted: Option<u64>,
}

/// What an instance measured: its ledger, and every value for the oracle.
#[derive(Debug)]
struct Measures {
    ledger: Ledger,
    seen: u64,
    took: Vec<f64>,
}

impl Measures {
    fn new(thresholds: &Thresholds) -> Self {
        let rules =
            Rules::new(thresholds, &Thresholds::new(), threshold::RuleOptions::default()).unwrap();
        let mut ledger = Ledger::new(&rules, false);
        for (name, kind) in [("seen", Kind::Counter), ("took", Kind::Trend)] {
            let contains = Contains::Default;
            ledger.define(&Definition { name: name.into(), kind: Some(kind), contains });
        }
        Self { ledger, seen: 0, took: Vec::new() }
    }

    fn add(&mut self, metric: &'static str, value: f64, now_ms: i64) {
        let point = Point {
            metric: metric.into(),
            time_ns: now_ms * 1_000_000,
            value,
            tags: Pairs::default(),
            metadata: Pairs::default(),
        };
        self.ledger.add(&point);
    }
}

struct World {
    dice: Dice,
    weather: Weather,
    now_ms: i64,
    queue: BinaryHeap<Reverse<(i64, u64)>>,
    events: BTreeMap<(i64, u64), Event>,
    next: u64,
    next_session: u64,
    next_incarnation: u64,
    config: RallyConfig,
    rally: Option<Rally>,
    former: Option<RunResult>,
    agents: BTreeMap<u32, Agent>,
    ends: BTreeMap<SessionId, (u32, String)>,
    in_flight: u64,
    /// Messages keep their order within a direction of a session.
    last_up: BTreeMap<SessionId, i64>,
    last_down: BTreeMap<SessionId, i64>,
    trace: String,
    starts: BTreeMap<u32, u32>,
    setups: u32,
    teardowns: u32,
    agent_deaths: u32,
    aggregator_deaths: u32,
    stop_asked: bool,
    wants_setup: bool,
    verdict: Verdict,
    thresholds: Thresholds,
    /// Seen at most, or the run is to fail.
    limit: u64,
    /// Share of the values that are below the threshold, in percent.
    fast: u64,
    handles_summary: bool,
    summaries: u32,
    result: Option<RunResult>,
}

impl World {
    fn new(seed: u64, instances: u32, weather: Weather) -> Self {
        let policy = if weather.tolerates { LossPolicy::Tolerate } else { LossPolicy::Fail };
        let config = RallyConfig {
            run: "ns/run/uid".to_owned(),
            instances,
            ready_deadline_ms: 60_000,
            drain_ms: 60_000,
            runner_loss: RunnerLoss { policy, max_percent: 50 },
            outputs: vec![OUTPUT.to_owned()],
            has_writers: false,
        };
        let mut world = Self {
            dice: Dice(seed),
            weather,
            now_ms: 0,
            queue: BinaryHeap::new(),
            events: BTreeMap::new(),
            next: 0,
            next_session: 0,
            next_incarnation: 0,
            rally: Some(Rally::new(config.clone(), None, 0)),
            config,
            former: None,
            agents: BTreeMap::new(),
            ends: BTreeMap::new(),
            in_flight: 0,
            last_up: BTreeMap::new(),
            last_down: BTreeMap::new(),
            trace: String::new(),
            starts: BTreeMap::new(),
            setups: 0,
            teardowns: 0,
            agent_deaths: 0,
            aggregator_deaths: 0,
            stop_asked: false,
            wants_setup: false,
            verdict: Verdict::default(),
            thresholds: Thresholds::new(),
            limit: 0,
            fast: 0,
            handles_summary: false,
            summaries: 0,
            result: None,
        };
        world.wants_setup = world.dice.percent(70);
        world.handles_summary = world.dice.percent(50);
        world.fast = 80 + world.dice.below(20);
        world.limit = 1 + world.dice.below(u64::from(instances) * 100);
        let abort_on_fail = world.dice.percent(30);
        world.thresholds = Thresholds::from([
            (
                "seen".to_owned(),
                vec![ThresholdSpec {
                    source: format!("count<{}", world.limit),
                    abort_on_fail,
                    ..ThresholdSpec::default()
                }],
            ),
            (
                "took".to_owned(),
                vec![ThresholdSpec { source: "p(90)<50".to_owned(), ..ThresholdSpec::default() }],
            ),
        ]);
        world.later(500, Event::Look);
        for id in 1..=instances {
            world.agents.insert(id, Agent::default());
            let delay = world.dice.ms(10_000);
            world.later(delay, Event::Replace(id));
            if world.dice.percent(weather.agent_dies) {
                let delay = world.dice.ms(80_000);
                world.later(delay, Event::Die(id));
            }
        }
        let delay = world.dice.ms(5000);
        world.later(delay, Event::OutputReady);
        if world.dice.percent(weather.output_fails) {
            let delay = world.dice.ms(60_000);
            world.later(delay, Event::OutputFails);
        }
        for _ in 0..3 {
            if world.dice.percent(weather.aggregator_dies) {
                let delay = world.dice.ms(90_000);
                world.later(delay, Event::AggregatorDies);
            }
        }
        if world.dice.percent(weather.user_stops) {
            let delay = world.dice.ms(60_000);
            world.later(delay, Event::UserStops);
        }
        world
    }

    fn later(&mut self, delay_ms: i64, event: Event) {
        self.at(self.now_ms + delay_ms, event);
    }

    fn at(&mut self, at_ms: i64, event: Event) {
        self.next += 1;
        self.queue.push(Reverse((at_ms, self.next)));
        self.events.insert((at_ms, self.next), event);
    }

    /// Runs to the end and gives the trace of all decisions.
    fn run(mut self) -> Self {
        while self.now_ms < END_MS {
            self.carry_out();
            if self.result.is_some() {
                return self;
            }
            let due = self.rally.as_ref().and_then(Rally::poll_timeout);
            let next = self.queue.peek().map(|Reverse((at_ms, _))| *at_ms);
            match (due, next) {
                (Some(due), next) if next.is_none_or(|next| due <= next) => {
                    self.now_ms = self.now_ms.max(due);
                    self.tell(Input::Timeout { held_back: false });
                }
                (_, Some(_)) => {
                    let Some(Reverse(key)) = self.queue.pop() else { break };
                    self.now_ms = self.now_ms.max(key.0);
                    let event = self.events.remove(&key).unwrap();
                    self.happen(event);
                }
                (_, None) => break,
            }
        }
        panic!("no end at {} ms: {:?}", self.now_ms, self.rally.as_ref().map(Rally::result));
    }

    fn tell(&mut self, input: Input) {
        if let Some(rally) = &mut self.rally {
            rally.handle(input, self.now_ms);
        }
    }

    fn carry_out(&mut self) {
        loop {
            let Some(action) = self.rally.as_mut().and_then(Rally::poll_action) else { break };
            writeln!(self.trace, "{} {action:?}", self.now_ms).unwrap();
            match action {
                Action::Send(session, message) => {
                    self.check(session, &message);
                    let delay = 1 + self.dice.ms(40);
                    let at = self.last_down.get(&session).copied().unwrap_or(0);
                    let at = (self.now_ms + delay).max(at);
                    self.last_down.insert(session, at);
                    self.at(at, Event::ToAgent(session, message));
                }
                Action::Close(session) => {
                    self.tell(Input::Closed(session));
                    let at = self.last_down.get(&session).copied().unwrap_or(self.now_ms);
                    self.at(at.max(self.now_ms) + 1, Event::Break(session));
                }
                Action::Judge => {
                    let Some(rally) = &self.rally else { continue };
                    let around = Surroundings {
                        duration_ns: rally.duration_ns(),
                        ..Surroundings::default()
                    };
                    let judgement = self.verdict.judge(&around, rally.has_run());
                    self.tell(Input::Judged(judgement));
                }
                Action::End => {
                    self.result = self.rally.as_ref().map(Rally::result);
                }
            }
        }
        let Some(rally) = &self.rally else { return };
        let result = rally.result();
        if self.former.as_ref() != Some(&result) {
            // Sometimes the aggregator dies before what it knows is published.
            if self.dice.percent(90) || result.outcome.is_some() {
                self.former = Some(result);
            }
            if rally.is_closing() {
                let stage = rally.stage_count();
                self.later(20, Event::Published(stage));
            }
        }
    }

    /// What must never be sent.
    fn check(&self, session: SessionId, message: &Message) {
        let Some((id, _)) = self.ends.get(&session) else { return };
        match message {
            Message::Start(_) => {
                let is_first = self.agents.values().all(|agent| !agent.has_started);
                let own = &self.agents[id].report.bundle_sha256;
                for (other, agent) in &self.agents {
                    let is_same = agent.report.bundle_sha256 == own;
                    assert!(
                        !is_first || is_same || self.agent_deaths > 0,
                        "{id} and {other} are started with different scripts"
                    );
                    let is_ready = agent.report.phase >= AgentPhase::Ready.into();
                    let has_died = agent.life != Life::Lives;
                    assert!(
                        !is_first || is_ready || has_died || self.agent_deaths > 0,
                        "instance {id} is started though {other} is not ready"
                    );
                }
            }
            Message::Goodbye(_) => {
                let outcome = self.former.as_ref().and_then(|former| former.outcome.as_ref());
                assert!(outcome.is_some(), "goodbye before the outcome was published");
            }
            _ => {}
        }
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Replace(id) => self.be_born(id),
            Event::Dial(id, incarnation) => self.dial(id, &incarnation),
            Event::ToRally(session, up) => self.arrive(session, *up),
            Event::ToAgent(session, message) => self.deliver(session, message),
            Event::Closed(session) => self.tell(Input::Closed(session)),
            Event::Break(session) => self.break_session(session),
            Event::Phase(id, incarnation, phase) => self.enter(id, &incarnation, phase),
            Event::Tick(id, incarnation) => self.tick(id, &incarnation),
            Event::Die(id) => self.die(id),
            Event::Named(id) => {
                let started = self.agents[&id].has_started || self.agents[&id].life == Life::Dead;
                if started {
                    self.tell(Input::Gone(id, "OOMKilled".to_owned()));
                }
            }
            Event::Stored(id, incarnation, seq) => self.stored(id, &incarnation, seq),
            Event::Bundled(id, incarnation) => self.bundled(id, &incarnation),
            Event::AggregatorDies => self.aggregator_dies(),
            Event::AggregatorComes => {
                let former = self.former.clone();
                self.rally = Some(Rally::new(self.config.clone(), former, self.now_ms));
                self.verdict = Verdict::default();
                self.in_flight = 0;
                let delay = self.dice.ms(2000);
                self.later(delay, Event::OutputReady);
                if self.stop_asked {
                    self.tell(Input::Stop("a user stopped the run".to_owned()));
                }
            }
            Event::Look => {
                self.later(500, Event::Look);
                let Some(rally) = &self.rally else { return };
                let elapsed_ms = rally.load_elapsed_ms(self.now_ms);
                if let Some(crossed) = self.verdict.look(elapsed_ms, self.now_ms) {
                    self.tell(Input::Crossed(crossed));
                }
            }
            Event::OutputReady => self.tell(Input::OutputReady(0)),
            Event::OutputFails => self.tell(Input::OutputFailed(0, "no such table".to_owned())),
            Event::UserStops => {
                self.stop_asked = true;
                self.tell(Input::Stop("a user stopped the run".to_owned()));
            }
            Event::Published(stage) => {
                if self.rally.as_ref().is_some_and(|rally| rally.stage_count() == stage) {
                    self.tell(Input::Published);
                }
            }
        }
    }

    fn be_born(&mut self, id: u32) {
        self.next_incarnation += 1;
        let incarnation = format!("i{}", self.next_incarnation);
        let mut report = Report { phase: AgentPhase::Preparing.into(), ..Report::default() };
        report.requirements = None;
        self.agents.insert(
            id,
            Agent {
                incarnation: incarnation.clone(),
                born_ms: self.now_ms,
                life: Life::Lives,
                report,
                measures: Some(Measures::new(&self.thresholds)),
                ..Agent::default()
            },
        );
        self.dial(id, &incarnation);
        if id == 1 {
            let delay = 50 + self.dice.ms(2000);
            self.later(delay, Event::Bundled(id, incarnation.clone()));
        }
        self.later(1000, Event::Tick(id, incarnation));
    }

    /// Now and then a script is another one when a replaced pod reads it again.
    fn bundled(&mut self, id: u32, incarnation: &str) {
        let script: &[u8] = if self.dice.percent(5) { b"changed" } else { b"script" };
        let bundle = Bundle::new(script.to_vec(), b"{}".to_vec()).unwrap();
        let Some(agent) = self.agent(id, incarnation) else { return };
        let wanted = agent.part_wanted.take().map(|offset| bundle.part(offset));
        self.have_bundle(id, bundle);
        if let Some(part) = wanted {
            self.say(id, Up::Bundle(part));
        }
    }

    fn have_bundle(&mut self, id: u32, bundle: Bundle) {
        let agent = self.agents.get_mut(&id).unwrap();
        agent.report.bundle_sha256 = bundle.sha256.clone();
        agent.bundle = Some(bundle);
        let incarnation = agent.incarnation.clone();
        let delay = 500 + self.dice.ms(8000);
        self.later(delay, Event::Phase(id, incarnation, AgentPhase::Ready));
    }

    fn agent(&mut self, id: u32, incarnation: &str) -> Option<&mut Agent> {
        let agent = self.agents.get_mut(&id)?;
        let is_it = agent.incarnation == incarnation && agent.life == Life::Lives;
        is_it.then_some(agent)
    }

    fn dial(&mut self, id: u32, incarnation: &str) {
        let (has_rally, breaks) = (self.rally.is_some(), self.weather.session_breaks);
        let Some(agent) = self.agent(id, incarnation) else { return };
        if agent.session.is_some() {
            return;
        }
        if !has_rally {
            let delay = 500 + self.dice.ms(1500);
            self.later(delay, Event::Dial(id, incarnation.to_owned()));
            return;
        }
        self.next_session += 1;
        let session = SessionId(self.next_session);
        self.ends.insert(session, (id, incarnation.to_owned()));
        let agent = self.agents.get_mut(&id).unwrap();
        agent.session = Some(session);
        let hello = Hello {
            protocol: PROTOCOL,
            run: "ns/run/uid".to_owned(),
            instance_id: id,
            incarnation: incarnation.to_owned(),
            k6_version: String::new(),
            report: Some(agent.report.clone()),
            setup_data: agent.data.clone().map(Into::into),
            born_unix_ns: agent.born_ms * 1_000_000,
            replica: 0,
        };
        let frames: Vec<u64> = agent.frames.keys().copied().collect();
        self.up(session, Up::Hello(hello));
        for seq in frames {
            self.up(session, Up::Frame(seq));
        }
        self.up(session, Up::Terms);
        self.say_ledger(id, Detail::Summary);
        if self.dice.percent(breaks) {
            let delay = self.dice.ms(40_000);
            self.later(delay, Event::Break(session));
        }
    }

    fn up(&mut self, session: SessionId, up: Up) {
        let delay = 1 + self.dice.ms(40);
        let at = self.last_up.get(&session).copied().unwrap_or(0).max(self.now_ms + delay);
        self.last_up.insert(session, at);
        self.at(at, Event::ToRally(session, Box::new(up)));
    }

    fn say(&mut self, id: u32, up: Up) {
        if let Some(session) = self.agents.get(&id).and_then(|agent| agent.session) {
            self.up(session, up);
        }
    }

    fn say_ledger(&mut self, id: u32, detail: Detail) {
        let agent = self.agents.get_mut(&id).unwrap();
        let is_last = agent.report.phase == i32::from(AgentPhase::Finished);
        let Some(measures) = &mut agent.measures else { return };
        for part in measures.ledger.snapshot(detail, is_last) {
            self.say(id, Up::Ledger(part));
        }
    }

    fn report(&mut self, id: u32) {
        let report = self.agents[&id].report.clone();
        self.say(id, Up::Report(report));
    }

    fn arrive(&mut self, session: SessionId, up: Up) {
        if self.rally.is_none() || !self.ends.contains_key(&session) {
            return;
        }
        match up {
            Up::Hello(hello) => self.tell(Input::Opened(session, hello)),
            Up::Report(report) => self.tell(Input::Reported(session, report)),
            Up::Setup(answer) => self.tell(Input::SetupAnswered(session, answer)),
            Up::Teardown(answer) => self.tell(Input::TeardownAnswered(session, answer)),
            Up::Terms => {
                let handles_summary = self.handles_summary;
                self.verdict.learn(Terms { handles_summary, ..Terms::default() });
            }
            Up::Ledger(ledger) => {
                let source = self.rally.as_ref().and_then(|rally| rally.ledger_source(session));
                let Some((id, born_unix_ns)) = source else { return };
                let is_last = self.verdict.take(id, born_unix_ns, decode(ledger).unwrap()).unwrap();
                self.tell(Input::Ledgered { session, is_last });
            }
            Up::Summary => self.tell(Input::SummaryAnswered(session)),
            Up::Bundle(part) => self.tell(Input::BundleSent(session, part)),
            Up::WantBundle(offset) => self.tell(Input::BundleWanted(session, offset)),
            Up::Frame(seq) => {
                let source = self.rally.as_ref().and_then(|rally| rally.frame_source(session));
                let Some((id, incarnation)) = source else { return };
                self.in_flight += 1;
                self.tell(Input::InFlight(true));
                self.tell(Input::Held { instance_id: id, samples: seq % 7 + 1 });
                let delay = 5 + self.dice.ms(400);
                self.later(delay, Event::Stored(id, incarnation.to_string(), seq));
            }
        }
    }

    fn stored(&mut self, id: u32, incarnation: &str, seq: u64) {
        // What a dead aggregator had in flight may be stored, but nobody says so.
        if self.in_flight == 0 || self.rally.is_none() {
            return;
        }
        self.in_flight -= 1;
        let outputs = vec![OutputCounts {
            name: OUTPUT.to_owned(),
            stored: seq % 7 + 1,
            rejected: BTreeMap::new(),
        }];
        self.tell(Input::Acked {
            instance_id: id,
            incarnation: incarnation.to_owned(),
            seq,
            samples: seq % 7 + 1,
            outputs,
        });
        let idle = self.in_flight == 0;
        self.tell(Input::InFlight(!idle));
        let session = self.rally.as_ref().and_then(|rally| rally.session_of(id, incarnation));
        let Some(session) = session else { return };
        let ack = crate::wire::session::Ack { seq, outputs: Vec::new() };
        let at = self.last_down.get(&session).copied().unwrap_or(0).max(self.now_ms + 5);
        self.last_down.insert(session, at);
        self.at(at, Event::ToAgent(session, Message::Ack(ack)));
    }

    fn break_session(&mut self, session: SessionId) {
        let Some((id, incarnation)) = self.ends.remove(&session) else { return };
        // Both ends notice, each in its own time.
        let delay = self.dice.ms(9000);
        self.later(delay, Event::Closed(session));
        let delay = self.dice.ms(3000);
        if let Some(agent) = self.agent(id, &incarnation)
            && agent.session == Some(session)
        {
            agent.session = None;
            self.later(delay, Event::Dial(id, incarnation));
        }
    }

    fn aggregator_dies(&mut self) {
        if self.rally.take().is_none() {
            return;
        }
        writeln!(self.trace, "{} aggregator dies", self.now_ms).unwrap();
        self.aggregator_deaths += 1;
        self.in_flight = 0;
        let sessions: Vec<SessionId> = self.ends.keys().copied().collect();
        for session in sessions {
            self.break_session(session);
        }
        let delay = 500 + self.dice.ms(8000);
        self.later(delay, Event::AggregatorComes);
    }

    fn die(&mut self, id: u32) {
        let agent = self.agents.get_mut(&id).unwrap();
        if agent.life != Life::Lives {
            return;
        }
        agent.life = Life::Dead;
        self.agent_deaths += 1;
        writeln!(self.trace, "{} instance {id} dies", self.now_ms).unwrap();
        let (session, started) = (agent.session.take(), agent.has_started);
        if let Some(session) = session {
            self.ends.remove(&session);
            let delay = self.dice.ms(9000);
            self.later(delay, Event::Closed(session));
        }
        if started && self.dice.percent(50) {
            let delay = self.dice.ms(20_000);
            self.later(delay, Event::Named(id));
        }
        if self.dice.percent(70) {
            let delay = 1000 + self.dice.ms(20_000);
            self.later(delay, Event::Replace(id));
        }
    }

    fn enter(&mut self, id: u32, incarnation: &str, phase: AgentPhase) {
        let (now_ms, no_setup) = (self.now_ms, !self.wants_setup);
        let fails = self.dice.percent(self.weather.script_fails);
        let Some(agent) = self.agent(id, incarnation) else { return };
        if agent.report.phase >= phase.into() {
            return;
        }
        agent.report.phase = phase.into();
        match phase {
            AgentPhase::Ready => {
                agent.report.requirements = Some(Requirements {
                    max_vus: 100,
                    total_duration_ms: 30_000,
                    no_setup,
                    setup_timeout_ms: 10_000,
                    teardown_timeout_ms: 10_000,
                    ..Requirements::default()
                });
            }
            AgentPhase::Running if fails => {
                agent.report.failure = Some(crate::wire::session::Failure {
                    reason: "ScriptFailed".to_owned(),
                    message: "TypeError".to_owned(),
                    exit_code: Some(107),
                    ..crate::wire::session::Failure::default()
                });
            }
            AgentPhase::Running => {
                let load = 20_000 + self.dice.ms(10_000);
                let ended = Event::Phase(id, incarnation.to_owned(), AgentPhase::Ended);
                self.later(load, ended);
            }
            AgentPhase::Ended => agent.report.ended_unix_ns = now_ms * 1_000_000,
            AgentPhase::Finished => agent.report.k6_exit_code = Some(0),
            AgentPhase::Unspecified | AgentPhase::Preparing | AgentPhase::Starting => {}
        }
        self.report(id);
        if phase == AgentPhase::Finished {
            self.say_ledger(id, Detail::Summary);
        }
    }

    fn tick(&mut self, id: u32, incarnation: &str) {
        let now_ms = self.now_ms;
        let values: Vec<f64> = (0..3)
            .map(|_| {
                let low = if self.dice.percent(self.fast) { 0 } else { 50 };
                f64::from(u32::try_from(low + self.dice.below(50)).unwrap())
            })
            .collect();
        let Some(agent) = self.agent(id, incarnation) else { return };
        if agent.report.phase == i32::from(AgentPhase::Running) {
            let seq = agent.report.last_seq + 1;
            agent.report.last_seq = seq;
            agent.report.emitted += seq % 7 + 1;
            agent.frames.insert(seq, seq % 7 + 1);
            agent.report.acked_to = seq;
            agent.report.acked_but.push(seq);
            if let Some(measures) = &mut agent.measures {
                measures.seen += 1;
                measures.add("seen", 1.0, now_ms);
                for value in values {
                    measures.took.push(value);
                    measures.add("took", value, now_ms);
                }
            }
            self.say(id, Up::Frame(seq));
            self.say_ledger(id, Detail::Verdict);
        }
        self.report(id);
        self.later(1000, Event::Tick(id, incarnation.to_owned()));
    }

    fn deliver(&mut self, session: SessionId, message: Message) {
        let Some((id, incarnation)) = self.ends.get(&session).cloned() else { return };
        let now_ms = self.now_ms;
        let setup_fails = self.dice.percent(self.weather.setup_fails);
        let Some(agent) = self.agent(id, &incarnation) else { return };
        match message {
            Message::RunSetup(_) => {
                let is_new = agent.setup.is_none();
                let answer = agent.setup.clone().unwrap_or(Answer {
                    ok: !setup_fails,
                    data: Some(b"{}".to_vec().into()),
                    failure: setup_fails.then(Default::default),
                });
                if answer.ok {
                    agent.data = Some(b"{}".to_vec());
                }
                agent.setup = Some(answer.clone());
                self.setups += u32::from(is_new);
                self.say(id, Up::Setup(answer));
            }
            Message::SetupData(data) => agent.data = Some(data.data.to_vec()),
            Message::Start(_) if agent.report.phase == i32::from(AgentPhase::Ready) => {
                assert!(
                    agent.data.is_some() || !self.wants_setup,
                    "instance {id} is started without the data of setup()"
                );
                let agent = self.agents.get_mut(&id).unwrap();
                agent.has_started = true;
                agent.report.phase = AgentPhase::Starting.into();
                agent.report.started_unix_ns = now_ms * 1_000_000;
                *self.starts.entry(id).or_default() += 1;
                self.report(id);
                self.later(20, Event::Phase(id, incarnation, AgentPhase::Running));
            }
            Message::Stop(_) => {
                let is_up = agent.report.phase >= AgentPhase::Ready.into();
                let delay = 10 + self.dice.ms(3000);
                let phase = if is_up { AgentPhase::Ended } else { AgentPhase::Finished };
                self.later(delay, Event::Phase(id, incarnation, phase));
            }
            Message::RunTeardown(_) => {
                let is_new = !agent.teardown;
                agent.teardown = true;
                self.teardowns += u32::from(is_new);
                self.say(id, Up::Teardown(Answer { ok: true, ..Answer::default() }));
            }
            Message::RunSummary(_) => {
                let is_new = agent.summary.is_none();
                agent.summary.get_or_insert_default();
                self.summaries += u32::from(is_new);
                self.say(id, Up::Summary);
            }
            Message::Finish(_) => {
                let delay = 10 + self.dice.ms(500);
                self.later(delay, Event::Phase(id, incarnation, AgentPhase::Finished));
            }
            Message::Ack(ack) => {
                if let Some(count) = agent.frames.remove(&ack.seq) {
                    agent.report.acked += count;
                    agent.report.acked_but.retain(|seq| *seq != ack.seq);
                    match agent.report.outputs.first_mut() {
                        Some(counts) => counts.stored += count,
                        None => agent.report.outputs.push(OutputCounts {
                            name: OUTPUT.to_owned(),
                            stored: count,
                            rejected: BTreeMap::new(),
                        }),
                    }
                    self.report(id);
                }
            }
            Message::Goodbye(_) | Message::Refused(_) => {
                agent.life = Life::Gone;
                agent.session = None;
                self.ends.remove(&session);
                self.later(5, Event::Closed(session));
            }
            Message::Welcome(_) => {
                agent.part_wanted = None;
                if id != 1 && agent.bundle.is_none() {
                    let offset = agent.assembly.wanted();
                    self.say(id, Up::WantBundle(offset));
                }
            }
            Message::SendBundle(wanted) => {
                match agent.bundle.as_ref().map(|b| b.part(wanted.offset)) {
                    Some(part) => self.say(id, Up::Bundle(part)),
                    None => agent.part_wanted = Some(wanted.offset),
                }
            }
            Message::Bundle(part) => {
                let taken = agent.assembly.take(&part).unwrap();
                if agent.bundle.is_none()
                    && let Progress::Whole(bundle) = taken
                {
                    self.have_bundle(id, bundle);
                }
            }
            Message::Start(_) => {}
        }
    }

    /// What must hold of every run.
    fn verify(&self) {
        let result = self.result.as_ref().unwrap();
        let outcome = result.outcome.as_ref().expect("every run has an outcome");
        assert_eq!(result.stage, Stage::Over);
        for (id, count) in &self.starts {
            assert!(*count <= 1, "instance {id} started {count} times");
        }
        let was_calm = self.agent_deaths == 0 || self.aggregator_deaths == 0;
        assert!(self.setups <= 1 || !was_calm, "setup() ran {} times", self.setups);
        assert!(self.teardowns <= 1 || !was_calm, "teardown() ran {} times", self.teardowns);
        let has_started = !self.starts.is_empty();
        if has_started && self.agent_deaths == 0 && outcome.reason != Reason::DeadlineExceeded {
            assert_eq!(self.teardowns, 1, "teardown() did not run: {outcome:?}");
        }
        if !has_started && !self.wants_setup {
            assert_eq!(self.teardowns, 0, "teardown() ran without a start");
        }
        assert!(self.summaries <= 1 || !was_calm, "handleSummary() ran {} times", self.summaries);
        if outcome.reason == Reason::ThresholdsMet {
            self.verify_books(result);
        }
        if matches!(outcome.reason, Reason::ThresholdsMet | Reason::ThresholdsCrossed) {
            self.verify_verdict(outcome.reason);
        }
    }

    /// The verdict is that of one k6 which saw all values.
    fn verify_verdict(&self, reason: Reason) {
        if self.agent_deaths > 0 {
            return;
        }
        let measures = || self.agents.values().filter_map(|agent| agent.measures.as_ref());
        let seen: u64 = measures().map(|measures| measures.seen).sum();
        let mut took: Vec<f64> = measures().flat_map(|m| m.took.iter().copied()).collect();
        took.sort_by(f64::total_cmp);
        let p90 = match took.len() {
            0 => 0.0,
            count => {
                #[expect(clippy::cast_precision_loss, reason = "some hundreds")]
                let at = 0.9 * (count - 1) as f64;
                #[expect(
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    reason = "an index"
                )]
                let (low, high) = (took[at.floor() as usize], took[at.ceil() as usize]);
                low + (high - low) * at.fract()
            }
        };
        let is_crossed = seen >= self.limit || p90 >= 50.0;
        let message = &self.result.as_ref().unwrap().outcome.as_ref().unwrap().message;
        assert_eq!(
            reason == Reason::ThresholdsCrossed,
            is_crossed,
            "{message}: {seen} of {}, {p90}",
            self.limit
        );
        assert!(self.summaries >= 1 || !self.handles_summary, "handleSummary() did not run");
    }

    fn verify_books(&self, result: &RunResult) {
        let output = &result.outputs[0];
        let settled = output.stored + output.rejected.values().sum::<u64>();
        assert_eq!(output.emitted, settled, "the books of a passed run close");
        if self.agent_deaths == 0 {
            let emitted: u64 = self.agents.values().map(|agent| agent.report.emitted).sum();
            assert_eq!(output.stored, emitted, "every sample is stored: {result:?}");
            assert_eq!(self.starts.len(), self.agents.len(), "every instance ran");
        }
    }
}

const CALM: Weather = Weather {
    session_breaks: 0,
    agent_dies: 0,
    aggregator_dies: 0,
    script_fails: 0,
    setup_fails: 0,
    user_stops: 0,
    output_fails: 0,
    tolerates: false,
};

fn weather() -> impl Strategy<Value = Weather> {
    (0..60u64, 0..30u64, 0..70u64, 0..10u64, 0..10u64, 0..20u64, 0..10u64, any::<bool>()).prop_map(
        |(breaks, dies, aggregator, script, setup, stops, output, tolerates)| Weather {
            session_breaks: breaks,
            agent_dies: dies,
            aggregator_dies: aggregator,
            script_fails: script,
            setup_fails: setup,
            user_stops: stops,
            output_fails: output,
            tolerates,
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_a_run_keeps_its_promises(
        seed in any::<u64>(),
        instances in 1..12u32,
        weather in weather(),
    ) {
        World::new(seed, instances, weather).run().verify();
    }

    #[test]
    fn broken_sessions_and_killed_aggregators_cost_time_but_no_sample(
        seed in any::<u64>(),
        instances in 1..8u32,
        breaks in 0..80u64,
        kills in 0..80u64,
    ) {
        let weather = Weather { session_breaks: breaks, aggregator_dies: kills, ..CALM };
        let world = World::new(seed, instances, weather).run();
        world.verify();
        let outcome = world.result.unwrap().outcome.unwrap();
        let is_verdict =
            matches!(outcome.reason, Reason::ThresholdsMet | Reason::ThresholdsCrossed);
        prop_assert!(is_verdict, "{}: {}", outcome.reason.as_str(), outcome.message);
    }
}

/// The aggregator dies right after it has sent the start, and the next one is told to stop before it hears of any instance.
#[test]
fn a_start_that_nobody_alive_knows_of_is_followed_by_teardown() {
    let weather = Weather { aggregator_dies: 11, user_stops: 2, ..CALM };
    World::new(13_664_430_250_611_678_459, 1, weather).run().verify();
}

#[test]
fn the_same_seed_gives_the_same_bytes() {
    let rough = Weather {
        session_breaks: 50,
        agent_dies: 20,
        aggregator_dies: 50,
        script_fails: 5,
        setup_fails: 5,
        user_stops: 10,
        output_fails: 5,
        tolerates: true,
    };
    for seed in 0..20 {
        let first = World::new(seed, 9, rough).run();
        let second = World::new(seed, 9, rough).run();
        assert_eq!(first.trace, second.trace);
        assert_eq!(
            serde_json::to_string(&first.result).unwrap(),
            serde_json::to_string(&second.result).unwrap()
        );
    }
}

#[test]
fn the_simulated_weather_reaches_every_kind_of_end() {
    let rough = Weather {
        session_breaks: 40,
        agent_dies: 15,
        aggregator_dies: 40,
        script_fails: 2,
        setup_fails: 10,
        user_stops: 10,
        output_fails: 10,
        tolerates: true,
    };
    let mut reasons: BTreeMap<&str, u32> = BTreeMap::new();
    let (mut survived_kills, mut tolerated) = (0, 0);
    for seed in 0..400 {
        let rough = Weather { tolerates: seed % 2 == 0, ..rough };
        let world = World::new(seed, 5, rough).run();
        world.verify();
        let result = world.result.unwrap();
        let reason = result.outcome.unwrap().reason;
        *reasons.entry(reason.as_str()).or_default() += 1;
        if reason == Reason::ThresholdsMet {
            survived_kills += u32::from(world.aggregator_deaths > 0);
            tolerated += u32::from(!result.lost.is_empty());
        }
    }
    for reason in [
        "ThresholdsMet",
        "ThresholdsCrossed",
        "ScriptFailed",
        "SetupFailed",
        "RunnersLost",
        "Stopped",
    ] {
        assert!(reasons.contains_key(reason), "{reasons:?}");
    }
    assert!(reasons.contains_key("OutputFailed"), "{reasons:?}");
    assert!(survived_kills > 20 && tolerated > 2, "{survived_kills} {tolerated} {reasons:?}");
}

#[test]
fn thousands_of_agents_keep_the_promises_of_a_few() {
    let rough =
        Weather { session_breaks: 5, agent_dies: 1, aggregator_dies: 60, tolerates: true, ..CALM };
    for (seed, weather) in [(1, CALM), (2, rough), (3, rough)] {
        World::new(seed, 2000, weather).run().verify();
    }
}
