//! What one run is, as its aggregator needs it: made by the operator (or `weir run`) from a validated spec, handed to
//! `weir aggregator` as JSON in the environment variable [`PLAN_ENV`].

use serde::{Deserialize, Serialize};

use super::replicas::share;
use crate::api::v1alpha1::{Output, RunnerLoss, TestSpec};

/// Environment variable that carries the [`RunPlan`] as JSON to the aggregator.
pub const PLAN_ENV: &str = "WEIR_PLAN";
/// Environment variable with the token of each output whose own variable ([`token_env`]) is not set.
pub const TOKEN_ENV: &str = "WEIR_INFLUXDB_TOKEN";
/// TCP port on which the aggregator accepts agents.
pub const SESSION_PORT: u16 = 7465;
/// TCP port of `/livez`, `/readyz` and `/metrics` of operator and aggregator.
pub const HTTP_PORT: u16 = 9090;

/// Environment variable with the token of the output at this place in `spec.outputs`, the first being 0. A plan can be
/// read by whoever may read pods; a token cannot.
pub fn token_env(at: usize) -> String {
    format!("{TOKEN_ENV}_{at}")
}

/// All that an aggregator knows before the first agent dials.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RunPlan {
    /// The run.
    pub run: RunRef,
    /// Number of k6 instances.
    pub instances: u32,
    /// Unix time in milliseconds at which the run was created; the ready deadline counts from it.
    pub created_unix_ms: i64,
    /// Time from creation until all instances must be ready, in milliseconds.
    pub ready_ms: i64,
    /// Time from the end of the load until all samples must be stored, in milliseconds.
    pub drain_ms: i64,
    /// Policy for lost instances.
    pub runner_loss: RunnerLoss,
    /// Destinations of samples.
    pub outputs: Vec<Output>,
    /// Replicas of the aggregator that share the instances.
    #[serde(default = "one")]
    pub replicas: u32,
}

fn one() -> u32 {
    1
}

impl RunPlan {
    /// The plan of a run of `test`.
    pub fn new(run: RunRef, test: &TestSpec, created_unix_ms: i64) -> Self {
        Self {
            run,
            instances: test.parallelism,
            created_unix_ms,
            ready_ms: i64::from(test.deadlines.ready_seconds) * 1000,
            drain_ms: i64::from(test.deadlines.drain_seconds) * 1000,
            runner_loss: test.runner_loss.clone(),
            outputs: test.outputs.clone(),
            replicas: share::replicas(
                test.aggregator.replicas,
                test.parallelism,
                !test.outputs.is_empty(),
            ),
        }
    }
}

/// Names one `LoadTestRun`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RunRef {
    /// Namespace of the run.
    pub namespace: String,
    /// Name of the run.
    pub name: String,
    /// UID of the run, so that a run made anew under an old name is another run.
    pub uid: String,
}

impl std::fmt::Display for RunRef {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}/{}", self.namespace, self.name, self.uid)
    }
}

impl std::str::FromStr for RunRef {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.split('/').collect::<Vec<_>>()[..] {
            [namespace, name, uid]
                if !namespace.is_empty() && !name.is_empty() && !uid.is_empty() =>
            {
                Ok(Self {
                    namespace: namespace.to_owned(),
                    name: name.to_owned(),
                    uid: uid.to_owned(),
                })
            }
            _ => Err(format!("{text:?} is not of the form namespace/name/uid")),
        }
    }
}
