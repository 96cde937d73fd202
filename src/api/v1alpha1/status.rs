//! Parts of the status that both kinds share.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Count of the k6 instances.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RunnersStatus {
    /// Instances that the run has (`spec.parallelism`).
    pub wanted: u32,
    /// Instances whose VUs are initialised, or that are past that.
    pub ready: u32,
    /// Instances lost after the start.
    pub lost: u32,
    /// Ready and wanted as `ready/wanted`, for the printer column.
    #[serde(default)]
    pub summary: String,
    /// The lost instances and why, the first 20.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lost_instances: Vec<LostRunner>,
}

/// A k6 instance that is gone for good.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LostRunner {
    /// The instance's `instance_id`, from 1.
    pub instance_id: u32,
    /// What took it: `OOMKilled`, `Evicted`, `Deleted`, `NodeLost`, `ExitCode137`, …
    pub reason: String,
}

/// The account of one output: `emitted = stored + sum(rejected) + inFlight`, at any time.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct OutputStatus {
    /// Name of the output.
    pub name: String,
    /// Samples that k6 emitted and this output was given.
    pub emitted: u64,
    /// Samples that the output has confirmed.
    pub stored: u64,
    /// Samples that the output refused for good, by reason.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub rejected: BTreeMap<String, u64>,
    /// Samples that are on their way to the output; once the run is over, those that never arrived.
    #[serde(default)]
    pub in_flight: u64,
    /// Samples that came again after a broken session or a lost answer, and were not stored again. No part of the sum.
    #[serde(default)]
    pub duplicates_ignored: u64,
}

/// The outcome of one threshold.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ThresholdStatus {
    /// Metric or submetric, for example `http_req_duration{status:200}`.
    pub metric: String,
    /// The threshold's expression, for example `p(95)<500`.
    pub threshold: String,
    /// Whether it held.
    pub passed: bool,
    /// The value that was compared, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<f64>,
}
