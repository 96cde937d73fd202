//! Samples that are not settled when a run must end: how many, and where they are.

use std::fmt::Write;

use super::{cause, progress::NAMED_MAX, rally::Rally, runner::Runner};
use crate::{
    api::v1alpha1::Reason,
    wire::{result::Outcome, session::AgentPhase},
};

/// Where an instance's samples are that are neither stored nor refused, each in the furthest place that it has reached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Missing {
    /// Read from k6, in a frame that is not closed.
    pub(super) unframed: u64,
    /// In the agent's spool alone.
    pub(super) spool: u64,
    /// In this process, or its writer's.
    pub(super) aggregator: u64,
}

impl Missing {
    /// As the instance last told, and as this process knows better: a frame that it holds was closed.
    pub(super) fn of(runner: &Runner) -> Self {
        let report = &runner.report;
        let held = runner.held_anywhere();
        let settled = runner.settled.sum().samples.saturating_add(report.dropped);
        let framed = report.framed.max(settled.saturating_add(held));
        let open = framed - settled;
        Self {
            unframed: report.emitted.saturating_sub(framed),
            spool: open - held.min(open),
            aggregator: held.min(open).saturating_sub(runner.settled_early_anywhere()),
        }
    }

    fn count(self) -> u64 {
        self.unframed.saturating_add(self.spool).saturating_add(self.aggregator)
    }
}

/// A place, and how its share of an instance is known.
type Place = (&'static str, fn(&Missing) -> u64);

const PLACES: [Place; 3] = [
    ("in the aggregator's memory", |missing| missing.aggregator),
    ("in the agent's spool", |missing| missing.spool),
    ("read from k6 but in no frame yet", |missing| missing.unframed),
];

impl Rally {
    /// Why the books stay open though every k6 is gone.
    pub(super) fn not_stored(&self) -> Outcome {
        let whom = self.waiting_for(self.roster.unsettled());
        let Some((count, places)) = self.missing() else {
            let message = format!("the last acknowledgements did not arrive in time: {whom}");
            return cause::outcome(Reason::DeadlineExceeded, message);
        };
        let mut message = format!("{count} samples are not stored, of {whom}: {places}");
        let trouble = self.trouble_text();
        if !trouble.is_empty() {
            write!(message, "; {trouble}").unwrap_or_default();
        }
        cause::outcome(Reason::OutputFailed, message)
    }

    /// An outcome that names the samples which are not stored as well. Where outputs complain, it is they who are late:
    /// agents are not read from while too much is held.
    pub(super) fn with_missing(&self, reason: Reason, mut message: String) -> Outcome {
        let Some((count, places)) = self.missing() else { return cause::outcome(reason, message) };
        write!(message, "; {count} samples are not stored: {places}").unwrap_or_default();
        let trouble = self.trouble_text();
        if trouble.is_empty() {
            return cause::outcome(reason, message);
        }
        write!(message, "; {trouble}").unwrap_or_default();
        cause::outcome(Reason::OutputFailed, message)
    }

    /// How many samples of unsettled instances are not stored, and where they are; none where all are.
    fn missing(&self) -> Option<(u64, String)> {
        if self.config.outputs.is_empty() {
            return None;
        }
        let unsettled = self.roster.unsettled().iter();
        let runners = unsettled.filter_map(|id| Some((*id, self.roster.get(*id)?)));
        let all: Vec<(u32, &Runner, Missing)> =
            runners.map(|(id, runner)| (id, runner, Missing::of(runner))).collect();
        let count = all.iter().map(|(_, _, missing)| missing.count()).fold(0, u64::saturating_add);
        if count == 0 {
            return None;
        }
        let mut parts: Vec<String> = PLACES
            .into_iter()
            .filter_map(|(place, share)| {
                let shares = all.iter().map(|(id, _, missing)| (*id, share(missing)));
                let shares: Vec<(u32, u64)> = shares.filter(|(_, count)| *count > 0).collect();
                let sum = shares.iter().map(|(_, count)| *count).fold(0, u64::saturating_add);
                (sum > 0).then(|| format!("{sum} {place} ({})", named(&shares)))
            })
            .collect();
        let unread = all.iter().filter(|(_, runner, _)| runner.phase() != AgentPhase::Finished);
        let unread: Vec<String> = unread.map(|(id, ..)| id.to_string()).take(NAMED_MAX).collect();
        if !unread.is_empty() {
            parts.push(format!("more may be in k6's pipe (instance {})", unread.join(", ")));
        }
        Some((count, parts.join(", ")))
    }
}

/// The first instances with their shares.
fn named(shares: &[(u32, u64)]) -> String {
    let mut text = String::from("instance ");
    for (at, (id, count)) in shares.iter().take(NAMED_MAX).enumerate() {
        let separator = if at == 0 { "" } else { ", " };
        write!(text, "{separator}{id}: {count}").unwrap_or_default();
    }
    if shares.len() > NAMED_MAX {
        text.push_str(", …");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::session::Report;

    #[test]
    fn each_sample_is_in_one_place_though_reports_lag_behind() {
        let report =
            Report { emitted: 100, framed: 90, acked: 20, dropped: 5, ..Report::default() };
        let runner = |held, settled| {
            let mut runner = Runner { held, report: report.clone(), ..Runner::default() };
            runner.settled.settle(1, settled, &[]);
            let early = Runner { settled_early: 3, ..runner.clone() };
            let Missing { unframed, spool, aggregator } = Missing::of(&runner);
            let less = Missing { aggregator: aggregator.saturating_sub(3), unframed, spool };
            assert_eq!(Missing::of(&early), less, "a part of a frame is stored");
            [unframed, spool, aggregator]
        };
        assert_eq!(runner(0, 20), [10, 65, 0]);
        assert_eq!(runner(30, 20), [10, 35, 30]);
        assert_eq!(runner(30, 55), [10, 0, 30], "settled here, and the instance does not know");
        assert_eq!(runner(40, 55), [0, 0, 40], "a frame that was closed after the report");
        assert_eq!(runner(0, 95), [0, 0, 0]);
        assert_eq!(runner(50, 95), [0, 0, 50], "more than was reported at all");
    }
}
