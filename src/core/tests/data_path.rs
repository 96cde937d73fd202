//! The whole way of a sample, from k6's line to the acknowledgement of its row, with faults at every step: agents and the
//! aggregator die, disks tear writes and fill up, sessions break, messages come late, twice and out of order, outputs
//! throttle, refuse, fail, and lose answers after they have written. What must hold is looked for all the while.

use std::{
    collections::{BTreeMap, BTreeSet},
    hash::{DefaultHasher, Hash, Hasher},
    sync::Arc,
};

use super::{
    dice::Dice,
    disk::{Disk, Faults},
};
use crate::{
    api::v1alpha1::{Dimensions, OnFull},
    core::{
        dimensions::Kept,
        pipeline::{
            batch::Batch,
            lane::LaneConfig,
            pipeline::{Accepted, FrameKey, Pipeline, Write},
            retry::{Failure, Written},
            row::{Refusal, Row},
            shape::Shape,
        },
        samples::{
            decode::{Pairs, Point},
            frame::{self, Closed},
            framer::Framer,
            rollup::{
                samples_in,
                spec::{RollupSpec, Wanted},
            },
            spool::{
                self, Spool,
                job::Job,
                record::{FORMAT, SegmentHeader},
                totals::Counts,
            },
        },
    },
    wire::session::{Ack, Frame},
};

/// Lives, and what happens in each before it is brought to its end.
const LIVES: u64 = 300;
const STEPS: u64 = 8_000;
/// Steps to the end of any life, faults over.
const END_STEPS: u64 = 200_000;
const START_NS: i64 = 1_700_000_000_000_000_000;

/// What becomes of a sample at an output that answers: it is a part of the sample, so that every try meets it.
fn refusal(value: u64) -> Option<Refusal> {
    match value % 400 {
        7 => Some(Refusal::TooOld),
        // A call that holds it is refused as a whole.
        11 => Some(Refusal::Invalid),
        _ => None,
    }
}

/// The dimensions of an output's rows: where some are left out, samples that only these told apart share their time.
fn dimensions(dice: &mut Dice) -> Dimensions {
    let names: &[&str] = dice.pick(&[&[], &["vu"], &["vu", "status"]]);
    let names = Some(names.iter().map(|name| (*name).to_owned()).collect());
    let none = Dimensions::default();
    if dice.percent(20) {
        Dimensions { include: names, ..none }
    } else {
        Dimensions { exclude: names, ..none }
    }
}

/// Values that no output takes.
fn is_finite(value: u64) -> bool {
    value % 500 != 13
}

fn number(value: u64) -> f64 {
    if is_finite(value) { f64::from(u32::try_from(value).unwrap()) } else { f64::NAN }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "what `number` made")]
fn value(number: f64) -> u64 {
    number as u64
}

/// What an output does, in percent of its calls.
#[derive(Clone, Copy, Debug, Default)]
struct Weather {
    throttles: u64,
    fails: u64,
    loses_answers: u64,
    /// From and to, in milliseconds.
    dead: (i64, i64),
}

/// The output: rows by identity, and the first value that came stays.
#[derive(Default)]
struct Table {
    weather: Weather,
    series: BTreeMap<Row, u32>,
    /// Values, and how many samples they are of.
    rows: BTreeMap<(u32, i64), (f64, u64)>,
}

impl Table {
    fn call(&mut self, batch: &Batch, dice: &mut Dice, now_ms: i64) -> Written {
        let failed = |failure| Written::Failed(failure, "as the seed says".to_owned());
        let Weather { throttles, fails, loses_answers, dead } = self.weather;
        if (dead.0..dead.1).contains(&now_ms) {
            return failed(Failure::Connection);
        }
        if dice.percent(throttles) {
            let patience_ms = u32::try_from(now_ms % 2_000).unwrap();
            let says_how_long = now_ms % 2 == 0;
            return failed(if says_how_long {
                Failure::ThrottledFor(patience_ms)
            } else {
                Failure::Throttled
            });
        }
        if dice.percent(fails) {
            // Nothing, or a part of it, was written.
            let part = if dice.percent(50) { dice.below(batch.records.len() + 1) } else { 0 };
            self.apply(batch, part);
            return failed(dice.pick(&[Failure::Server, Failure::Timeout, Failure::Connection]));
        }
        let written = self.apply(batch, batch.records.len());
        if dice.percent(loses_answers) {
            return failed(dice.pick(&[Failure::Timeout, Failure::Connection]));
        }
        written
    }

    fn apply(&mut self, batch: &Batch, count: usize) -> Written {
        let rule = |number: f64| refusal(value(number));
        if batch.records.iter().any(|record| rule(record.value) == Some(Refusal::Invalid)) {
            return Written::Invalid("a record is bad".to_owned());
        }
        let mut refused = Vec::new();
        for (at, record) in batch.records.iter().enumerate().take(count) {
            if let Some(refusal) = rule(record.value) {
                refused.push((at, refusal));
                continue;
            }
            let next = u32::try_from(self.series.len()).unwrap();
            let series = match self.series.get(&*record.row) {
                Some(series) => *series,
                None => *self.series.entry(Row::clone(&record.row)).or_insert(next),
            };
            let row = (record.value, record.samples());
            let held = *self.rows.entry((series, record.time_ns)).or_insert(row);
            if (held.0.to_bits(), held.1) != (row.0.to_bits(), row.1) {
                refused.push((at, Refusal::VersionConflict));
            }
        }
        if refused.is_empty() { Written::Stored } else { Written::Partly(refused) }
    }

    /// The rows stored for an instance: their values, each as often as it is there, and how many samples each is of.
    fn rows_of(&self, instance_id: u32) -> Vec<(u64, u64)> {
        let id = instance_id.to_string();
        let is_own =
            |row: &Row| row.dimensions.iter().any(|(n, v)| &**n == "instance_id" && **v == *id);
        let own: BTreeSet<u32> =
            self.series.iter().filter(|(row, _)| is_own(row)).map(|(_, at)| *at).collect();
        let rows = self.rows.iter().filter(|((series, _), _)| own.contains(series));
        let mut rows: Vec<_> = rows.map(|(_, (number, count))| (value(*number), *count)).collect();
        rows.sort_unstable();
        rows
    }
}

/// One instance: k6, and the agent with its spool.
struct Agent {
    id: u32,
    incarnation: Arc<str>,
    is_dead: bool,
    emitted: u64,
    builder: Framer,
    /// Values that are in no frame yet; where rows alone are written, as many as these.
    open: Vec<u64>,
    /// Values of frames that found no room.
    dropped: BTreeSet<u64>,
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
    under_way: Vec<Write>,
    /// Samples of frames that the aggregator holds, and how many it takes.
    held: BTreeMap<FrameKey, u64>,
    held_max: u64,
    /// Samples of the largest frame.
    largest: u64,
    only_rows: bool,
    /// Instances and outputs of which the sums over all rows were compared.
    summed: u64,
    /// What the aggregator knows to be settled, by instance and output.
    tally: BTreeMap<(u32, String), Counts>,
    agent_dies: u64,
    aggregator_dies: u64,
    breaks: u64,
    agent_deaths: u64,
    aggregator_deaths: u64,
    held_back: u64,
    steps: u64,
    trace: DefaultHasher,
}

/// Outputs of all shapes, and what they want of agents.
fn lanes(dice: &mut Dice) -> (Vec<LaneConfig>, Wanted) {
    let mut wanted = Wanted::default();
    let lanes: Vec<LaneConfig> = (0..=dice.below(2_u32))
        .map(|at| {
            let (dimensions, is_rollup) = (dimensions(dice), dice.percent(40));
            if is_rollup {
                let dimensions = Some(dimensions.clone());
                wanted.rollups.push(RollupSpec { output: at, dimensions });
            }
            let of_samples = dice.pick(&[Shape::Records, Shape::Lines]);
            LaneConfig {
                name: format!("output{at}"),
                writes_max: 1 + dice.below(6_usize),
                linger_ms: dice.ms(300),
                kept: Kept::of(Some(&dimensions)),
                shape: if is_rollup { Shape::Rollup } else { of_samples },
            }
        })
        .collect();
    wanted.only = wanted.rollups.len() == lanes.len();
    (lanes, wanted)
}

impl World {
    fn new(seed: u64) -> Self {
        let mut dice = Dice(seed);
        let on_full = dice.pick(&[OnFull::Fail, OnFull::Drop]);
        let limits = spool::Limits {
            bytes_max: 4_000 + dice.below(60_000_u64),
            on_full,
            segment_bytes: 1_000 + dice.below(4_000_u64),
            group_bytes: 300 + dice.below(2_000_u64),
            linger_ms: dice.ms(200),
            queue_bytes: 8_000 + dice.below(20_000_usize),
            window: 1 + dice.below(8_usize),
            window_bytes: 2_000 + dice.below(20_000_usize),
            read_bytes: 100 + dice.below(2_000_u64),
            retry_ms: dice.ms(100),
        };
        let kind = seed % 4;
        let faults = Faults {
            write: if kind == 0 { 0 } else { dice.below(40) },
            read: if kind == 0 { 0 } else { dice.below(40) },
            remove: if kind == 2 { dice.below(20) } else { 0 },
            rot: if kind == 3 { 1 + dice.below(40_u64) } else { 0 },
            capacity: if kind == 1 { 2_000 + dice.below(30_000_usize) } else { usize::MAX },
        };
        let (lanes, wanted) = lanes(&mut dice);
        let of_samples = lanes.iter().filter(|lane| lane.shape != Shape::Rollup);
        let all_kept: Vec<Kept> = of_samples.map(|lane| lane.kept.clone()).collect();
        let agents = (1..=1 + dice.below(3_u32)).map(|id| {
            let header = SegmentHeader { format: FORMAT, ..SegmentHeader::default() };
            let size = frame::Limits {
                samples_max: 1 + dice.below(60_usize),
                bytes_max: 4_000,
                linger_ms: 100,
            };
            Agent {
                id,
                incarnation: format!("i{id}").into(),
                is_dead: false,
                emitted: 0,
                builder: Framer::new(id, size, all_kept.clone(), &wanted),
                open: Vec::new(),
                dropped: BTreeSet::new(),
                spool: Spool::new(limits, header),
                disk: Disk::new(faults),
                job: None,
                waiting: BTreeSet::new(),
            }
        });
        let agents = agents.collect();
        let tables = lanes.iter().map(|_| Table {
            weather: Weather {
                throttles: dice.below(60),
                fails: dice.below(40),
                loses_answers: dice.below(30),
                dead: if dice.percent(50) { (2_000, 2_000 + dice.ms(20_000)) } else { (0, 0) },
            },
            ..Table::default()
        });
        let tables = tables.collect();
        Self {
            now_ms: 0,
            agents,
            limits,
            up: Vec::new(),
            down: Vec::new(),
            aggregator: Some(Pipeline::new(lanes.clone())),
            lanes,
            tables,
            under_way: Vec::new(),
            held: BTreeMap::new(),
            held_max: 100 + dice.below(2_000_u64),
            largest: 0,
            only_rows: wanted.only,
            summed: 0,
            tally: BTreeMap::new(),
            agent_dies: if seed % 5 == 1 { 4 + dice.below(8_u64) } else { 0 },
            aggregator_dies: if seed % 3 == 1 { 1 + dice.below(10_u64) } else { 0 },
            breaks: dice.below(60),
            agent_deaths: 0,
            aggregator_deaths: 0,
            held_back: 0,
            steps: 0,
            trace: DefaultHasher::new(),
            dice,
        }
    }

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

    /// A sample of k6; many share their time with others of their series.
    fn emit(&mut self, at: usize) {
        let (dice, agent) = (&mut self.dice, &mut self.agents[at]);
        if agent.is_dead {
            return;
        }
        let value = agent.emitted;
        agent.emitted += 1;
        let tags = [
            ("status".into(), dice.pick(&["200", "404", "500", ""]).into()),
            ("vu".into(), dice.pick(&["1", "2", "3"]).into()),
        ];
        let point = Point {
            metric: dice.pick(&["http_reqs", "http_req_duration", "vus"]).into(),
            time_ns: START_NS + self.now_ms / 20 * 20_000_000,
            value: number(value),
            tags: Pairs(tags.into()),
            metadata: Pairs::default(),
        };
        agent.open.push(value);
        let closed = agent.builder.push(&point, self.now_ms);
        self.take(at, closed);
        let due = self.agents[at].builder.poll(self.now_ms);
        self.take(at, due);
    }

    fn take(&mut self, at: usize, closed: Option<Closed>) {
        let (Some(closed), agent) = (closed, &mut self.agents[at]) else { return };
        let samples = samples_in(&closed.frame);
        assert!(self.only_rows || samples == agent.open.len() as u64);
        self.largest = self.largest.max(samples);
        let values: Vec<u64> = agent.open.drain(..usize::try_from(samples).unwrap()).collect();
        let before = agent.spool.totals().dropped;
        drop(agent.spool.push(closed, self.now_ms));
        if agent.spool.totals().dropped > before {
            agent.dropped.extend(values);
        }
    }

    fn begin_job(&mut self, at: usize) {
        let agent = &mut self.agents[at];
        if agent.job.is_none() && !agent.is_dead {
            agent.job = agent.spool.job(self.now_ms);
        }
    }

    fn end_job(&mut self, at: usize) {
        let agent = &mut self.agents[at];
        let Some(job) = agent.job.take() else { return };
        let done = agent.disk.act(&job, &mut self.dice);
        drop(agent.spool.done(done, self.now_ms));
    }

    fn send(&mut self, at: usize) {
        let agent = &mut self.agents[at];
        if agent.is_dead {
            return;
        }
        if let Some(frame) = agent.spool.next_frame() {
            agent.waiting.insert(frame.seq);
            self.up.push((at, frame));
        }
    }

    /// Any of the frames on their way reaches the aggregator, now and then to come again.
    fn arrive(&mut self) {
        if self.up.is_empty() || self.held.values().sum::<u64>() >= self.held_max {
            return;
        }
        let Some(pipeline) = &mut self.aggregator else { return };
        let next = self.dice.below(self.up.len());
        let (at, frame) =
            if self.dice.percent(10) { self.up[next].clone() } else { self.up.swap_remove(next) };
        let agent = &self.agents[at];
        let (instance_id, incarnation) = (agent.id, agent.incarnation.clone());
        let key = FrameKey { instance_id, incarnation, seq: frame.seq };
        (instance_id, frame.seq).hash(&mut self.trace);
        match pipeline.accept(key.clone(), &frame, self.now_ms) {
            Accepted::Held(samples) => {
                assert_eq!(samples, samples_in(&frame));
                assert!(self.held.insert(key, samples).is_none(), "held twice");
            }
            Accepted::HeldBefore => assert!(self.held.contains_key(&key)),
            Accepted::AckedBefore => assert!(!self.held.contains_key(&key)),
        }
        self.collect();
    }

    fn write(&mut self) {
        let Some(pipeline) = &mut self.aggregator else { return };
        if let Some(write) = pipeline.poll_write(self.now_ms) {
            let count = write.batch.records.len();
            let most = pipeline.lanes()[write.lane].shape().records_max();
            assert!((1..=most).contains(&count), "{count} records");
            self.under_way.push(write);
        }
    }

    /// Any of the writes under way ends.
    fn answer(&mut self) {
        if self.under_way.is_empty() {
            return;
        }
        let next = self.dice.below(self.under_way.len());
        let Write { lane, batch } = self.under_way.swap_remove(next);
        let written = self.tables[lane].call(&batch, &mut self.dice, self.now_ms);
        (lane, format!("{written:?}")).hash(&mut self.trace);
        let random = self.dice.roll();
        if let Some(pipeline) = &mut self.aggregator {
            pipeline.finish(lane, batch.id, written, self.now_ms, random);
        }
        self.collect();
    }

    /// Takes the acknowledgements that the pipeline has, and puts them on their way.
    fn collect(&mut self) {
        let Some(pipeline) = &mut self.aggregator else { return };
        while let Some(acked) = pipeline.poll_ack() {
            let at = usize::try_from(acked.key.instance_id - 1).unwrap();
            if !acked.again {
                let samples = self.held.remove(&acked.key);
                assert_eq!(samples, Some(acked.sample_count), "acknowledged once, and whole");
                for counts in &acked.outputs {
                    let key = (acked.key.instance_id, counts.name.clone());
                    let own = self.tally.entry(key).or_default();
                    own.stored += counts.stored;
                    for (reason, count) in &counts.rejected {
                        *own.rejected.entry(reason.clone()).or_default() += count;
                    }
                }
            }
            self.down.push((at, Ack { seq: acked.key.seq, outputs: acked.outputs }));
        }
    }

    fn acknowledge(&mut self) {
        if self.down.is_empty() {
            return;
        }
        let next = self.dice.below(self.down.len());
        let (at, ack) = if self.dice.percent(5) {
            self.down[next].clone()
        } else {
            self.down.swap_remove(next)
        };
        let agent = &mut self.agents[at];
        if !agent.is_dead {
            agent.waiting.remove(&ack.seq);
            agent.spool.ack(&ack);
        }
    }

    /// What is on its way is lost, or comes late, when the next session is up.
    fn break_session(&mut self, at: usize) {
        if self.dice.percent(50) {
            self.up.retain(|(from, _)| *from != at);
            self.down.retain(|(to, _)| *to != at);
        }
        self.agents[at].waiting.clear();
        self.agents[at].spool.rewind();
    }

    fn die(&mut self, at: usize) {
        if self.dice.below(500) < self.agent_dies && !self.agents[at].is_dead {
            self.agent_deaths += 1;
            self.agents[at].is_dead = true;
            self.agents[at].job = None;
            self.up.retain(|(from, _)| *from != at);
        } else if self.aggregator.is_none() {
            self.come();
        } else if self.dice.below(500) < self.aggregator_dies {
            self.aggregator_deaths += 1;
            self.note_held_back();
            self.aggregator = None;
            // Calls that were under way may have arrived, and nobody hears of it.
            for write in std::mem::take(&mut self.under_way) {
                let table = &mut self.tables[write.lane];
                drop(table.call(&write.batch, &mut self.dice, self.now_ms));
            }
            self.held.clear();
            (0..self.agents.len()).for_each(|at| self.break_session(at));
            self.up.clear();
        }
    }

    /// The next aggregator: agents tell it what they know, and of dead ones the last one has told.
    fn come(&mut self) {
        self.aggregator = Some(Pipeline::new(self.lanes.clone()));
        for agent in self.agents.iter().filter(|agent| !agent.is_dead) {
            self.tally.retain(|(id, _), _| *id != agent.id);
            for (name, counts) in &agent.spool.totals().outputs {
                self.tally.insert((agent.id, name.clone()), counts.clone());
            }
        }
    }

    fn note_held_back(&mut self) {
        let lanes = self.aggregator.iter().flat_map(Pipeline::lanes);
        self.held_back += lanes.map(|lane| lane.counts().held_back).sum::<u64>();
    }

    /// What must hold at any time.
    fn check(&self, at: usize) {
        let agent = &self.agents[at];
        assert!(agent.waiting.len() <= self.limits.window, "{:?} wait", agent.waiting);
        if !self.steps.is_multiple_of(16) {
            return;
        }
        let totals = agent.spool.totals();
        let framed = agent.emitted - agent.open.len() as u64;
        assert_eq!(totals.framed, framed);
        assert!(totals.acked + totals.dropped <= framed);
        assert_eq!(agent.spool.is_empty(), totals.acked + totals.dropped == framed);
        assert!(agent.disk.used() as u64 <= self.limits.bytes_max, "the disk's share is kept");
        let Some(pipeline) = &self.aggregator else { return };
        let held: u64 = self.held.values().sum();
        assert!(held < self.held_max + self.largest.max(60), "{held} samples are held");
        assert_eq!(pipeline.is_empty(), self.held.is_empty());
        for (lane, config) in pipeline.lanes().iter().zip(&self.lanes) {
            assert!(lane.open_count() as u64 <= held, "more records than samples");
            assert!(lane.under_way_count() <= config.writes_max);
        }
    }

    /// k6 ends, nothing fails any more, and everything is to come to its end.
    fn end(&mut self) {
        for agent in &mut self.agents {
            let rot = agent.disk.faults.rot;
            agent.disk.faults = Faults { capacity: usize::MAX, rot, ..Faults::default() };
        }
        self.tables.iter_mut().for_each(|table| table.weather = Weather::default());
        for at in 0..self.agents.len() {
            if !self.agents[at].is_dead {
                let last = self.agents[at].builder.close();
                self.take(at, last);
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

    fn is_over(&self) -> bool {
        self.agents.iter().all(|agent| agent.is_dead || agent.spool.is_empty())
            && self.aggregator.as_ref().is_some_and(Pipeline::is_empty)
    }

    /// The books: every sample that k6 emitted is a row, or refused for good, or counted as dropped or lost.
    fn verify(&mut self) {
        for agent in &self.agents {
            for (lane, table) in self.lanes.iter().zip(&self.tables) {
                let rows = table.rows_of(agent.id);
                let stored: u64 = rows.iter().map(|(_, count)| count).sum();
                rows.hash(&mut self.trace);
                let none = Counts::default();
                let tally = self.tally.get(&(agent.id, lane.name.clone())).unwrap_or(&none);
                if agent.is_dead {
                    assert!(stored >= tally.stored && tally.stored <= agent.emitted);
                    if self.aggregator_deaths == 0 {
                        assert_eq!(stored, tally.stored, "what is told is stored");
                    }
                    continue;
                }
                let totals = agent.spool.totals();
                let counts = totals.outputs.get(&lane.name).unwrap_or(&none);
                let rejected: u64 = counts.rejected.values().sum();
                assert_eq!(agent.emitted, counts.stored + rejected + totals.dropped);
                assert_eq!(stored, counts.stored, "what is told is stored");
                assert_eq!(counts.rejected.get("VersionConflict"), None, "identities are unique");
                if lane.shape == Shape::Rollup {
                    let refused = rejected - counts.rejected.get("NotFinite").unwrap_or(&0);
                    if totals.dropped + refused == 0 {
                        let sum: u64 = rows.iter().map(|(sum, _)| sum).sum();
                        let due: u64 = (0..agent.emitted).filter(|v| is_finite(*v)).sum();
                        assert_eq!(sum, due, "each sample in one row");
                        self.summed += 1;
                    }
                    continue;
                }
                let values: BTreeSet<u64> = rows.iter().map(|(value, _)| *value).collect();
                assert_eq!(values.len(), rows.len(), "no sample is stored under two identities");
                assert!(!values.iter().any(|value| agent.dropped.contains(value)));
                if totals.unreadable == 0 {
                    let is_due = |value: &u64| {
                        !agent.dropped.contains(value)
                            && is_finite(*value)
                            && refusal(*value).is_none()
                    };
                    let due: BTreeSet<u64> = (0..agent.emitted).filter(is_due).collect();
                    assert_eq!(values, due, "each sample, and no other");
                }
            }
        }
    }
}

#[test]
fn whatever_fails_every_sample_is_one_row_or_counted() {
    let (mut steps, mut samples, mut rows) = (0, 0, 0);
    let mut seen: BTreeMap<&str, u32> = BTreeMap::new();
    for seed in 0..LIVES {
        let world = World::new(seed).live();
        if seed % 30 == 0 {
            let again = World::new(seed).live();
            assert_eq!(again.trace.finish(), world.trace.finish(), "the same seed, the same bytes");
        }
        steps += world.steps;
        samples += world.agents.iter().map(|agent| agent.emitted).sum::<u64>();
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
            ("sums compared", world.summed > 0),
            (
                "samples and rows",
                !world.only_rows && world.lanes.iter().any(|l| l.shape == Shape::Rollup),
            ),
        ] {
            *seen.entry(what).or_default() += u32::from(happened);
        }
    }
    println!("{LIVES} lives, {steps} steps, {samples} samples, {rows} rows: {seen:?}");
    assert!(seen.values().all(|lives| *lives >= 5), "each must happen to be tested: {seen:?}");
    assert!(steps > 2_000_000, "{steps}");
}
