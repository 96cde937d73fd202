//! What an agent says of itself.

use super::{failure, machine::Machine};
use crate::{
    api::v1alpha1::Reason,
    core::samples::spool::totals::Totals,
    wire::{
        PROTOCOL,
        session::{AgentPhase, Hello, Report},
    },
};

/// The account of samples at one moment.
#[derive(Clone, Debug, Default)]
pub struct Account {
    /// Samples read from k6 that are to be stored.
    pub emitted: u64,
    /// Samples in the ledger.
    pub measured: u64,
    /// Lines of k6's output that were neither sample nor metric.
    pub unparsable_lines: u64,
    /// Frames and outputs.
    pub totals: Totals,
}

impl Machine {
    /// The report of this moment.
    ///
    /// The report that counts samples as lost says itself that the run fails by it: the machine hears of the loss in its
    /// turn, and by then the aggregator may have found that all samples are accounted for.
    pub fn report(&self, account: &Account) -> Report {
        let phase = self.phase();
        let lost = Some(&account.totals.failed_why).filter(|why| !why.is_empty());
        let of_loss = lost.map(|why| failure::new(Reason::OutputFailed, why, None));
        Report {
            phase: phase.into(),
            emitted: account.emitted,
            framed: account.totals.framed,
            acked: account.totals.acked,
            unparsable_lines: account.unparsable_lines,
            outputs: account.totals.output_counts(),
            requirements: match phase {
                AgentPhase::Unspecified | AgentPhase::Preparing => None,
                _ => self.requirements,
            },
            failure: self.failure.clone().or(of_loss),
            k6_exit_code: match phase {
                AgentPhase::Finished => self.exit_code,
                _ => None,
            },
            started_unix_ns: self.started_unix_ns,
            ended_unix_ns: self.ended_unix_ns,
            vus: self.vus,
            vus_max: self.vus_max,
            last_seq: account.totals.last_seq,
            acked_to: account.totals.sent_to,
            acked_but: account.totals.unacked.iter().copied().collect(),
            dropped: account.totals.dropped,
            unreadable: account.totals.unreadable,
            dropped_why: account.totals.dropped_why.clone(),
            bundle_sha256: self.bundle.as_ref().map(|b| b.sha256.clone()).unwrap_or_default(),
        }
    }

    /// The first message of a session.
    pub fn hello(&self, account: &Account) -> Hello {
        Hello {
            protocol: PROTOCOL,
            run: self.config.run.to_string(),
            instance_id: self.config.instance_id,
            incarnation: self.config.incarnation.clone(),
            k6_version: self
                .version
                .as_ref()
                .map(|version| version.text.clone())
                .unwrap_or_default(),
            report: Some(self.report(account)),
            setup_data: self.setup_data.clone(),
            born_unix_ns: self.config.born_unix_ns,
            replica: 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::agent::{config::Config, events::Now};

    #[test]
    fn the_report_that_counts_lost_samples_says_that_the_run_fails_by_them() {
        let machine = Machine::new(Config::plain(1, 1), Now { ms: 0, unix_ns: 0, drained: true });
        let report = |failed_why: &str| {
            let (dropped_why, failed_why) = ("the first".to_owned(), failed_why.to_owned());
            let totals = Totals { dropped: 7, dropped_why, failed_why, ..Totals::default() };
            machine.report(&Account { totals, ..Account::default() })
        };
        assert_eq!(report("").failure, None, "it may drop samples");
        let failure = report("unreadable").failure.unwrap();
        assert_eq!(
            (failure.reason.as_str(), failure.message.as_str()),
            ("OutputFailed", "unreadable")
        );
    }
}
