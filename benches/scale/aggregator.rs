//! The process of the aggregator: the server, the engine, and a look at what they take.

use std::{io::Write, sync::Arc};

use serde_json::json;
use tokio::{
    net::TcpListener,
    sync::{mpsc, watch},
};
use tokio_util::sync::CancellationToken;
use weir::{
    aggregator::{
        engine,
        meters::Meters,
        settings::{OnShutdown, Settings},
    },
    api::v1alpha1::RunnerLoss,
    core::plan::{RunPlan, RunRef},
    io::{
        clock,
        grpc::serve::{Credentials, serve},
        telemetry,
    },
    wire::result::{RunResult, Stage},
};

use crate::{
    Scene, TOKEN,
    usage::{self, Usage},
};

pub(crate) fn run(scene: &Scene) {
    telemetry::init_quiet();
    usage::raise_descriptors();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    runtime.expect("a runtime").block_on(live(scene));
}

pub(crate) fn the_run() -> RunRef {
    RunRef { namespace: "ns".into(), name: "scale".into(), uid: "uid".into() }
}

async fn live(scene: &Scene) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    println!("{port}");
    std::io::stdout().flush().expect("somebody listens");

    let (sessions_tx, sessions) = mpsc::channel(256);
    let (_control, control) = mpsc::channel(8);
    let (publish, results) = watch::channel(RunResult::default());
    let process = CancellationToken::new();
    let credentials = Credentials {
        cert_pem: scene.cert_pem.clone(),
        key_pem: scene.key_pem.clone(),
        token: TOKEN.to_owned(),
    };
    let places = usize::try_from(scene.agents).unwrap_or(0) * 2 + 64;
    tokio::spawn(serve(listener, credentials, places, sessions_tx, process.clone()));
    let marks = tokio::spawn(watch(results));
    let keep_dir = std::env::temp_dir().join(format!("weir-scale-{}", clock::unix_ns()));
    let settings = Settings {
        plan: RunPlan {
            run: the_run(),
            instances: scene.agents,
            created_unix_ms: clock::unix_ms(),
            ready_ms: 300_000,
            drain_ms: 120_000,
            runner_loss: RunnerLoss::default(),
            outputs: Vec::new(),
            replicas: 1,
        },
        outputs: Vec::new(),
        former: None,
        on_shutdown: OnShutdown::StopTheRun,
        awaits_publication: false,
        stdout_tty: false,
        stderr_tty: false,
        meters: Arc::new(Meters::default()),
        keep_dir: Some(keep_dir.clone()),
    };
    let result = engine::run(settings, sessions, control, publish, process.clone()).await;
    let kept: u64 = std::fs::read_dir(&keep_dir)
        .expect("what it kept")
        .filter_map(|entry| Some(entry.ok()?.metadata().ok()?.len()))
        .sum();
    // Files may still be on their way there; what is left is in the folder for temporary things.
    std::fs::remove_dir_all(&keep_dir).unwrap_or_default();
    let [connected, running, stopped] = marks.await.expect("the marks");
    let end = Usage::now();
    let load_ms = stopped.0.saturating_sub(running.0).max(1);
    let cores_percent = (stopped.1.cpu_ms - running.1.cpu_ms) * 100 / load_ms;
    let outcome =
        result.outcome.map_or_else(|| "none".to_owned(), |o| o.reason.as_str().to_owned());
    let passed = result.thresholds.iter().filter(|threshold| threshold.passed).count();
    let told = json!({
        "rss_connected": usage::mib(connected.1.rss_kib),
        "rss_load": usage::mib(stopped.1.peak_kib),
        "rss_peak": usage::mib(end.peak_kib),
        "kept": usage::mib(kept >> 10),
        "cpu_connect": format!("{} ms", connected.1.cpu_ms),
        "cpu_load": format!("{cores_percent} % of a processor"),
        "cpu_close": format!("{} ms", end.cpu_ms - stopped.1.cpu_ms),
        "outcome": format!("{outcome}, {passed}/{} thresholds", result.thresholds.len()),
    });
    println!("{told}");
}

/// When all were connected, when the load began, and when it was stopped; and what the process had taken until then.
async fn watch(mut results: watch::Receiver<RunResult>) -> [(i64, Usage); 3] {
    let mut marks = [(0, Usage::default()); 3];
    let mut done = 0;
    while done < marks.len() && results.changed().await.is_ok() {
        let result = results.borrow_and_update().clone();
        let reached = match done {
            0 => result.ready > 0,
            1 => result.stage >= Stage::Running,
            _ => result.cause.is_some() || result.outcome.is_some(),
        };
        if reached {
            marks[done] = (clock::unix_ms(), Usage::now());
            done += 1;
        }
    }
    marks
}
