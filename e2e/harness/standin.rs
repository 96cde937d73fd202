//! The Timestream stand-in as a pod, read through the apiserver's proxy so that any cluster will do.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Pod, Service};
use kube::{Api, Client, api::PostParams};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{STANDIN_IMAGE, eventually};

/// One row that the stand-in holds.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Row {
    pub(crate) dimensions: BTreeMap<String, String>,
    pub(crate) measure_name: String,
    pub(crate) value: serde_json::Value,
    #[serde(rename = "type")]
    pub(crate) kind: String,
    pub(crate) time_ns: i128,
}

impl Row {
    pub(crate) fn number(&self) -> f64 {
        self.value.as_f64().unwrap()
    }
}

/// The row's dimension, or an empty string.
pub(crate) fn dimension<'a>(row: &'a Row, name: &str) -> &'a str {
    row.dimensions.get(name).map_or("", String::as_str)
}

/// Starts a server of the stand-in's image in `namespace`: pod and Service of this `name`, port 8080.
pub(crate) async fn start(client: &Client, namespace: &str, name: &str, args: &[&str]) {
    let container = container(args);
    serve(client, namespace, name, json!({"containers": [container]})).await;
}

/// A container of the stand-in's image that serves at port 8080.
pub(crate) fn container(args: &[&str]) -> Value {
    json!({
        "name": "standin", "image": STANDIN_IMAGE, "imagePullPolicy": "IfNotPresent",
        "args": args,
        "ports": [{"containerPort": 8080}],
        "readinessProbe": {"httpGet": {"path": "/healthz", "port": 8080}, "periodSeconds": 1},
        "securityContext": {"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}},
    })
}

/// Starts a pod of this `name` with the containers and volumes of `spec`, and a Service for its port 8080; answers when
/// it is ready.
pub(crate) async fn serve(client: &Client, namespace: &str, name: &str, mut spec: Value) {
    spec["terminationGracePeriodSeconds"] = json!(1);
    spec["automountServiceAccountToken"] = json!(false);
    spec["securityContext"] = json!({
        "runAsNonRoot": true, "runAsUser": 65532, "seccompProfile": {"type": "RuntimeDefault"},
    });
    let pod: Pod = serde_json::from_value(json!({
        "metadata": {"name": name, "labels": {"app": name}},
        "spec": spec,
    }))
    .unwrap();
    let service: Service = serde_json::from_value(json!({
        "metadata": {"name": name},
        "spec": {"selector": {"app": name}, "ports": [{"port": 8080}]},
    }))
    .unwrap();
    let pods: Api<Pod> = Api::namespaced(client.clone(), namespace);
    pods.create(&PostParams::default(), &pod).await.unwrap();
    Api::<Service>::namespaced(client.clone(), namespace)
        .create(&PostParams::default(), &service)
        .await
        .unwrap();
    eventually(&format!("{name} ready"), 60, || async {
        let pod = pods.get(name).await.map_err(|error| error.to_string())?;
        let status = pod.status.unwrap_or_default();
        let ready =
            status.conditions.iter().flatten().any(|c| c.type_ == "Ready" && c.status == "True");
        if ready { Ok(()) } else { Err(format!("{status:?}")) }
    })
    .await;
}

/// GET of a path of the server `name`.
pub(crate) async fn get(
    client: &Client,
    namespace: &str,
    name: &str,
    path: &str,
) -> Result<String, String> {
    request(client, "GET", namespace, name, path, String::new()).await
}

/// Sends one request to the server `name`.
pub(crate) async fn request(
    client: &Client,
    method: &str,
    namespace: &str,
    name: &str,
    path: &str,
    body: String,
) -> Result<String, String> {
    let uri = format!("/api/v1/namespaces/{namespace}/services/{name}:8080/proxy{path}");
    let request = http::Request::builder()
        .method(method)
        .uri(uri)
        .header("content-type", "application/json")
        .body(body.into_bytes())
        .unwrap();
    client.request_text(request).await.map_err(|error| format!("{error:?}"))
}
