//! What ends each step, and what ends it when its time is up.

use super::{
    cause,
    input::Action,
    rally::{AWAY_MS, LEAVE_MS, PUBLISH_MS, REJOIN_MS, RUN_SLACK_MS, Rally, STEP_SLACK_MS, Step},
    runner::{Runner, SESSION_LOST},
};
use crate::{
    api::v1alpha1::Reason,
    wire::session::{AgentPhase, Finish, Goodbye, RunSetup, RunTeardown, Start, to_agent::Message},
};

/// How long a stop waits for instances that only a former aggregator may have heard of: it may have sent them the start
/// with its last words. One that lives dials every few seconds.
const UNHEARD_MS: i64 = 15_000;

/// By how much the load's deadline moves while agents are held back and cannot tell that it is over.
const HELD_BACK_MS: i64 = 10_000;

impl Rally {
    /// Takes every step that can be taken.
    pub(super) fn advance(&mut self, now_ms: i64) {
        loop {
            let before = self.step.clone();
            match &before {
                Step::Gathering => self.try_leave_gathering(now_ms),
                Step::Setup(asked) => self.try_leave_setup(asked.is_some(), now_ms),
                Step::Running => self.try_leave_running(now_ms),
                Step::Teardown(None) => self.try_teardown(now_ms),
                Step::Teardown(Some((id, _))) => self.try_leave_teardown(*id, now_ms),
                Step::Draining => self.try_leave_draining(),
                Step::Summary((id, _)) => self.try_leave_summary(*id, now_ms),
                Step::Leaving if self.has_everyone_left() => self.end(),
                Step::Judging | Step::Closing | Step::Leaving | Step::Ended => {}
            }
            if self.step == before {
                return;
            }
            self.stage_count += 1;
        }
    }

    /// A wait may be over because its time is.
    pub(super) fn timeout(&mut self, held_back: bool, now_ms: i64) {
        while let Some((_, id)) = self.roster.first_away().filter(|(by, _)| *by <= now_ms) {
            self.roster.update(id, |runner| runner.back_by_ms = None);
            self.not_back(id);
        }
        if now_ms < self.due_ms() {
            return;
        }
        if self.end_by_ms.is_some_and(|by_ms| by_ms <= now_ms) && self.outcome.is_none() {
            self.conclude(now_ms);
            return;
        }
        match self.step.clone() {
            Step::Gathering => {
                let late = self.late_at_the_start();
                self.blame(late);
            }
            Step::Setup(Some((id, _))) => {
                let message = format!("instance {id}: setup() did not answer in time");
                let late = cause::outcome(Reason::SetupFailed, message);
                self.blame(crate::wire::result::Outcome { exit_code: 100, ..late });
            }
            Step::Setup(None) => {
                let message = format!("after setup() {}", self.waiting_for(self.roster.unready()));
                self.blame(cause::outcome(Reason::DeadlineExceeded, message));
            }
            Step::Running
                if held_back && !self.is_stopping && self.held_back_ms < self.config.drain_ms =>
            {
                self.held_back_ms += HELD_BACK_MS;
                self.deadline_ms = now_ms.saturating_add(HELD_BACK_MS);
            }
            Step::Running if !self.is_stopping => {
                let what = self.waiting_for(self.roster.unended());
                let message = format!("the load did not end in its time: {what}");
                self.blame(self.with_missing(Reason::DeadlineExceeded, message));
            }
            Step::Running => self.after_load(now_ms),
            Step::Teardown(asked) => {
                let message = match asked {
                    Some((id, _)) => format!("instance {id}: teardown() did not answer in time"),
                    None => "no instance came back to run teardown()".to_owned(),
                };
                let late = cause::outcome(Reason::TeardownFailed, message);
                self.blame(crate::wire::result::Outcome { exit_code: 101, ..late });
                self.drain(now_ms);
            }
            Step::Draining => self.ask_for_judgement(),
            Step::Judging | Step::Summary(_) => self.conclude(now_ms),
            Step::Closing | Step::Leaving => self.end(),
            Step::Ended => {}
        }
    }

    /// The load is on, as an agent or a former aggregator tells.
    pub(super) fn note_started(&mut self, now_ms: i64) {
        if self.roster.has_started() {
            return;
        }
        self.roster.set_started();
        if matches!(self.step, Step::Gathering | Step::Setup(_)) {
            self.step = Step::Running;
            self.stage_count += 1;
            self.deadline_ms = self.load_deadline_ms(now_ms);
            let instances: Vec<(u32, bool, AgentPhase)> = self
                .roster
                .iter()
                .map(|(id, runner)| (id, runner.session.is_some(), runner.phase()))
                .collect();
            for (id, is_here, phase) in instances {
                match phase {
                    _ if !is_here => {
                        let by_ms = now_ms.saturating_add(REJOIN_MS);
                        self.roster.update(id, |runner| {
                            runner.back_by_ms = runner.loss.is_none().then_some(by_ms);
                        });
                    }
                    AgentPhase::Ready => self.start_late(id, now_ms),
                    AgentPhase::Unspecified | AgentPhase::Preparing => {
                        self.give_up(id, "the load has started without this process");
                    }
                    AgentPhase::Starting
                    | AgentPhase::Running
                    | AgentPhase::Ended
                    | AgentPhase::Finished => {}
                }
            }
        }
    }

    /// The outcome is where its readers find it: the agents may go.
    pub(super) fn published(&mut self, now_ms: i64) {
        if self.step == Step::Closing {
            self.send_all(&Message::Goodbye(Goodbye {}));
            self.step = Step::Leaving;
            self.deadline_ms = now_ms.saturating_add(LEAVE_MS);
            self.stage_count += 1;
        }
    }

    pub(super) fn is_before_start(&self) -> bool {
        matches!(self.step, Step::Gathering | Step::Setup(_)) && !self.roster.has_started()
    }

    /// Ends teardown, done or not: k6 may go, and what is left is handed over.
    pub(super) fn drain(&mut self, now_ms: i64) {
        self.send_all(&Message::Finish(Finish::default()));
        self.step = Step::Draining;
        self.deadline_ms = now_ms.saturating_add(self.config.drain_ms);
    }

    fn not_back(&mut self, id: u32) {
        let is_known = self.roster.get(id).is_some_and(Runner::is_known);
        if !is_known && !self.roster.has_started() {
            return;
        }
        let is_settled =
            self.roster.get(id).is_some_and(|r| r.is_settled(!self.config.outputs.is_empty()));
        if is_settled {
            return;
        }
        match (&self.step, self.roster.has_started()) {
            (Step::Setup(Some((asked, _))), false) if *asked == id => {
                let message = format!("instance {id} was lost while setup() ran on it");
                self.blame(cause::outcome(Reason::SetupFailed, message));
                self.lose(id, SESSION_LOST, false);
            }
            (Step::Gathering | Step::Setup(_), false)
            | (Step::Closing | Step::Leaving | Step::Ended, _) => {}
            _ => self.lose(id, SESSION_LOST, false),
        }
    }

    fn try_leave_gathering(&mut self, now_ms: i64) {
        if self.cause.is_some() {
            self.begin_stop(now_ms);
            return;
        }
        self.check_requirements();
        let all_ready = self.roster.unready().is_empty()
            && self.outputs_ready.len() == self.config.outputs.len();
        if all_ready {
            self.check_bundles();
        }
        if self.cause.is_some() {
            self.begin_stop(now_ms);
        }
        if !all_ready || self.cause.is_some() {
            return;
        }
        let wants_setup = self.wants_setup();
        let first = self.roster.get(1).and_then(|runner| runner.incarnation.clone());
        match first {
            Some(incarnation) if wants_setup && self.setup_data.is_none() => {
                self.send(1, Message::RunSetup(RunSetup {}));
                self.setup_asked = Some(1);
                self.call_began_ms = now_ms;
                self.step = Step::Setup(Some((1, incarnation)));
                let own_ms = self.requirements.as_ref().map_or(0, |r| r.setup_timeout_ms);
                self.deadline_ms =
                    now_ms.saturating_add(millis(own_ms)).saturating_add(STEP_SLACK_MS);
            }
            Some(_) | None => {
                if let Some(data) = self.setup_data.clone() {
                    self.send_all(&Message::SetupData(data));
                }
                self.start(now_ms);
            }
        }
    }

    /// Whether the script's `setup()` is to be run, as far as is known.
    pub(super) fn wants_setup(&self) -> bool {
        !self.requirements.as_ref().is_some_and(|asked| asked.no_setup)
    }

    fn check_requirements(&mut self) {
        let Some(requirements) = &self.requirements else { return };
        let (vus, instances) = (requirements.max_vus, self.config.instances);
        if vus > 0 && vus < u64::from(instances) {
            let message = format!(
                "spec.parallelism is {instances}, but the script has at most {vus} VUs: an instance would have none; \
                 lower the parallelism or raise the VUs"
            );
            self.blame(cause::outcome(Reason::InvalidSpec, message));
        }
    }

    fn try_leave_setup(&mut self, is_asked: bool, now_ms: i64) {
        if self.cause.is_some() {
            self.begin_stop(now_ms);
        } else if !is_asked && self.roster.unready().is_empty() {
            self.start(now_ms);
        }
    }

    fn start(&mut self, now_ms: i64) {
        // Nobody joins after the start.
        self.bundle = None;
        self.send_all(&Message::Start(Start {}));
        self.roster.set_started();
        self.started_here = true;
        self.step = Step::Running;
        self.deadline_ms = self.load_deadline_ms(now_ms);
    }

    /// When the load must be over, at the latest.
    pub(super) fn load_deadline_ms(&self, now_ms: i64) -> i64 {
        let own_ms = self.requirements.as_ref().map_or(0, |asked| asked.total_duration_ms);
        let start_ms = self.started_unix_ms().unwrap_or(now_ms).min(now_ms);
        start_ms
            .saturating_add(millis(own_ms))
            .saturating_add(RUN_SLACK_MS)
            .max(now_ms.saturating_add(RUN_SLACK_MS))
    }

    /// Whether nobody is left to say goodbye to. An aggregator that found the outcome published waits for those that
    /// did not hear it.
    fn has_everyone_left(&self) -> bool {
        let found_outcome = self.former.as_ref().is_some_and(|former| former.outcome.is_some());
        !found_outcome && self.roster.session_count() == 0 && self.roster.first_away().is_none()
    }

    fn begin_stop(&mut self, now_ms: i64) {
        self.send_all(&Message::Stop(self.stop()));
        self.is_stopping = true;
        self.step = Step::Running;
        self.deadline_ms = now_ms.saturating_add(RUN_SLACK_MS);
        let away: Vec<u32> = self
            .roster
            .unended()
            .iter()
            .copied()
            .filter(|id| {
                self.roster.get(*id).is_some_and(|r| r.session.is_none() && r.back_by_ms.is_none())
            })
            .collect();
        // Before the start nobody looked when those that are away should be back.
        for id in away {
            let by_ms = now_ms.saturating_add(AWAY_MS);
            self.roster.update(id, |runner| runner.back_by_ms = Some(by_ms));
        }
        if self.former.is_some() && !self.roster.has_started() {
            self.roster.want_back_unknown(now_ms.saturating_add(UNHEARD_MS));
        }
    }

    fn try_leave_running(&mut self, now_ms: i64) {
        if self.cause.is_some() && !self.is_stopping {
            self.begin_stop(now_ms);
        }
        if self.roster.unended().is_empty() {
            self.after_load(now_ms);
        }
    }

    fn after_load(&mut self, now_ms: i64) {
        let skips = |asked: &crate::wire::session::Requirements| asked.no_teardown;
        let has_setup_run = self.setup_data.is_some() || self.roster.has_started();
        let was_setup_refused =
            self.setup_failed || matches!(&self.cause, Some(c) if c.reason == Reason::SetupFailed);
        if self.requirements.as_ref().is_none_or(skips) || !has_setup_run || was_setup_refused {
            self.drain(now_ms);
            return;
        }
        // An instance that was told to let k6 go tells that a former aggregator was past teardown.
        let is_past = !self.started_here
            && self.roster.iter().any(|(_, runner)| {
                runner.phase() == AgentPhase::Finished
                    && runner.report.failure.is_none()
                    && runner.report.k6_exit_code.and_then(|c| cause::of_exit_code(0, c)).is_none()
            });
        if is_past {
            self.drain(now_ms);
            return;
        }
        let own_ms = self.requirements.as_ref().map_or(0, |asked| asked.teardown_timeout_ms);
        self.step = Step::Teardown(None);
        self.deadline_ms = now_ms.saturating_add(millis(own_ms)).saturating_add(STEP_SLACK_MS);
    }

    fn try_teardown(&mut self, now_ms: i64) {
        match self.roster.teardown_candidate() {
            Ok((id, incarnation)) => {
                self.send(id, Message::RunTeardown(RunTeardown {}));
                self.call_began_ms = now_ms;
                self.step = Step::Teardown(Some((id, incarnation)));
            }
            Err(true) => {}
            Err(false) => self.drain(now_ms),
        }
    }

    fn try_leave_teardown(&mut self, id: u32, now_ms: i64) {
        let Some(runner) = self.roster.get(id) else { return };
        let is_lost = runner.loss.is_some();
        if is_lost || runner.phase() == AgentPhase::Finished {
            let message = format!("instance {id} was gone before teardown() had answered");
            self.blame(cause::outcome(Reason::TeardownFailed, message));
            self.drain(now_ms);
        }
    }

    fn try_leave_draining(&mut self) {
        // What is known of the writers was known before this loss: they may hold more of it than they have told.
        if self.config.has_writers && self.asked_for != *self.roster.silent() {
            self.asked_for.clone_from(self.roster.silent());
            self.in_flight |= !self.asked_for.is_empty();
        }
        if self.roster.unsettled().is_empty() && !self.in_flight {
            self.ask_for_judgement();
        }
    }

    /// The outcome stands.
    pub(super) fn conclude(&mut self, now_ms: i64) {
        self.outcome = Some(self.judge());
        self.step = Step::Closing;
        self.deadline_ms = now_ms.saturating_add(PUBLISH_MS);
        self.end_by_ms = None;
        self.stage_count += 1;
    }

    fn end(&mut self) {
        self.step = Step::Ended;
        self.push(Action::End);
    }
}

fn millis(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
