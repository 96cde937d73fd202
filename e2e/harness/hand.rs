//! Hands in a pod and on its node, for what a test does to processes, files and networks there. They need a shell image
//! and, on the node, rights that only a cluster for tests should give.

use std::time::Duration;

use k8s_openapi::api::core::v1::{Namespace, Pod};
use kube::{
    Api, ResourceExt,
    api::{LogParams, Patch, PatchParams, PostParams},
};
use serde_json::json;
use tokio::process::Command;

use super::{BUSYBOX_IMAGE, World, eventually, records_stored};

/// Name of the container that is added to pods.
const HAND: &str = "hand";
/// Prints the process that the first one of the container started.
const CHILD_OF_FIRST: &str = "for stat in /proc/[0-9]*/stat; do
      read -r process name state parent rest <$stat && test $parent = 1 && echo $process
    done; true";
/// A routing table of the node that nobody else uses; old tools know none beyond 255.
const TABLE: u32 = 242;

/// The namespace, beside the test's own, of pods that act on nodes.
pub(crate) fn node_namespace(namespace: &str) -> String {
    format!("{namespace}-node")
}

impl World {
    /// Runs `kubectl` in this namespace; answers what it prints.
    pub(crate) async fn kubectl(&self, args: &[&str]) -> Result<String, String> {
        let kubectl = std::env::var("WEIR_KUBECTL").unwrap_or_else(|_| "kubectl".to_owned());
        let output = Command::new(kubectl)
            .args(["--namespace", &self.namespace])
            .args(args)
            .output()
            .await
            .map_err(|error| error.to_string())?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        Err(String::from_utf8_lossy(&output.stderr).into_owned())
    }

    /// Adds a shell to a running pod: it sees the processes of the container `beside`, as the same user, and the files
    /// of `volumes` (each with the folder where they appear).
    pub(crate) async fn lend_hand(&self, pod: &str, beside: &str, volumes: &[(&str, &str)]) {
        let mounts: Vec<_> = volumes
            .iter()
            .map(|(name, path)| json!({"name": name, "mountPath": path, "readOnly": true}))
            .collect();
        let patch = json!({"spec": {"ephemeralContainers": [{
            "name": HAND, "image": BUSYBOX_IMAGE, "imagePullPolicy": "IfNotPresent",
            "command": ["sleep", "600"],
            "targetContainerName": beside,
            "volumeMounts": mounts,
            "securityContext": {"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}},
        }]}});
        self.api::<Pod>()
            .patch_ephemeral_containers(pod, &PatchParams::default(), &Patch::Strategic(patch))
            .await
            .unwrap();
        eventually(&format!("a hand in {pod}"), 60, || async { self.in_pod(pod, "true").await })
            .await;
    }

    /// Runs a shell script by the hand in a pod; answers what it prints.
    pub(crate) async fn in_pod(&self, pod: &str, script: &str) -> Result<String, String> {
        self.kubectl(&["exec", pod, "--container", HAND, "--", "sh", "-c", script]).await
    }

    /// Kills the aggregator's process in a pod that has a hand, once it is another than `former` and has stored samples;
    /// answers which it was.
    pub(crate) async fn kill_aggregator(&self, pod: &str, former: &str) -> String {
        let process = eventually("an aggregator that has stored samples", 40, || async {
            let process = self.in_pod(pod, CHILD_OF_FIRST).await?;
            match records_stored(&self.metrics(pod).await?) {
                _ if process.is_empty() => Err("no process".to_owned()),
                0 => Err(format!("process {process} has stored nothing yet")),
                _ if process == former => Err(format!("process {process} is still there")),
                _ => Ok(process),
            }
        })
        .await;
        // It is no accident, but a process that cannot live, when one after the other ends within a second.
        tokio::time::sleep(Duration::from_secs(2)).await;
        self.in_pod(pod, &format!("kill -9 {process}")).await.unwrap();
        process
    }

    /// Cuts a pod off from everything for so many seconds, by a route on its node that leads nowhere. Answers when the
    /// network is healed.
    pub(crate) async fn cut_network(&self, pod: &Pod, seconds: u32) {
        let (spec, status) = (pod.spec.as_ref().unwrap(), pod.status.as_ref().unwrap());
        let (node, ip) = (spec.node_name.as_ref().unwrap(), status.pod_ip.as_ref().unwrap());
        let namespace = node_namespace(&self.namespace);
        let object: Namespace =
            serde_json::from_value(json!({"metadata": {"name": namespace, "labels": {
                "pod-security.kubernetes.io/enforce": "privileged", "weir.dev/e2e": "true",
            }}}))
            .unwrap();
        Api::<Namespace>::all(self.client.clone())
            .create(&PostParams::default(), &object)
            .await
            .unwrap();
        // Healed by itself, whatever becomes of the test.
        let script = format!(
            "set -e
             heal() {{
               for to in from to; do ip rule del $to {ip} table {TABLE} pref {TABLE} || true; done
               ip route del blackhole default table {TABLE}
             }}
             trap heal EXIT
             ip route add blackhole default table {TABLE}
             for to in from to; do ip rule add $to {ip} table {TABLE} pref {TABLE}; done
             ip rule
             sleep {seconds} & wait"
        );
        let cutter: Pod = serde_json::from_value(json!({
            "metadata": {"name": "cutter"},
            "spec": {
                "nodeName": node, "hostNetwork": true, "restartPolicy": "Never",
                "automountServiceAccountToken": false,
                "containers": [{
                    "name": "cutter", "image": BUSYBOX_IMAGE, "imagePullPolicy": "IfNotPresent",
                    "command": ["sh", "-c", script],
                    "securityContext": {"runAsUser": 0, "capabilities": {"add": ["NET_ADMIN"]}},
                }],
            },
        }))
        .unwrap();
        let pods = Api::<Pod>::namespaced(self.client.clone(), &namespace);
        // The account that each pod has comes to a new namespace a moment later.
        eventually("the cutter made", 20, || async {
            pods.create(&PostParams::default(), &cutter).await.map_err(|error| error.to_string())
        })
        .await;
        eventually("the network healed", u64::from(seconds) + 60, || async {
            let now = pods.get("cutter").await.map_err(|error| error.to_string())?;
            match now.status.and_then(|status| status.phase).as_deref() {
                Some("Succeeded") => Ok(()),
                other => Err(format!("{other:?}")),
            }
        })
        .await;
        let log = pods.logs("cutter", &LogParams::default()).await.unwrap();
        assert!(log.contains(&format!("from {ip} lookup {TABLE}")), "{}: {log}", pod.name_any());
    }
}
