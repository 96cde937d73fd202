//! One instance of the run, as far as the aggregator knows it.

use std::{collections::BTreeMap, sync::Arc};

use super::{input::SessionId, settled::Settled, told::Told};
use crate::wire::{
    result::{LostAccount, OutputAccount},
    session::{AgentPhase, OutputCounts, Report},
};

/// Why samples that an agent had no room for count as refused.
const SPOOL_FULL: &str = "SpoolFull";
/// Why samples count as refused that an agent wrote to its disk and could not read back.
const SPOOL_UNREADABLE: &str = "SpoolUnreadable";
/// Refusals of samples that went down with their instance are counted under this word.
pub const RUNNER_LOST: &str = "RunnerLost";

/// The word for the loss of an instance that was silent too long. Of its pod this says nothing.
pub const SESSION_LOST: &str = "SessionLost";

/// Why an instance is lost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loss {
    /// One word: `OOMKilled`, `SessionLost`, …
    pub reason: String,
    /// It cannot come back: someone who knows said so, not silence.
    pub is_final: bool,
}

/// What an instance adds to the run's account.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Account {
    /// Samples read from k6.
    pub emitted: u64,
    /// By output: stored, and refused by reason.
    pub outputs: BTreeMap<String, OutputAccount>,
}

impl Account {
    fn add_all(&mut self, outputs: &BTreeMap<String, OutputAccount>) {
        for (name, counts) in outputs {
            let own = self.outputs.entry(name.clone()).or_default();
            own.stored = own.stored.saturating_add(counts.stored);
            for (reason, count) in &counts.rejected {
                let total = own.rejected.entry(reason.clone()).or_default();
                *total = total.saturating_add(*count);
            }
        }
    }

    /// Counts only grow: of two of the same output, the one that counts more is the newer.
    fn raise(&mut self, by: &BTreeMap<String, OutputAccount>) {
        for (name, other) in by {
            let own = self.outputs.entry(name.clone()).or_default();
            if settled_count(other) > settled_count(own) {
                own.clone_from(other);
            }
        }
    }

    /// Nobody will hand over any more what is missing: it counts as refused.
    fn close(&mut self, outputs: &[String]) {
        self.outputs.retain(|name, _| outputs.contains(name));
        for name in outputs {
            let own = self.outputs.entry(name.clone()).or_default();
            self.emitted = self.emitted.max(settled_count(own));
        }
        for own in self.outputs.values_mut() {
            let missing = self.emitted.saturating_sub(settled_count(own));
            if missing > 0 {
                own.rejected.insert(RUNNER_LOST.to_owned(), missing);
            }
        }
    }
}

/// Samples stored or refused.
pub fn settled_count(own: &OutputAccount) -> u64 {
    own.rejected.values().fold(own.stored, |sum, count| sum.saturating_add(*count))
}

/// One instance.
#[derive(Clone, Debug, Default)]
pub struct Runner {
    /// Its process; none before its first Hello.
    pub incarnation: Option<Arc<str>>,
    /// When that process began, as it says; 0 when it does not.
    pub born_unix_ns: i64,
    /// Its session, while it has one.
    pub session: Option<SessionId>,
    /// The furthest phase it told.
    pub phase: Option<AgentPhase>,
    /// Its latest report.
    pub report: Report,
    /// Until when it may be away, while it is.
    pub back_by_ms: Option<i64>,
    /// Its last ledger is here.
    pub has_last_ledger: bool,
    /// Set when it is lost.
    pub loss: Option<Loss>,
    /// What is known to be settled of its samples, by whom ever: acknowledgements reach it later.
    pub settled: Settled,
    /// The process whose samples these are. It is known before the instance is where its writer told first.
    pub settled_of: Option<Arc<str>>,
    /// Samples of its frames that this process holds.
    pub held: u64,
    /// Of these, samples that are settled though their frames are not, as far as was last told.
    pub settled_early: u64,
    /// What a former aggregator knew of it when it was lost.
    pub inherited: Option<LostAccount>,
    /// What a writer told of it, where one writes its samples.
    pub told: Option<Told>,
    /// Its ledger is there from a former aggregator; true when it is all that came of it until then.
    pub remembered: Option<bool>,
}

impl Runner {
    /// The phase, PREPARING before anything is known.
    pub fn phase(&self) -> AgentPhase {
        self.phase.unwrap_or(AgentPhase::Preparing)
    }

    /// Whether it was ever heard of.
    pub fn is_known(&self) -> bool {
        self.incarnation.is_some()
    }

    /// Whether k6 has been told to go.
    pub fn has_started(&self) -> bool {
        self.report.started_unix_ns > 0
            || matches!(self.phase(), AgentPhase::Starting | AgentPhase::Running)
    }

    /// Whether k6 is gone and all its samples are measured and settled; without outputs there is nothing to settle.
    pub fn is_settled(&self, has_outputs: bool) -> bool {
        self.phase() == AgentPhase::Finished
            && self.has_last_ledger
            && (!has_outputs || self.unsettled_count() == 0)
    }

    /// Samples that are neither stored nor refused, as it says itself.
    pub fn unsettled_count(&self) -> u64 {
        self.report.emitted.saturating_sub(self.report.acked).saturating_sub(self.report.dropped)
    }

    /// A frame that was held is settled.
    pub fn settle(&mut self, seq: u64, samples: u64, outputs: &[OutputCounts]) {
        self.held = self.held.saturating_sub(samples);
        self.settled.settle(seq, samples, outputs);
    }

    /// Takes a report in. A phase never goes back.
    pub fn take(&mut self, report: Report) {
        let phase = AgentPhase::try_from(report.phase).unwrap_or(AgentPhase::Unspecified);
        self.phase = Some(self.phase.map_or(phase, |before| before.max(phase)));
        self.settled.take_report(&report);
        self.report = report;
    }

    /// What it adds to the run's account. Of an instance that is lost and away, what nobody can hand over any more
    /// counts as refused, so that the books of a run that tolerates the loss close.
    pub fn account(&self, outputs: &[String]) -> Account {
        let emitted = self.report.emitted;
        let mut account = Account { emitted, outputs: self.settled.sum().outputs.clone() };
        self.settled.parts().for_each(|part| account.add_all(&part.outputs));
        account.outputs.retain(|name, _| outputs.contains(name));
        if !self.is_known() {
            if let Some(lost) = &self.inherited {
                account.emitted = lost.emitted;
                // Of too many frames nobody could say which they were.
                if lost.settled.is_none() {
                    account.raise(&lost.outputs);
                }
            }
            if self.inherited.is_some() || self.told.is_some() {
                account.close(outputs);
            }
            return account;
        }
        if self.loss.is_some() && self.session.is_none() {
            account.close(outputs);
            return account;
        }
        let unreadable = self.report.unreadable.min(self.report.dropped);
        let full = self.report.dropped - unreadable;
        for (reason, count) in [(SPOOL_FULL, full), (SPOOL_UNREADABLE, unreadable)] {
            for name in outputs.iter().filter(|_| count > 0) {
                let own = account.outputs.entry(name.clone()).or_default();
                own.rejected.insert(reason.to_owned(), count);
            }
        }
        // Frames are settled that the instance had not read when it reported.
        let settled = account.outputs.values().map(settled_count).max().unwrap_or(0);
        account.emitted = account.emitted.max(settled);
        account
    }
}
