//! `LoadTest`: what to run.

use std::collections::BTreeMap;

use k8s_openapi::{
    api::core::v1::{EnvFromSource, EnvVar, LocalObjectReference, ResourceRequirements},
    apimachinery::pkg::apis::meta::v1::{Condition, Time},
};
use kube::{CustomResource, KubeSchema};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    Output, OutputStatus, RunnersStatus, Script, ThresholdStatus,
    conditions::{Phase, Reason},
};

/// A distributed k6 load test. Applying it starts a run (`LoadTestRun`); each change of what is to be run
/// starts the next run, once the one before is over.
#[derive(CustomResource, KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "weir.dev",
    version = "v1alpha1",
    kind = "LoadTest",
    plural = "loadtests",
    shortname = "lt",
    category = "weir",
    namespaced,
    status = "LoadTestStatus",
    derive = "PartialEq",
    validation = Rule::new("self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$') && self.metadata.name.size() <= 40").message("metadata.name must be a DNS label that starts with a letter, at most 40 characters: names of pods and Services are made from it"),
    printcolumn(json_path = ".status.phase", name = "Phase", type_ = "string"),
    printcolumn(json_path = ".status.runners.summary", name = "Runners", type_ = "string"),
    printcolumn(json_path = ".status.verdict", name = "Verdict", type_ = "string"),
    printcolumn(json_path = ".status.duration", name = "Duration", type_ = "string"),
    printcolumn(json_path = ".status.run", name = "Run", type_ = "string", priority = 1),
    printcolumn(json_path = ".spec.k6.image", name = "Image", type_ = "string", priority = 1),
    printcolumn(json_path = ".metadata.creationTimestamp", name = "Age", type_ = "date")
)]
#[serde(rename_all = "camelCase")]
pub struct LoadTestSpec {
    /// What each run of this test does.
    #[serde(flatten)]
    pub test: TestSpec,
    /// Finished runs to keep; older ones are deleted with their pods and results.
    #[serde(default = "default_history")]
    #[schemars(range(min = 1, max = 1000))]
    pub history_limit: u32,
}

/// What one run does. In a `LoadTest` its fields stand directly in `spec`; a `LoadTestRun` holds a copy in `spec.test`.
#[derive(KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TestSpec {
    /// Number of k6 instances, one pod each. The script's VUs and iterations are divided among them.
    #[serde(default = "default_parallelism")]
    #[schemars(range(min = 1, max = 10_000))]
    pub parallelism: u32,
    /// Where the script comes from; exactly one of `inline`, `configMap`, `volumeClaim`, `file`.
    #[x_kube(validation = Rule::new("(has(self.inline) ? 1 : 0) + (has(self.configMap) ? 1 : 0) + (has(self.volumeClaim) ? 1 : 0) + (has(self.file) ? 1 : 0) == 1").message("spec.script: set exactly one of inline, configMap, volumeClaim, file"))]
    pub script: Script,
    /// How k6 is run.
    #[serde(default)]
    pub k6: K6,
    /// Tags on every sample, besides the script's own, `instance_id` and `testid`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[x_kube(validation = Rule::new("self.all(k, k != 'instance_id' && k.size() > 0)").message("spec.tags: instance_id is set by Weir and cannot be given"))]
    #[schemars(extend("maxProperties" = 64))]
    pub tags: BTreeMap<String, String>,
    /// Thresholds besides the script's own, by metric or submetric.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 256))]
    pub thresholds: BTreeMap<String, Vec<Threshold>>,
    /// Where samples are written. None: verdict, summary and report only.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    #[x_kube(validation = Rule::new("self.all(o, has(o.timestream) != has(o.influxdb))").message("spec.outputs: each output needs exactly one kind, timestream or influxdb"))]
    pub outputs: Vec<Output>,
    /// What happens when a k6 instance is lost after the start.
    #[serde(default)]
    pub runner_loss: RunnerLoss,
    /// How long the run may wait.
    #[serde(default)]
    pub deadlines: Deadlines,
    /// Where each k6 instance keeps the samples that no output has taken yet.
    #[serde(default)]
    pub spool: SpoolSpec,
    /// A pod template laid over the runner pods: `metadata.labels`, `metadata.annotations` and any field of a pod's
    /// `spec`. The container that runs k6 is called `k6`; its `command` and `args` are Weir's and cannot be set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "any_object")]
    pub runner_template: Option<Value>,
    /// The aggregator of the run.
    #[serde(default)]
    pub aggregator: Aggregator,
}

impl TestSpec {
    /// The spec that says nothing but where its script is.
    pub fn of_script(script: Script) -> Self {
        Self {
            parallelism: default_parallelism(),
            script,
            k6: K6::default(),
            tags: BTreeMap::new(),
            thresholds: BTreeMap::new(),
            outputs: Vec::new(),
            runner_loss: RunnerLoss::default(),
            deadlines: Deadlines::default(),
            spool: SpoolSpec::default(),
            runner_template: None,
            aggregator: Aggregator::default(),
        }
    }
}

/// How k6 is run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct K6 {
    /// Image with a `k6` binary on its PATH: the official one, or any build with extensions.
    #[serde(default = "default_image")]
    #[schemars(length(min = 1, max = 1024))]
    pub image: String,
    /// Pull policy of the image, as in a pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_pull_policy: Option<String>,
    /// Secrets for pulling the image.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub image_pull_secrets: Vec<LocalObjectReference>,
    /// Exact arguments after `k6 run`, without a shell. Refused, since Weir sets them: `--paused`, `--address`,
    /// `--linger`, `--execution-segment`, `--execution-segment-sequence`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256))]
    pub args: Vec<String>,
    /// Environment variables of k6.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub env: Vec<EnvVar>,
    /// ConfigMaps and Secrets whose keys become environment variables of k6.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub env_from: Vec<EnvFromSource>,
    /// CPU and memory of each k6 container.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<ResourceRequirements>,
}

impl Default for K6 {
    fn default() -> Self {
        Self {
            image: default_image(),
            image_pull_policy: None,
            image_pull_secrets: Vec::new(),
            args: Vec::new(),
            env: Vec::new(),
            env_from: Vec::new(),
            resources: None,
        }
    }
}

/// A threshold in k6's words.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Threshold {
    /// The expression, for example `p(95)<500`.
    #[schemars(length(min = 1, max = 256))]
    pub threshold: String,
    /// Stop the run as soon as the threshold is crossed.
    #[serde(default)]
    pub abort_on_fail: bool,
    /// Seconds from the start during which a crossed threshold does not stop the run yet.
    #[serde(default)]
    pub delay_abort_eval_seconds: u32,
}

/// What happens when a k6 instance is lost after the start.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RunnerLoss {
    /// `Fail` ends the run; `Tolerate` goes on while no more than `maxPercent` are lost.
    #[serde(default)]
    pub policy: LossPolicy,
    /// Greatest share of lost instances, in percent, that `Tolerate` accepts.
    #[serde(default)]
    #[schemars(range(min = 0, max = 100))]
    pub max_percent: u32,
}

/// Policy for lost k6 instances.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum LossPolicy {
    /// One lost instance fails the run.
    #[default]
    Fail,
    /// A share of lost instances is accepted.
    Tolerate,
}

/// How long the run may wait.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Deadlines {
    /// Seconds from the run's creation until all k6 instances must have initialised their VUs.
    #[serde(default = "default_deadline")]
    #[schemars(range(min = 5, max = 86_400))]
    pub ready_seconds: u32,
    /// Seconds from the end of the load until all samples must be written.
    #[serde(default = "default_deadline")]
    #[schemars(range(min = 5, max = 86_400))]
    pub drain_seconds: u32,
}

impl Default for Deadlines {
    fn default() -> Self {
        Self { ready_seconds: default_deadline(), drain_seconds: default_deadline() }
    }
}

/// Where a k6 instance keeps samples until every output has taken them: in its memory as long as that is soon, and on the
/// disk of its pod otherwise.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SpoolSpec {
    /// Disk space for each k6 instance, in MiB. A sample takes 10 to 15 bytes, so that 1024 hold what an instance emits in
    /// more than 10 minutes at 100,000 samples a second. The emptyDir of the pod may grow to 512 MiB more than this.
    #[serde(default = "default_spool", rename = "sizeMiB")]
    #[schemars(range(min = 64, max = 65_536))]
    pub size_mib: u32,
    /// What happens when there is no room left, or the disk is full, broken, or slower than k6: `Fail` ends the run
    /// with reason OutputFailed; `Drop` goes on without the samples that find no room. Both count them as SpoolFull.
    #[serde(default)]
    pub on_full: OnFull,
}

impl Default for SpoolSpec {
    fn default() -> Self {
        Self { size_mib: default_spool(), on_full: OnFull::default() }
    }
}

/// Policy for samples that find no room in a spool.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum OnFull {
    /// The run fails.
    #[default]
    Fail,
    /// They are dropped and counted, and the run goes on.
    Drop,
}

impl OnFull {
    /// The policy as it is written.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Fail => "Fail",
            Self::Drop => "Drop",
        }
    }
}

/// The aggregator of a run: one pod that starts, stops and judges it, and as many besides as are to help with the samples.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Aggregator {
    /// Number of pods that write samples, each those of its share of the instances, with its own connections to the
    /// outputs. More than instances are not made, nor more than one without outputs.
    #[serde(default = "default_replicas")]
    #[schemars(range(min = 1, max = 64))]
    pub replicas: u32,
    /// ServiceAccount of the aggregator, for example one bound to an IAM role. Empty: one is made for each run.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 253))]
    pub service_account_name: String,
    /// Environment variables, for example `AWS_REGION`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub env: Vec<EnvVar>,
    /// CPU and memory of each aggregator pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<ResourceRequirements>,
    /// A pod template laid over each aggregator pod; its container is called `aggregator`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "any_object")]
    pub template: Option<Value>,
}

impl Default for Aggregator {
    fn default() -> Self {
        Self {
            replicas: default_replicas(),
            service_account_name: String::new(),
            env: Vec::new(),
            resources: None,
            template: None,
        }
    }
}

/// State of the latest run of a test.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LoadTestStatus {
    /// Generation of the spec that this status speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Summary of the conditions for people.
    #[serde(default)]
    pub phase: Phase,
    /// Name of the latest `LoadTestRun`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<String>,
    /// The verdict's reason once the run is over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verdict: Option<Reason>,
    /// k6 instances.
    #[serde(default)]
    pub runners: RunnersStatus,
    /// When the load began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_time: Option<Time>,
    /// When the run was told to end early: by a user, by its deletion, or since more runners were lost than tolerated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop_time: Option<Time>,
    /// When the run was over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub completion_time: Option<Time>,
    /// Time from start to completion, for the printer column.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration: Option<String>,
    /// k6's exit code for the verdict.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i32>,
    /// Outcome of each threshold.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub thresholds: Vec<ThresholdStatus>,
    /// Account of each output.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub outputs: Vec<OutputStatus>,
    /// Name of the ConfigMap with the run's result.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result_name: Option<String>,
    /// Conditions: RunnersReady, Started, Complete, Succeeded.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
}

/// An object whose fields are checked by the operator against the Kubernetes type, not by the CRD: a whole pod
/// template written out would make the CRD larger than `kubectl apply` can carry in its annotation.
fn any_object(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "object", "x-kubernetes-preserve-unknown-fields": true })
}

fn default_history() -> u32 {
    10
}
fn default_parallelism() -> u32 {
    1
}
fn default_image() -> String {
    "grafana/k6:2.2.0".to_owned()
}
fn default_deadline() -> u32 {
    300
}
fn default_spool() -> u32 {
    1024
}
fn default_replicas() -> u32 {
    1
}
