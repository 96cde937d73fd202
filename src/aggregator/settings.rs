//! What the aggregator of a run is given.

use std::{io::IsTerminal, path::PathBuf, sync::Arc};

use super::meters::Meters;
use crate::{core::plan::RunPlan, output::output::OpenOutput, wire::result::RunResult};

/// What the aggregator of a run is given.
#[derive(Debug)]
pub struct Settings {
    /// The run.
    pub plan: RunPlan,
    /// Its outputs, in the plan's order.
    pub outputs: Vec<OpenOutput>,
    /// What an aggregator of the same run published last, if one has been there before.
    pub former: Option<RunResult>,
    /// What the order to end (SIGTERM) means.
    pub on_shutdown: OnShutdown,
    /// Agents are let go only after [`Control::Published`].
    pub awaits_publication: bool,
    /// Whether the summary's text goes to a terminal.
    pub stdout_tty: bool,
    /// Whether standard error is a terminal.
    pub stderr_tty: bool,
    /// Where the run's own metrics are kept.
    pub meters: Arc<Meters>,
    /// Folder for the ledgers of instances, where a later process finds them; none where none can come.
    pub keep_dir: Option<PathBuf>,
}

/// What the order to end means to an aggregator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnShutdown {
    /// The pod is moved or killed, the run is not: go at once. Agents keep what is not acknowledged, and tell the next
    /// aggregator all that this one knows. A run that is to end says so in its object.
    Leave,
    /// Nobody comes after: stop the load and drain.
    StopTheRun,
}

impl Settings {
    /// For a run within this process: nobody was there before, and nobody else must learn of the outcome.
    pub fn local(plan: RunPlan) -> Self {
        Self {
            outputs: crate::output::output::open(&plan.outputs),
            plan,
            former: None,
            on_shutdown: OnShutdown::StopTheRun,
            awaits_publication: false,
            stdout_tty: std::io::stdout().is_terminal(),
            stderr_tty: std::io::stderr().is_terminal(),
            meters: Arc::new(Meters::default()),
            keep_dir: None,
        }
    }
}

/// What is said to a running aggregator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Control {
    /// A user wants the run to end early; the text says how.
    Stop(String),
    /// An instance is gone for good.
    Gone {
        /// The instance.
        instance_id: u32,
        /// One word: `OOMKilled`, `Evicted`, …
        reason: String,
    },
    /// The outcome is where its readers will find it.
    Published,
}
