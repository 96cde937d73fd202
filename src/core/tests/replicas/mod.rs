//! Runs whose aggregator has several replicas, in a simulated world: everything that decides is real, from an agent's spool to
//! what replica 0 makes of the samples' account, and everything between is at the mercy of a seed. Agents, writers and replica
//! 0 die and (agents not) come back empty, sessions break and are dialled anew, messages come late, twice and out of order,
//! disks fail, fill up and rot, outputs throttle, refuse some samples, fail, and lose answers after they have written. They
//! take samples, lines and rows of a second, alone and beside each other.
//!
//! What becomes of each frame is known here from its samples alone (`core/tests/emitted.rs`). So at every look the account
//! must be, to the sample and the reason, that of the frames of which replica 0 has heard that they are settled, by whomever
//! and in any order.
//!
//! Belongs here: the simulated world, what may go wrong in it, and what must hold. May not: what one part decides by itself,
//! whose tests stand beside it.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet, BinaryHeap},
    hash::{DefaultHasher, Hash, Hasher},
};

use proptest::prelude::*;

use super::{
    FAULTS,
    dice::Dice,
    seeds,
    table::{Table, Troubles},
};
use crate::{
    api::v1alpha1::{LossPolicy, Reason, RunnerLoss},
    core::{
        pipeline,
        plan::{RunPlan, RunRef},
        replicas::share::replica_of,
    },
    wire::{result::RunResult, session::to_agent},
};

mod agent;
mod books;
mod cases;
mod deaths;
mod outputs;
mod replica;
mod sessions;
mod weather;

use agent::{Agent, Happens};
use books::Published;
use deaths::Deaths;
use outputs::{Kind, RULE, RUNS};
use replica::{Leader, Post};
use sessions::{Letter, Link, Who};
use weather::{Weather, rough, weather};

/// Runs that are looked at for what they met.
const RUNS_SEEN: u64 = 280;
const START_NS: i64 = 1_700_000_000_000_000_000;
/// No run may take longer: the sum of all its deadlines and of what is away.
const END_MS: i64 = 400_000;
/// From then on nothing fails any more.
const CALM_MS: i64 = 20_000;
/// Longest time between two turns of a process.
const TURN_MS: u64 = 200;

#[derive(Clone, Debug)]
enum Event {
    AgentTurn(usize),
    Happens(usize, Happens),
    ReplicaTurn(u32),
    Dial(Who),
    Up(u64, Box<Letter>),
    Down(u64, to_agent::Message),
    ClosedAbove(u64),
    ClosedBelow(u64),
    Written(u32, u64, pipeline::pipeline::Write),
    AgentDies(usize),
    ReplicaDies(u32),
    ReplicaComes(u32),
    Gone(usize),
    Breaks,
    Published(u64, u64),
}

struct World {
    dice: Dice,
    weather: Weather,
    plan: RunPlan,
    now_ms: i64,
    queue: BinaryHeap<Reverse<(i64, u64)>>,
    events: BTreeMap<(i64, u64), Event>,
    next: u64,
    next_link: u64,
    next_process: u64,
    agents: Vec<Agent>,
    leader: Option<Leader>,
    former: Option<Published>,
    posts: BTreeMap<u32, Option<Post>>,
    links: BTreeMap<u64, Link>,
    tables: Vec<Table>,
    deaths: Deaths,
    /// A part of a held frame was told to be settled.
    early_told: bool,
    /// What went wrong.
    met: BTreeSet<&'static str>,
    steps: u64,
    looks: u64,
    trace: String,
    result: Option<RunResult>,
}

impl World {
    fn new(seed: u64, instances: u32, replicas: u32, kinds: &[Kind], weather: Weather) -> Self {
        let mut dice = Dice(seed);
        let plan = RunPlan {
            run: RunRef { namespace: "ns".into(), name: "r-1".into(), uid: "u".into() },
            instances,
            created_unix_ms: 0,
            ready_ms: 60_000,
            drain_ms: 120_000,
            runner_loss: RunnerLoss { policy: LossPolicy::Tolerate, max_percent: 100 },
            outputs: outputs::outputs(kinds),
            replicas,
        };
        let agents = (1..=instances).map(|id| Agent::new(id, &plan, &weather, &mut dice)).collect();
        let Weather { throttles, fails, loses_answers, dead, .. } = weather;
        let troubles = Troubles { throttles, fails, loses_answers, dead, refuses: (0, 0) };
        let refuses = weather.refuses;
        let mut world = Self {
            dice,
            weather,
            plan,
            now_ms: 0,
            queue: BinaryHeap::new(),
            events: BTreeMap::new(),
            next: 0,
            next_link: 0,
            next_process: 0,
            agents,
            leader: None,
            former: None,
            posts: (1..replicas).map(|replica| (replica, None)).collect(),
            links: BTreeMap::new(),
            tables: kinds.iter().map(|_| Table::new(RULE, troubles)).collect(),
            deaths: Deaths::default(),
            early_told: false,
            met: BTreeSet::new(),
            steps: 0,
            looks: 0,
            trace: String::new(),
            result: None,
        };
        world.tables[0].troubles.refuses = refuses;
        for replica in 0..replicas {
            let delay_ms = world.dice.ms(300);
            world.later(delay_ms, Event::ReplicaComes(replica));
            world.later(delay_ms, Event::ReplicaTurn(replica));
        }
        for at in 0..world.agents.len() {
            world.later(1, Event::AgentTurn(at));
            world.later(1, Event::Dial(Who::Agent(at, false)));
            if replica_of(world.agents[at].id, replicas) > 0 {
                world.later(1, Event::Dial(Who::Agent(at, true)));
            }
            if world.dice.percent(world.weather.agents_die) {
                let delay_ms = 1_000 + world.dice.ms(6_000);
                world.later(delay_ms, Event::AgentDies(at));
            }
        }
        for replica in 0..replicas {
            let dies =
                if replica == 0 { world.weather.leader_dies } else { world.weather.writers_die };
            for _ in 0..3 {
                if world.dice.percent(dies) {
                    let delay_ms = 500 + world.dice.ms(8_000);
                    world.later(delay_ms, Event::ReplicaDies(replica));
                }
            }
        }
        world.later(500, Event::Breaks);
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

    fn is_calm(&self) -> bool {
        self.now_ms >= CALM_MS
    }

    fn run(mut self) -> Self {
        while let Some(Reverse(key)) = self.queue.pop() {
            self.now_ms = key.0;
            assert!(self.now_ms < END_MS, "the run does not end: {:?}", self.now());
            self.steps += 1;
            let event = self.events.remove(&key).unwrap();
            self.happen(event);
            if self.result.is_some() {
                return self;
            }
        }
        unreachable!("turns never end");
    }

    fn happen(&mut self, event: Event) {
        let now_ms = self.now_ms;
        match event {
            Event::AgentTurn(at) => {
                let delay_ms = 1 + self.dice.ms(TURN_MS);
                self.later(delay_ms, Event::AgentTurn(at));
                if self.agents[at].lives() {
                    if self.is_calm() {
                        self.agents[at].calm();
                    }
                    self.agents[at].turn(&mut self.dice, now_ms);
                    if self.steps.is_multiple_of(16) {
                        self.agents[at].check();
                    }
                    self.pump_agent(at);
                }
            }
            Event::Happens(at, what) => {
                if self.agents[at].lives() {
                    self.agents[at].happen(&what, now_ms);
                    self.pump_agent(at);
                }
            }
            Event::ReplicaTurn(replica) => {
                let delay_ms = 1 + self.dice.ms(TURN_MS);
                self.later(delay_ms, Event::ReplicaTurn(replica));
                self.pump_replica(replica);
                if replica == 0 {
                    self.look();
                }
            }
            Event::Dial(who) => self.dial(who),
            Event::Up(link, letter) => self.arrive(link, *letter),
            Event::Down(link, message) => self.deliver(link, message),
            Event::ClosedAbove(link) => self.close_above(link),
            Event::ClosedBelow(link) => self.close_below(link),
            Event::Written(replica, process, write) => self.written(replica, process, &write),
            Event::AgentDies(at) => self.agent_dies(at),
            Event::ReplicaDies(replica) => self.replica_dies(replica),
            Event::ReplicaComes(replica) => self.replica_comes(replica),
            Event::Gone(at) => {
                let id = self.agents[at].id;
                match &mut self.leader {
                    Some(leader) => leader.gone(id, now_ms),
                    None => self.later(500, Event::Gone(at)),
                }
                self.pump_replica(0);
            }
            Event::Breaks => {
                self.later(500, Event::Breaks);
                let up: Vec<u64> = self.links.keys().copied().collect();
                for link in up {
                    if !self.is_calm() && self.dice.percent(self.weather.breaks) {
                        self.break_link(link);
                    }
                }
            }
            Event::Published(process, stage) => {
                if let Some(leader) = self.leader.as_mut().filter(|l| l.process == process)
                    && leader.rally.stage_count() == stage
                {
                    leader.rally.handle(crate::core::rally::input::Input::Published, now_ms);
                    self.pump_replica(0);
                }
            }
        }
    }

    /// What replica 0 makes of it now, while there is one.
    fn now(&self) -> Option<RunResult> {
        self.leader.as_ref().map(|leader| leader.rally.result())
    }

    /// What went wrong anywhere.
    fn met(&self) -> BTreeSet<&'static str> {
        let disks = self.agents.iter().map(|agent| &agent.disk.met);
        let tables = self.tables.iter().map(|table| &table.met);
        disks.chain(tables).chain([&self.met]).flatten().copied().collect()
    }

    /// All that came of it, for a comparison.
    fn hash(&self) -> u64 {
        let mut into = DefaultHasher::new();
        (self.steps, &self.trace, format!("{:?}", self.result)).hash(&mut into);
        self.tables.iter().for_each(|table| table.hash(&mut into));
        into.finish()
    }

    fn process_of(&self, replica: u32) -> Option<u64> {
        if replica == 0 {
            return self.leader.as_ref().map(|leader| leader.process);
        }
        self.posts[&replica].as_ref().map(|post| post.process)
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, max_shrink_iters: 100, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whoever_dies_the_account_is_that_of_all_that_replica_0_was_told(
        seed in any::<u64>(),
        instances in 2..6u32,
        replicas in 2..5u32,
        kinds in prop::sample::select(&RUNS),
        weather in weather(),
    ) {
        World::new(seed, instances, replicas.min(instances), kinds, weather).run();
    }
}

#[test]
fn the_same_seed_gives_the_same_bytes_and_every_fault_is_met() {
    let (mut steps, mut looks, mut samples, mut seen) = (0, 0, 0, BTreeMap::<&str, u32>::new());
    for seed in seeds(RUNS_SEEN) {
        let kinds = RUNS[usize::try_from(seed).unwrap() % RUNS.len()];
        let weather = Weather {
            spool_fills: seed % 4 == 0,
            full_fails: seed % 8 == 0,
            rots: if seed % 4 == 1 { 100 } else { 0 },
            disk_fails: if seed % 3 == 0 { 12 } else { 8 },
            leader_dies: if seed % 2 == 0 { 0 } else { 20 },
            refuses: if seed % 5 == 2 { (2_000, 3_000) } else { (0, 0) },
            ..rough()
        };
        let world = World::new(seed, 4, 3, kinds, weather.clone()).run();
        if seed % 8 == 1 {
            let again = World::new(seed, 4, 3, kinds, weather).run();
            assert_eq!(again.hash(), world.hash(), "the same seed, the same bytes");
        }
        (steps, looks) = (steps + world.steps, looks + world.looks);
        samples += world.agents.iter().map(|agent| agent.emitted.count).sum::<u64>();
        let result = world.result.as_ref().unwrap();
        let output = &result.outputs[0];
        let reason = result.outcome.as_ref().unwrap().reason;
        let is_rows = |kind: &&Kind| matches!(kind, Kind::Rollup | Kind::FineRollup);
        let rows = kinds.iter().filter(is_rows).count();
        let Deaths { agents, writers, leaders } = world.deaths;
        for (what, happened) in [
            ("an agent died", agents > 0),
            ("a writer died", writers > 0),
            ("replica 0 died", leaders > 0),
            (
                "an agent and a writer died, and replica 0 did not",
                agents * writers > 0 && leaders == 0,
            ),
            ("all died", agents * writers * leaders > 0),
            ("lost", output.rejected.contains_key("RunnerLost")),
            ("no room", output.rejected.contains_key("SpoolFull")),
            ("unreadable", output.rejected.contains_key("SpoolUnreadable")),
            ("unreadable, with rows", rows > 0 && output.rejected.contains_key("SpoolUnreadable")),
            ("a loss failed the run", reason == Reason::OutputFailed),
            ("passed", reason == Reason::ThresholdsMet),
            ("refused", output.rejected.contains_key("Invalid")),
            ("a part of a frame was settled", world.early_told),
            ("rows alone", rows == kinds.len()),
            ("samples and rows", rows > 0 && rows < kinds.len()),
            ("lines", kinds.contains(&Kind::Lines)),
        ] {
            *seen.entry(what).or_default() += u32::from(happened);
        }
        let met = world.met();
        for what in FAULTS {
            *seen.entry(what).or_default() += u32::from(met.contains(what));
        }
    }
    println!(
        "{} runs, {steps} steps, {looks} looks, {samples} samples: {seen:?}",
        seeds(RUNS_SEEN).end
    );
    assert!(seen.values().all(|runs| *runs >= 3), "each must happen to be tested: {seen:?}");
}
