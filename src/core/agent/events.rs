//! What an agent's machine is told, and what it asks for.

use std::collections::BTreeMap;

use prost::bytes::Bytes;

use super::stopping::Push;
use crate::{
    core::{
        bundle::Bundle,
        k6::{exit::Exit, outlet::Outlet, rest::Status, version::Version},
        ledger::threshold::Rules,
    },
    wire::session::{to_agent::Message as FromAggregator, to_aggregator::Message as ToAggregator},
};

/// What the machine is told with every input.
#[derive(Clone, Copy, Debug)]
pub struct Now {
    /// Time of a clock that never goes back, in milliseconds.
    pub ms: i64,
    /// Unix time in nanoseconds.
    pub unix_ns: i64,
    /// No frame waits for its acknowledgement.
    pub drained: bool,
}

/// What happened.
#[derive(Clone, Debug)]
pub enum Input {
    /// `k6 version` answered, or could not be run.
    Version(Result<Version, String>),
    /// The script is archived where k6 will run it from, and inspected; or one of it failed. Told to instance 1 alone.
    Bundled(Result<Bundle, Unbundled>),
    /// The bundle of instance 1 lies where k6 will run it from; or the text says why not.
    BundleStored(Result<(), String>),
    /// k6's status, or none when its REST API did not answer.
    Status(Option<Status>),
    /// setup() ended.
    SetupRan(Result<Option<Bytes>, String>),
    /// k6 took the setup data, or refused it.
    SetupDataSet(Result<(), String>),
    /// k6 was told to go, or refused.
    Resumed(Result<(), String>),
    /// teardown() ended.
    TeardownRan(Result<(), String>),
    /// handleSummary() ended: what its wrapper wrote.
    SummaryRan(Result<Bytes, String>),
    /// The k6 process is gone.
    Exited(Exit),
    /// The last sample of k6 is in a frame.
    SamplesEnded,
    /// Samples were lost: the text says how.
    SamplesLost(String),
    /// The aggregator welcomed this agent in a new session.
    SessionUp,
    /// The session is over.
    SessionDown,
    /// There is no aggregator any more, and there will be none.
    AggregatorGone,
    /// The aggregator said something. Welcome and acknowledgements are not for the machine.
    Message(FromAggregator),
    /// This process was told to stop.
    Terminate,
    /// Time went by.
    Tick,
}

/// Why there is no bundle.
#[derive(Clone, Debug)]
pub enum Unbundled {
    /// `k6 archive` or `k6 inspect` ended badly: most often an error in the script.
    Failed(Exit),
    /// It printed what cannot be read.
    Broken(String),
    /// It could not be run: the spec names no k6, or arguments that cannot be used.
    InvalidSpec(String),
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "a handful of actions at a time")]
pub enum Action {
    /// Put this where k6 will run it from.
    StoreBundle(Bytes),
    /// Keep a ledger by these rules from now on, and for the full summary or not.
    KeepLedger {
        /// What thresholds and k6 itself ask for.
        rules: Rules,
        /// Whether the full summary is wanted.
        full: bool,
        /// Tags that k6 does not know of, for samples that have none of that name.
        added: BTreeMap<String, String>,
    },
    /// Start `k6 run`, on a port of its own.
    StartK6 {
        /// Tags that it puts on every sample besides those that the script knows of.
        tags: BTreeMap<String, String>,
        /// Where it writes them.
        outlet: Outlet,
    },
    /// Ask k6 for its status.
    Poll,
    /// Run setup(), for no longer than this.
    RunSetup {
        /// In milliseconds.
        timeout_ms: u64,
    },
    /// Break off setup().
    CancelSetup,
    /// Give k6 the data of setup().
    SetSetupData(Bytes),
    /// Let the paused k6 go.
    Resume,
    /// Run teardown(), for no longer than this.
    RunTeardown {
        /// In milliseconds.
        timeout_ms: u64,
    },
    /// Run handleSummary(), for no longer than this.
    RunSummary {
        /// What it is given.
        data: Bytes,
        /// In milliseconds.
        timeout_ms: u64,
    },
    /// Bring k6 to its end.
    Push(Push),
    /// k6 is gone for good: read what it left, then say so.
    CloseSamples,
    /// Tell the aggregator.
    Send(ToAggregator),
    /// Leave.
    Leave(Leave),
}

/// How the agent leaves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Leave {
    /// All is handed over, or nothing is wanted of it.
    HandedOver,
    /// It could not hand over: why.
    Failed(String),
}
