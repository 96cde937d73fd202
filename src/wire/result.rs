//! The result document: what the aggregator publishes, the operator copies into the status, and `weir run --result`
//! writes. One document while the run goes on and after it: without `outcome` it tells the progress.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use prost::bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::api::v1alpha1::{LostRunner, OutputStatus, Reason, ThresholdStatus};

/// Progress or result of one run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RunResult {
    /// `namespace/name/uid` of the run.
    pub run: String,
    /// Where the rally stands.
    pub stage: Stage,
    /// What is waited for, or what happened; one line for people.
    pub message: String,
    /// Number of k6 instances the run has.
    pub wanted: u32,
    /// Instances whose VUs are initialised, or that are past that.
    pub ready: u32,
    /// Instances that run iterations now.
    pub running: u32,
    /// VUs active now, over all instances.
    pub vus: u64,
    /// Instances gone for good after the start.
    #[serde(default)]
    pub lost: Vec<LostRunner>,
    /// Unix time in milliseconds when the first instance started its load.
    #[serde(default)]
    pub started_unix_ms: Option<i64>,
    /// Unix time in milliseconds when the last instance ended its load.
    #[serde(default)]
    pub ended_unix_ms: Option<i64>,
    /// Account of each output.
    #[serde(default)]
    pub outputs: Vec<OutputStatus>,
    /// Outcome of each threshold.
    #[serde(default)]
    pub thresholds: Vec<ThresholdStatus>,
    /// Why the run is being ended early, while it is not over yet: an aggregator that takes over goes on with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<Outcome>,
    /// What is known of the samples of lost instances, which cannot tell a next aggregator themselves.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lost_accounts: Vec<LostAccount>,
    /// The metrics of the whole run in the shape that k6 hands to `handleSummary`, once the run is over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metrics: Option<Value>,
    /// Set once, when the run is over.
    #[serde(default)]
    pub outcome: Option<Outcome>,
    /// What k6 would have written at the end: kept beside this document, not in it.
    #[serde(skip)]
    pub artifacts: Arc<Artifacts>,
}

/// What one k6 would have written at the end of the run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Artifacts {
    /// k6's own text, whether or not the script writes another.
    pub text: String,
    /// Files by the names that k6 would write them under, in its order; `stdout` and `stderr` are streams.
    pub files: Vec<(String, Bytes)>,
    /// What k6 would log as an error about them.
    pub error: Option<String>,
}

/// What is known of the samples of an instance that is gone.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LostAccount {
    /// The instance.
    pub instance_id: u32,
    /// Samples it is known to have read from k6.
    pub emitted: u64,
    /// What became of them, by output.
    #[serde(default)]
    pub outputs: BTreeMap<String, OutputAccount>,
    /// Its process, and which of that one's frames are settled; none where too many would have to be named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settled: Option<(String, SettledFrames)>,
}

/// The settled frames of an agent process.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SettledFrames {
    /// Frames up to this one were acknowledged when the agent last said so, but for `acked_but`.
    pub acked_to: u64,
    /// Not acknowledged then.
    #[serde(default)]
    pub acked_but: BTreeSet<u64>,
    /// What became of the acknowledged ones.
    pub acked: Counted,
    /// Settled frames beside those, by number.
    #[serde(default)]
    pub frames: BTreeMap<u64, Counted>,
    /// What is settled of others.
    #[serde(default)]
    pub parts: BTreeMap<u64, Counted>,
}

/// So many samples, and what became of them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Counted {
    /// Samples.
    pub samples: u64,
    /// By output.
    #[serde(default)]
    pub outputs: BTreeMap<String, OutputAccount>,
}

/// What became of samples at one output.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OutputAccount {
    /// Samples that the output has confirmed.
    pub stored: u64,
    /// Samples refused for good, by reason.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub rejected: BTreeMap<String, u64>,
}

/// Where the rally stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Stage {
    /// Waiting for all agents to be ready.
    #[default]
    Gathering,
    /// `setup()` runs on one instance, or its data is being handed out.
    Setup,
    /// The load is on.
    Running,
    /// `teardown()` runs on one instance.
    Teardown,
    /// Samples drain.
    Draining,
    /// Over.
    Over,
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Outcome {
    /// Why it ended so.
    pub reason: Reason,
    /// One line for the person who can act: object, field, remedy.
    pub message: String,
    /// k6's exit code for the verdict.
    pub exit_code: i32,
}
