//! The process of the aggregator: server and engine, without Kubernetes.

use std::{env, io::Write, sync::Arc};

use futures::{FutureExt, future::BoxFuture};
use nix::sys::resource::UsageWho;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::{
    net::TcpListener,
    sync::{mpsc, watch},
};
use tokio_util::sync::CancellationToken;
use weir::{
    aggregator::{engine, settings::Settings},
    api::v1alpha1::{Output as OutputSpec, RunnerLoss},
    core::{
        pipeline::{batch::Batch, retry::Written},
        plan::{RunPlan, RunRef},
    },
    io::{
        clock,
        grpc::serve::{Credentials, serve},
        runtime, telemetry,
    },
    output::output::{Output, Probe},
    wire::result::RunResult,
};

use crate::cost::cpu_us;

/// Tells this program to be the aggregator; the value is a [`Goal`].
pub(crate) const ROLE: &str = "WEIR_PATH_OUTPUT";
pub(crate) const TOKEN: &str = "3c9d1f0e";

/// Where samples go.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Goal {
    /// Into the verdict alone.
    Verdict,
    /// Into batches that are stored at once.
    Batches,
    /// To an endpoint, each as a row.
    Samples(String),
    /// To an endpoint, as rows of a second.
    Rollup(String),
}

impl Goal {
    /// The outputs of the run.
    pub(crate) fn outputs(&self) -> Vec<OutputSpec> {
        let (endpoint, mode) = match self {
            Self::Verdict => return Vec::new(),
            Self::Batches => ("http://127.0.0.1:9", "Samples"),
            Self::Samples(endpoint) => (endpoint.as_str(), "Samples"),
            Self::Rollup(endpoint) => (endpoint.as_str(), "Rollup"),
        };
        let spec = json!({"timestream": {
            "region": "eu-west-1",
            "databaseName": "loadtests",
            "tableName": "samples",
            "endpointUrl": endpoint,
            "mode": mode,
        }});
        vec![serde_json::from_value(spec).expect("the spec is valid")]
    }
}

/// Where batches end at once.
struct Nowhere;

impl Output for Nowhere {
    fn probe(&self) -> BoxFuture<'_, Probe> {
        async { Probe::Ready }.boxed()
    }

    fn write<'a>(&'a self, _: &'a Batch) -> BoxFuture<'a, Written> {
        async { Written::Stored }.boxed()
    }
}

pub(crate) fn the_run() -> RunRef {
    RunRef { namespace: "ns".into(), name: "path".into(), uid: "uid".into() }
}

pub(crate) fn run() {
    telemetry::init_quiet();
    let runtime = runtime::of_replica().expect("a runtime");
    runtime.block_on(async { tokio::spawn(live()).await.expect("it ends") });
}

async fn live() {
    let told = |name: &str| env::var(name).unwrap_or_default();
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
    println!("{}", listener.local_addr().expect("an address").port());
    std::io::stdout().flush().expect("somebody listens");
    let credentials = Credentials {
        cert_pem: told("WEIR_PATH_CERT"),
        key_pem: told("WEIR_PATH_KEY"),
        token: TOKEN.to_owned(),
    };
    let goal: Goal = serde_json::from_str(&told(ROLE)).expect("a goal");
    let mut settings = Settings::local(RunPlan {
        run: the_run(),
        instances: 1,
        created_unix_ms: clock::unix_ms(),
        ready_ms: 60_000,
        drain_ms: 120_000,
        runner_loss: RunnerLoss::default(),
        outputs: goal.outputs(),
        replicas: 1,
    });
    if matches!(goal, Goal::Batches) {
        for open in &mut settings.outputs {
            open.output = Arc::new(Nowhere);
        }
    }
    let (sessions_tx, sessions) = mpsc::channel(16);
    let (_control, control) = mpsc::channel(8);
    let (publish, _results) = watch::channel(RunResult::default());
    let process = CancellationToken::new();
    tokio::spawn(serve(listener, credentials, 16, sessions_tx, process.clone()));
    let result = engine::run(settings, sessions, control, publish, process).await;
    let output = result.outputs.first();
    let told = json!({
        "cpu_us": cpu_us(UsageWho::RUSAGE_SELF),
        "emitted": output.map_or(0, |output| output.emitted),
        "stored": output.map_or(0, |output| output.stored),
        "reason": result.outcome.map(|outcome| outcome.reason.as_str().to_owned()),
        "message": result.message,
    });
    println!("{told}");
}
