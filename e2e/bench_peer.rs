//! The peer of `make bench-cluster`: runs of grafana/k6-operator, of the same script on the same image under the same Pod
//! Security Standard, all else at its defaults. May not hold: an expectation about it.

use std::time::{Duration, Instant};

use futures::{StreamExt, TryStreamExt};
use k8s_openapi::api::core::v1::Pod;
use kube::{
    Api,
    api::{
        ApiResource, DeleteParams, DynamicObject, GroupVersionKind, ListParams, LogParams, Patch,
        PatchParams,
    },
    runtime::{WatchStreamExt, watcher},
};
use serde_json::{Value, json};

use super::{
    Applied, RUNNERS, TEN_SECONDS, Timing,
    harness::{K6_IMAGE, World, eventually},
};

/// What the figures call it.
pub(crate) const NAME: &str = "k6-operator";
/// Seconds until a run must have started, and until one that has started must have ended.
const BOUND_SECONDS: u64 = 60;
/// Name of the ConfigMap with the script.
const SCRIPT: &str = "peer-script";

/// The installed peer.
pub(crate) struct Peer<'a> {
    world: &'a World,
    runs: Api<DynamicObject>,
    initializer_image: String,
}

impl<'a> Peer<'a> {
    /// The peer of this cluster, or why it is not measured.
    pub(crate) async fn find(world: &'a World) -> Result<Self, String> {
        if std::env::var("PEER").is_ok_and(|text| matches!(text.as_str(), "no" | "0" | "false")) {
            return Err("not wanted (PEER)".to_owned());
        }
        let kind = GroupVersionKind::gvk("k6.io", "v1alpha1", "TestRun");
        let served = world.client.list_api_group_resources(&kind.api_version()).await;
        if !served.is_ok_and(|list| list.resources.iter().any(|found| found.kind == kind.kind)) {
            return Err("not installed in this cluster".to_owned());
        }
        world.config_map(SCRIPT, &[("test.js", TEN_SECONDS)]).await;
        let resource = ApiResource::from_gvk(&kind);
        Ok(Self {
            world,
            runs: Api::namespaced_with(world.client.clone(), &world.namespace, &resource),
            // Its initializer calls k6 from a shell, which the image of k6's makers has.
            initializer_image: std::env::var("PEER_INITIALIZER_IMAGE")
                .unwrap_or_else(|_| K6_IMAGE.to_owned()),
        })
    }

    /// One run, from apply until `finished`, and its removal; or what it failed to do within the bound.
    pub(crate) async fn run(&self, round: usize) -> Result<Timing, String> {
        let name = format!("peer{round}");
        let config = watcher::Config::default().fields(&format!("metadata.name={name}"));
        let mut events = watcher(self.runs.clone(), config).applied_objects().boxed();
        let object = self.object(&name);
        let applied = Applied::now();
        self.runs
            .patch(&name, &PatchParams::apply("e2e").force(), &Patch::Apply(object))
            .await
            .unwrap();
        let mut deadline = applied.at + Duration::from_secs(BOUND_SECONDS);
        let mut late = "not started";
        let outcome = loop {
            let next = tokio::time::timeout_at(deadline.into(), events.try_next()).await;
            let Ok(next) = next else {
                break Err(format!("{late} within {BOUND_SECONDS} s"));
            };
            let found = next.unwrap().unwrap();
            match found.data["status"]["stage"].as_str() {
                Some("started") if late == "not started" => {
                    late = "started, not ended";
                    deadline = Instant::now() + Duration::from_secs(BOUND_SECONDS);
                }
                Some("finished") => {
                    let over = applied.at.elapsed();
                    break Ok(applied.over(over, &self.first_iterations_ms(&name).await));
                }
                Some("error") => panic!("{NAME} refused {name}: {}", found.data),
                _ => {}
            }
        };
        self.remove(&name).await;
        outcome
    }

    fn object(&self, name: &str) -> Value {
        // What the namespace's Pod Security Standard asks for, of each kind of pod.
        let pod = |more: Value| {
            let mut pod = json!({
                "securityContext": {"runAsNonRoot": true, "seccompProfile": {"type": "RuntimeDefault"}},
                "containerSecurityContext": {"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}},
            });
            pod.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            pod
        };
        json!({
            "apiVersion": "k6.io/v1alpha1",
            "kind": "TestRun",
            "metadata": {"name": name},
            "spec": {
                "parallelism": RUNNERS,
                "script": {"configMap": {"name": SCRIPT, "file": "test.js"}},
                "runner": pod(json!({"image": K6_IMAGE})),
                "initializer": pod(json!({"image": self.initializer_image})),
                "starter": pod(json!({})),
            },
        })
    }

    /// Unix time of each runner's first iteration, by the line that the script logs.
    async fn first_iterations_ms(&self, name: &str) -> Vec<f64> {
        let pods = self.world.api::<Pod>();
        let runners = ListParams::default().labels(&format!("k6_cr={name},runner=true"));
        let mut first = Vec::new();
        for pod in pods.list(&runners).await.unwrap() {
            let log = pods.logs(&pod.metadata.name.unwrap(), &LogParams::default()).await.unwrap();
            let after = log.split("first iteration at ").nth(1).unwrap_or_default();
            let digits: String = after.chars().take_while(char::is_ascii_digit).collect();
            first.extend(digits.parse::<f64>());
        }
        first
    }

    /// Deletes the run and waits until nothing of it is on the node any more.
    async fn remove(&self, name: &str) {
        self.runs.delete(name, &DeleteParams::default()).await.unwrap();
        let pods = self.world.api::<Pod>();
        let all = ListParams::default().labels(&format!("k6_cr={name}"));
        eventually("no pod of the peer's run", 120, || async {
            match pods.list(&all).await {
                Ok(list) if list.items.is_empty() => Ok(()),
                Ok(list) => Err(format!("{} pods", list.items.len())),
                Err(error) => Err(error.to_string()),
            }
        })
        .await;
    }
}
