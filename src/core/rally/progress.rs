//! What people read: progress, outcome, and who is waited for.

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
/// Longest reason of an agent that is passed on with its dropped samples, in bytes.
const WHY_BYTES_MAX: usize = 512;
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

    /// The outcome, as things stand.
    pub(super) fn judge(&self) -> Outcome {
        let mut outcome = self.judge_books();
        let dropped = self.dropped(&outcome.message);
        for note in [dropped, self.unmeasured(), self.note.clone()].into_iter().flatten() {
            write!(outcome.message, "; {note}").unwrap_or_default();
        }
        outcome
    }

    /// Samples that agents had no room for, or could not read back; and why, where `message` does not say it already.
    fn dropped(&self, message: &str) -> Option<String> {
        if self.config.outputs.is_empty() {
            return None;
        }
        let of_all = self.roster.iter().filter(|(_, runner)| runner.report.dropped > 0);
        let (mut samples, mut instances, mut why) = (0_u64, 0_u32, None);
        for (id, runner) in of_all {
            samples = samples.saturating_add(runner.report.dropped);
            instances += 1;
            why.get_or_insert((id, runner.report.dropped_why.as_str()));
        }
        let (first, why) = why?;
        let mut note = match instances {
            1 => format!("{samples} samples were dropped by instance {first}"),
            _ => format!("{samples} samples were dropped by {instances} instances ({first}, …)"),
        };
        if !why.is_empty() && !message.contains(why) {
            let words: Vec<&str> = cause::clip(why, WHY_BYTES_MAX).split_whitespace().collect();
            write!(note, ": {}", words.join(" ")).unwrap_or_default();
        }
        Some(note)
    }

    /// Lost instances whose samples a former aggregator took with it, as far as the verdict needs them.
    fn unmeasured(&self) -> Option<String> {
        let (mut forgotten, mut samples, mut old) = (Vec::new(), 0_u64, Vec::new());
        for id in self.roster.lost() {
            let Some(runner) = self.roster.get(*id).filter(|runner| !runner.is_known()) else {
                continue;
            };
            let emitted = runner.inherited.as_ref().map_or(0, |inherited| inherited.emitted);
            match runner.remembered {
                Some(true) => {}
                Some(false) => old.push(id),
                None if emitted == 0 => {}
                None => {
                    forgotten.push(id);
                    samples = samples.saturating_add(emitted);
                }
            }
        }
        let forgotten = forgotten.first().map(|first| {
            format!(
                "{samples} samples of {} lost instances ({first}, …) went down with an aggregator: they are not in the \
                 verdict",
                forgotten.len()
            )
        });
        let old = old.first().map(|first| {
            format!(
                "{} lost instances ({first}, …) went down with an aggregator: they are in the verdict as it had them on \
                 its disk, up to 10 s older than their end",
                old.len()
            )
        });
        let notes: Vec<String> = [forgotten, old].into_iter().flatten().collect();
        (!notes.is_empty()).then(|| notes.join("; "))
    }

    fn judge_books(&self) -> Outcome {
        let open = self.open_books();
        match (&self.cause, open) {
            (Some(cause), None) => self.named_loss(cause),
            (Some(cause), Some(open)) => {
                let cause = self.named_loss(cause);
                Outcome { message: format!("{}; {}", cause.message, open.message), ..cause }
            }
            (None, open) if self.crossed.is_some() => {
                let mut message = self.crossed.clone().unwrap_or_default();
                if let Some(open) = open {
                    write!(message, "; {}", open.message).unwrap_or_default();
                }
                cause::outcome(Reason::ThresholdsCrossed, message)
            }
            (None, Some(open)) => open,
            (None, None) => cause::outcome(
                Reason::ThresholdsMet,
                "the run has ended, all samples are accounted for",
            ),
        }
    }

    /// What keeps the books from closing.
    fn open_books(&self) -> Option<Outcome> {
        let unsettled = self.roster.unsettled();
        let running: BTreeSet<u32> = unsettled
            .iter()
            .copied()
            .filter(|id| self.roster.get(*id).is_some_and(|r| r.phase() != AgentPhase::Finished))
            .collect();
        if !running.is_empty() {
            let message = format!("not finished in time: {}", self.waiting_for(&running));
            return Some(self.with_missing(Reason::DeadlineExceeded, message));
        }
        let lacks = |id: &&u32| self.roster.get(**id).is_some_and(|r| !r.has_last_ledger);
        let unmeasured: BTreeSet<u32> = unsettled.iter().filter(lacks).copied().collect();
        if !unmeasured.is_empty() {
            let message =
                format!("the last ledger did not come in time: {}", self.waiting_for(&unmeasured));
            return Some(self.with_missing(Reason::DeadlineExceeded, message));
        }
        if !unsettled.is_empty() {
            return Some(self.not_stored());
        }
        let unread: u64 =
            self.roster.iter().map(|(_, r)| r.report.unparsable_lines).fold(0, u64::saturating_add);
        (unread > 0 && !self.config.outputs.is_empty()).then(|| {
            let message = format!("{unread} lines of k6's samples could not be read");
            cause::outcome(Reason::OutputFailed, message)
        })
    }

    /// The loss of a runner is known by silence first; what took it may have become known since.
    fn named_loss(&self, cause: &Outcome) -> Outcome {
        if cause.reason != Reason::RunnersLost || self.roster.lost().is_empty() {
            return cause.clone();
        }
        let lost = self.roster.lost();
        Outcome { message: format!("lost {}", self.waiting_for(lost)), ..cause.clone() }
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
