//! The loop: what happens is told to the rally and the pipeline, and what they decide is done.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::{
    data_path::DataPath,
    meters::Meters,
    probes,
    session::{self, SessionEvent, SessionHandle},
    settings::{Control, OnShutdown, Settings},
};
use crate::{
    core::{
        pipeline::pipeline::{Acked, FrameKey},
        rally::{
            input::{Action, Input, RallyConfig, SessionId},
            rally::Rally,
        },
        replicas::writers::Writers,
        verdict::Verdict,
    },
    io::{clock, link::AggregatorEnd},
    output::output::Probe,
    wire::{
        result::{Artifacts, RunResult},
        session::{Ack, Frame, Outcome, to_agent, to_aggregator},
    },
};

/// Events taken in one go before decisions are carried out.
const EVENTS_MAX: usize = 256;
/// Longest pause between two looks at the clock, so that a clock that is set does not stall the run.
const TICK: Duration = Duration::from_millis(250);
/// How often progress is published at most, in milliseconds; changes of the stage go out at once.
const PUBLISH_INTERVAL_MS: i64 = 250;
/// How often people are told at most that writes fail, in milliseconds.
const WARN_INTERVAL_MS: i64 = 10_000;
/// What is left of a pod's grace (60 s) for publishing and leaving, in milliseconds.
const SHUTDOWN_MS: i64 = 45_000;

/// Runs the rally and the pipeline of one run to its end, and tells its result.
pub async fn run(
    settings: Settings,
    mut sessions: mpsc::Receiver<AggregatorEnd>,
    mut control: mpsc::Receiver<Control>,
    publish: watch::Sender<RunResult>,
    shutdown: CancellationToken,
) -> RunResult {
    let (events_tx, mut events) = mpsc::channel(EVENTS_MAX * 4);
    let (probes_tx, mut probes) = mpsc::channel(EVENTS_MAX);
    let on_shutdown = settings.on_shutdown;
    let keep_dir = settings.keep_dir.clone();
    let mut engine = Engine::new(settings, events_tx, publish);
    if let Some(dir) = keep_dir {
        engine.start_keeping(dir);
    }
    let _probes = probes::spawn(&engine.data.outputs, &probes_tx);
    drop(probes_tx);
    let mut batch = Vec::with_capacity(EVENTS_MAX);
    let (mut may_dial, mut is_controlled, mut is_told) = (true, true, false);
    loop {
        engine.carry_out();
        if engine.has_ended && engine.writers_have_left() {
            break;
        }
        let pause = engine.pause();
        tokio::select! {
            end = sessions.recv(), if may_dial => match end {
                Some(end) => engine.open(end),
                None => may_dial = false,
            },
            count = events.recv_many(&mut batch, EVENTS_MAX) => {
                tracing::trace!(count, "events");
                batch.drain(..).for_each(|(id, event)| engine.on_event(id, event));
            }
            Some(done) = engine.data.writes.join_next() => {
                engine.now_ms = clock::unix_ms();
                engine.data.finish(done, engine.now_ms);
            }
            Some((output, probe)) = probes.recv() => engine.on_probe(output, probe),
            told = control.recv(), if is_controlled => match told {
                Some(told) => engine.on_control(told),
                None => is_controlled = false,
            },
            () = shutdown.cancelled(), if !is_told => {
                is_told = true;
                if on_shutdown == OnShutdown::Leave {
                    break;
                }
                let why = "the aggregator was told to end".to_owned();
                engine.tell(Input::Shutdown(SHUTDOWN_MS, why));
            }
            () = tokio::time::sleep(pause) => {
                engine.tell_settled_early();
                let held_back = engine.data.is_holding_back();
                engine.tell(Input::Timeout { held_back });
            }
        }
    }
    engine.publish_now();
    engine.result()
}

struct Engine {
    rally: Rally,
    data: DataPath,
    /// Outputs that this process can write to.
    ready: BTreeSet<usize>,
    writers: Writers,
    /// When writers were told to go, Unix time in milliseconds.
    dismissed_ms: Option<i64>,
    awaits_publication: bool,
    meters: Arc<Meters>,
    sessions: BTreeMap<SessionId, SessionHandle>,
    next_session: u64,
    events: mpsc::Sender<(SessionId, SessionEvent)>,
    publish: watch::Sender<RunResult>,
    published_stage: Option<u64>,
    publish_after_ms: i64,
    troubles: BTreeMap<usize, String>,
    warn_after_ms: i64,
    verdict: Verdict,
    summary_answer: Option<Outcome>,
    artifacts: Option<Arc<Artifacts>>,
    found_outcome: bool,
    keeping: Option<keeping::Keeping>,
    has_ended: bool,
    now_ms: i64,
}

impl Engine {
    fn new(
        settings: Settings,
        events: mpsc::Sender<(SessionId, SessionEvent)>,
        publish: watch::Sender<RunResult>,
    ) -> Self {
        let now_ms = clock::unix_ms();
        let found_outcome = settings.former.as_ref().is_some_and(|former| former.outcome.is_some());
        let run = settings.plan.run.to_string();
        let writers = Writers::new(&run, settings.plan.replicas, settings.former.is_some(), now_ms);
        Self {
            rally: Rally::new(RallyConfig::new(&settings.plan), settings.former, now_ms),
            data: DataPath::new(settings.outputs),
            ready: BTreeSet::new(),
            writers,
            dismissed_ms: None,
            awaits_publication: settings.awaits_publication,
            meters: settings.meters,
            sessions: BTreeMap::new(),
            next_session: 0,
            events,
            publish,
            published_stage: None,
            publish_after_ms: 0,
            troubles: BTreeMap::new(),
            warn_after_ms: 0,
            verdict: Verdict::new(settings.stdout_tty, settings.stderr_tty),
            summary_answer: None,
            artifacts: None,
            found_outcome,
            keeping: None,
            has_ended: false,
            now_ms,
        }
    }

    fn tell(&mut self, input: Input) {
        self.now_ms = clock::unix_ms();
        self.rally.handle(input, self.now_ms);
    }

    fn open(&mut self, end: AggregatorEnd) {
        self.next_session += 1;
        let id = SessionId(self.next_session);
        let handle = session::spawn(id, end, self.events.clone(), self.data.room());
        self.sessions.insert(id, handle);
    }

    fn on_event(&mut self, id: SessionId, event: SessionEvent) {
        match event {
            SessionEvent::Hello(hello) => {
                tracing::debug!(instance_id = hello.instance_id, "an agent dialled");
                let instance_id = hello.instance_id;
                self.tell(Input::Opened(id, hello));
                self.keep_soon(instance_id);
            }
            SessionEvent::Message(to_aggregator::Message::Report(report)) => {
                self.tell(Input::Reported(id, report));
            }
            SessionEvent::Message(to_aggregator::Message::Setup(outcome)) => {
                self.tell(Input::SetupAnswered(id, outcome));
            }
            SessionEvent::Message(to_aggregator::Message::Teardown(outcome)) => {
                self.tell(Input::TeardownAnswered(id, outcome));
            }
            SessionEvent::Ledger(ledger) => self.on_ledger(id, ledger),
            SessionEvent::Message(to_aggregator::Message::Terms(terms)) => {
                self.verdict.learn(terms);
            }
            SessionEvent::Message(to_aggregator::Message::Summary(answer)) => {
                self.on_summary(id, answer);
            }
            SessionEvent::Message(to_aggregator::Message::Bundle(part)) => {
                self.tell(Input::BundleSent(id, part));
            }
            SessionEvent::Message(to_aggregator::Message::WantBundle(wanted)) => {
                self.tell(Input::BundleWanted(id, wanted.offset));
            }
            SessionEvent::Message(to_aggregator::Message::Writer(state)) => {
                self.on_writer(id, &state);
            }
            SessionEvent::Message(
                to_aggregator::Message::Hello(_)
                | to_aggregator::Message::Frame(_)
                | to_aggregator::Message::Ledger(_),
            ) => {}
            SessionEvent::Frame(frame, cost) => self.on_frame(id, &frame, cost),
            SessionEvent::Closed => {
                self.sessions.remove(&id);
                self.closed(id);
            }
        }
    }

    fn on_frame(&mut self, id: SessionId, frame: &Frame, cost: u32) {
        let Some((instance_id, incarnation)) = self.rally.frame_source(id) else {
            self.data.release(cost);
            return;
        };
        let key = FrameKey { instance_id, incarnation, seq: frame.seq };
        self.now_ms = clock::unix_ms();
        if let Some(samples) = self.data.accept(key, frame, cost, self.now_ms) {
            self.rally.handle(Input::Held { instance_id, samples }, self.now_ms);
        }
    }

    fn on_probe(&mut self, output: usize, probe: Probe) {
        match probe {
            Probe::Ready => self.output_ready(output),
            Probe::ReadyUnproved(why) => {
                tracing::warn!(output, why, "the output could not be looked at");
                self.output_ready(output);
            }
            Probe::Waiting(why) => self.tell(Input::OutputTrouble(output, why)),
            Probe::Failed(why) => self.tell(Input::OutputFailed(output, why)),
        }
    }

    fn on_control(&mut self, told: Control) {
        match told {
            Control::Stop(why) => self.tell(Input::Stop(why)),
            Control::Gone { instance_id, reason } => self.tell(Input::Gone(instance_id, reason)),
            Control::Published => self.tell(Input::Published),
        }
    }

    /// Carries out all that is decided.
    fn carry_out(&mut self) {
        self.now_ms = clock::unix_ms();
        self.meters.beat(self.now_ms);
        loop {
            let mut is_idle = true;
            while let Some(acked) = self.data.poll_ack() {
                is_idle = false;
                self.acknowledge(acked);
            }
            while let Some((name, why)) = self.data.pipeline.poll_fatal() {
                is_idle = false;
                let at = self.data.outputs.iter().position(|open| open.lane.name == name);
                self.tell(Input::OutputFailed(at.unwrap_or_default(), why));
            }
            self.finish_writers();
            let in_flight =
                !self.data.pipeline.is_empty() || self.writers.are_in_flight(self.now_ms);
            if self.rally.is_in_flight() != in_flight {
                self.tell(Input::InFlight(in_flight));
            }
            self.data.pipeline.set_hurry(self.rally.is_draining());
            self.data.begin_writes(self.now_ms);
            while let Some(action) = self.rally.poll_action() {
                is_idle = false;
                self.act(action);
            }
            if is_idle {
                break;
            }
        }
        self.dismiss_writers();
        self.look();
        self.keep();
        self.publish();
        if self.rally.is_closing() && !self.awaits_publication {
            self.tell(Input::Published);
            self.carry_out();
        }
    }

    fn acknowledge(&mut self, acked: Acked) {
        let Acked { key, outputs, again, sample_count } = acked;
        if !again {
            let input = Input::Acked {
                instance_id: key.instance_id,
                incarnation: key.incarnation.to_string(),
                seq: key.seq,
                samples: sample_count,
                outputs: outputs.clone(),
            };
            self.rally.handle(input, self.now_ms);
        }
        if let Some(session) = self.rally.session_of(key.instance_id, &key.incarnation) {
            self.send(session, to_agent::Message::Ack(Ack { seq: key.seq, outputs }));
        }
    }

    fn act(&mut self, action: Action) {
        match action {
            Action::Send(session, message) => self.send(session, message),
            Action::Close(session) => {
                self.sessions.remove(&session);
                self.closed(session);
            }
            Action::Judge => self.judge(),
            Action::End => self.has_ended = true,
        }
    }

    fn send(&mut self, session: SessionId, message: to_agent::Message) {
        let is_sent = self.sessions.get(&session).is_some_and(|handle| handle.send(message));
        if !is_sent && self.sessions.remove(&session).is_some() {
            tracing::warn!(session = session.0, "an agent does not read: session ended");
            self.closed(session);
        }
    }

    fn closed(&mut self, session: SessionId) {
        let instance = self.rally.ledger_source(session);
        self.tell(Input::Closed(session));
        self.writers.closed(session, self.now_ms);
        if let Some((instance_id, _)) = instance {
            self.keep_soon(instance_id);
        }
    }

    fn pause(&self) -> Duration {
        let due = [
            self.rally.poll_timeout(),
            self.data.pipeline.poll_timeout(),
            self.verdict.look_due_ms(),
        ];
        let due = due.into_iter().flatten().min();
        let pause_ms = due.map_or(i64::MAX, |due_ms| due_ms.saturating_sub(clock::unix_ms()));
        Duration::from_millis(u64::try_from(pause_ms).unwrap_or(0)).min(TICK)
    }
}

mod judging;
mod keeping;
mod publishing;
mod replicas;

#[cfg(test)]
mod tests;
