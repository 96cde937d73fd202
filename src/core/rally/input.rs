//! What a rally is told, and what it decides.

use std::collections::BTreeMap;

use crate::{
    api::v1alpha1::RunnerLoss,
    core::{plan::RunPlan, verdict::Judgement},
    wire::session::{BundlePart, Hello, Outcome, OutputCounts, Report, Tally, to_agent},
};

/// Names one session of one agent; never used again within a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SessionId(pub u64);

/// What a rally knows from the beginning.
#[derive(Clone, Debug, PartialEq)]
pub struct RallyConfig {
    /// `namespace/name/uid` of the run.
    pub run: String,
    /// Number of instances.
    pub instances: u32,
    /// Unix time in milliseconds by which all must be ready.
    pub ready_deadline_ms: i64,
    /// Time from the end of the load until all samples must be stored, in milliseconds.
    pub drain_ms: i64,
    /// Policy for lost instances.
    pub runner_loss: RunnerLoss,
    /// Names of the outputs.
    pub outputs: Vec<String>,
    /// Other replicas write the samples of some instances.
    pub has_writers: bool,
}

impl RallyConfig {
    /// The part of `plan` that concerns the rally.
    pub fn new(plan: &RunPlan) -> Self {
        Self {
            run: plan.run.to_string(),
            instances: plan.instances,
            ready_deadline_ms: plan.created_unix_ms.saturating_add(plan.ready_ms),
            drain_ms: plan.drain_ms,
            runner_loss: plan.runner_loss.clone(),
            outputs: plan.outputs.iter().map(|o| o.display_name().to_owned()).collect(),
            has_writers: plan.replicas > 1,
        }
    }
}

/// What a rally is told.
#[derive(Clone, Debug, PartialEq)]
pub enum Input {
    /// An agent dialled and said who it is.
    Opened(SessionId, Hello),
    /// An agent reported.
    Reported(SessionId, Report),
    /// An agent answered `RunSetup`.
    SetupAnswered(SessionId, Outcome),
    /// An agent answered `RunTeardown`.
    TeardownAnswered(SessionId, Outcome),
    /// An agent's ledger arrived; the last one has nothing after it.
    Ledgered {
        /// From whom.
        session: SessionId,
        /// Whether it is the last.
        is_last: bool,
    },
    /// The ledger of an instance is there from a former aggregator.
    Remembered {
        /// The instance.
        instance_id: u32,
        /// It had no session when that was written.
        is_whole: bool,
    },
    /// A threshold that ends the load is crossed; the text says which.
    Crossed(String),
    /// Answer to [`Action::Judge`].
    Judged(Judgement),
    /// An agent answered `RunSummary`.
    SummaryAnswered(SessionId),
    /// An agent sent a part of the bundle.
    BundleSent(SessionId, BundlePart),
    /// An agent wants the part of the bundle at this offset.
    BundleWanted(SessionId, u64),
    /// A session is over.
    Closed(SessionId),
    /// A frame of an instance is held from now on, with so many samples.
    Held {
        /// The instance.
        instance_id: u32,
        /// Samples of the frame.
        samples: u64,
    },
    /// Of the samples that are held of each instance, so many are stored or finally refused.
    SettledEarly(BTreeMap<u32, u64>),
    /// A frame that was held is stored or finally refused.
    Acked {
        /// The instance.
        instance_id: u32,
        /// Its process.
        incarnation: String,
        /// The frame.
        seq: u64,
        /// Samples of the frame.
        samples: u64,
        /// What became of the frame's samples.
        outputs: Vec<OutputCounts>,
    },
    /// What a writer knows of the samples of an agent process.
    Tallied(Tally),
    /// Whether frames are held, here or by a writer, that are not acknowledged yet.
    InFlight(bool),
    /// An output can be written to.
    OutputReady(usize),
    /// What an output last complained of; empty when it works again.
    OutputTrouble(usize, String),
    /// An output can never be written to; the text says what a person can do.
    OutputFailed(usize, String),
    /// A user wants the run to end early; the text says how.
    Stop(String),
    /// This process must end within so many milliseconds; the text says why.
    Shutdown(i64, String),
    /// An instance is gone for good, for this reason (one word).
    Gone(u32, String),
    /// The outcome is where its readers will find it.
    Published,
    /// Time has passed; `held_back` tells whether agents are kept from sending because too much is in flight.
    Timeout {
        /// Whether agents are kept from sending.
        held_back: bool,
    },
}

/// What a rally decides.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Send this to the agent of a session.
    Send(SessionId, to_agent::Message),
    /// End a session, after what was sent to it.
    Close(SessionId),
    /// All ledgers are final: judge the thresholds over them.
    Judge,
    /// Nothing is left to do.
    End,
}
