//! What a writer told of an instance whose samples it writes. It knows sooner than the instance itself, and goes on to know
//! when that is gone.

use std::collections::BTreeMap;

use super::runner::{Account, Runner, settled_count};
use crate::wire::{result::OutputAccount, session::Tally};

/// What a writer told of an agent process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Told {
    incarnation: String,
    settled: u64,
    held: u64,
    settled_early: u64,
    outputs: BTreeMap<String, OutputAccount>,
}

impl Runner {
    /// Takes what a writer tells, unless it is of another process than this instance's. A writer that was started anew does
    /// not know all that its forerunner told.
    pub fn take_tally(&mut self, tally: Tally) {
        if self.incarnation.as_deref().is_some_and(|own| own != tally.incarnation) {
            return;
        }
        let mut account = Account::default();
        account.add(&tally.outputs);
        let mut told = Told {
            incarnation: tally.incarnation,
            settled: tally.settled,
            held: tally.held,
            settled_early: tally.settled_early,
            outputs: account.outputs,
        };
        if let Some(before) = self.told.take().filter(|old| old.incarnation == told.incarnation) {
            told.settled = told.settled.max(before.settled);
            raise(&mut told.outputs, &before.outputs);
        }
        self.told = Some(told);
    }

    /// What a writer told of this process of the instance.
    fn told(&self) -> Option<&Told> {
        let is_its =
            |told: &&Told| self.incarnation.as_deref().is_none_or(|own| own == told.incarnation);
        self.told.as_ref().filter(is_its)
    }

    /// Samples of its frames that are held, here or by its writer.
    pub(super) fn held_anywhere(&self) -> u64 {
        self.held.saturating_add(self.told().map_or(0, |told| told.held))
    }

    /// Of these, samples that are settled though their frames are not.
    pub(super) fn settled_early_anywhere(&self) -> u64 {
        self.settled_early.saturating_add(self.told().map_or(0, |told| told.settled_early))
    }

    /// Samples of its frames that are settled.
    pub(super) fn settled_anywhere(&self) -> u64 {
        self.settled.max(self.told().map_or(0, |told| told.settled))
    }

    /// Brings an account of this instance up to what its writer told.
    pub(super) fn raise_by_told(&self, account: &mut Account, outputs: &[String]) {
        if let Some(told) = self.told() {
            raise(&mut account.outputs, &told.outputs);
            account.outputs.retain(|name, _| outputs.contains(name));
        }
    }
}

/// Counts only grow: of two of the same output, the one that counts more is the newer.
fn raise(to: &mut BTreeMap<String, OutputAccount>, by: &BTreeMap<String, OutputAccount>) {
    for (name, other) in by {
        let own = to.entry(name.clone()).or_default();
        if settled_count(other) > settled_count(own) {
            own.clone_from(other);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::session::{OutputCounts, Report};

    const OUTPUT: &str = "timestream";

    fn counts(stored: u64, refused: u64) -> Vec<OutputCounts> {
        let rejected = (refused > 0).then(|| ("TooOld".to_owned(), refused));
        vec![OutputCounts {
            name: OUTPUT.to_owned(),
            stored,
            rejected: rejected.into_iter().collect(),
        }]
    }

    fn tally(incarnation: &str, stored: u64, held: u64) -> Tally {
        Tally {
            instance_id: 2,
            incarnation: incarnation.to_owned(),
            settled: stored,
            held,
            outputs: counts(stored, 0),
            ..Tally::default()
        }
    }

    fn runner(emitted: u64, acked: u64) -> Runner {
        let mut runner = Runner { incarnation: Some("i".into()), ..Runner::default() };
        runner.session = Some(crate::core::rally::input::SessionId(1));
        runner.take(Report { emitted, acked, outputs: counts(acked, 0), ..Report::default() });
        runner
    }

    fn account(runner: &Runner) -> (u64, u64, u64) {
        let account = runner.account(&[OUTPUT.to_owned()]);
        let own = account.outputs.get(OUTPUT).cloned().unwrap_or_default();
        (account.emitted, own.stored, own.rejected.values().sum())
    }

    #[test]
    fn the_account_is_as_new_as_the_newest_that_is_known() {
        let mut runner = runner(100, 20);
        assert_eq!(account(&runner), (100, 20, 0));
        runner.take_tally(tally("i", 60, 10));
        assert_eq!(account(&runner), (100, 60, 0));
        assert_eq!((runner.held_anywhere(), runner.settled_anywhere()), (10, 60));
        runner.take(Report {
            emitted: 200,
            acked: 90,
            outputs: counts(90, 0),
            ..Report::default()
        });
        assert_eq!(account(&runner), (200, 90, 0), "the report is the newer one");
        runner.take_tally(tally("i", 230, 0));
        assert_eq!(account(&runner), (230, 230, 0), "never more stored than emitted");
    }

    #[test]
    fn of_a_lost_instance_its_writer_knows_what_came_of_the_last_samples() {
        let mut runner = runner(100, 20);
        runner.take_tally(tally("i", 60, 10));
        runner.session = None;
        runner.loss =
            Some(super::super::runner::Loss { reason: "OOMKilled".to_owned(), is_final: true });
        assert_eq!(account(&runner), (100, 60, 40));
        runner.take_tally(tally("i", 70, 0));
        assert_eq!(account(&runner), (100, 70, 30));
        runner.take_tally(tally("i", 65, 0));
        assert_eq!(account(&runner), (100, 70, 30), "a writer that was started anew knows less");
        runner.take_tally(tally("j", 99, 0));
        assert_eq!(account(&runner), (100, 70, 30), "not this process");
    }

    #[test]
    fn what_was_told_before_the_instance_is_known_is_of_use_when_it_is() {
        let mut early = Runner::default();
        early.take_tally(tally("i", 60, 0));
        early.incarnation = Some("i".into());
        assert_eq!(early.settled_anywhere(), 60);
        early.incarnation = Some("j".into());
        assert_eq!(early.settled_anywhere(), 0);
    }
}
