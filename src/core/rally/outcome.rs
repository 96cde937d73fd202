//! The outcome: what is made of the cause and of the books.

use std::{collections::BTreeSet, fmt::Write};

use super::{cause, rally::Rally};
use crate::{
    api::v1alpha1::Reason,
    core::pipeline::row::Refusal,
    wire::{result::Outcome, session::AgentPhase},
};

/// Longest reason of an agent that is passed on with its dropped samples, in bytes.
const WHY_BYTES_MAX: usize = 512;

impl Rally {
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
        if unread > 0 && !self.config.outputs.is_empty() {
            let message = format!("{unread} lines of k6's samples could not be read");
            return Some(cause::outcome(Reason::OutputFailed, message));
        }
        self.given_up()
    }

    /// Samples that an output did not take because it had failed for good. Who gave it up says so at once, and why, unless
    /// it ends first; then only the samples tell of it.
    fn given_up(&self) -> Option<Outcome> {
        if self.cause.as_ref().is_some_and(|cause| cause.reason == Reason::OutputFailed) {
            return None;
        }
        let refused = self.roster.total().outputs.iter().filter_map(|(name, account)| {
            let samples = account.rejected.get(Refusal::OutputFailed.as_str())?;
            Some(format!(
                "output {name}: {samples} samples were refused because it had failed for good"
            ))
        });
        let refused: Vec<_> = refused.collect();
        (!refused.is_empty()).then(|| {
            let message =
                format!("{}; the log of the replica that gave it up says why", refused.join("; "));
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
}
