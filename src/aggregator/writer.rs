//! The loop of a writer: frames of its agents in, writes and acknowledgements out, and its state to replica 0. It needs no
//! Kubernetes, keeps nothing, and is dismissed by replica 0.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::{
    data_path::DataPath,
    meters::Meters,
    probes,
    session::{self, SessionEvent, SessionHandle},
};
use crate::{
    core::{
        pipeline::pipeline::{Acked, FrameKey},
        plan::RunPlan,
        rally::input::SessionId,
        replicas::writer::Writer,
    },
    io::{
        clock,
        link::{AggregatorEnd, Dialer},
        uplink::{self, Uplink},
    },
    output::output::{OpenOutput, Probe},
    wire::session::{
        Ack, Frame, Hello, Refused, ToAgent, Welcome, to_agent, to_aggregator::Message,
    },
};

/// Events taken in one go before decisions are carried out.
const EVENTS_MAX: usize = 256;
/// Longest pause between two looks at the clock.
const TICK: Duration = Duration::from_millis(250);
/// Deadline of replica 0's welcome, in milliseconds.
const WELCOME_MS: i64 = 10_000;
/// How often people are told at most that writes fail, in milliseconds.
const WARN_INTERVAL_MS: i64 = 10_000;

/// What a writer is given.
#[derive(Debug)]
pub struct Settings {
    /// The run.
    pub plan: RunPlan,
    /// Which replica this is, from 1.
    pub replica: u32,
    /// The run's outputs, in the plan's order.
    pub outputs: Vec<OpenOutput>,
    /// Where its own metrics are kept.
    pub meters: Arc<Meters>,
    /// Time without replica 0 after which it gives up, in milliseconds.
    pub orphan_ms: i64,
}

/// Why a writer ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// The run is over.
    Dismissed,
    /// It was told to end before the run has: agents keep what is not acknowledged for the next one.
    Told,
    /// Replica 0 does not want it, or is gone for good: why.
    Unwanted(String),
}

/// Writes the samples of the agents that dial in `sessions`, until the run is over. `leader` leads to replica 0.
pub async fn run(
    settings: Settings,
    mut sessions: mpsc::Receiver<AggregatorEnd>,
    leader: Dialer,
    shutdown: CancellationToken,
) -> End {
    let (events_tx, mut events) = mpsc::channel(EVENTS_MAX * 4);
    let (probes_tx, mut probed) = mpsc::channel(EVENTS_MAX);
    let mut shell = Shell::new(settings, events_tx);
    let _probes = probes::spawn(&shell.data.outputs, &probes_tx);
    drop(probes_tx);
    let mut uplink = Uplink::new("aggregator".to_owned(), leader);
    let mut batch = Vec::with_capacity(EVENTS_MAX);
    let mut may_dial = true;
    loop {
        shell.carry_out();
        if let Some(end) = shell.end.take() {
            return end;
        }
        let has_news = shell.has_news();
        let pause = shell.pause(has_news);
        tokio::select! {
            end = sessions.recv(), if may_dial => match end {
                Some(end) => shell.open(end),
                None => may_dial = false,
            },
            count = events.recv_many(&mut batch, EVENTS_MAX) => {
                tracing::trace!(count, "events");
                batch.drain(..).for_each(|(id, event)| shell.on_event(id, event));
            }
            Some(done) = shell.data.writes.join_next() => {
                shell.data.finish(done, clock::unix_ms());
            }
            Some((output, probe)) = probed.recv() => shell.on_probe(output, probe),
            event = uplink.next(has_news) => shell.on_uplink(event, &mut uplink),
            () = shutdown.cancelled() => return End::Told,
            () = tokio::time::sleep(pause) => {
                if shell.is_unwelcome() {
                    tracing::warn!("the aggregator gave no welcome");
                    uplink.redial();
                    shell.on_uplink(uplink::Event::Down, &mut uplink);
                }
            }
        }
    }
}

/// Where the session with replica 0 stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// No session since then, Unix time in milliseconds.
    Down(i64),
    /// Dialled: nothing was said yet.
    Dialled(i64),
    /// The first state was told, and is to be answered.
    Told(i64),
    /// Welcomed.
    Up,
}

struct Shell {
    writer: Writer,
    data: DataPath,
    meters: Arc<Meters>,
    sessions: BTreeMap<SessionId, SessionHandle>,
    next_session: u64,
    events: mpsc::Sender<(SessionId, SessionEvent)>,
    stage: Stage,
    /// Since when there has been no welcome, Unix time in milliseconds; none while there is one.
    unheard_since_ms: Option<i64>,
    orphan_ms: i64,
    is_hurrying: bool,
    warn_after_ms: i64,
    now_ms: i64,
    end: Option<End>,
}

impl Shell {
    fn new(settings: Settings, events: mpsc::Sender<(SessionId, SessionEvent)>) -> Self {
        let now_ms = clock::unix_ms();
        Self {
            writer: Writer::new(&settings.plan, settings.replica),
            data: DataPath::new(settings.outputs),
            meters: settings.meters,
            sessions: BTreeMap::new(),
            next_session: 0,
            events,
            stage: Stage::Down(now_ms),
            unheard_since_ms: Some(now_ms),
            orphan_ms: settings.orphan_ms,
            is_hurrying: false,
            warn_after_ms: 0,
            now_ms,
            end: None,
        }
    }

    fn open(&mut self, end: AggregatorEnd) {
        self.next_session += 1;
        let id = SessionId(self.next_session);
        let handle = session::spawn(id, end, self.events.clone(), self.data.room());
        self.sessions.insert(id, handle);
    }

    fn on_event(&mut self, id: SessionId, event: SessionEvent) {
        match event {
            SessionEvent::Hello(hello) => self.on_hello(id, &hello),
            SessionEvent::Frame(frame, cost) => self.on_frame(id, &frame, cost),
            SessionEvent::Closed => {
                self.sessions.remove(&id);
                self.writer.closed(id);
            }
            SessionEvent::Message(Message::Report(report)) => self.writer.reported(id, &report),
            // All else is for the aggregator.
            SessionEvent::Message(_) | SessionEvent::Ledger(_) => {}
        }
    }

    fn on_hello(&mut self, id: SessionId, hello: &Hello) {
        match self.writer.opened(id, hello) {
            Ok(before) => {
                tracing::debug!(instance_id = hello.instance_id, "an agent dialled");
                before.map(|before| self.sessions.remove(&before));
                self.send(id, to_agent::Message::Welcome(Welcome {}));
            }
            Err(message) => {
                tracing::warn!(instance_id = hello.instance_id, message, "an agent is refused");
                self.send(id, to_agent::Message::Refused(Refused { message }));
                self.sessions.remove(&id);
            }
        }
    }

    fn on_frame(&mut self, id: SessionId, frame: &Frame, cost: u32) {
        let Some((instance_id, incarnation)) = self.writer.source_of(id) else {
            self.data.release(cost);
            return;
        };
        let key = FrameKey { instance_id, incarnation: incarnation.clone(), seq: frame.seq };
        if let Some(samples) = self.data.accept(key, frame, cost, clock::unix_ms()) {
            self.writer.held(instance_id, &incarnation, samples);
        }
    }

    fn on_probe(&mut self, output: usize, probe: Probe) {
        self.writer.set_output(output, |state| match probe {
            Probe::Ready => (state.ready, state.trouble) = (true, String::new()),
            Probe::ReadyUnproved(why) => {
                tracing::warn!(output, why, "the output could not be looked at");
                (state.ready, state.trouble) = (true, String::new());
            }
            Probe::Waiting(why) => state.trouble = why,
            Probe::Failed(why) => state.failed = why,
        });
    }

    fn on_uplink(&mut self, event: uplink::Event, uplink: &mut Uplink) {
        let now_ms = clock::unix_ms();
        match event {
            uplink::Event::Dialled => {
                self.stage = Stage::Dialled(now_ms);
                self.writer.dialled();
            }
            uplink::Event::Room => {
                let state = self.writer.state(self.is_in_flight(), now_ms);
                if matches!(self.stage, Stage::Dialled(_)) {
                    self.stage = Stage::Told(now_ms);
                }
                uplink.send(Message::Writer(state));
            }
            uplink::Event::Received(message) => self.obey(message, uplink),
            uplink::Event::Down => {
                if self.stage == Stage::Up {
                    tracing::warn!("session with the aggregator is over; dialling again");
                }
                self.stage = Stage::Down(now_ms);
                self.unheard_since_ms.get_or_insert(now_ms);
            }
            uplink::Event::Gone => {
                self.end = Some(End::Unwanted("the aggregator is gone".to_owned()));
            }
        }
    }

    fn obey(&mut self, message: ToAgent, uplink: &mut Uplink) {
        match message.message {
            Some(to_agent::Message::Welcome(_)) => {
                tracing::info!("the aggregator welcomed this writer");
                self.stage = Stage::Up;
                self.unheard_since_ms = None;
                uplink.welcomed();
            }
            Some(to_agent::Message::Finish(finish)) => {
                self.is_hurrying = true;
                self.writer.finished(finish);
            }
            Some(to_agent::Message::Goodbye(_)) => self.end = Some(End::Dismissed),
            Some(to_agent::Message::Refused(refused)) => {
                self.end = Some(End::Unwanted(refused.message));
            }
            // All else is for agents.
            Some(_) | None => {}
        }
    }

    fn carry_out(&mut self) {
        self.now_ms = clock::unix_ms();
        self.meters.beat(self.now_ms);
        while let Some(acked) = self.data.poll_ack() {
            self.acknowledge(acked);
        }
        self.data.pipeline.set_hurry(self.is_hurrying);
        self.data.begin_writes(self.now_ms);
        self.look_at_lanes();
        self.meters.set_sessions(self.sessions.len());
        if self.unheard_since_ms.is_some_and(|at| self.now_ms >= at.saturating_add(self.orphan_ms))
        {
            self.end = Some(End::Unwanted("no aggregator to write for".to_owned()));
        }
    }

    fn acknowledge(&mut self, acked: Acked) {
        let Acked { key, outputs, again, sample_count } = acked;
        let FrameKey { instance_id, incarnation, seq } = key;
        if !again {
            self.writer.settled(instance_id, &incarnation, (seq, sample_count), &outputs);
        }
        if let Some(session) = self.writer.session_of(instance_id, &incarnation) {
            self.send(session, to_agent::Message::Ack(Ack { seq, outputs }));
        }
    }

    /// Takes over what the outputs complain of.
    fn look_at_lanes(&mut self) {
        let mut fatal = Vec::new();
        while let Some((name, why)) = self.data.pipeline.poll_fatal() {
            let at = self.data.outputs.iter().position(|open| open.lane.name == name);
            fatal.extend(at.map(|at| (at, why)));
        }
        for (at, why) in fatal {
            self.writer.set_output(at, |state| state.failed = why);
        }
        let repeated = self.data.pipeline.repeated();
        for (at, lane) in self.data.pipeline.lanes().iter().enumerate() {
            self.meters.set_lane(lane);
            let trouble = lane.last_failure();
            let may_warn = !trouble.is_empty() && self.now_ms >= self.warn_after_ms;
            let warn_after_ms = &mut self.warn_after_ms;
            self.writer.set_output(at, |state| {
                state.duplicates = repeated + lane.counts().repeated;
                if state.ready && state.trouble != trouble {
                    trouble.clone_into(&mut state.trouble);
                    if may_warn {
                        *warn_after_ms = self.now_ms.saturating_add(WARN_INTERVAL_MS);
                        tracing::warn!(output = at, trouble, "writes fail, and are tried again");
                    }
                }
            });
        }
    }

    fn send(&mut self, session: SessionId, message: to_agent::Message) {
        let is_sent = self.sessions.get(&session).is_some_and(|handle| handle.send(message));
        if !is_sent && self.sessions.remove(&session).is_some() {
            tracing::warn!(session = session.0, "an agent does not read: session ended");
            self.writer.closed(session);
        }
    }

    fn is_in_flight(&self) -> bool {
        !self.data.pipeline.is_empty()
    }

    /// Whether there is something to tell replica 0 now.
    fn has_news(&mut self) -> bool {
        match self.stage {
            Stage::Down(_) | Stage::Told(_) => false,
            Stage::Dialled(_) => true,
            Stage::Up => {
                let is_due = self.now_ms >= self.writer.state_due_ms(self.is_in_flight());
                // While the load goes on nobody asks for them, and it takes a look at every frame.
                if is_due && self.is_hurrying {
                    self.writer.settled_early(&self.data.pipeline.early_by_source());
                }
                is_due
            }
        }
    }

    /// Whether replica 0 should have answered by now.
    fn is_unwelcome(&self) -> bool {
        match self.stage {
            Stage::Down(_) | Stage::Up => false,
            Stage::Dialled(at_ms) | Stage::Told(at_ms) => clock::unix_ms() >= at_ms + WELCOME_MS,
        }
    }

    fn pause(&self, has_news: bool) -> Duration {
        let state_due_ms = match self.stage {
            // With something to tell it is room that is waited for, not time.
            Stage::Up if !has_news => self.writer.state_due_ms(self.is_in_flight()),
            _ => i64::MAX,
        };
        let due_ms = self.data.pipeline.poll_timeout().unwrap_or(i64::MAX).min(state_due_ms);
        let pause_ms = due_ms.saturating_sub(clock::unix_ms());
        Duration::from_millis(u64::try_from(pause_ms).unwrap_or(0)).min(TICK)
    }
}
