//! What an agent is given, and what it answers.

use std::{collections::BTreeMap, path::PathBuf};

use crate::{
    api::v1alpha1::{Dimensions, Threshold},
    core::{
        plan::RunRef,
        samples::{rollup::spec::Wanted, spool::Limits},
    },
    io::link::Dialer,
};

/// What an agent is given.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The run.
    pub run: RunRef,
    /// Number of k6 instances.
    pub instances: u32,
    /// This instance, from 1.
    pub instance_id: u32,
    /// The k6 binary: a path, or a name to be found on PATH.
    pub k6: PathBuf,
    /// Folder of this agent's own, made if it is missing; the pipe for samples lies in it.
    pub work_dir: PathBuf,
    /// The script or archive, as k6 is to be given it.
    pub script: String,
    /// `spec.thresholds`.
    pub thresholds: BTreeMap<String, Vec<Threshold>>,
    /// `spec.tags`.
    pub tags: BTreeMap<String, String>,
    /// The user's arguments for `k6 run`, as they are.
    pub args: Vec<String>,
    /// Environment variables of k6, besides those of this process.
    pub env: BTreeMap<String, String>,
    /// Whether an output wants samples.
    pub ship_samples: bool,
    /// Which replica of the aggregator writes them, and how to reach it, where that is not the aggregator itself.
    pub writer: Option<(u32, Dialer)>,
    /// Which dimensions the rows of each output have; empty: all of each.
    pub dimensions: Vec<Option<Dimensions>>,
    /// Which outputs want rows of a second, and whether all do.
    pub rollups: Wanted,
    /// How many frames may wait for their acknowledgement, and where.
    pub spool: Limits,
    /// Time without a session after which the agent gives up.
    pub orphan_ms: i64,
    /// Time from the order to stop until this process must be gone.
    pub grace_ms: i64,
    /// Put before each line that k6 prints; none passes its output on as it is.
    pub log_prefix: Option<String>,
}

/// How an agent ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Exit {
    /// All is handed over: exit code 0, whatever k6's own code was.
    HandedOver,
    /// It could not hand over: why.
    Failed(String),
}

impl Exit {
    /// The exit code of the process.
    pub const fn code(&self) -> u8 {
        match self {
            Self::HandedOver => 0,
            Self::Failed(_) => 1,
        }
    }
}
