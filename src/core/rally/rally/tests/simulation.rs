//! Whole runs in a simulated world: agents, network, aggregator and users do what a seed says, and what must never
//! happen is looked for.

mod agents;
mod aggregator;
mod promises;
mod seeds;

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap},
    fmt::Write,
};

use self::promises::Measures;

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
}
