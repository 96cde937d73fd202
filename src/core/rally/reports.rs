//! What agents and the operator tell of instances: reports, answers, losses.

use super::{
    cause,
    input::SessionId,
    rally::{REJOIN_MS, Rally, Step},
    runner::Loss,
};
use crate::{
    api::v1alpha1::{LossPolicy, Reason},
    wire::{
        result::Outcome,
        session::{AgentPhase, Outcome as Answer, Report, SetupData, to_agent::Message},
    },
};

/// Longest word for a loss, in bytes.
const WORD_BYTES_MAX: usize = 63;

impl Rally {
    pub(super) fn reported(&mut self, id: u32, report: Report, now_ms: i64) {
        if self.requirements.is_none() && report.requirements.is_some() {
            self.requirements.clone_from(&report.requirements);
            if self.step == Step::Running && !self.is_stopping {
                self.deadline_ms = self.load_deadline_ms(now_ms);
            }
        }
        let exit_code = report.k6_exit_code;
        let failure = report.failure.clone();
        self.roster.update(id, |runner| runner.take(report));
        let Some(runner) = self.roster.get(id) else { return };
        let has_started = runner.has_started();
        let has_ended = failure.is_none() && runner.phase() >= AgentPhase::Ended;
        match (failure, exit_code) {
            (Some(failure), _) if failure.reason == Reason::RunnersLost.as_str() => {
                let word = match failure.exit_code {
                    _ if !failure.word.is_empty() => {
                        cause::clip(&failure.word, WORD_BYTES_MAX).to_owned()
                    }
                    Some(code) => format!("ExitCode{code}"),
                    None => "Terminated".to_owned(),
                };
                self.lose_or_wait(id, &word);
            }
            (Some(failure), _) => {
                let cause = cause::of_failure(id, &failure, Reason::ScriptFailed);
                self.blame_instance(id, cause, failure.provisional);
            }
            // A k6 that does not go when it is told to is killed, which says nothing about the run.
            (None, Some(code)) if self.is_draining() && code >= 128 => {}
            (None, Some(code)) => {
                if let Some(cause) = cause::of_exit_code(id, code) {
                    self.blame(cause);
                }
            }
            (None, None) => {}
        }
        if has_started && !self.roster.has_started() {
            self.note_started(now_ms);
        }
        if has_ended && !has_started && self.is_before_start() {
            self.blame_former(now_ms);
        }
    }

    /// An instance was stopped before the start, and not by this process: what for, only the clock may tell.
    fn blame_former(&mut self, now_ms: i64) {
        let (reason, why) = if now_ms >= self.config.ready_deadline_ms {
            (Reason::DeadlineExceeded, "not all instances were ready in time")
        } else {
            (Reason::Stopped, "the run was stopped before its start")
        };
        self.blame(cause::outcome(reason, why));
    }

    /// Before the start a runner that goes may be replaced, so only the deadline ends the wait for it.
    fn lose_or_wait(&mut self, id: u32, word: &str) {
        if self.roster.has_started() || self.is_draining() {
            self.lose(id, word, true);
        }
    }

    pub(super) fn lose(&mut self, id: u32, word: &str, is_final: bool) {
        let known = self.roster.get(id).and_then(|runner| runner.loss.as_ref());
        if known.is_some_and(|loss| loss.is_final || !is_final) {
            return;
        }
        self.roster.lose(id, Loss { reason: word.to_owned(), is_final });
        let lost = u64::try_from(self.roster.lost().len()).unwrap_or(u64::MAX);
        let all = u64::from(self.config.instances);
        let tolerance = &self.config.runner_loss;
        let is_too_many = match tolerance.policy {
            LossPolicy::Fail => true,
            LossPolicy::Tolerate => {
                lost * 100 > u64::from(tolerance.max_percent) * all || lost == all
            }
        };
        if is_too_many {
            let message = format!("instance {id} was lost ({word})");
            self.blame(cause::outcome(Reason::RunnersLost, message));
        }
        self.stage_count += 1;
    }

    pub(super) fn gone(&mut self, id: u32, reason: String) {
        let Some(runner) = self.roster.get(id) else { return };
        let is_over = runner.phase() == AgentPhase::Finished
            && runner.is_settled(!self.config.outputs.is_empty());
        if is_over || matches!(self.step, Step::Closing | Step::Leaving | Step::Ended) {
            return;
        }
        if self.roster.has_started() {
            self.lose(id, &reason, true);
        } else {
            let message = format!("instance {id} was lost before the start ({reason})");
            self.blame(cause::outcome(Reason::RunnersLost, message));
            self.roster.lose(id, Loss { reason, is_final: true });
        }
    }

    pub(super) fn setup_answered(&mut self, session: SessionId, answer: Answer, now_ms: i64) {
        let Some(id) = self.roster.of_session(session) else { return };
        if self.setup_asked != Some(id) {
            return;
        }
        let is_awaited = matches!(self.step, Step::Setup(Some(_)));
        if self.setup_data.is_some() && !is_awaited {
            return;
        }
        if is_awaited {
            self.calls_took_ms += now_ms.saturating_sub(self.call_began_ms);
        }
        if !answer.ok {
            let failure = answer.failure.unwrap_or_default();
            let cause = cause::of_failure(id, &failure, Reason::SetupFailed);
            self.setup_failed = true;
            self.blame(match cause.reason {
                Reason::Aborted => cause,
                _ => Outcome { reason: Reason::SetupFailed, ..cause },
            });
            return;
        }
        // Empty: `undefined`, which is no JSON.
        let data = answer.data.unwrap_or_default();
        self.setup_data = Some(SetupData { data: data.clone() });
        if is_awaited {
            self.send_all(&Message::SetupData(SetupData { data }));
            self.step = Step::Setup(None);
            self.deadline_ms = self.config.ready_deadline_ms.max(now_ms.saturating_add(REJOIN_MS));
        }
    }

    pub(super) fn teardown_answered(&mut self, session: SessionId, answer: &Answer, now_ms: i64) {
        let Some(id) = self.roster.of_session(session) else { return };
        let Step::Teardown(Some((asked, _))) = &self.step else { return };
        if *asked != id {
            return;
        }
        self.calls_took_ms += now_ms.saturating_sub(self.call_began_ms);
        if !answer.ok {
            let failure = answer.failure.clone().unwrap_or_default();
            let cause = cause::of_failure(id, &failure, Reason::TeardownFailed);
            self.blame(match cause.reason {
                Reason::Aborted => cause,
                _ => Outcome { reason: Reason::TeardownFailed, ..cause },
            });
        }
        self.drain(now_ms);
    }
}
