//! The replicas: what the aggregator's loop and a writer's do, without a network, a clock and outputs.

use std::collections::BTreeSet;

use super::{
    books::{Parts, Published, Settlements},
    outputs::{lanes, output_at},
    sessions::Letter,
};
use crate::{
    core::{
        pipeline::pipeline::{Accepted, Acked, FrameKey, Pipeline},
        plan::RunPlan,
        rally::{
            input::{Action, Input, RallyConfig, SessionId},
            rally::Rally,
        },
        replicas::{writer::Writer, writers::Writers},
        verdict::Judgement,
    },
    wire::session::{
        Ack, Frame, Goodbye, OutputCounts, Refused, Welcome, WriterState, to_agent,
        to_aggregator::Message,
    },
};

/// What a replica wants said, by session, and the sessions that it ends.
#[derive(Default)]
pub(super) struct Mail {
    pub(super) letters: Vec<(u64, to_agent::Message)>,
    pub(super) closed: Vec<u64>,
}

/// Replica 0.
pub(super) struct Leader {
    pub(super) process: u64,
    pub(super) rally: Rally,
    pub(super) pipeline: Pipeline,
    pub(super) writers: Writers,
    is_ready: BTreeSet<usize>,
    is_dismissed: bool,
    pub(super) has_ended: bool,
    /// Frames of each instance that it was told, or knows itself, to be settled.
    pub(super) known: Settlements,
    /// What it was told of frames that are not settled.
    pub(super) parts: Parts,
    pub(super) mail: Mail,
}

impl Leader {
    pub(super) fn new(
        process: u64,
        plan: &RunPlan,
        former: Option<Published>,
        now_ms: i64,
    ) -> Self {
        let is_first = former.is_none();
        let Published { result, known, parts } = former.unwrap_or_default();
        let former = Some(result).filter(|_| !is_first);
        let writers = Writers::new(&plan.run.to_string(), plan.replicas, former.is_some(), now_ms);
        Self {
            process,
            rally: Rally::new(RallyConfig::new(plan), former, now_ms),
            pipeline: Pipeline::new(lanes(plan)),
            writers,
            is_ready: (0..plan.outputs.len()).collect(),
            is_dismissed: false,
            has_ended: false,
            known,
            parts,
            mail: Mail::default(),
        }
    }

    fn tell(&mut self, input: Input, now_ms: i64) {
        self.rally.handle(input, now_ms);
    }

    pub(super) fn take(&mut self, link: u64, letter: Letter, now_ms: i64) {
        let session = SessionId(link);
        let is_word = matches!(letter.message, Message::Hello(_) | Message::Report(_));
        match letter.message {
            Message::Hello(hello) => self.tell(Input::Opened(session, hello), now_ms),
            Message::Report(report) => self.tell(Input::Reported(session, report), now_ms),
            Message::Frame(frame) => self.take_frame(session, &frame, now_ms),
            Message::Ledger(ledger) => {
                self.tell(Input::Ledgered { session, is_last: ledger.last }, now_ms);
            }
            Message::Bundle(part) => self.tell(Input::BundleSent(session, part), now_ms),
            Message::WantBundle(part) => {
                self.tell(Input::BundleWanted(session, part.offset), now_ms);
            }
            Message::Writer(state) => {
                return self.take_state(link, &state, letter.settled, now_ms);
            }
            Message::Setup(_) | Message::Teardown(_) | Message::Terms(_) | Message::Summary(_) => {}
        }
        if is_word && self.rally.frame_source(session).is_some() {
            self.learn(letter.settled);
        }
    }

    fn learn(&mut self, settled: Vec<(u32, BTreeSet<u64>)>) {
        for (id, frames) in settled {
            self.known.entry(id).or_default().extend(frames);
        }
    }

    fn take_frame(&mut self, session: SessionId, frame: &Frame, now_ms: i64) {
        let Some((instance_id, incarnation)) = self.rally.frame_source(session) else { return };
        let key = FrameKey { instance_id, incarnation, seq: frame.seq };
        if let Some(samples) = held(&mut self.pipeline, key, frame, now_ms) {
            self.tell(Input::Held { instance_id, samples }, now_ms);
        }
    }

    fn take_state(
        &mut self,
        link: u64,
        state: &WriterState,
        settled: Vec<(u32, BTreeSet<u64>)>,
        now_ms: i64,
    ) {
        let news = self.writers.take(SessionId(link), state).expect("it is one of this run");
        self.mail.closed.extend(news.replaced.map(|old| old.0));
        if news.opened {
            self.say(link, to_agent::Message::Welcome(Welcome {}));
            if let Some(finish) = self.writers.finish_said().cloned() {
                self.say(link, to_agent::Message::Finish(finish));
            }
            if self.is_dismissed {
                self.say(link, to_agent::Message::Goodbye(Goodbye {}));
            }
        }
        for tally in &state.tallies {
            self.tell(Input::Tallied(tally.clone()), now_ms);
            for frame in &tally.early {
                let part = self.parts.entry((tally.instance_id, frame.seq)).or_default();
                part.resize_with(frame.outputs.len(), OutputCounts::default);
                for (own, told) in part.iter_mut().zip(&frame.outputs) {
                    if count(told) > count(own) {
                        own.clone_from(told);
                    }
                }
            }
        }
        for (output, why) in news.failed {
            self.tell(Input::OutputFailed(output, why), now_ms);
        }
        self.learn(settled);
    }

    fn say(&mut self, link: u64, message: to_agent::Message) {
        self.mail.letters.push((link, message));
    }

    pub(super) fn closed(&mut self, link: u64, now_ms: i64) {
        self.tell(Input::Closed(SessionId(link)), now_ms);
        self.writers.closed(SessionId(link), now_ms);
    }

    pub(super) fn gone(&mut self, id: u32, now_ms: i64) {
        self.tell(Input::Gone(id, "OOMKilled".to_owned()), now_ms);
    }

    /// Time has passed.
    pub(super) fn turn(&mut self, now_ms: i64) {
        for output in self.is_ready.clone() {
            if self.writers.are_ready(output) {
                self.is_ready.remove(&output);
                self.tell(Input::OutputReady(output), now_ms);
            }
        }
        if self.rally.is_draining() {
            let early = self.pipeline.settled_early();
            self.tell(Input::SettledEarly(early), now_ms);
        }
        if self.rally.poll_timeout().is_some_and(|due_ms| due_ms <= now_ms) {
            self.tell(Input::Timeout { held_back: false }, now_ms);
        }
        self.carry_out(now_ms);
    }

    /// Does what is decided, as the aggregator's loop does.
    pub(super) fn carry_out(&mut self, now_ms: i64) {
        loop {
            let mut is_idle = true;
            while let Some(acked) = self.pipeline.poll_ack() {
                is_idle = false;
                self.acknowledge(acked, now_ms);
            }
            while let Some((name, why)) = self.pipeline.poll_fatal() {
                is_idle = false;
                self.tell(Input::OutputFailed(output_at(&name), why), now_ms);
            }
            self.parts.retain(|(id, seq), _| {
                !self.known.get(id).is_some_and(|frames| frames.contains(seq))
            });
            if self.rally.is_draining()
                && let Some(finish) = self.writers.finish(self.rally.silent())
            {
                self.say_to_writers(&to_agent::Message::Finish(finish));
            }
            let in_flight = !self.pipeline.is_empty() || self.writers.are_in_flight(now_ms);
            if self.rally.is_in_flight() != in_flight {
                self.tell(Input::InFlight(in_flight), now_ms);
            }
            self.pipeline.set_hurry(self.rally.is_draining());
            while let Some(action) = self.rally.poll_action() {
                is_idle = false;
                match action {
                    Action::Send(session, message) => self.say(session.0, message),
                    Action::Close(session) => {
                        self.mail.closed.push(session.0);
                        self.closed(session.0, now_ms);
                    }
                    Action::Judge => self.tell(Input::Judged(Judgement::default()), now_ms),
                    Action::End => self.has_ended = true,
                }
            }
            if is_idle {
                break;
            }
        }
        if self.has_ended && !self.is_dismissed {
            self.is_dismissed = true;
            self.say_to_writers(&to_agent::Message::Goodbye(Goodbye {}));
        }
    }

    fn say_to_writers(&mut self, message: &to_agent::Message) {
        for session in self.writers.sessions().collect::<Vec<_>>() {
            self.say(session.0, message.clone());
        }
    }

    fn acknowledge(&mut self, acked: Acked, now_ms: i64) {
        let Acked { key, outputs, again, sample_count } = acked;
        let FrameKey { instance_id, incarnation, seq } = key;
        if !again {
            let input = Input::Acked {
                instance_id,
                incarnation: incarnation.to_string(),
                seq,
                samples: sample_count,
                outputs: outputs.clone(),
            };
            self.tell(input, now_ms);
            self.known.entry(instance_id).or_default().insert(seq);
        }
        if let Some(session) = self.rally.session_of(instance_id, &incarnation) {
            self.say(session.0, to_agent::Message::Ack(Ack { seq, outputs }));
        }
    }
}

fn count(of: &OutputCounts) -> u64 {
    of.stored + of.rejected.values().sum::<u64>()
}

/// Samples of a frame that is held from now on.
fn held(pipeline: &mut Pipeline, key: FrameKey, frame: &Frame, now_ms: i64) -> Option<u64> {
    match pipeline.accept(key, frame, now_ms) {
        Accepted::Held(samples) => Some(samples),
        Accepted::HeldBefore | Accepted::AckedBefore => None,
    }
}

/// Where a writer's session with replica 0 stands.
#[derive(Clone, Copy, PartialEq)]
enum Stage {
    Down,
    Dialled,
    Told,
    Up,
}

/// A writer.
pub(super) struct Post {
    pub(super) process: u64,
    pub(super) writer: Writer,
    pub(super) pipeline: Pipeline,
    stage: Stage,
    pub(super) link: Option<u64>,
    is_hurrying: bool,
    pub(super) is_dismissed: bool,
    /// Frames of each instance that it settled, or was told to be acknowledged.
    pub(super) known: Settlements,
    pub(super) mail: Mail,
}

impl Post {
    pub(super) fn new(process: u64, plan: &RunPlan, replica: u32) -> Self {
        let mut writer = Writer::new(plan, replica);
        (0..plan.outputs.len()).for_each(|at| writer.set_output(at, |output| output.ready = true));
        Self {
            process,
            writer,
            pipeline: Pipeline::new(lanes(plan)),
            stage: Stage::Down,
            link: None,
            is_hurrying: false,
            is_dismissed: false,
            known: Settlements::new(),
            mail: Mail::default(),
        }
    }

    pub(super) fn dialled(&mut self, link: u64) {
        self.link = Some(link);
        self.stage = Stage::Dialled;
        self.writer.dialled();
    }

    pub(super) fn down(&mut self) {
        self.link = None;
        self.stage = Stage::Down;
    }

    pub(super) fn take(&mut self, link: u64, letter: Letter, now_ms: i64) {
        let session = SessionId(link);
        match letter.message {
            Message::Hello(hello) => match self.writer.opened(session, &hello) {
                Ok(before) => {
                    self.mail.closed.extend(before.map(|before| before.0));
                    self.mail.letters.push((link, to_agent::Message::Welcome(Welcome {})));
                    self.learn(letter.settled);
                }
                Err(message) => {
                    let refused = to_agent::Message::Refused(Refused { message });
                    self.mail.letters.push((link, refused));
                    self.mail.closed.push(link);
                }
            },
            Message::Report(report) => {
                self.writer.reported(session, &report);
                if self.writer.source_of(session).is_some() {
                    self.learn(letter.settled);
                }
            }
            Message::Frame(frame) => {
                let Some((id, incarnation)) = self.writer.source_of(session) else { return };
                let key =
                    FrameKey { instance_id: id, incarnation: incarnation.clone(), seq: frame.seq };
                if let Some(samples) = held(&mut self.pipeline, key, &frame, now_ms) {
                    self.writer.held(id, &incarnation, samples);
                }
            }
            other => panic!("nobody says {other:?} to a writer"),
        }
    }

    fn learn(&mut self, settled: Vec<(u32, BTreeSet<u64>)>) {
        for (id, frames) in settled {
            self.known.entry(id).or_default().extend(frames);
        }
    }

    pub(super) fn obey(&mut self, message: &to_agent::Message) {
        match message {
            to_agent::Message::Welcome(_) => self.stage = Stage::Up,
            to_agent::Message::Finish(finish) => {
                self.is_hurrying = true;
                self.writer.finished(finish.clone());
            }
            to_agent::Message::Goodbye(_) => self.is_dismissed = true,
            other => panic!("nobody says {other:?} to a writer"),
        }
    }

    /// What it has to tell replica 0.
    pub(super) fn say(&mut self, now_ms: i64) -> Option<Letter> {
        let in_flight = !self.pipeline.is_empty();
        match self.stage {
            Stage::Down | Stage::Told => return None,
            Stage::Dialled => self.stage = Stage::Told,
            Stage::Up if now_ms < self.writer.state_due_ms(in_flight) => return None,
            Stage::Up => {
                if self.is_hurrying {
                    self.writer.settled_early(&self.pipeline.early_by_source());
                }
            }
        }
        let state = self.writer.state(in_flight, now_ms);
        let of = |id| (id, self.known.get(&id).cloned().unwrap_or_default());
        let settled = state.tallies.iter().map(|tally| of(tally.instance_id)).collect();
        Some(Letter { message: Message::Writer(state), settled })
    }

    pub(super) fn carry_out(&mut self) {
        while let Some(acked) = self.pipeline.poll_ack() {
            let Acked { key, outputs, again, sample_count } = acked;
            let FrameKey { instance_id, incarnation, seq } = key;
            if !again {
                self.writer.settled(instance_id, &incarnation, (seq, sample_count), &outputs);
                self.known.entry(instance_id).or_default().insert(seq);
            }
            if let Some(session) = self.writer.session_of(instance_id, &incarnation) {
                let ack = to_agent::Message::Ack(Ack { seq, outputs });
                self.mail.letters.push((session.0, ack));
            }
        }
        while let Some((name, why)) = self.pipeline.poll_fatal() {
            self.writer.set_output(output_at(&name), |output| output.failed = why);
        }
        self.pipeline.set_hurry(self.is_hurrying);
    }

    /// Instances of which it holds frames.
    pub(super) fn holds(&self) -> bool {
        !self.pipeline.is_empty()
    }
}
