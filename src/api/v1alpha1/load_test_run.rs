//! `LoadTestRun`: one run of a test.

use kube::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};

use super::{LoadTestStatus, TestSpec, conditions::StopRequest};

/// One run of a `LoadTest`, with its own result. Immutable but for `stop`. Usually made by the operator and
/// named `<test>-<number>`; one may also be created directly.
#[derive(CustomResource, KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "weir.dev",
    version = "v1alpha1",
    kind = "LoadTestRun",
    plural = "loadtestruns",
    shortname = "ltr",
    category = "weir",
    namespaced,
    status = "LoadTestRunStatus",
    derive = "PartialEq",
    validation = Rule::new("self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$') && self.metadata.name.size() <= 48").message("metadata.name must be a DNS label that starts with a letter, at most 48 characters: names of pods and Services are made from it"),
    printcolumn(json_path = ".status.phase", name = "Phase", type_ = "string"),
    printcolumn(json_path = ".status.runners.summary", name = "Runners", type_ = "string"),
    printcolumn(json_path = ".status.verdict", name = "Verdict", type_ = "string"),
    printcolumn(json_path = ".status.duration", name = "Duration", type_ = "string"),
    printcolumn(json_path = ".spec.test.k6.image", name = "Image", type_ = "string", priority = 1),
    printcolumn(json_path = ".metadata.creationTimestamp", name = "Age", type_ = "date")
)]
#[serde(rename_all = "camelCase")]
pub struct LoadTestRunSpec {
    /// What is run: a copy of the test's spec as it was when the run was made.
    #[x_kube(validation = Rule::new("self == oldSelf").message("spec.test: a run is immutable; change the LoadTest, or create another run"))]
    pub test: TestSpec,
    /// Set to `Requested` to end the run early and gracefully; cannot be taken back.
    #[serde(default)]
    #[x_kube(validation = Rule::new("oldSelf != 'Requested' || self == 'Requested'").message("spec.stop: a stop cannot be taken back"))]
    pub stop: StopRequest,
}

/// State of a run; the same document that the `LoadTest` shows of its latest run.
pub type LoadTestRunStatus = LoadTestStatus;
