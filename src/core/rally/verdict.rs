//! From the last ledger to the outcome: thresholds, then `handleSummary()` on one instance.

use super::{
    cause,
    input::{Action, SessionId},
    rally::{Rally, STEP_SLACK_MS, Step},
};
use crate::{
    api::v1alpha1::Reason,
    core::verdict::Judgement,
    wire::session::{AgentPhase, RunSummary, to_agent::Message},
};

impl Rally {
    pub(super) fn ledgered(&mut self, session: SessionId, is_last: bool) {
        if let Some(id) = self.roster.of_session(session).filter(|_| is_last) {
            self.roster.update(id, |runner| runner.has_last_ledger = true);
        }
    }

    /// A threshold with `abortOnFail`.
    pub(super) fn crossed_early(&mut self, text: String) {
        if self.step == Step::Running && !self.is_stopping {
            self.blame(cause::outcome(Reason::ThresholdsCrossed, text));
        }
    }

    pub(super) fn ask_for_judgement(&mut self) {
        self.step = Step::Judging;
        self.push(Action::Judge);
    }

    pub(super) fn judged(&mut self, judgement: Judgement, now_ms: i64) {
        if self.step != Step::Judging {
            return;
        }
        let Judgement { invalid, crossed, note, data } = judgement;
        self.note = note;
        if let Some(invalid) = invalid {
            self.blame(cause::outcome(Reason::InvalidSpec, invalid));
        }
        self.crossed = crossed;
        let candidate = self.roster.iter().find_map(|(id, runner)| {
            let may = runner.session.is_some()
                && runner.loss.is_none()
                && runner.phase() == AgentPhase::Finished
                && !runner.report.bundle_sha256.is_empty();
            Some((id, runner.incarnation.clone().filter(|_| may)?))
        });
        match (data, candidate) {
            (Some(data), Some((id, incarnation))) => {
                self.summary_data = Some(data);
                self.step = Step::Summary((id, incarnation));
                self.ask_for_summary(id);
                let own_ms = self.requirements.as_ref().map_or(0, |asked| asked.summary_timeout_ms);
                self.deadline_ms = now_ms
                    .saturating_add(i64::try_from(own_ms).unwrap_or(i64::MAX))
                    .saturating_add(STEP_SLACK_MS);
            }
            _ => self.conclude(now_ms),
        }
    }

    pub(super) fn ask_for_summary(&mut self, id: u32) {
        if let Some(data) = self.summary_data.clone() {
            self.send(id, Message::RunSummary(RunSummary { data }));
        }
    }

    pub(super) fn summary_answered(&mut self, session: SessionId, now_ms: i64) {
        if self.wants_summary_of(session) {
            self.conclude(now_ms);
        }
    }

    /// The summary is for people; a run does not fail for want of it.
    pub(super) fn try_leave_summary(&mut self, id: u32, now_ms: i64) {
        if self.roster.get(id).is_none_or(|runner| runner.loss.is_some()) {
            self.conclude(now_ms);
        }
    }

    /// How long the test has gone on while its load is on, in milliseconds, `setup()` included as k6 counts it.
    pub fn load_elapsed_ms(&self, now_ms: i64) -> Option<i64> {
        let is_on = self.step == Step::Running && !self.is_stopping;
        let started_ms = self.started_unix_ms().filter(|_| is_on)?;
        Some(now_ms.saturating_sub(started_ms).saturating_add(self.calls_took_ms).max(0))
    }

    /// How long the test took, in nanoseconds: `setup()`, the load from the first start to the last end, `teardown()`.
    pub fn duration_ns(&self) -> i64 {
        let span = self.roster.started_unix_ns().zip(self.roster.ended_unix_ns());
        let load_ns = span.map_or(0, |(from, to)| to.saturating_sub(from).max(0));
        self.calls_took_ms.saturating_mul(1_000_000).saturating_add(load_ns)
    }

    /// What `setup()` returned, where it ran.
    pub fn setup_data(&self) -> Option<&[u8]> {
        self.setup_data.as_ref().map(|data| data.data.as_ref())
    }

    /// VUs initialised, over all instances.
    pub fn vus_max(&self) -> u64 {
        self.roster.iter().map(|(_, runner)| runner.report.vus_max).fold(0, u64::saturating_add)
    }

    /// The instance of a session, and when its process began.
    pub fn ledger_source(&self, session: SessionId) -> Option<(u32, i64)> {
        let id = self.roster.of_session(session)?;
        Some((id, self.roster.get(id)?.born_unix_ns))
    }

    /// Whether the outcome stands: nothing that is measured can change it.
    pub const fn has_outcome(&self) -> bool {
        self.outcome.is_some()
    }

    /// Whether an instance has a session.
    pub fn is_connected(&self, instance_id: u32) -> bool {
        self.roster.get(instance_id).is_some_and(|runner| runner.session.is_some())
    }

    /// Whether the answer of this session's `handleSummary()` is waited for.
    pub fn wants_summary_of(&self, session: SessionId) -> bool {
        let from = self.roster.of_session(session);
        matches!(&self.step, Step::Summary((asked, _)) if from == Some(*asked))
    }

    /// Whether the script has run at all, so that one k6 would sum it up.
    pub fn has_run(&self) -> bool {
        self.requirements.is_some()
            && (self.roster.has_started()
                || self.setup_asked.is_some()
                || self.cause.as_ref().is_some_and(|cause| cause.reason == Reason::ScriptFailed))
    }
}
