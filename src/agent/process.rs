//! The agent's one loop: whatever happens goes to the machine, and what the machine says is done.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use nix::sys::signal::Signal;
use tokio::{
    sync::mpsc,
    task::{AbortHandle, JoinSet},
    time::sleep,
};
use tokio_util::sync::CancellationToken;

use super::{
    child::{Group, K6},
    intake::{Intake, Shared},
    rest::Rest,
    sender::Sender,
    settings::{Exit, Settings},
    spool::Spooler,
};
use crate::{
    core::{
        agent::{
            config::Config,
            events::{Input, Now, Unbundled},
            machine::Machine,
            outbox::Outbox,
            report::Account,
        },
        dimensions::Kept,
        k6::{
            args::{self, UserArgs},
            environment::Environment,
            version::Version,
        },
        ledger::threshold,
        samples::{
            frame::Limits,
            framer::Framer,
            spool::{
                Spool,
                record::{FORMAT, SegmentHeader},
            },
        },
    },
    io::{
        clock,
        link::Dialer,
        uplink::{Event, Uplink},
    },
    wire::session::{Ack, ToAgent, to_agent::Message},
};

/// Inputs that wait for the loop.
const INPUTS: usize = 64;
/// Deadline of the aggregator's welcome.
const WELCOME_MS: i64 = 10_000;
/// Time that k6 has to be gone after it was killed.
const KILLED: Duration = Duration::from_secs(5);

/// Runs one agent to its end. `shutdown` is the order to stop: the pod is being deleted.
pub async fn run(settings: Settings, dialer: Dialer, shutdown: CancellationToken) -> Exit {
    match Agent::start(settings) {
        Ok(agent) => Box::pin(agent.live(dialer, shutdown)).await,
        Err(error) => Exit::Failed(format!("the agent could not start: {error}")),
    }
}

pub(super) struct Agent {
    pub(super) settings: Settings,
    pub(super) user: UserArgs,
    pub(super) environment: Environment,
    pub(super) k6: K6,
    pub(super) began: Instant,
    pub(super) machine: Machine,
    pub(super) outbox: Outbox,
    pub(super) shared: Arc<Shared>,
    pub(super) intake: Intake,
    pub(super) spooler: Option<Spooler>,
    pub(super) inputs: mpsc::Sender<Input>,
    pub(super) happened: mpsc::Receiver<Input>,
    pub(super) tasks: JoinSet<()>,
    pub(super) version: Option<Version>,
    pub(super) rest: Option<Rest>,
    pub(super) group: Group,
    pub(super) setup: Option<AbortHandle>,
    pub(super) welcome_due_ms: i64,
    pub(super) left: Option<Exit>,
}

impl Agent {
    fn start(settings: Settings) -> std::io::Result<Self> {
        let began = Instant::now();
        let born_unix_ns = clock::unix_ns();
        let incarnation = format!("{:x}-{:x}", std::process::id(), born_unix_ns);
        let header = SegmentHeader {
            format: FORMAT,
            run: settings.run.to_string(),
            instance_id: settings.instance_id,
            incarnation: incarnation.clone(),
            segment: 0,
        };
        let shared = Arc::new(Shared::new(Spool::new(settings.spool, header), began));
        let (inputs, happened) = mpsc::channel(INPUTS);
        let kept = settings.dimensions.iter().map(|spec| Kept::of(spec.as_ref()));
        let id = settings.instance_id;
        let builder = Framer::new(id, Limits::default(), kept, &settings.rollups);
        let ship = settings.ship_samples;
        let intake =
            Intake::open(&settings.work_dir, builder, ship, shared.clone(), inputs.clone())?;
        let folder = settings.work_dir.join("spool").join(&incarnation);
        let spooler = if ship { Some(Spooler::start(folder, shared.clone())?) } else { None };
        // Only k6's own variables decide anything; the process inherits all of them.
        let mut environment: Environment = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .filter(|(name, _)| name.starts_with("K6_"))
            .collect();
        environment.extend(settings.env.clone());
        let checked = args::check(&settings.args);
        let user = checked.clone().unwrap_or_default();
        let config = Config {
            run: settings.run.clone(),
            instances: settings.instances,
            instance_id: settings.instance_id,
            incarnation,
            born_unix_ns,
            user: user.clone(),
            environment: environment.clone(),
            thresholds: threshold::of_spec(&settings.thresholds),
            tags: settings.tags.clone(),
            orphan_ms: settings.orphan_ms,
            grace_ms: settings.grace_ms,
        };
        let k6 = K6 {
            binary: settings.k6.clone(),
            env: settings.env.clone(),
            log_prefix: settings.log_prefix.clone(),
        };
        let now = Now { ms: 0, unix_ns: clock::unix_ns(), drained: true };
        let outbox = match settings.writer {
            Some(_) => Outbox::without_frames(),
            None => Outbox::default(),
        };
        let mut agent = Self {
            settings,
            user,
            environment,
            k6,
            began,
            machine: Machine::new(config, now),
            outbox,
            shared,
            intake,
            spooler,
            inputs,
            happened,
            tasks: JoinSet::new(),
            version: None,
            rest: None,
            group: Group::NONE,
            setup: None,
            welcome_due_ms: i64::MAX,
            left: None,
        };
        match checked {
            Ok(_) => agent.look_at_the_script(),
            Err(error) => {
                let error = Unbundled::InvalidSpec(error.to_string());
                agent.handle(Input::Bundled(Err(error)));
            }
        }
        Ok(agent)
    }

    async fn live(mut self, dialer: Dialer, shutdown: CancellationToken) -> Exit {
        let mut uplink = Uplink::new("aggregator".to_owned(), dialer);
        let writer = self.settings.writer.clone().filter(|_| self.settings.ship_samples);
        let mut sender = writer.map(|(replica, dialer)| Sender::new(replica, dialer));
        let mut terminated = false;
        loop {
            if let Some(exit) = self.left.take() {
                self.bury().await;
                return exit;
            }
            let now_ms = self.now_ms();
            let account = self.shared.account();
            let (wants_room, has_frames) = {
                let spool = self.shared.spool();
                let wants_room = self.outbox.has_next(&self.machine, &account, &spool, now_ms);
                (wants_room, sender.as_ref().is_some_and(|sender| sender.has_next(&spool)))
            };
            // With something to send it is room that is waited for, not time.
            let send_due_ms = if wants_room { i64::MAX } else { self.outbox.due_ms() };
            let writer_due_ms = sender.as_ref().map_or(i64::MAX, Sender::due_ms);
            let own_due_ms = send_due_ms.min(self.welcome_due_ms).min(writer_due_ms);
            let wake_ms = self.machine.wake_ms().min(own_due_ms);
            let pause_ms = u64::try_from(wake_ms.saturating_sub(now_ms)).unwrap_or(0);
            tokio::select! {
                () = shutdown.cancelled(), if !terminated => {
                    terminated = true;
                    self.handle(Input::Terminate);
                }
                Some(input) = self.happened.recv() => self.take(input),
                event = uplink.next(wants_room) => match event {
                    Event::Dialled => {
                        self.welcome_due_ms = now_ms + WELCOME_MS;
                        self.outbox.dialled();
                    }
                    Event::Room => {
                        let (spool, ledger) = (&mut self.shared.spool(), &mut self.shared.ledger());
                        let message =
                            self.outbox.next(&self.machine, &account, spool, ledger, now_ms);
                        if let Some(message) = message {
                            uplink.send(message);
                        }
                    }
                    Event::Received(message) => {
                        if self.receive(message) {
                            uplink.welcomed();
                        }
                    }
                    Event::Down => self.down(),
                    Event::Gone => self.handle(Input::AggregatorGone),
                },
                Some(event) = next_of(&mut sender, has_frames) => {
                    if let Some(sender) = &mut sender {
                        self.heed(sender, event, &account, now_ms);
                    }
                }
                () = self.shared.changed.notified() => {
                    if let Some(text) = self.shared.take_lost() {
                        self.handle(Input::SamplesLost(text));
                    }
                }
                () = sleep(Duration::from_millis(pause_ms)) => {
                    if self.now_ms() >= self.welcome_due_ms {
                        tracing::warn!("the aggregator gave no welcome");
                        uplink.redial();
                        self.down();
                    }
                    if let Some(sender) = &mut sender {
                        sender.tick(self.now_ms());
                    }
                    self.handle(Input::Tick);
                }
            }
        }
    }

    /// What happened on the way of the frames.
    fn heed(&mut self, sender: &mut Sender, event: Event, account: &Account, now_ms: i64) {
        match event {
            Event::Dialled => sender.dialled(now_ms),
            Event::Room => {
                let machine = &self.machine;
                sender.send(|| machine.hello(account), &mut self.shared.spool());
            }
            Event::Received(message) => {
                if let Some(ack) = sender.receive(message) {
                    self.acknowledged(&ack);
                }
            }
            Event::Down | Event::Gone => sender.down(),
        }
    }

    fn acknowledged(&mut self, ack: &Ack) {
        self.shared.change_spool(|spool| spool.ack(ack));
        self.handle(Input::Tick);
    }

    fn take(&mut self, input: Input) {
        match &input {
            Input::Version(Ok(version)) => self.version = Some(version.clone()),
            Input::Exited(exit) => {
                self.group = Group::NONE;
                tracing::info!(end = exit.describe(), "k6 ended");
            }
            _ => {}
        }
        self.handle(input);
    }

    /// Takes a message; answers whether it was the welcome.
    fn receive(&mut self, message: ToAgent) -> bool {
        match message.message {
            Some(Message::Welcome(_)) => {
                self.welcome_due_ms = i64::MAX;
                self.outbox.welcomed();
                tracing::info!(elapsed_ms = ms_since(self.began), "aggregator welcomed this agent");
                self.handle(Input::SessionUp);
                return true;
            }
            Some(Message::Ack(ack)) => self.acknowledged(&ack),
            Some(message) => {
                tracing::debug!(message = name(&message), "aggregator says");
                if let Message::Refused(refused) = &message {
                    tracing::warn!(reason = refused.message, "refused by the aggregator");
                }
                self.handle(Input::Message(message));
            }
            None => {}
        }
        false
    }

    fn down(&mut self) {
        self.welcome_due_ms = i64::MAX;
        if self.outbox.is_up() {
            tracing::warn!("session with the aggregator is over; dialling again");
        }
        self.outbox.down();
        self.handle(Input::SessionDown);
    }

    pub(super) fn handle(&mut self, input: Input) {
        let before = self.machine.phase();
        let drained = self.shared.spool().is_empty();
        let now = Now { ms: self.now_ms(), unix_ns: clock::unix_ns(), drained };
        for action in self.machine.handle(input, now) {
            self.act(action);
        }
        let phase = self.machine.phase();
        if phase != before {
            let elapsed_ms = ms_since(self.began);
            tracing::info!(phase = phase.as_str_name(), elapsed_ms, "agent's phase changed");
        }
    }

    /// Leaves no k6 behind, and no sample in memory alone.
    async fn bury(mut self) {
        let spooler = self.spooler.take();
        self.end_k6().await;
        if let Some(spooler) = spooler {
            drop(tokio::task::spawn_blocking(|| spooler.close()).await);
        }
    }

    async fn end_k6(&mut self) {
        self.intake.close();
        if self.group.is_none() {
            self.tasks.abort_all();
            return;
        }
        self.group.signal(Signal::SIGKILL);
        let tasks = &mut self.tasks;
        let gone = async { while tasks.join_next().await.is_some() {} };
        let happened = &mut self.happened;
        // Its end comes as an input; all other inputs are of no interest any more.
        let told = async {
            while let Some(input) = happened.recv().await {
                if matches!(input, Input::Exited(_)) {
                    break;
                }
            }
        };
        tokio::select! {
            () = gone => {}
            () = told => {}
            () = sleep(KILLED) => tracing::warn!("k6 is not gone though it was killed"),
        }
    }

    fn now_ms(&self) -> i64 {
        i64::try_from(self.began.elapsed().as_millis()).unwrap_or(i64::MAX)
    }
}

/// What happens next on the way of the frames, where that is one of its own.
async fn next_of(sender: &mut Option<Sender>, wants_room: bool) -> Option<Event> {
    Some(sender.as_mut()?.next(wants_room).await)
}

/// The kind of a message alone: what it carries may be a secret of the script's.
const fn name(message: &Message) -> &'static str {
    match message {
        Message::Welcome(_) => "welcome",
        Message::Refused(_) => "refused",
        Message::SendBundle(_) => "send bundle",
        Message::Bundle(_) => "bundle",
        Message::RunSetup(_) => "run setup",
        Message::SetupData(_) => "setup data",
        Message::Start(_) => "start",
        Message::Stop(_) => "stop",
        Message::RunTeardown(_) => "run teardown",
        Message::RunSummary(_) => "run summary",
        Message::Finish(_) => "finish",
        Message::Ack(_) => "ack",
        Message::Goodbye(_) => "goodbye",
    }
}

pub(super) fn ms_since(began: Instant) -> u64 {
    u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX)
}
