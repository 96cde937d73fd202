//! One instance: a k6 that emits, and the agent with all that it decides.

use std::collections::BTreeSet;

use super::{
    START_NS,
    outputs::{RULE, makes},
    sessions::Letter,
    weather::Weather,
};
use crate::{
    api::v1alpha1::OnFull,
    core::{
        agent::{
            config::Config,
            courier::Courier,
            events::{Action, Input, Now},
            machine::Machine,
            outbox::Outbox,
            report::Account,
            stopping::Push,
        },
        bundle::Bundle,
        dimensions::{Kept, of_outputs},
        k6::{
            exit::{Exit, INTERRUPTED, STOPPED_OVER_REST},
            rest::{Stage, Status},
            version::Version,
        },
        ledger::{ledger::Ledger, threshold::Rules},
        plan::RunPlan,
        replicas::share::replica_of,
        samples::{
            frame::{self, Closed},
            framer::Framer,
            rollup::spec::Wanted,
            spool::{
                self, Loss, Spool,
                job::Job,
                record::{FORMAT, SegmentHeader},
            },
        },
        tests::{
            dice::Dice,
            disk::{Disk, Faults},
            emitted::{Emitted, Sample},
        },
    },
    wire::session::{Ack, AgentPhase, to_agent, to_aggregator::Message},
};

/// Samples that k6 emits at most between two turns.
const BURST: usize = 8;

/// What happens to an instance some time after it asked for it.
#[derive(Clone, Debug)]
pub(super) enum Happens {
    /// k6's status is there.
    Polled,
    /// k6 took the order to go.
    Resumed,
    /// k6 ended.
    Exited,
    /// The last sample was read.
    Read,
    /// The process hears of a loss that fails the run.
    Lost(String),
}

pub(super) struct Agent {
    pub(super) id: u32,
    pub(super) machine: Machine,
    outbox: Outbox,
    courier: Option<Courier>,
    pub(super) spool: Spool,
    pub(super) disk: Disk,
    job: Option<Job>,
    framer: Framer,
    ledger: Ledger,
    stage: Option<Stage>,
    load_ms: i64,
    load_ends_ms: i64,
    exit_code: i32,
    pub(super) emitted: Emitted,
    /// Frames that found no room.
    pub(super) dropped: BTreeSet<u64>,
    /// Frames that it knows to be acknowledged.
    pub(super) acked: BTreeSet<u64>,
    /// Frames that it has ever sent.
    pub(super) sent: BTreeSet<u64>,
    /// Samples were lost in a way that fails the run.
    pub(super) has_failed: bool,
    /// Its sessions with replica 0 and, where one writes its samples, with the writer.
    pub(super) links: [Option<u64>; 2],
    pub(super) is_dead: bool,
    pub(super) has_left: bool,
    /// What is to happen, and how much later.
    pub(super) later: Vec<(i64, Happens)>,
}

impl Agent {
    pub(super) fn new(id: u32, plan: &RunPlan, weather: &Weather, dice: &mut Dice) -> Self {
        let writer = Some(replica_of(id, plan.replicas)).filter(|replica| *replica > 0);
        let wanted = Wanted::of_outputs(&plan.outputs);
        let all_kept = of_outputs(&plan.outputs);
        let all_kept = all_kept.iter().map(|dimensions| Kept::of(dimensions.as_ref()));
        let now = Now { ms: 0, unix_ns: START_NS, drained: true };
        let bytes_max = if weather.spool_fills { 3_000 } else { 60_000 };
        let limits = spool::Limits {
            bytes_max,
            on_full: if weather.full_fails { OnFull::Fail } else { OnFull::Drop },
            segment_bytes: 1_000 + dice.below(4_000_u64),
            group_bytes: 300 + dice.below(2_000_u64),
            linger_ms: 100 + dice.ms(2_000),
            queue_bytes: 60_000,
            window: 1 + dice.below(16_usize),
            window_bytes: 2_000 + dice.below(20_000_usize),
            read_bytes: 100 + dice.below(2_000_u64),
            retry_ms: 1 + dice.ms(100),
        };
        let faults = Faults {
            write: weather.disk_fails,
            read: weather.disk_fails,
            remove: weather.disk_fails,
            rot: weather.rots,
            capacity: if weather.disk_fails > 10 { 6_000 } else { usize::MAX },
        };
        let header = SegmentHeader { format: FORMAT, ..SegmentHeader::default() };
        let size = frame::Limits {
            samples_max: 1 + dice.below(12_usize),
            bytes_max: 4_000,
            linger_ms: 50 + dice.ms(200),
        };
        let mut agent = Self {
            id,
            machine: Machine::new(Config::plain(id, plan.instances), now),
            outbox: if writer.is_some() { Outbox::without_frames() } else { Outbox::default() },
            courier: writer.map(Courier::new),
            spool: Spool::new(limits, header),
            disk: Disk::new(faults),
            job: None,
            framer: Framer::new(id, size, all_kept, &wanted),
            ledger: Ledger::new(&Rules::default(), false),
            stage: None,
            load_ms: 1_000 + dice.ms(5_000),
            load_ends_ms: i64::MAX,
            exit_code: 0,
            emitted: Emitted::new(RULE, makes(plan)),
            dropped: BTreeSet::new(),
            acked: BTreeSet::new(),
            sent: BTreeSet::new(),
            has_failed: false,
            links: [None; 2],
            is_dead: false,
            has_left: false,
            later: Vec::new(),
        };
        agent.tell(Input::Version(Ok(Version::parse("k6 v2.2.0"))), 0);
        if id == 1 {
            let options = r#"{"maxVUs": 100, "totalDuration": "12s", "setupTimeout": "1s", "teardownTimeout": "1s",
                "noSetup": true, "noTeardown": true}"#;
            let bundle = Bundle::new(b"archive".to_vec(), options.into()).unwrap();
            agent.tell(Input::Bundled(Ok(bundle)), 0);
        }
        agent
    }

    pub(super) fn lives(&self) -> bool {
        !self.is_dead && !self.has_left
    }

    pub(super) fn tell(&mut self, input: Input, now_ms: i64) {
        let unix_ns = START_NS + now_ms * 1_000_000;
        let now = Now { ms: now_ms, unix_ns, drained: self.spool.is_empty() };
        for action in self.machine.handle(input, now) {
            match action {
                Action::StoreBundle(_) => self.tell(Input::BundleStored(Ok(())), now_ms),
                Action::KeepLedger { rules, full, .. } => self.ledger = Ledger::new(&rules, full),
                Action::StartK6 { .. } => self.stage = Some(Stage::Paused),
                Action::Poll => self.later.push((5, Happens::Polled)),
                Action::Resume => self.later.push((5, Happens::Resumed)),
                Action::Push(Push::Rest) => self.stage = self.stage.map(|_| Stage::Interrupted),
                Action::Push(_) => {
                    self.exit_code = match self.stage.take() {
                        Some(Stage::Ended) => 0,
                        Some(Stage::Interrupted) => STOPPED_OVER_REST,
                        _ => INTERRUPTED,
                    };
                    self.later.push((20, Happens::Exited));
                }
                Action::CloseSamples => self.later.push((10, Happens::Read)),
                Action::Send(message) => self.outbox.answer(message),
                Action::Leave(_) => self.has_left = true,
                other => panic!("nothing asks for {other:?}"),
            }
        }
    }

    pub(super) fn happen(&mut self, what: &Happens, now_ms: i64) {
        match what {
            Happens::Polled => {
                let status = self.stage.map(|stage| Status { stage, vus: 1, vus_max: 1 });
                self.tell(Input::Status(status), now_ms);
            }
            Happens::Resumed => {
                self.stage = Some(Stage::Running);
                self.load_ends_ms = now_ms + self.load_ms;
                self.tell(Input::Resumed(Ok(())), now_ms);
            }
            Happens::Exited => {
                let exit =
                    Exit { code: self.exit_code, signal: None, oom_killed: false, error: None };
                self.tell(Input::Exited(exit), now_ms);
            }
            Happens::Read => {
                let last = self.framer.close();
                self.take(last, i64::MAX, now_ms);
                self.tell(Input::SamplesEnded, now_ms);
            }
            Happens::Lost(text) => self.tell(Input::SamplesLost(text.clone()), now_ms),
        }
    }

    /// Time has passed: k6 emits, frames close, the disk is at work.
    pub(super) fn turn(&mut self, dice: &mut Dice, now_ms: i64) {
        if self.stage == Some(Stage::Running) {
            for _ in 0..dice.below(BURST) {
                self.emit(dice, now_ms);
            }
            if now_ms >= self.load_ends_ms {
                self.stage = Some(Stage::Ended);
            }
        }
        let due = self.framer.poll(now_ms);
        self.take(due, now_ms, now_ms);
        if dice.below(1_000) < self.disk.faults.rot {
            self.disk.rot(dice);
        }
        if let Some(job) = self.job.take() {
            let done = self.disk.act(&job, dice);
            let loss = self.spool.done(done, now_ms);
            self.lose(loss, now_ms);
        }
        self.job = self.spool.job(now_ms);
        self.tell(Input::Tick, now_ms);
    }

    pub(super) fn has_started(&self) -> bool {
        self.machine.phase() >= AgentPhase::Starting
    }

    /// Nothing fails any more.
    pub(super) fn calm(&mut self) {
        self.disk.faults = Faults { capacity: usize::MAX, ..Faults::default() };
    }

    fn emit(&mut self, dice: &mut Dice, now_ms: i64) {
        let late_ms = if dice.percent(3) { dice.ms(3_000) } else { 0 };
        let sample = Sample {
            value: 0,
            time_ns: START_NS + (now_ms - late_ms) * 1_000_000,
            metric: dice.pick(&["http_reqs", "vus"]),
            tags: vec![
                ("status", dice.pick(&["200", "404", ""])),
                ("vu", dice.pick(&["1", "2", "3"])),
            ],
        };
        let point = self.emitted.emit(sample, now_ms);
        let closed = self.framer.push(&point, now_ms);
        self.take(closed, i64::MAX, now_ms);
    }

    /// A frame, of all samples that are due.
    fn take(&mut self, closed: Option<Closed>, due_ms: i64, now_ms: i64) {
        let Some(closed) = closed else { return };
        let seq = closed.frame.seq;
        self.emitted.close(&closed.frame, due_ms);
        let before = self.spool.totals().dropped;
        let loss = self.spool.push(closed, now_ms);
        if self.spool.totals().dropped > before {
            self.dropped.insert(seq);
        }
        self.lose(loss, now_ms);
    }

    /// The thread that noticed a loss tells it to the process, which has other things to do meanwhile.
    fn lose(&mut self, loss: Option<Loss>, now_ms: i64) {
        if let Some(loss) = loss.filter(|loss| loss.fails) {
            self.has_failed = true;
            self.later.push((now_ms % 4, Happens::Lost(loss.text)));
        }
    }

    pub(super) fn account(&self) -> Account {
        Account {
            emitted: self.emitted.count,
            measured: self.ledger.samples(),
            unparsable_lines: 0,
            totals: self.spool.totals().clone(),
        }
    }

    /// What it has to say by its session with replica 0, or with its writer.
    pub(super) fn say(&mut self, way: usize, now_ms: i64) -> Option<Letter> {
        let account = self.account();
        let message = if way == 0 {
            if !self.outbox.has_next(&self.machine, &account, &self.spool, now_ms) {
                return None;
            }
            let (spool, ledger) = (&mut self.spool, &mut self.ledger);
            self.outbox.next(&self.machine, &account, spool, ledger, now_ms)
        } else {
            let courier = self.courier.as_mut()?;
            if !courier.has_next(&self.spool) {
                return None;
            }
            courier.next(|| self.machine.hello(&account), &mut self.spool)
        };
        let message = message.expect("what is there is said");
        let acked = match &message {
            Message::Hello(_) | Message::Report(_) => vec![(self.id, self.acked.clone())],
            Message::Frame(frame) => {
                self.sent.insert(frame.seq);
                Vec::new()
            }
            _ => Vec::new(),
        };
        Some(Letter { message, settled: acked })
    }

    pub(super) fn dialled(&mut self, way: usize) {
        match (way, &mut self.courier) {
            (0, _) => self.outbox.dialled(),
            (_, Some(courier)) => courier.dialled(),
            (_, None) => {}
        }
    }

    pub(super) fn down(&mut self, way: usize, now_ms: i64) {
        self.links[way] = None;
        if way == 0 {
            self.outbox.down();
            self.tell(Input::SessionDown, now_ms);
        } else if let Some(courier) = &mut self.courier {
            courier.down();
        }
    }

    pub(super) fn hear(&mut self, way: usize, message: to_agent::Message, now_ms: i64) {
        match message {
            to_agent::Message::Welcome(_) if way == 0 => {
                self.outbox.welcomed();
                self.tell(Input::SessionUp, now_ms);
            }
            to_agent::Message::Welcome(_) => {
                if let Some(courier) = &mut self.courier {
                    courier.welcomed();
                }
            }
            to_agent::Message::Ack(ack) => {
                self.acknowledged(&ack);
                self.tell(Input::Tick, now_ms);
            }
            // A writer that refuses is dialled again.
            other if way == 0 => self.tell(Input::Message(other), now_ms),
            _ => {}
        }
    }

    fn acknowledged(&mut self, ack: &Ack) {
        let before = self.spool.totals().acked;
        self.spool.ack(ack);
        if self.spool.totals().acked > before {
            self.acked.insert(ack.seq);
        }
    }
}
