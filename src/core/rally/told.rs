//! What a writer told of an instance whose samples it writes. It knows sooner than the instance itself, and goes on to know
//! when that is gone.

use std::sync::Arc;

use super::{runner::Runner, settled::Settled};
use crate::wire::{result::LostAccount, session::Tally};

/// What a writer told of the frames that it holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Told {
    held: u64,
}

impl Runner {
    /// Takes what a writer tells, unless it is of another process than this instance's.
    pub fn take_tally(&mut self, tally: &Tally) {
        if self.incarnation.as_deref().is_some_and(|own| own != tally.incarnation) {
            return;
        }
        if self.settled_of.as_deref() != Some(tally.incarnation.as_str()) {
            // Only one process of an instance ever has samples.
            if tally.acked == 0 && tally.settled.is_empty() && self.settled.sum().samples > 0 {
                return;
            }
            self.count_for(tally.incarnation.as_str().into());
        }
        self.settled.take_tally(tally);
        self.told = Some(Told { held: tally.held });
    }

    /// From now on it is this process whose samples count.
    pub(super) fn count_for(&mut self, incarnation: Arc<str>) {
        if self.settled_of.as_ref() != Some(&incarnation) {
            self.settled = Settled::default();
            self.told = None;
            self.settled_of = Some(incarnation);
        }
    }

    /// Takes what a former aggregator knew of it when it was lost.
    pub fn inherit(&mut self, lost: &LostAccount) {
        if let Some((incarnation, settled)) = &lost.settled {
            self.count_for(incarnation.as_str().into());
            self.settled.take(settled);
        }
        self.inherited = Some(lost.clone());
    }

    /// Samples of its frames that are held, here or by its writer.
    pub(super) fn held_anywhere(&self) -> u64 {
        self.held.saturating_add(self.told.as_ref().map_or(0, |told| told.held))
    }

    /// Of these, samples that are settled though their frames are not.
    pub(super) fn settled_early_anywhere(&self) -> u64 {
        self.settled.parts().map(|part| part.samples).fold(self.settled_early, u64::saturating_add)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::session::{OutputCounts, Report, SettledFrame};

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
            acked: stored,
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
        runner.take_tally(&tally("i", 60, 10));
        assert_eq!(account(&runner), (100, 60, 0));
        assert_eq!((runner.held_anywhere(), runner.settled.sum().samples), (10, 60));
        runner.take(Report {
            emitted: 200,
            acked: 90,
            outputs: counts(90, 0),
            ..Report::default()
        });
        assert_eq!(account(&runner), (200, 90, 0), "the report is the newer one");
        runner.take_tally(&tally("i", 230, 0));
        assert_eq!(account(&runner), (230, 230, 0), "never more stored than emitted");
    }

    #[test]
    fn of_a_lost_instance_its_writer_knows_what_came_of_the_last_samples() {
        let mut runner = runner(100, 20);
        runner.take_tally(&tally("i", 60, 10));
        runner.session = None;
        runner.loss =
            Some(super::super::runner::Loss { reason: "OOMKilled".to_owned(), is_final: true });
        assert_eq!(account(&runner), (100, 60, 40));
        runner.take_tally(&tally("i", 70, 0));
        assert_eq!(account(&runner), (100, 70, 30));
        runner.take_tally(&tally("i", 65, 0));
        assert_eq!(account(&runner), (100, 70, 30), "a writer that was started anew knows less");
        runner.take_tally(&tally("j", 99, 0));
        assert_eq!(account(&runner), (100, 70, 30), "not this process");
    }

    #[test]
    fn what_was_told_before_the_instance_is_known_is_of_use_when_it_is() {
        let mut early = Runner::default();
        early.take_tally(&tally("i", 60, 0));
        let mut other = early.clone();
        early.count_for("i".into());
        assert_eq!(early.settled.sum().samples, 60);
        other.count_for("j".into());
        assert_eq!(other.settled.sum().samples, 0);
    }

    #[test]
    fn a_part_of_a_frame_counts_until_the_whole_is_settled_by_whomever() {
        let mut runner = runner(0, 0);
        let frame = |seq, samples| SettledFrame { seq, samples, outputs: counts(samples, 0) };
        runner.take_tally(&Tally { early: vec![frame(3, 4), frame(4, 2)], ..tally("i", 0, 20) });
        assert_eq!((account(&runner), runner.settled_early_anywhere()), ((6, 6, 0), 6));
        assert!(runner.settled.settle(3, 10, &counts(10, 0)));
        assert_eq!((account(&runner), runner.settled_early_anywhere()), ((12, 12, 0), 2));
    }
}
