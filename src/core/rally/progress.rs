//! What people read: progress, and who is waited for.

use std::{collections::BTreeSet, fmt::Write, sync::Arc};

use super::{
    cause,
    rally::{Rally, Step},
    runner::{RUNNER_LOST, settled_count},
};
use crate::{
    api::v1alpha1::{LostRunner, OutputStatus, Reason},
    wire::{
        result::{LostAccount, Outcome, RunResult, Stage},
        session::AgentPhase,
    },
};

/// Lost instances whose accounts are published: with more, the run is no longer one whose counts matter.
const LOST_ACCOUNTS_MAX: usize = 1000;
/// Frames of lost instances that are published one by one, about a hundred bytes each, so that what a writer tells a next
/// aggregator is put together with them exactly; an instance counts as one more.
const LOST_FRAMES_MAX: usize = 2000;
/// Instances named in a message.
pub(super) const NAMED_MAX: usize = 5;

impl Rally {
    /// Where the run stands.
    pub fn result(&self) -> RunResult {
        // What was published stays as it is, though only some agents come to hear goodbye.
        if let Some(former) = self.former.as_ref().filter(|former| former.outcome.is_some()) {
            return former.clone();
        }
        RunResult {
            run: self.config.run.clone(),
            stage: self.stage(),
            message: self.message(),
            wanted: self.config.instances,
            ready: self.roster.ready_count(),
            running: self.roster.running_count(),
            vus: self.roster.vus(),
            lost: self.lost(),
            started_unix_ms: self.started_unix_ms(),
            ended_unix_ms: self.ended_unix_ms(),
            outputs: self.outputs(),
            thresholds: Vec::new(),
            cause: if self.outcome.is_none() { self.cause.clone() } else { None },
            lost_accounts: self.lost_accounts(),
            metrics: None,
            outcome: self.outcome.clone(),
            artifacts: Arc::default(),
        }
    }

    /// Grows whenever something changed that readers should see at once.
    pub fn stage_count(&self) -> u64 {
        self.stage_count
    }

    pub(super) fn started_unix_ms(&self) -> Option<i64> {
        let own = self.roster.started_unix_ns().map(|ns| ns / 1_000_000);
        let before = self.former.as_ref().and_then(|former| former.started_unix_ms);
        own.into_iter().chain(before).min()
    }

    /// Whom a wait is for: how many, and the first of them with where they stand.
    pub(super) fn waiting_for(&self, whom: &BTreeSet<u32>) -> String {
        let mut text = format!("{} of {} instances:", whom.len(), self.config.instances);
        for (at, id) in whom.iter().take(NAMED_MAX).enumerate() {
            let separator = if at == 0 { "" } else { "," };
            let state = self.state_of(*id);
            write!(text, "{separator} {id} ({state})").unwrap_or_default();
        }
        if whom.len() > NAMED_MAX {
            text.push_str(", …");
        }
        text
    }

    /// Why the start did not come about in time.
    pub(super) fn late_at_the_start(&self) -> Outcome {
        let trouble = self.trouble_text();
        if self.roster.unready().is_empty() {
            let silent = self.config.outputs.iter().enumerate();
            let silent = silent.filter(|(at, _)| {
                !self.outputs_ready.contains(at) && !self.trouble.contains_key(at)
            });
            let silent = silent.map(|(_, name)| format!("output {name}: no answer"));
            let why: Vec<_> =
                Some(trouble).filter(|text| !text.is_empty()).into_iter().chain(silent).collect();
            let message = format!("not ready in time: {}", why.join("; "));
            return cause::outcome(Reason::OutputFailed, message);
        }
        let mut message = format!("not ready in time: {}", self.waiting_for(self.roster.unready()));
        if !trouble.is_empty() {
            write!(message, "; {trouble}").unwrap_or_default();
        }
        cause::outcome(Reason::DeadlineExceeded, message)
    }

    fn state_of(&self, id: u32) -> String {
        let Some(runner) = self.roster.get(id) else { return "unknown".to_owned() };
        if let Some(loss) = &runner.loss {
            return loss.reason.clone();
        }
        if !runner.is_known() {
            return "not connected".to_owned();
        }
        let phase = match runner.phase() {
            AgentPhase::Unspecified | AgentPhase::Preparing => "preparing",
            AgentPhase::Ready => "ready",
            AgentPhase::Starting => "starting",
            AgentPhase::Running => "running",
            AgentPhase::Ended => "ended",
            AgentPhase::Finished => "finished",
        };
        if runner.session.is_some() {
            phase.to_owned()
        } else {
            format!("disconnected, was {phase}")
        }
    }

    pub(super) fn trouble_text(&self) -> String {
        let mut text = String::new();
        for (at, trouble) in &self.trouble {
            let name = self.config.outputs.get(*at).map_or("", String::as_str);
            let separator = if text.is_empty() { "" } else { "; " };
            write!(text, "{separator}output {name}: {trouble}").unwrap_or_default();
        }
        text
    }

    fn stage(&self) -> Stage {
        match self.step {
            Step::Gathering => Stage::Gathering,
            Step::Setup(_) => Stage::Setup,
            Step::Running => Stage::Running,
            Step::Teardown(_) => Stage::Teardown,
            Step::Draining | Step::Judging | Step::Summary(_) => Stage::Draining,
            Step::Closing | Step::Leaving | Step::Ended => Stage::Over,
        }
    }

    fn message(&self) -> String {
        if let Some(outcome) = &self.outcome {
            return outcome.message.clone();
        }
        let text = match &self.step {
            Step::Gathering if self.roster.unready().is_empty() => {
                "waiting for the outputs".to_owned()
            }
            Step::Gathering => format!("waiting for {}", self.waiting_for(self.roster.unready())),
            Step::Setup(Some((id, _))) => format!("setup() runs on instance {id}"),
            Step::Setup(None) => {
                format!("setup() is done, waiting for {}", self.waiting_for(self.roster.unready()))
            }
            Step::Running => match &self.cause {
                Some(cause) => format!("stopping: {}", cause.message),
                None => {
                    format!(
                        "{} of {} instances run",
                        self.roster.running_count(),
                        self.config.instances
                    )
                }
            },
            Step::Teardown(Some((id, _))) => format!("teardown() runs on instance {id}"),
            Step::Teardown(None) => "waiting for an instance to run teardown()".to_owned(),
            Step::Draining => format!("draining {}", self.waiting_for(self.roster.unsettled())),
            Step::Summary((id, _)) => format!("handleSummary() runs on instance {id}"),
            Step::Judging | Step::Closing | Step::Leaving | Step::Ended => String::new(),
        };
        match self.trouble_text() {
            trouble if trouble.is_empty() => text,
            trouble => format!("{text}; {trouble}"),
        }
    }

    fn lost(&self) -> Vec<LostRunner> {
        let ids = self.roster.lost().iter();
        ids.filter_map(|id| {
            let reason = self.roster.get(*id)?.loss.as_ref()?.reason.clone();
            Some(LostRunner { instance_id: *id, reason })
        })
        .collect()
    }

    /// For a next aggregator, so only while there may be one.
    fn lost_accounts(&self) -> Vec<LostAccount> {
        if self.outcome.is_some() {
            return Vec::new();
        }
        let ids = self.roster.lost().iter().take(LOST_ACCOUNTS_MAX);
        let mut room = LOST_FRAMES_MAX;
        ids.filter_map(|id| {
            let runner = self.roster.get(*id)?;
            let mut account = runner.account(&self.config.outputs);
            for own in account.outputs.values_mut() {
                own.rejected.remove(RUNNER_LOST);
            }
            let named = runner.settled.frames().count() + runner.settled.parts().count();
            let left = room.checked_sub(1 + named);
            room = left.unwrap_or(room);
            let settled = left.and(runner.settled_of.clone());
            Some(LostAccount {
                instance_id: *id,
                emitted: account.emitted,
                outputs: account.outputs,
                settled: settled.map(|of| (of.to_string(), runner.settled.known().clone())),
            })
        })
        .collect()
    }

    fn outputs(&self) -> Vec<OutputStatus> {
        let total = self.roster.total();
        let names = self.config.outputs.iter();
        names
            .map(|name| {
                let own = total.outputs.get(name).cloned().unwrap_or_default();
                OutputStatus {
                    name: name.clone(),
                    emitted: total.emitted,
                    in_flight: total.emitted.saturating_sub(settled_count(&own)),
                    duplicates_ignored: self.duplicates_before(name),
                    stored: own.stored,
                    rejected: own.rejected,
                }
            })
            .collect()
    }

    /// Duplicates that former aggregators ignored.
    fn duplicates_before(&self, output: &str) -> u64 {
        let before = self.former.iter().flat_map(|former| &former.outputs);
        before.filter(|own| own.name == output).map(|own| own.duplicates_ignored).sum()
    }

    fn ended_unix_ms(&self) -> Option<i64> {
        match self.step {
            Step::Gathering | Step::Setup(_) | Step::Running => None,
            Step::Teardown(_)
            | Step::Draining
            | Step::Judging
            | Step::Summary(_)
            | Step::Closing
            | Step::Leaving
            | Step::Ended => {
                let own = self.roster.ended_unix_ns().map(|ns| ns / 1_000_000);
                let before = self.former.as_ref().and_then(|former| former.ended_unix_ms);
                own.into_iter().chain(before).max()
            }
        }
    }
}
