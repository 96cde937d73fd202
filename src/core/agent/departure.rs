//! How the agent leaves: ordered to, left alone, or dismissed.

use super::{
    events::{Action, Leave, Now},
    machine::{Load, Machine, Process},
};
use crate::api::v1alpha1::Reason;

/// Time that an agent which must go gives its last report to arrive.
const LAST_WORD_MS: i64 = 500;
/// Time that an agent without a session gives k6 to end.
const ORPHAN_END_MS: i64 = 10_000;

impl Machine {
    /// When there is something to decide here; `i64::MAX` for never.
    pub(super) fn departure_due_ms(&self) -> i64 {
        let after = |since: Option<i64>, ms| since.map_or(i64::MAX, |at| at.saturating_add(ms));
        let orphan_due_ms = match self.orphaned_at_ms {
            Some(at) => at.saturating_add(ORPHAN_END_MS),
            None => after(self.unheard_since_ms, self.config.orphan_ms),
        };
        let must_go = self.terminated_at_ms.is_some() || self.replaceable.is_some();
        let last_word_due_ms = match self.finished_at_ms {
            Some(at) if must_go && !self.last_word_said => at.saturating_add(LAST_WORD_MS),
            _ => i64::MAX,
        };
        after(self.terminated_at_ms, self.config.grace_ms).min(orphan_due_ms).min(last_word_due_ms)
    }

    pub(super) fn on_terminate(&mut self, now: Now) {
        if self.terminated_at_ms.is_some() {
            return;
        }
        self.terminated_at_ms = Some(now.ms);
        if self.load < Load::Starting {
            // Nothing has begun: this instance may still be replaced, so it must not fail the run.
            let push = self.stopping.kill();
            self.push(push);
            return self.leave(Leave::Failed("told to stop before the load began".to_owned()));
        }
        if !self.is_finished() {
            let text = format!(
                "the pod of instance {} was told to stop (SIGTERM) before its part was done",
                self.config.instance_id
            );
            self.fail(Reason::RunnersLost, text, None);
        }
        self.stop(now);
        self.finish_wanted = true;
    }

    /// Leaves when there is nobody to hand over to, or no time to do so.
    pub(super) fn give_up(&mut self, now: Now) {
        let handed_over = self.is_finished() && now.drained;
        self.last_word_said = self.finished_at_ms.is_some_and(|at| now.ms >= at + LAST_WORD_MS);
        if let Some(text) = self.replaceable.as_ref().filter(|_| self.last_word_said) {
            return self.leave(Leave::Failed(format!("before the start {text}")));
        }
        if let Some(at) = self.terminated_at_ms {
            if handed_over && self.last_word_said {
                return self.leave(Leave::HandedOver);
            }
            if now.ms >= at.saturating_add(self.config.grace_ms) {
                return self.leave(Leave::Failed("no time was left to hand over".to_owned()));
            }
        }
        let Some(since) = self.unheard_since_ms else { return };
        if now.ms < since.saturating_add(self.config.orphan_ms) {
            return;
        }
        if handed_over && self.orphaned_at_ms.is_none() {
            return self.leave(Leave::HandedOver);
        }
        let text = "no aggregator to hand over to".to_owned();
        let orphaned_at_ms = *self.orphaned_at_ms.get_or_insert(now.ms);
        self.fail(Reason::RunnersLost, text.clone(), None);
        self.stopped = true;
        self.end_process(now);
        if self.is_finished() || now.ms >= orphaned_at_ms.saturating_add(ORPHAN_END_MS) {
            self.leave(Leave::Failed(text));
        }
    }

    pub(super) fn end_process(&mut self, now: Now) {
        match self.process {
            Process::Alive => {
                let push = self.stopping.end(now.ms);
                self.push(push);
            }
            Process::Awaited => self.never(now),
            Process::Gone | Process::Never => {}
        }
    }

    pub(super) fn leave(&mut self, leave: Leave) {
        if self.left {
            return;
        }
        self.left = true;
        if self.process == Process::Alive {
            let push = self.stopping.kill();
            self.push(push);
        }
        self.actions.push(Action::Leave(leave));
    }
}
