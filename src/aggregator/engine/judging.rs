//! What the engine does about the verdict: ledgers in, looks at thresholds, the last judgement, the summary.

use std::sync::Arc;

use super::Engine;
use crate::{
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
        session::Outcome,
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

    pub(super) fn judge(&mut self) {
        let now = clock::rfc3339(self.now_ms);
        let around = surroundings(&self.rally, &now);
        let judgement = self.verdict.judge(&around, self.rally.has_run());
        self.tell(Input::Judged(judgement));
    }

    pub(super) fn on_summary(&mut self, session: SessionId, answer: Outcome) {
        if self.rally.wants_summary_of(session) {
            self.summary_answer = Some(answer);
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
        for (output, lane) in result.outputs.iter_mut().zip(self.pipeline.lanes()) {
            output.duplicates_ignored += self.pipeline.repeated() + lane.counts().repeated;
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

fn surroundings<'a>(rally: &'a Rally, now: &'a str) -> Surroundings<'a> {
    Surroundings {
        duration_ns: rally.duration_ns(),
        setup_data: rally.setup_data(),
        vus_max: rally.vus_max(),
        now,
    }
}
