//! An aggregator without its shell.

use crate::{
    api::v1alpha1::RunnerLoss,
    core::{
        dimensions::Kept,
        ledger::codec,
        pipeline::{
            lane::LaneConfig,
            pipeline::{FrameKey, Pipeline},
            retry::Written,
            shape::Shape,
        },
        rally::{
            input::{Action, Input, RallyConfig, SessionId},
            rally::Rally,
        },
        replicas::writers::Writers,
        verdict::{Surroundings, Verdict},
    },
    wire::{
        result::RunResult,
        session::{AgentPhase, Frame, to_aggregator::Message as Up},
    },
};

use super::valid::{RUN, hello};

/// Most that one input may ask for: something is sent to each session and closed a few times, and nothing goes round.
const ACTIONS_MAX: usize = 100;

fn config() -> RallyConfig {
    RallyConfig {
        run: RUN.to_owned(),
        instances: 2,
        ready_deadline_ms: 60_000,
        drain_ms: 30_000,
        runner_loss: RunnerLoss::default(),
        outputs: vec!["timestream".to_owned()],
        has_writers: true,
    }
}

/// The rally, the verdict, a pipeline to three outputs, and what is known of writers.
pub struct Field {
    /// Who has come how far.
    pub rally: Rally,
    /// What was measured.
    pub verdict: Verdict,
    /// What is to be written.
    pub pipeline: Pipeline,
    /// What writers have told.
    pub writers: Writers,
    /// The time.
    pub now_ms: i64,
    has_ended: bool,
}

impl Field {
    /// An aggregator that begins, or that follows one that has published this.
    pub fn new(former: Option<RunResult>) -> Self {
        let lane = |name: &str, shape| LaneConfig {
            name: name.to_owned(),
            writes_max: 2,
            linger_ms: 0,
            kept: Kept::All,
            shape,
        };
        Self {
            rally: Rally::new(config(), former, 0),
            verdict: Verdict::new(false, false),
            pipeline: Pipeline::new(vec![
                lane("timestream", Shape::Records),
                lane("rows", Shape::Rollup),
                lane("lines", Shape::Lines),
            ]),
            writers: Writers::new(RUN, 3, false, 0),
            now_ms: 0,
            has_ended: false,
        }
    }

    /// One with two agents that have come so far.
    pub fn with_agents(phase: AgentPhase) -> Self {
        let mut field = Self::new(None);
        for id in [1, 2] {
            field.take(SessionId(u64::from(id)), hello(id, phase));
        }
        field
    }

    /// The pod of an instance is gone, and its session with it.
    pub fn lose(&mut self, instance_id: u32) {
        self.tell(Input::Gone(instance_id, "OOMKilled".to_owned()));
        self.tell(Input::Closed(SessionId(u64::from(instance_id))));
    }

    /// Something happened; what comes of it is done.
    pub fn tell(&mut self, input: Input) {
        self.rally.handle(input, self.now_ms);
        let mut actions = 0;
        while let Some(action) = self.rally.poll_action() {
            actions += 1;
            assert!(actions <= ACTIONS_MAX, "it goes round: {action:?}");
            match action {
                Action::Send(..) => {}
                Action::Close(session) => {
                    self.rally.handle(Input::Closed(session), self.now_ms);
                }
                Action::Judge => {
                    let around = Surroundings {
                        duration_ns: self.rally.duration_ns(),
                        ..Surroundings::default()
                    };
                    let judgement = self.verdict.judge(&around, self.rally.has_run());
                    self.rally.handle(Input::Judged(judgement), self.now_ms);
                }
                Action::End => self.has_ended = true,
            }
        }
    }

    /// An agent or a writer says something.
    pub fn take(&mut self, session: SessionId, up: Up) {
        match up {
            Up::Hello(hello) => self.tell(Input::Opened(session, hello)),
            Up::Report(report) => self.tell(Input::Reported(session, report)),
            Up::Setup(answer) => self.tell(Input::SetupAnswered(session, answer)),
            Up::Teardown(answer) => self.tell(Input::TeardownAnswered(session, answer)),
            Up::Summary(_) => self.tell(Input::SummaryAnswered(session)),
            Up::Terms(terms) => self.verdict.learn(terms),
            Up::Bundle(part) => self.tell(Input::BundleSent(session, part)),
            Up::WantBundle(wanted) => self.tell(Input::BundleWanted(session, wanted.offset)),
            Up::Ledger(ledger) => {
                let Some((id, born_unix_ns)) = self.rally.ledger_source(session) else { return };
                let taken = codec::decode(ledger)
                    .and_then(|ledger| self.verdict.take(id, born_unix_ns, ledger));
                if let Ok(is_last) = taken {
                    self.tell(Input::Ledgered { session, is_last });
                }
            }
            Up::Frame(frame) => {
                let Some((instance_id, incarnation)) = self.rally.frame_source(session) else {
                    return;
                };
                let samples = claimed(&frame);
                let key = FrameKey { instance_id, incarnation, seq: frame.seq };
                self.pipeline.accept(key, &frame, self.now_ms);
                self.tell(Input::Held { instance_id, samples });
                self.store();
            }
            Up::Writer(state) => {
                let Ok(news) = self.writers.take(session, &state) else { return };
                state.tallies.into_iter().for_each(|tally| self.tell(Input::Tallied(tally)));
                for (at, why) in news.failed {
                    self.tell(Input::OutputFailed(at, why));
                }
                if self.writers.are_ready(0) {
                    self.tell(Input::OutputReady(0));
                }
                self.tell(Input::OutputTrouble(0, self.writers.trouble(0)));
                self.writers.duplicates(0);
                if self.rally.is_draining() {
                    self.writers.finish(self.rally.silent());
                }
                self.tell(Input::InFlight(self.writers.are_in_flight(self.now_ms)));
            }
        }
        let elapsed_ms = self.rally.load_elapsed_ms(self.now_ms);
        if let Some(crossed) = self.verdict.look(elapsed_ms, self.now_ms) {
            self.tell(Input::Crossed(crossed));
        }
    }

    /// All that is held is written, and stored.
    pub fn store(&mut self) {
        self.pipeline.set_hurry(true);
        while let Some(write) = self.pipeline.poll_write(self.now_ms) {
            self.pipeline.finish(write.lane, write.batch.id, Written::Stored, self.now_ms, 0);
        }
        assert!(self.pipeline.is_empty());
        while let Some(acked) = self.pipeline.poll_ack() {
            let input = Input::Acked {
                instance_id: acked.key.instance_id,
                incarnation: acked.key.incarnation.to_string(),
                seq: acked.key.seq,
                samples: acked.sample_count,
                outputs: acked.outputs,
            };
            self.tell(input);
        }
    }

    /// Time passes, and nobody says anything any more.
    pub fn end(&mut self) {
        self.tell(Input::OutputReady(0));
        for _ in 0..1000 {
            let Some(due_ms) = self.rally.poll_timeout().filter(|_| !self.has_ended) else { break };
            self.now_ms = self.now_ms.max(due_ms);
            self.tell(Input::Timeout { held_back: false });
        }
        assert!(self.has_ended, "every run ends: {:?}", self.rally.result());
        let result = self.rally.result();
        assert!(result.outcome.is_some());
        serde_json::to_string(&result).unwrap();
        drop(self.verdict.sum_up(&Surroundings::default(), None));
    }
}

/// Samples that a frame may mean to have.
pub fn claimed(frame: &Frame) -> u64 {
    frame.value.len().max(frame.sample_series.len()).max(frame.time_delta_ns.len()) as u64
}
