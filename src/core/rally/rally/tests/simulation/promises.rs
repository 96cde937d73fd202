//! What must hold of every run, whatever its world did; the oracle has seen every value.

use super::*;

/// What an instance measured: its ledger, and every value for the oracle.
#[derive(Debug)]
pub(super) struct Measures {
    pub(super) ledger: Ledger,
    pub(super) seen: u64,
    pub(super) took: Vec<f64>,
}

impl Measures {
    pub(super) fn new(thresholds: &Thresholds) -> Self {
        let rules =
            Rules::new(thresholds, &Thresholds::new(), threshold::RuleOptions::default()).unwrap();
        let mut ledger = Ledger::new(&rules, false);
        for (name, kind) in [("seen", Kind::Counter), ("took", Kind::Trend)] {
            let contains = Contains::Default;
            ledger.define(&Definition { name: name.into(), kind: Some(kind), contains });
        }
        Self { ledger, seen: 0, took: Vec::new() }
    }

    pub(super) fn add(&mut self, metric: &'static str, value: f64, now_ms: i64) {
        let point = Point {
            metric: metric.into(),
            time_ns: now_ms * 1_000_000,
            value,
            tags: Pairs::default(),
            metadata: Pairs::default(),
        };
        self.ledger.add(&point);
    }
}

impl World {
    /// What must never be sent.
    pub(super) fn check(&self, session: SessionId, message: &Message) {
        let Some((id, _)) = self.ends.get(&session) else { return };
        match message {
            Message::Start(_) => {
                let is_first = self.agents.values().all(|agent| !agent.has_started);
                let own = &self.agents[id].report.bundle_sha256;
                for (other, agent) in &self.agents {
                    let is_same = agent.report.bundle_sha256 == own;
                    assert!(
                        !is_first || is_same || self.agent_deaths > 0,
                        "{id} and {other} are started with different scripts"
                    );
                    let is_ready = agent.report.phase >= AgentPhase::Ready.into();
                    let has_died = agent.life != Life::Lives;
                    assert!(
                        !is_first || is_ready || has_died || self.agent_deaths > 0,
                        "instance {id} is started though {other} is not ready"
                    );
                }
            }
            Message::Goodbye(_) => {
                let outcome = self.former.as_ref().and_then(|former| former.outcome.as_ref());
                assert!(outcome.is_some(), "goodbye before the outcome was published");
            }
            _ => {}
        }
    }

    /// What must hold of every run.
    pub(super) fn verify(&self) {
        let result = self.result.as_ref().unwrap();
        let outcome = result.outcome.as_ref().expect("every run has an outcome");
        assert_eq!(result.stage, Stage::Over);
        for (id, count) in &self.starts {
            assert!(*count <= 1, "instance {id} started {count} times");
        }
        let was_calm = self.agent_deaths == 0 || self.aggregator_deaths == 0;
        assert!(self.setups <= 1 || !was_calm, "setup() ran {} times", self.setups);
        assert!(self.teardowns <= 1 || !was_calm, "teardown() ran {} times", self.teardowns);
        let has_started = !self.starts.is_empty();
        if has_started && self.agent_deaths == 0 && outcome.reason != Reason::DeadlineExceeded {
            assert_eq!(self.teardowns, 1, "teardown() did not run: {outcome:?}");
        }
        if !has_started && !self.wants_setup {
            assert_eq!(self.teardowns, 0, "teardown() ran without a start");
        }
        assert!(self.summaries <= 1 || !was_calm, "handleSummary() ran {} times", self.summaries);
        if outcome.reason == Reason::ThresholdsMet {
            self.verify_books(result);
        }
        if matches!(outcome.reason, Reason::ThresholdsMet | Reason::ThresholdsCrossed) {
            self.verify_verdict(outcome.reason);
        }
    }

    /// The verdict is that of one k6 which saw all values.
    fn verify_verdict(&self, reason: Reason) {
        if self.agent_deaths > 0 {
            return;
        }
        let measures = || self.agents.values().filter_map(|agent| agent.measures.as_ref());
        let seen: u64 = measures().map(|measures| measures.seen).sum();
        let mut took: Vec<f64> = measures().flat_map(|m| m.took.iter().copied()).collect();
        took.sort_by(f64::total_cmp);
        let p90 = match took.len() {
            0 => 0.0,
            count => {
                #[expect(clippy::cast_precision_loss, reason = "some hundreds")]
                let at = 0.9 * (count - 1) as f64;
                #[expect(
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    reason = "an index"
                )]
                let (low, high) = (took[at.floor() as usize], took[at.ceil() as usize]);
                low + (high - low) * at.fract()
            }
        };
        let is_crossed = seen >= self.limit || p90 >= 50.0;
        let message = &self.result.as_ref().unwrap().outcome.as_ref().unwrap().message;
        assert_eq!(
            reason == Reason::ThresholdsCrossed,
            is_crossed,
            "{message}: {seen} of {}, {p90}",
            self.limit
        );
        assert!(self.summaries >= 1 || !self.handles_summary, "handleSummary() did not run");
    }

    fn verify_books(&self, result: &RunResult) {
        let output = &result.outputs[0];
        let settled = output.stored + output.rejected.values().sum::<u64>();
        assert_eq!(output.emitted, settled, "the books of a passed run close");
        if self.agent_deaths == 0 {
            let emitted: u64 = self.agents.values().map(|agent| agent.report.emitted).sum();
            assert_eq!(output.stored, emitted, "every sample is stored: {result:?}");
            assert_eq!(self.starts.len(), self.agents.len(), "every instance ran");
        }
    }
}
