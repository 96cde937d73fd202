//! What the engine does about the verdict: ledgers in, looks at thresholds, the last judgement, the summary.

use std::sync::Arc;

use super::Engine;
use crate::{
    api::v1alpha1::OutputStatus,
    core::{
        ledger::codec::{Decoded, NoLedger},
        rally::{
            input::{Input, SessionId},
            rally::Rally,
        },
        verdict::Surroundings,
    },
    io::clock,
    wire::{
        result::{Artifacts, RunResult},
        session::{Outcome, OutputCounts},
    },
};

impl Engine {
    pub(super) fn on_ledger(&mut self, session: SessionId, ledger: Result<Decoded, NoLedger>) {
        let Some((instance_id, born_unix_ns)) = self.rally.ledger_source(session) else { return };
        let taken = ledger.and_then(|ledger| self.verdict.take(instance_id, born_unix_ns, ledger));
        match taken {
            Ok(is_last) => self.tell(Input::Ledgered { session, is_last }),
            Err(error) => tracing::warn!(instance_id, %error, "a ledger could not be taken"),
        }
    }

    /// Looks at the thresholds when it is time.
    pub(super) fn look(&mut self) {
        let elapsed_ms = self.rally.load_elapsed_ms(self.now_ms);
        if let Some(crossed) = self.verdict.look(elapsed_ms, self.now_ms) {
            self.tell(Input::Crossed(crossed));
        }
    }

    /// Before an outcome may be made that names what is missing.
    pub(super) fn tell_settled_early(&mut self) {
        if self.rally.is_draining() {
            let samples = self.data.pipeline.settled_early();
            self.rally.handle(Input::SettledEarly(samples), self.now_ms);
        }
    }

    pub(super) fn judge(&mut self) {
        self.tell_settled_early();
        let now = clock::rfc3339(self.now_ms);
        let around = surroundings(&self.rally, &now);
        let judgement = self.verdict.judge(&around, self.rally.has_run());
        self.tell(Input::Judged(judgement));
    }

    pub(super) fn on_summary(&mut self, session: SessionId, answer: Outcome) {
        if self.rally.wants_summary_of(session) {
            self.summary_answer = Some(answer);
            self.tell_settled_early();
            self.tell(Input::SummaryAnswered(session));
        }
    }

    /// Where the run stands, with all that is known of its verdict.
    pub(super) fn result(&mut self) -> RunResult {
        let mut result = self.rally.result();
        // What a former aggregator published stays as it is.
        if self.found_outcome {
            return result;
        }
        for (at, (output, lane)) in
            result.outputs.iter_mut().zip(self.data.pipeline.lanes()).enumerate()
        {
            output.duplicates_ignored += self.data.pipeline.repeated() + lane.counts().repeated;
            let by_writers = self.writers.duplicates(at);
            output.duplicates_ignored = output.duplicates_ignored.saturating_add(by_writers);
            add_early(output, self.data.pipeline.counts_early(at));
        }
        result.thresholds = self.verdict.thresholds();
        if result.outcome.is_some() {
            result.metrics = self.verdict.metrics().cloned();
            result.artifacts = self.artifacts();
        }
        result
    }

    fn artifacts(&mut self) -> Arc<Artifacts> {
        if let Some(made) = &self.artifacts {
            return made.clone();
        }
        let now = clock::rfc3339(self.now_ms);
        let around = surroundings(&self.rally, &now);
        let made = Arc::new(self.verdict.sum_up(&around, self.summary_answer.as_ref()));
        self.artifacts = Some(made.clone());
        made
    }
}

/// Adds what became of samples whose frames are not settled yet. Those of a lost instance count as refused already.
fn add_early(output: &mut OutputStatus, early: OutputCounts) {
    let stored = early.stored.min(output.in_flight);
    output.stored += stored;
    output.in_flight -= stored;
    for (reason, count) in early.rejected {
        let count = count.min(output.in_flight);
        if count > 0 {
            *output.rejected.entry(reason).or_default() += count;
            output.in_flight -= count;
        }
    }
}

fn surroundings<'a>(rally: &'a Rally, now: &'a str) -> Surroundings<'a> {
    Surroundings {
        duration_ns: rally.duration_ns(),
        setup_data: rally.setup_data(),
        vus_max: rally.vus_max(),
        now,
    }
}
