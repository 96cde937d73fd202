//! One test's world: a namespace under the `restricted` Pod Security Standard, with a stand-in of its own.

use std::{collections::BTreeMap, fmt::Write as _, future::Future};

use futures::FutureExt;
use k8s_openapi::api::{
    batch::v1::Job,
    core::v1::{ConfigMap, Event, Namespace, Pod},
};
use kube::{
    Api, Client, ResourceExt,
    api::{DeleteParams, ListParams, LogParams, Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};
use weir::api::v1alpha1::{ConditionType, LoadTest, LoadTestRun, Reason};

use super::{K6_IMAGE, Row, eventually, hand, standin};

/// Name of the stand-in's pod, Service and database.
pub(crate) const STANDIN: &str = "timestream";

pub(crate) struct World {
    pub(crate) client: Client,
    pub(crate) namespace: String,
}

/// Runs `test` in a fresh namespace; on failure prints what the namespace held. The namespace is deleted unless
/// `WEIR_E2E_KEEP` is set.
pub(crate) async fn in_world<F, Fut>(name: &str, test: F)
where
    F: FnOnce(std::sync::Arc<World>) -> Fut,
    Fut: Future<Output = ()>,
{
    let world = std::sync::Arc::new(World::new(name).await);
    let outcome = std::panic::AssertUnwindSafe(test(world.clone())).catch_unwind().await;
    if outcome.is_err() {
        println!("{}", world.dump().await);
    }
    if std::env::var_os("WEIR_E2E_KEEP").is_none() {
        let namespaces: Api<Namespace> = Api::all(world.client.clone());
        for namespace in [world.namespace.clone(), hand::node_namespace(&world.namespace)] {
            drop(namespaces.delete(&namespace, &DeleteParams::default()).await);
        }
    }
    if let Err(panic) = outcome {
        std::panic::resume_unwind(panic);
    }
}

impl World {
    async fn new(name: &str) -> Self {
        drop(rustls::crypto::ring::default_provider().install_default());
        let client = Client::try_default()
            .await
            .expect("KUBECONFIG must point to a cluster: run `make cluster`");
        let suffix =
            std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis()
                % 10_000_000;
        let namespace = format!("e2e-{name}-{suffix}");
        let object: Namespace =
            serde_json::from_value(json!({"metadata": {"name": namespace, "labels": {
                "pod-security.kubernetes.io/enforce": "restricted", "weir.dev/e2e": "true",
            }}}))
            .unwrap();
        Api::<Namespace>::all(client.clone())
            .create(&PostParams::default(), &object)
            .await
            .unwrap();
        Self { client, namespace }
    }

    pub(crate) fn api<K>(&self) -> Api<K>
    where
        K: kube::Resource<Scope = kube::core::NamespaceResourceScope>,
        K::DynamicType: Default,
    {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// Starts the stand-in with table `k6.samples`; `args` are added to its command line.
    pub(crate) async fn timestream(&self, args: &[&str]) {
        let mut all = vec!["timestream", "--listen", "0.0.0.0:8080", "--table", "k6db.samples"];
        all.extend(args);
        standin::start(&self.client, &self.namespace, STANDIN, &all).await;
    }

    /// Starts a small HTTP target called `target`.
    pub(crate) async fn target(&self) {
        standin::start(
            &self.client,
            &self.namespace,
            "target",
            &["target", "--listen", "0.0.0.0:8080"],
        )
        .await;
    }

    /// GET of a path of the stand-in called `name`.
    pub(crate) async fn get(&self, name: &str, path: &str) -> Result<String, String> {
        standin::get(&self.client, &self.namespace, name, path).await
    }

    /// Sets the stand-in's faults.
    pub(crate) async fn faults(&self, faults: Value) {
        standin::request(
            &self.client,
            "PUT",
            &self.namespace,
            STANDIN,
            "/control/faults",
            faults.to_string(),
        )
        .await
        .unwrap();
    }

    /// All rows of the stand-in.
    pub(crate) async fn rows(&self) -> Vec<Row> {
        let text = self.rows_text().await;
        text.lines()
            .filter(|line| !line.is_empty())
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    /// All rows of the stand-in, one JSON object a line.
    pub(crate) async fn rows_text(&self) -> String {
        self.get(STANDIN, "/rows?table=k6db.samples").await.unwrap()
    }

    /// Rows of the stand-in: of each measure, and of all under an empty name.
    pub(crate) async fn row_counts(&self) -> BTreeMap<String, u64> {
        let text = self.get(STANDIN, "/summary?table=k6db.samples").await.unwrap();
        let summary: Value = serde_json::from_str(&text).unwrap();
        let measures = summary["measures"].as_object().unwrap().iter();
        let of_all = [(String::new(), summary["rows"].as_u64().unwrap())];
        measures
            .map(|(name, count)| (name.clone(), count["rows"].as_u64().unwrap()))
            .chain(of_all)
            .collect()
    }

    /// Deletes all rows of the stand-in.
    #[allow(dead_code, reason = "of the benchmark, which shares this harness")]
    pub(crate) async fn forget_rows(&self) {
        let path = "/rows?table=k6db.samples";
        standin::request(&self.client, "DELETE", &self.namespace, STANDIN, path, String::new())
            .await
            .unwrap();
    }

    /// The spec that most tests start from: parallelism, script, output to the stand-in. `more` is merged over it.
    pub(crate) fn spec(&self, parallelism: u32, script: Value, more: Value) -> Value {
        let mut spec = json!({
            "parallelism": parallelism,
            "script": script,
            "k6": {"image": K6_IMAGE},
            "deadlines": {"readySeconds": 60, "drainSeconds": 60},
            "outputs": [{"timestream": {
                "region": "eu-west-1", "databaseName": "k6db", "tableName": "samples",
                "endpointUrl": format!("http://{STANDIN}.{}.svc:8080", self.namespace),
            }}],
            "aggregator": {"env": [
                {"name": "AWS_ACCESS_KEY_ID", "value": "test"}, {"name": "AWS_SECRET_ACCESS_KEY", "value": "test"},
            ]},
        });
        merge(&mut spec, more);
        spec
    }

    /// Applies a LoadTest as `kubectl apply --server-side` does.
    pub(crate) async fn apply(&self, name: &str, spec: Value) -> kube::Result<LoadTest> {
        let object = json!({"apiVersion": "weir.dev/v1alpha1", "kind": "LoadTest", "metadata": {"name": name}, "spec": spec});
        self.api::<LoadTest>()
            .patch(name, &PatchParams::apply("e2e").force(), &Patch::Apply(object))
            .await
    }

    /// Makes a ConfigMap.
    pub(crate) async fn config_map(&self, name: &str, files: &[(&str, &str)]) {
        let data: serde_json::Map<String, Value> =
            files.iter().map(|(k, v)| ((*k).to_owned(), json!(v))).collect();
        let object: ConfigMap =
            serde_json::from_value(json!({"metadata": {"name": name}, "data": data})).unwrap();
        self.api::<ConfigMap>().create(&PostParams::default(), &object).await.unwrap();
    }

    /// Waits until the run is complete, and answers it.
    pub(crate) async fn complete(&self, run: &str, seconds: u64) -> LoadTestRun {
        let runs = self.api::<LoadTestRun>();
        eventually(&format!("run {run} complete"), seconds, || async {
            let found = runs.get(run).await.map_err(|error| error.to_string())?;
            match condition(&found, ConditionType::Complete) {
                Some((status, _, _)) if status == "True" => Ok(found),
                other => Err(format!("{other:?} {:?}", found.status)),
            }
        })
        .await
    }

    /// Waits until the run's condition has this status.
    pub(crate) async fn condition(
        &self,
        run: &str,
        kind: ConditionType,
        status: &str,
        seconds: u64,
    ) {
        let runs = self.api::<LoadTestRun>();
        eventually(&format!("{} of {run} {status}", kind.as_str()), seconds, || async {
            let found = runs.get(run).await.map_err(|error| error.to_string())?;
            match condition(&found, kind) {
                Some((found, _, _)) if found == status => Ok(()),
                other => Err(format!("{other:?}")),
            }
        })
        .await;
    }

    /// Waits until no pod of the run is active any more.
    pub(crate) async fn nothing_left_running(&self, run: &str, seconds: u64) {
        let pods = self.api::<Pod>();
        let selector = ListParams::default().labels(&format!("weir.dev/run={run}"));
        eventually("no pod of the run active", seconds, || async {
            let active: Vec<_> = pods
                .list(&selector)
                .await
                .map_err(|error| error.to_string())?
                .into_iter()
                .filter(|pod| {
                    let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
                    !matches!(phase, Some("Succeeded" | "Failed"))
                })
                .map(|pod| pod.name_any())
                .collect();
            if active.is_empty() { Ok(()) } else { Err(format!("{active:?}")) }
        })
        .await;
    }

    /// Names of the run's pods of one role, by completion index where they have one.
    pub(crate) async fn pods(&self, run: &str, role: &str) -> Vec<Pod> {
        let selector =
            ListParams::default().labels(&format!("weir.dev/run={run},weir.dev/role={role}"));
        self.api::<Pod>().list(&selector).await.unwrap().items
    }

    /// Deletes pods without asking their processes to end.
    pub(crate) async fn force_delete(&self, pods: &[Pod]) {
        for pod in pods {
            let at_once = DeleteParams::default().grace_period(0);
            drop(self.api::<Pod>().delete(&pod.name_any(), &at_once).await);
        }
    }

    /// What a replica of the aggregator tells Prometheus.
    pub(crate) async fn metrics(&self, pod: &str) -> Result<String, String> {
        let uri = format!("/api/v1/namespaces/{}/pods/{pod}:9090/proxy/metrics", self.namespace);
        let request = http::Request::get(uri).body(Vec::new()).unwrap();
        self.client.request_text(request).await.map_err(|error| format!("{error:?}"))
    }

    /// The k6 container's whole log of each runner pod. A run can be complete before the kubelet has looked at its
    /// containers once more: until then it takes them for running, or even for still to be started, and of those gives no
    /// log.
    pub(crate) async fn runner_logs(&self, run: &str) -> Vec<String> {
        eventually("the whole logs of the runners", 60, || async {
            let mut logs = Vec::new();
            for pod in self.pods(run, "runner").await {
                let statuses = pod.status.as_ref().and_then(|s| s.container_statuses.as_deref());
                let state = statuses
                    .and_then(|all| all.iter().find(|status| status.name == "k6"))
                    .and_then(|status| status.state.as_ref());
                if state.is_none_or(|state| state.terminated.is_none()) {
                    return Err(format!("{}: {state:?}", pod.name_any()));
                }
                let params = LogParams { container: Some("k6".to_owned()), ..LogParams::default() };
                let log = self.api::<Pod>().logs(&pod.name_any(), &params).await;
                logs.push(log.map_err(|error| format!("{}: {error}", pod.name_any()))?);
            }
            Ok(logs)
        })
        .await
    }

    /// Everything a person would look at.
    async fn dump(&self) -> String {
        let mut text = format!("\n===== namespace {} =====\n", self.namespace);
        for run in self
            .api::<LoadTestRun>()
            .list(&ListParams::default())
            .await
            .map(|l| l.items)
            .unwrap_or_default()
        {
            writeln!(text, "run {}: {}", run.name_any(), json!(run.status)).unwrap();
        }
        for job in self
            .api::<Job>()
            .list(&ListParams::default())
            .await
            .map(|l| l.items)
            .unwrap_or_default()
        {
            writeln!(text, "job {}: {}", job.name_any(), json!(job.status)).unwrap();
        }
        for pod in self
            .api::<Pod>()
            .list(&ListParams::default())
            .await
            .map(|l| l.items)
            .unwrap_or_default()
        {
            writeln!(text, "pod {}: {}", pod.name_any(), json!(pod.status)).unwrap();
            let params = LogParams { tail_lines: Some(40), ..LogParams::default() };
            let log = self
                .api::<Pod>()
                .logs(&pod.name_any(), &params)
                .await
                .unwrap_or_else(|e| e.to_string());
            writeln!(text, "{log}").unwrap();
        }
        for event in self
            .api::<Event>()
            .list(&ListParams::default())
            .await
            .map(|l| l.items)
            .unwrap_or_default()
        {
            let (kind, name) = (event.involved_object.kind, event.involved_object.name);
            writeln!(text, "event {kind:?} {name:?} {:?}: {:?}", event.reason, event.message)
                .unwrap();
        }
        text
    }
}

/// Records that a replica of the aggregator has stored, by its metrics.
pub(crate) fn records_stored(metrics: &str) -> u64 {
    let lines = metrics.lines().filter(|line| line.starts_with("weir_records_stored_total{"));
    lines.filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok()).sum()
}

/// Status, reason and message of a condition.
pub(crate) fn condition(
    run: &LoadTestRun,
    kind: ConditionType,
) -> Option<(String, String, String)> {
    let conditions = &run.status.as_ref()?.conditions;
    let found = conditions.iter().find(|condition| condition.type_ == kind.as_str())?;
    Some((found.status.clone(), found.reason.clone(), found.message.clone()))
}

/// Asserts that a complete run failed for `reason`, with each of `words` in the message.
pub(crate) fn assert_failed(run: &LoadTestRun, reason: Reason, words: &[&str]) {
    let (status, found, message) =
        condition(run, ConditionType::Succeeded).expect("Succeeded is set");
    assert_eq!((status.as_str(), found.as_str()), ("False", reason.as_str()), "{message}");
    for word in words {
        assert!(message.contains(word), "{word:?} is not in {message:?}");
    }
}

/// Asserts that a complete run passed and that the books of its outputs are closed; answers the samples stored.
pub(crate) fn assert_passed(run: &LoadTestRun) -> u64 {
    let found = condition(run, ConditionType::Succeeded).expect("Succeeded is set");
    assert_eq!((found.0.as_str(), found.1.as_str()), ("True", "ThresholdsMet"), "{}", found.2);
    let status = run.status.as_ref().unwrap();
    let [output] = &status.outputs[..] else { panic!("one output: {:?}", status.outputs) };
    assert_eq!(output.emitted, output.stored + output.rejected.values().sum::<u64>(), "{output:?}");
    output.stored
}

fn merge(base: &mut Value, over: Value) {
    match (base, over) {
        (Value::Object(base), Value::Object(over)) => {
            for (key, value) in over {
                merge(base.entry(key).or_insert(Value::Null), value);
            }
        }
        (_, Value::Null) => {}
        (base, over) => *base = over,
    }
}
