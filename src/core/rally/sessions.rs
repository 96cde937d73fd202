//! Agents come and go: who may take part, and what one that dials must be told.

use std::sync::Arc;

use super::{
    cause,
    input::{Action, SessionId},
    rally::{AWAY_MS, Rally, START_SPREAD_MS, Step},
    runner::Runner,
};
use crate::{
    api::v1alpha1::Reason,
    core::{agent::bundling::ARCHIVIST, bundle::Assembly},
    wire::{
        PROTOCOL,
        session::{
            AgentPhase, Finish, Goodbye, Hello, Refused, Report, RunSetup, RunTeardown, SetupData,
            Start, Stop, Welcome, to_agent::Message,
        },
    },
};

impl Rally {
    pub(super) fn opened(&mut self, session: SessionId, hello: Hello, now_ms: i64) {
        let id = hello.instance_id;
        let report = hello.report.clone().unwrap_or_default();
        if let Some(why) = self.refusal(&hello) {
            self.refuse(session, why);
            return;
        }
        if self.is_late(id, &report) {
            self.refuse(session, "the run is over".to_owned());
            // It is heard of now: nobody started it.
            self.roster.update(id, |runner| runner.back_by_ms = None);
            return;
        }
        let incarnation: Arc<str> = hello.incarnation.as_str().into();
        let known = self.roster.get(id).and_then(|runner| runner.incarnation.clone());
        let is_new = known.as_ref() != Some(&incarnation);
        if is_new && known.is_some() {
            if self.roster.has_started() || self.is_stopping || self.is_draining() {
                let why = "the load has started: an instance is never replaced after the start";
                self.refuse(session, why.to_owned());
                if self.roster.get(id).is_some_and(|runner| runner.session.is_none()) {
                    self.lose(id, "Restarted", true);
                }
                return;
            }
            self.forget(id);
        }
        if let Some(old) = self.roster.get(id).and_then(|runner| runner.session) {
            self.actions.push_back(Action::Close(old));
        }
        let is_told = hello.setup_data.is_some() || report.phase > AgentPhase::Ready.into();
        if is_new && is_told {
            self.note_former(now_ms);
        }
        if let Some(data) = hello.setup_data
            && self.setup_data.is_none()
        {
            self.setup_data = Some(SetupData { data });
            self.start_those_who_waited(now_ms);
        }
        self.roster.update(id, |runner| {
            runner.incarnation = Some(incarnation.clone());
            runner.born_unix_ns = hello.born_unix_ns;
            runner.session = Some(session);
            runner.back_by_ms = None;
            if is_new {
                runner.held = 0;
                runner.count_for(incarnation);
            }
            if runner.loss.as_ref().is_some_and(|loss| !loss.is_final) {
                runner.loss = None;
            }
        });
        self.send(id, Message::Welcome(Welcome {}));
        if id == ARCHIVIST {
            self.assembly = Assembly::default();
            self.ask_for_bundle();
        }
        self.reported(id, report, now_ms);
        self.brief(id, now_ms);
    }

    /// Why an agent cannot take part.
    fn refusal(&self, hello: &Hello) -> Option<String> {
        if hello.protocol != PROTOCOL {
            return Some(format!(
                "protocol {} is spoken, not {}: agent and aggregator are of different versions",
                PROTOCOL, hello.protocol
            ));
        }
        if hello.run != self.config.run {
            return Some(format!(
                "this is the aggregator of {}, not {}",
                self.config.run, hello.run
            ));
        }
        if hello.replica != 0 {
            return Some(format!("this is replica 0 of the aggregator, not {}", hello.replica));
        }
        self.roster.get(hello.instance_id).is_none().then(|| {
            format!(
                "the run has instances 1 to {}, not {}",
                self.config.instances, hello.instance_id
            )
        })
    }

    /// Whether an agent comes when the run is over, without ever having been a part of it.
    fn is_late(&self, id: u32, report: &Report) -> bool {
        let is_over = self.is_stopping || self.is_draining();
        let has_nothing = report.emitted == 0 && report.phase <= AgentPhase::Ready.into();
        is_over && has_nothing && self.roster.get(id).is_some_and(|runner| !runner.is_known())
    }

    fn refuse(&mut self, session: SessionId, message: String) {
        self.actions.push_back(Action::Send(session, Message::Refused(Refused { message })));
        self.actions.push_back(Action::Close(session));
    }

    /// Before the start: the former process of the instance counts no more.
    fn forget(&mut self, id: u32) {
        if let Some(old) = self.roster.get(id).and_then(|runner| runner.session) {
            self.refuse(old, "another process took the place of this instance".to_owned());
        }
        if let Step::Setup(Some((asked, _))) = &self.step
            && *asked == id
        {
            let message = format!("instance {id} was lost while setup() ran on it");
            self.blame(cause::outcome(Reason::SetupFailed, message));
        }
        self.roster.update(id, |runner| *runner = Runner::default());
    }

    /// Tells an agent that dialled where the run stands.
    fn brief(&mut self, id: u32, now_ms: i64) {
        let Some(runner) = self.roster.get(id) else { return };
        let (phase, incarnation) = (runner.phase(), runner.incarnation.clone());
        let is_asked = |asked: &Option<(u32, Arc<str>)>| {
            asked.as_ref().is_some_and(|(at, of)| *at == id && Some(of) == incarnation.as_ref())
        };
        match &self.step {
            Step::Setup(asked) if is_asked(asked) => {
                self.send(id, Message::RunSetup(RunSetup {}));
            }
            Step::Setup(_) => self.hand_setup_data(id),
            Step::Running if self.is_stopping => {
                if phase < AgentPhase::Ended {
                    self.send(id, Message::Stop(self.stop()));
                }
            }
            Step::Running if phase < AgentPhase::Ready => {
                self.give_up(id, "the load has started without this process");
            }
            Step::Running if phase == AgentPhase::Ready => self.start_late(id, now_ms),
            Step::Teardown(asked) if is_asked(asked) => {
                self.send(id, Message::RunTeardown(RunTeardown {}));
            }
            Step::Draining | Step::Judging | Step::Summary(_) | Step::Closing
                if phase < AgentPhase::Finished =>
            {
                self.send(id, Message::Finish(Finish::default()));
            }
            Step::Summary((asked, of)) if *asked == id && Some(of) == incarnation.as_ref() => {
                self.ask_for_summary(id);
            }
            Step::Gathering
            | Step::Running
            | Step::Teardown(_)
            | Step::Draining
            | Step::Judging
            | Step::Summary(_)
            | Step::Closing => {}
            Step::Leaving | Step::Ended => self.send(id, Message::Goodbye(Goodbye {})),
        }
    }

    pub(super) fn hand_setup_data(&mut self, id: u32) {
        if let Some(data) = self.setup_data.clone() {
            self.send(id, Message::SetupData(data));
        }
    }

    /// Starts an instance that a former aggregator had no time to start, or gives it up.
    pub(super) fn start_late(&mut self, id: u32, now_ms: i64) {
        let first_ms = self.started_unix_ms().unwrap_or(now_ms);
        let born_ms = self.roster.get(id).map_or(0, |runner| runner.born_unix_ns) / 1_000_000;
        if now_ms.saturating_sub(first_ms) > START_SPREAD_MS || born_ms > first_ms {
            self.give_up(id, "the load has started without this process");
            return;
        }
        if self.wants_setup() && self.setup_data.is_none() {
            // One of those that have started holds the data, and brings it along when it dials.
            return;
        }
        self.hand_setup_data(id);
        self.send(id, Message::Start(Start {}));
    }

    fn start_those_who_waited(&mut self, now_ms: i64) {
        if self.step != Step::Running || self.is_stopping {
            return;
        }
        let waiting: Vec<u32> = self
            .roster
            .iter()
            .filter(|(_, runner)| runner.session.is_some() && runner.phase() == AgentPhase::Ready)
            .map(|(id, _)| id)
            .collect();
        for id in waiting {
            self.start_late(id, now_ms);
        }
    }

    /// Turns an instance away that is of no use to a run that goes on.
    pub(super) fn give_up(&mut self, id: u32, why: &str) {
        if let Some(session) = self.roster.get(id).and_then(|runner| runner.session) {
            self.refuse(session, why.to_owned());
        }
        self.lose(id, "NotStarted", true);
    }

    pub(super) fn stop(&self) -> Stop {
        let reason = self.cause.as_ref().map_or_else(String::new, |cause| cause.message.clone());
        Stop { reason }
    }

    pub(super) fn closed(&mut self, session: SessionId, now_ms: i64) {
        self.bundle_wanted.remove(&session);
        let Some(id) = self.roster.of_session(session) else { return };
        let is_awaited = !matches!(self.step, Step::Leaving | Step::Ended);
        let back_by_ms = is_awaited.then(|| now_ms.saturating_add(AWAY_MS));
        self.roster.update(id, |runner| {
            runner.session = None;
            runner.back_by_ms = back_by_ms.filter(|_| runner.loss.is_none());
        });
    }
}
