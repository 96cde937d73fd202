//! The machine: inputs in, actions out. What each step waits for stands in `steps`, what people read in `progress`.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
};

use prost::bytes::Bytes;

use super::{
    cause,
    input::{Action, Input, RallyConfig, SessionId},
    roster::Roster,
    runner::Loss,
};
use crate::{
    api::v1alpha1::Reason,
    core::bundle::{Assembly, Bundle},
    wire::{
        result::{Outcome, RunResult, Stage},
        session::{Requirements, SetupData, to_agent::Message},
    },
};

/// How long an instance may be away before it is lost, in milliseconds. Silence tells a cut network from a dead instance
/// only by its length: what ends a pod is told by those who know ([`Input::Gone`]), and no time is lost by patience then.
pub const AWAY_MS: i64 = 60_000;
/// How long instances may take to come back to an aggregator that was started anew, in milliseconds.
pub const REJOIN_MS: i64 = AWAY_MS;
/// How late after the first an instance may still be started: later than that its part of the load is lost.
pub const START_SPREAD_MS: i64 = 60_000;
/// What `setup()` and `teardown()` may take beyond k6's own timeouts, in milliseconds.
pub const STEP_SLACK_MS: i64 = 30_000;
/// What the load may take beyond its own longest duration, and how long a stop may take, in milliseconds.
pub const RUN_SLACK_MS: i64 = 60_000;
/// How long the outcome may take to be published, in milliseconds.
pub const PUBLISH_MS: i64 = 600_000;
/// How long agents may take to leave after the goodbye, in milliseconds.
pub const LEAVE_MS: i64 = 15_000;

/// Where the machine stands.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Step {
    /// Until all instances are ready and all outputs can be written to.
    Gathering,
    /// Until this instance's `setup()` has answered; then, without one, until all are ready again.
    Setup(Option<(u32, Arc<str>)>),
    /// Until the load of all instances is over.
    Running,
    /// Until an instance can run `teardown()`, and then until that one has answered.
    Teardown(Option<(u32, Arc<str>)>),
    /// Until everything is handed over.
    Draining,
    /// Until the thresholds are judged over all ledgers.
    Judging,
    /// Until this instance's `handleSummary()` has answered.
    Summary((u32, Arc<str>)),
    /// Until the outcome is published.
    Closing,
    /// Until the agents have gone.
    Leaving,
    /// Nothing is waited for.
    Ended,
}

/// The rally of one run.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "facts that do not exclude each other")]
pub struct Rally {
    pub(super) config: RallyConfig,
    pub(super) step: Step,
    pub(super) roster: Roster,
    pub(super) deadline_ms: i64,
    pub(super) end_by_ms: Option<i64>,
    pub(super) requirements: Option<Requirements>,
    pub(super) assembly: Assembly,
    pub(super) bundle: Option<Bundle>,
    /// Sessions that wait for a part of the bundle, and for which.
    pub(super) bundle_wanted: BTreeMap<SessionId, u64>,
    pub(super) setup_data: Option<SetupData>,
    pub(super) setup_asked: Option<u32>,
    /// `setup()` has answered that it failed.
    pub(super) setup_failed: bool,
    /// When the call into the script that runs now was asked for.
    pub(super) call_began_ms: i64,
    /// What `setup()` and `teardown()` took.
    pub(super) calls_took_ms: i64,
    pub(super) cause: Option<Outcome>,
    /// The instance whose guess the cause is, until its k6 has ended.
    pub(super) provisional: Option<u32>,
    pub(super) is_stopping: bool,
    pub(super) in_flight: bool,
    /// The lost instances that `in_flight` was last asked for.
    pub(super) asked_for: BTreeSet<u32>,
    pub(super) outputs_ready: BTreeSet<usize>,
    pub(super) trouble: BTreeMap<usize, String>,
    /// The thresholds that were crossed at the end.
    pub(super) crossed: Option<String>,
    pub(super) summary_data: Option<Bytes>,
    /// What a person should know of a verdict that holds all the same.
    pub(super) note: Option<String>,
    pub(super) outcome: Option<Outcome>,
    pub(super) former: Option<RunResult>,
    pub(super) stage_count: u64,
    /// Set when another aggregator is known to have been here: whoever it knew should be back by then.
    pub(super) rejoin_by_ms: Option<i64>,
    /// Start was sent by this process, not by a former one.
    pub(super) started_here: bool,
    /// By how much the load's deadline has moved because agents were held back.
    pub(super) held_back_ms: i64,
    pub(super) actions: VecDeque<Action>,
}

impl Rally {
    /// The rally of a run, at the time `now_ms`. `former` is what an aggregator of the same run published last.
    pub fn new(config: RallyConfig, former: Option<RunResult>, now_ms: i64) -> Self {
        let deadline_ms = config.ready_deadline_ms;
        let mut rally = Self {
            roster: Roster::new(config.instances, config.outputs.clone()),
            config,
            step: Step::Gathering,
            deadline_ms,
            end_by_ms: None,
            requirements: None,
            assembly: Assembly::default(),
            bundle: None,
            bundle_wanted: BTreeMap::new(),
            setup_data: None,
            setup_asked: None,
            setup_failed: false,
            call_began_ms: now_ms,
            calls_took_ms: 0,
            cause: None,
            provisional: None,
            is_stopping: false,
            in_flight: false,
            asked_for: BTreeSet::new(),
            outputs_ready: BTreeSet::new(),
            trouble: BTreeMap::new(),
            crossed: None,
            summary_data: None,
            note: None,
            outcome: None,
            former: None,
            stage_count: 0,
            rejoin_by_ms: None,
            started_here: false,
            held_back_ms: 0,
            actions: VecDeque::new(),
        };
        if let Some(former) = former {
            rally.inherit(former, now_ms);
        }
        rally.advance(now_ms);
        rally
    }

    /// Takes one input.
    pub fn handle(&mut self, input: Input, now_ms: i64) {
        match input {
            Input::Opened(session, hello) => self.opened(session, hello, now_ms),
            Input::Reported(session, report) => {
                if let Some(id) = self.roster.of_session(session) {
                    self.reported(id, report, now_ms);
                }
            }
            Input::SetupAnswered(session, answer) => self.setup_answered(session, answer, now_ms),
            Input::TeardownAnswered(session, answer) => {
                self.teardown_answered(session, &answer, now_ms);
            }
            Input::Ledgered { session, is_last } => self.ledgered(session, is_last),
            Input::Remembered { instance_id, is_whole } => {
                self.roster.update(instance_id, |runner| runner.remembered = Some(is_whole));
            }
            Input::Crossed(text) => self.crossed_early(text),
            Input::Judged(judgement) => self.judged(judgement, now_ms),
            Input::SummaryAnswered(session) => self.summary_answered(session, now_ms),
            Input::BundleSent(session, part) => self.bundle_sent(session, &part),
            Input::BundleWanted(session, offset) => self.bundle_wanted(session, offset),
            Input::Closed(session) => self.closed(session, now_ms),
            Input::Held { instance_id, samples } => self.roster.hold(instance_id, samples),
            Input::SettledEarly(samples) => self.roster.settle_early(&samples),
            Input::Acked { instance_id, incarnation, seq, samples, outputs } => {
                self.roster.update(instance_id, |runner| {
                    if runner.incarnation.as_deref() == Some(incarnation.as_str()) {
                        runner.settle(seq, samples, &outputs);
                    }
                });
            }
            Input::Tallied(tally) => {
                self.roster.update(tally.instance_id, |runner| runner.take_tally(&tally));
            }
            Input::InFlight(in_flight) => self.in_flight = in_flight,
            Input::OutputReady(at) => {
                self.outputs_ready.insert(at);
                self.trouble.remove(&at);
            }
            Input::OutputTrouble(at, text) if text.is_empty() => {
                self.trouble.remove(&at);
            }
            Input::OutputTrouble(at, text) => {
                self.trouble.insert(at, text);
            }
            Input::OutputFailed(at, text) => {
                let name = self.config.outputs.get(at).cloned().unwrap_or_default();
                let message = format!("output {name}: {text}");
                self.blame(cause::outcome(Reason::OutputFailed, message));
            }
            Input::Stop(text) => self.blame(cause::outcome(Reason::Stopped, text)),
            Input::Shutdown(grace_ms, text) => {
                self.end_by_ms = Some(now_ms.saturating_add(grace_ms));
                self.blame(cause::outcome(Reason::Stopped, text));
            }
            Input::Gone(id, reason) => self.gone(id, reason),
            Input::Published => self.published(now_ms),
            Input::Timeout { held_back } => self.timeout(held_back, now_ms),
        }
        self.advance(now_ms);
    }

    /// The next decision to carry out.
    pub fn poll_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// When [`Input::Timeout`] is due without any other input.
    pub fn poll_timeout(&self) -> Option<i64> {
        if self.step == Step::Ended {
            return None;
        }
        let away = self.roster.first_away().map(|(at_ms, _)| at_ms);
        Some(self.due_ms().min(away.unwrap_or(i64::MAX)))
    }

    /// Whether the load is over, so that samples should not wait for their batch to fill.
    pub fn is_draining(&self) -> bool {
        match self.step {
            Step::Gathering | Step::Setup(_) | Step::Running => false,
            Step::Teardown(_)
            | Step::Draining
            | Step::Judging
            | Step::Summary(_)
            | Step::Closing
            | Step::Leaving
            | Step::Ended => true,
        }
    }

    /// Whether frames are held or may come, as this rally was told last, or must assume until it is told again.
    pub fn is_in_flight(&self) -> bool {
        self.in_flight
    }

    /// Lost instances that cannot say any more what became of their last samples.
    pub fn silent(&self) -> &BTreeSet<u32> {
        self.roster.silent()
    }

    /// Whether the outcome is known and waits to be published.
    pub fn is_closing(&self) -> bool {
        self.step == Step::Closing
    }

    /// Whether a frame of this session is to be taken in, and from which instance and process it is.
    pub fn frame_source(&self, session: SessionId) -> Option<(u32, Arc<str>)> {
        let id = self.roster.of_session(session)?;
        Some((id, self.roster.get(id)?.incarnation.clone()?))
    }

    /// The session on which an acknowledgement reaches this process of the instance.
    pub fn session_of(&self, instance_id: u32, incarnation: &str) -> Option<SessionId> {
        let runner = self.roster.get(instance_id)?;
        runner.session.filter(|_| runner.incarnation.as_deref() == Some(incarnation))
    }

    pub(super) fn due_ms(&self) -> i64 {
        self.deadline_ms.min(self.end_by_ms.unwrap_or(i64::MAX))
    }

    pub(super) fn send(&mut self, id: u32, message: Message) {
        if let Some(session) = self.roster.get(id).and_then(|runner| runner.session) {
            self.actions.push_back(Action::Send(session, message));
        }
    }

    pub(super) fn send_all(&mut self, message: &Message) {
        let sessions: Vec<SessionId> =
            self.roster.iter().filter_map(|(_, runner)| runner.session).collect();
        self.actions.extend(sessions.into_iter().map(|to| Action::Send(to, message.clone())));
    }

    pub(super) fn push(&mut self, action: Action) {
        self.actions.push_back(action);
    }

    /// Keeps the first cause: what comes after it follows from it.
    pub(super) fn blame(&mut self, cause: Outcome) {
        if self.cause.is_none() && self.outcome.is_none() {
            self.cause = Some(cause);
            self.stage_count += 1;
        }
    }

    /// As [`Self::blame`]; what an instance says once its k6 has ended replaces what it guessed before.
    pub(super) fn blame_instance(&mut self, id: u32, cause: Outcome, is_provisional: bool) {
        if self.provisional == Some(id) && !is_provisional && self.outcome.is_none() {
            self.provisional = None;
            self.cause = Some(cause);
            self.stage_count += 1;
            return;
        }
        if is_provisional && self.cause.is_none() {
            self.provisional = Some(id);
        }
        self.blame(cause);
    }

    /// Another aggregator has brought the run further than its beginning: whoever it knew may know what this one does not.
    pub(super) fn note_former(&mut self, now_ms: i64) {
        if self.rejoin_by_ms.is_none() {
            let by_ms = now_ms.saturating_add(REJOIN_MS);
            self.rejoin_by_ms = Some(by_ms);
            self.roster.want_back_unknown(by_ms);
        }
    }

    fn inherit(&mut self, former: RunResult, now_ms: i64) {
        if former.run != self.config.run {
            return;
        }
        for account in &former.lost_accounts {
            self.roster.update(account.instance_id, |runner| runner.inherit(account));
        }
        if former.started_unix_ms.is_some() {
            self.note_started(now_ms);
        }
        for lost in &former.lost {
            self.roster
                .lose(lost.instance_id, Loss { reason: lost.reason.clone(), is_final: false });
        }
        if former.stage != Stage::Gathering {
            self.note_former(now_ms);
        }
        self.cause.clone_from(&former.cause);
        if let Some(outcome) = &former.outcome {
            self.outcome = Some(outcome.clone());
            self.step = Step::Leaving;
            self.deadline_ms = now_ms.saturating_add(LEAVE_MS);
        }
        self.former = Some(former);
    }
}

#[cfg(test)]
mod tests;
