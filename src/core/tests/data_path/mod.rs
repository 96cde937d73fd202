//! The whole way of a sample, from k6's line to the acknowledgement of its row, with faults at every step: agents and the
//! aggregator die, disks tear writes, fill up and rot, sessions break, messages come late, twice and out of order, outputs
//! throttle, refuse, fail, and lose answers after they have written. What must hold is looked for all the while.
//!
//! Belongs here: the simulated world, the steps of its parts, and what must hold. May not: what one part decides by itself,
//! whose tests stand beside it.

use std::{
    collections::{BTreeMap, BTreeSet},
    hash::{DefaultHasher, Hasher},
    sync::Arc,
};

use super::{
    FAULTS,
    dice::Dice,
    disk::{Disk, Faults},
    emitted::Emitted,
    seeds,
    table::{Rule, Table, Troubles},
};
use crate::{
    core::{
        pipeline::{
            lane::LaneConfig,
            pipeline::{FrameKey, Pipeline, Write},
            shape::Shape,
        },
        samples::{
            framer::Framer,
            spool::{self, Spool, job::Job, totals::Counts},
        },
    },
    wire::session::{Ack, Frame},
};

mod agents;
mod aggregator;
mod books;
mod deaths;
mod seeding;

/// Lives, and what happens in each before it is brought to its end.
const LIVES: u64 = 300;
const STEPS: u64 = 8_000;
/// Steps to the end of any life, faults over.
const END_STEPS: u64 = 200_000;
const RULE: Rule = Rule(400);
const START_NS: i64 = 1_700_000_000_000_000_000;

/// One instance: k6, and the agent with its spool.
struct Agent {
    id: u32,
    incarnation: Arc<str>,
    is_dead: bool,
    emitted: Emitted,
    builder: Framer,
    /// Frames that found no room.
    dropped: BTreeSet<u64>,
    /// Frames that it knows to be acknowledged.
    acked: BTreeSet<u64>,
    spool: Spool,
    disk: Disk,
    job: Option<Job>,
    /// Sent in this session and not acknowledged.
    waiting: BTreeSet<u64>,
}

struct World {
    dice: Dice,
    now_ms: i64,
    agents: Vec<Agent>,
    limits: spool::Limits,
    /// Frames on their way: from whom, in any order.
    up: Vec<(usize, Frame)>,
    down: Vec<(usize, Ack)>,
    lanes: Vec<LaneConfig>,
    tables: Vec<Table>,
    aggregator: Option<Pipeline>,
    /// Outputs that this aggregator has given up.
    failed: BTreeSet<String>,
    under_way: Vec<Write>,
    /// Samples of frames that the aggregator holds, and how many it takes.
    held: BTreeMap<FrameKey, u64>,
    held_max: u64,
    /// Samples of the largest frame.
    largest: u64,
    only_rows: bool,
    /// What the aggregator knows to be settled, by instance and output.
    tally: BTreeMap<(u32, String), Counts>,
    agent_dies: u64,
    aggregator_dies: u64,
    breaks: u64,
    agent_deaths: u64,
    aggregator_deaths: u64,
    held_back: u64,
    /// What went wrong.
    met: BTreeSet<&'static str>,
    steps: u64,
    trace: DefaultHasher,
}

impl World {
    fn live(mut self) -> Self {
        for _ in 0..STEPS {
            self.step();
        }
        self.end();
        self.verify();
        self
    }

    fn step(&mut self) {
        self.steps += 1;
        let at = self.dice.below(self.agents.len());
        match self.dice.below(100) {
            0..35 => self.emit(at),
            35..45 => self.begin_job(at),
            45..55 => self.end_job(at),
            55..65 => self.send(at),
            65..75 => self.arrive(),
            75..82 => self.write(),
            82..90 => self.answer(),
            90..95 => self.acknowledge(),
            95..98 => self.now_ms += self.dice.ms(60),
            98 if self.dice.percent(self.breaks) => self.break_session(at),
            98 => {}
            _ => self.die(at),
        }
        let faults = self.agents[at].disk.faults;
        if self.dice.below(10_000) < faults.rot {
            self.agents[at].disk.rot(&mut self.dice);
        }
        self.check(at);
    }

    /// k6 ends, nothing fails any more, and everything is to come to its end.
    fn end(&mut self) {
        for agent in &mut self.agents {
            let rot = agent.disk.faults.rot;
            agent.disk.faults = Faults { capacity: usize::MAX, rot, ..Faults::default() };
        }
        self.tables.iter_mut().for_each(|table| table.troubles = Troubles::default());
        for at in 0..self.agents.len() {
            if !self.agents[at].is_dead {
                let last = self.agents[at].builder.close();
                self.take(at, last, i64::MAX);
                self.break_session(at);
            }
        }
        if self.aggregator.is_none() {
            self.come();
        }
        if let Some(pipeline) = &mut self.aggregator {
            pipeline.set_hurry(true);
        }
        let last = self.steps + END_STEPS;
        while !self.is_over() {
            self.steps += 1;
            assert!(self.steps < last, "the run does not end");
            let at = self.dice.below(self.agents.len());
            self.end_job(at);
            self.begin_job(at);
            self.send(at);
            self.arrive();
            self.write();
            self.answer();
            self.acknowledge();
            self.now_ms += 5;
            self.check(at);
        }
        self.note_held_back();
    }

    /// What went wrong anywhere.
    fn met(&self) -> BTreeSet<&'static str> {
        let disks = self.agents.iter().map(|agent| &agent.disk.met);
        let tables = self.tables.iter().map(|table| &table.met);
        disks.chain(tables).chain([&self.met]).flatten().copied().collect()
    }

    fn is_over(&self) -> bool {
        self.agents.iter().all(|agent| agent.is_dead || agent.spool.is_empty())
            && self.aggregator.as_ref().is_some_and(Pipeline::is_empty)
    }
}

#[test]
fn whatever_fails_every_sample_is_one_row_or_counted() {
    let (mut steps, mut samples, mut rows) = (0, 0, 0);
    let mut seen: BTreeMap<&str, u32> = BTreeMap::new();
    for seed in seeds(LIVES) {
        let world = World::new(seed).live();
        if seed % 30 == 0 {
            let again = World::new(seed).live();
            assert_eq!(again.trace.finish(), world.trace.finish(), "the same seed, the same bytes");
        }
        steps += world.steps;
        samples += world.agents.iter().map(|agent| agent.emitted.count).sum::<u64>();
        rows += world.tables.iter().map(|table| table.rows.len() as u64).sum::<u64>();
        let totals = || world.agents.iter().map(|agent| agent.spool.totals());
        let rejected = |reason: &str| {
            totals().flat_map(|t| t.outputs.values()).any(|o| o.rejected.contains_key(reason))
        };
        for (what, happened) in [
            ("an agent died", world.agent_deaths > 0),
            ("an aggregator died", world.aggregator_deaths > 0),
            ("both died", world.agent_deaths > 0 && world.aggregator_deaths > 0),
            ("no room", totals().any(|t| t.dropped > t.unreadable)),
            ("unreadable", totals().any(|t| t.unreadable > 0)),
            ("nothing lost", totals().all(|t| t.dropped == 0)),
            ("refused alone", rejected("TooOld")),
            ("found by halves", rejected("Invalid")),
            ("not finite", rejected("NotFinite")),
            ("held back", world.held_back > 0),
            ("rows alone", world.only_rows),
            (
                "samples and rows",
                !world.only_rows && world.lanes.iter().any(|l| l.shape == Shape::Rollup),
            ),
        ] {
            *seen.entry(what).or_default() += u32::from(happened);
        }
        let met = world.met();
        for what in FAULTS {
            *seen.entry(what).or_default() += u32::from(met.contains(what));
        }
    }
    println!("{} lives, {steps} steps, {samples} samples, {rows} rows: {seen:?}", seeds(LIVES).end);
    assert!(seen.values().all(|lives| *lives >= 5), "each must happen to be tested: {seen:?}");
    assert!(steps > 2_000_000, "{steps}");
}
