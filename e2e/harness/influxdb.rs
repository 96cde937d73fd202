//! VictoriaMetrics as a pod. It asks for no token, so it listens within its pod alone, and the stand-in's front beside it,
//! which asks for one, is what the Service leads to.

use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::Secret;
use kube::api::PostParams;
use serde_json::{Value, json};

use super::{
    VICTORIA_IMAGE, World,
    export::{EXPORT, FLUSH, Sample, distinct, samples},
    standin,
};

/// Name of its pod and Service.
pub(crate) const INFLUXDB: &str = "influxdb";
/// Longest time until what was written can be read.
const PATIENCE: Duration = Duration::from_secs(30);

impl World {
    /// Makes a Secret whose key `token` holds this.
    pub(crate) async fn token(&self, name: &str, token: &str) {
        let object = json!({"metadata": {"name": name}, "stringData": {"token": token}});
        let object: Secret = serde_json::from_value(object).unwrap();
        self.api::<Secret>().create(&PostParams::default(), &object).await.unwrap();
    }

    /// Starts a server that takes lines from who has the token in the Secret `secret`; `faults` are added to the command
    /// line of its front.
    pub(crate) async fn influxdb(&self, secret: &str, faults: &[&str]) {
        let listen = ["influxdb", "--listen", "0.0.0.0:8080", "--upstream", "127.0.0.1:8428"];
        let args: Vec<&str> = listen
            .into_iter()
            .chain(["--token", "$(TOKEN)"])
            .chain(faults.iter().copied())
            .collect();
        let mut front = standin::container(&args);
        front["env"] = json!([
            {"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": secret, "key": "token"}}},
        ]);
        let server = json!({
            "name": "victoria-metrics", "image": VICTORIA_IMAGE, "imagePullPolicy": "IfNotPresent",
            "args": [
                "-httpListenAddr=127.0.0.1:8428", "-storageDataPath=/data", "-retentionPeriod=10y",
                "-memory.allowedBytes=128MB",
            ],
            "volumeMounts": [{"name": "data", "mountPath": "/data"}],
            "securityContext": {
                "allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true,
                "capabilities": {"drop": ["ALL"]},
            },
        });
        let spec = json!({
            "containers": [front, server],
            "volumes": [{"name": "data", "emptyDir": {}}],
        });
        standin::serve(&self.client, &self.namespace, INFLUXDB, spec).await;
    }

    /// All that the server holds, once these are so many distinct samples, or no more come.
    pub(crate) async fn influxdb_samples(&self, wanted: u64) -> Vec<Sample> {
        let began = Instant::now();
        loop {
            self.get(INFLUXDB, FLUSH).await.unwrap();
            let samples = samples(&self.get(INFLUXDB, EXPORT).await.unwrap());
            if distinct(&samples).len() as u64 >= wanted || began.elapsed() > PATIENCE {
                return samples;
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }

    /// What the server's front has counted.
    pub(crate) async fn influxdb_stats(&self) -> Value {
        serde_json::from_str(&self.get(INFLUXDB, "/stats").await.unwrap()).unwrap()
    }
}
