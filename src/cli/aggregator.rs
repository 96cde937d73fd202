//! `weir aggregator`.

use std::{net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use anyhow::{Context, anyhow};
use prometheus_client::registry::Registry;
use tokio::{
    net::TcpListener,
    sync::{mpsc, watch},
};
use tokio_util::sync::CancellationToken;

use crate::{
    aggregator::{
        engine, kubernetes,
        meters::Meters,
        settings::{OnShutdown, Settings},
    },
    core::plan::{HTTP_PORT, PLAN_ENV, RunPlan, SESSION_PORT},
    io::{
        clock, crypto,
        grpc::serve::{Credentials, serve},
        http, shutdown, telemetry,
    },
    output::output,
    wire::result::RunResult,
};

/// Sessions that may wait to be taken in.
const SESSIONS_MAX: usize = 256;
/// Connections beyond one for each instance: re-dials, probes of a mesh.
const CONNECTIONS_SPARE: usize = 64;
/// How long the loop may stand still before the process counts as dead.
const STALL_MS: i64 = 30_000;
/// How long the API server may take to say what a former aggregator published.
const FORMER_PATIENCE: Duration = Duration::from_mins(1);
/// How long publication may go on after the run has ended.
const PUBLISH_PATIENCE: Duration = Duration::from_mins(1);

/// Exit code of an aggregator that was told to end before its run: the Job makes another.
const LEFT: u8 = 143;

/// Arguments of `weir aggregator`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The run, as JSON
    #[arg(long, env = PLAN_ENV, value_name = "JSON", hide_env_values = true)]
    plan: String,
    /// Certificate for the agents, PEM
    #[arg(long, value_name = "FILE", default_value = "/weir-run/tls.crt")]
    tls_cert: PathBuf,
    /// Key of the certificate, PEM
    #[arg(long, value_name = "FILE", default_value = "/weir-run/tls.key")]
    tls_key: PathBuf,
    /// File with the token that proves an agent of this run
    #[arg(long, value_name = "FILE", default_value = "/weir-run/token")]
    token_file: PathBuf,
    /// Address for agents
    #[arg(long, value_name = "ADDRESS", default_value_t = SocketAddr::from(([0, 0, 0, 0], SESSION_PORT)))]
    listen: SocketAddr,
    /// Address for /livez, /readyz and /metrics
    #[arg(long, value_name = "ADDRESS", default_value_t = SocketAddr::from(([0, 0, 0, 0], HTTP_PORT)))]
    http_listen: SocketAddr,
    /// Folder that outlives this process: for what must be known should instances be gone when the next one comes
    #[arg(long, value_name = "DIR")]
    keep_dir: Option<PathBuf>,
}

impl Args {
    pub(super) fn run(self) -> anyhow::Result<u8> {
        telemetry::init();
        crypto::install();
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()
            .context("start the runtime")?;
        runtime.block_on(self.serve())
    }

    async fn serve(self) -> anyhow::Result<u8> {
        let plan: RunPlan = serde_json::from_str(&self.plan)
            .with_context(|| format!("--plan (or {PLAN_ENV}): not a run plan"))?;
        let credentials = self.credentials()?;
        let shutdown = shutdown::on_signal().context("listen for signals")?;
        let client = kube::Client::try_default().await.context("find the API server")?;
        let former = former(&client, &plan).await?;
        let meters = Arc::new(Meters::default());
        let process = CancellationToken::new();
        let _ends_with_us = process.clone().drop_guard();
        let http = http::bind(self.http_listen)
            .await
            .with_context(|| format!("--http-listen: bind {}", self.http_listen))?;
        tokio::spawn(http::serve(http, endpoints(&meters), process.clone()));
        let listener = TcpListener::bind(self.listen)
            .await
            .with_context(|| format!("--listen: bind {}", self.listen))?;
        let (sessions_tx, sessions) = mpsc::channel(SESSIONS_MAX);
        let places = usize::try_from(plan.instances).unwrap_or(0) * 2 + CONNECTIONS_SPARE;
        let server =
            tokio::spawn(serve(listener, credentials, places, sessions_tx, process.clone()));
        let (control_tx, control) = mpsc::channel(SESSIONS_MAX);
        let (publish_tx, results) = watch::channel(RunResult {
            run: plan.run.to_string(),
            wanted: plan.instances,
            ..former.clone().unwrap_or_default()
        });
        tokio::spawn(kubernetes::follow(client.clone(), plan.run.clone(), control_tx.clone()));
        let found = former.as_ref().is_some_and(|former| former.outcome.is_some());
        let publisher =
            tokio::spawn(kubernetes::publish(client, plan.run.clone(), results, control_tx, found));
        tracing::info!(run = %plan.run, instances = plan.instances, "aggregator serves");
        let settings = Settings {
            outputs: output::open(&plan.outputs),
            plan,
            former,
            on_shutdown: OnShutdown::Leave,
            awaits_publication: true,
            stdout_tty: false,
            stderr_tty: false,
            meters,
            keep_dir: self.keep_dir,
        };
        let run = engine::run(settings, sessions, control, publish_tx, shutdown);
        let result = tokio::select! {
            result = run => result,
            broke = server => match broke {
                Ok(Ok(())) => return Err(anyhow!("the session server ended")),
                Ok(Err(error)) => return Err(error).context("serve sessions"),
                Err(error) => return Err(error).context("serve sessions"),
            },
        };
        if result.outcome.is_none() {
            tracing::info!("told to end before the run has: its next aggregator goes on");
            return Ok(LEFT);
        }
        let is_published = tokio::time::timeout(PUBLISH_PATIENCE, publisher).await;
        let reason = result.outcome.as_ref().map(|outcome| outcome.reason.as_str());
        tracing::info!(reason, message = result.message, "the run is over");
        match is_published {
            Ok(Ok(true)) => Ok(0),
            _ => Err(anyhow!("the outcome could not be published")),
        }
    }

    fn credentials(&self) -> anyhow::Result<Credentials> {
        let read = |flag: &str, path: &PathBuf| {
            std::fs::read_to_string(path)
                .with_context(|| format!("{flag}: read {}", path.display()))
        };
        Ok(Credentials {
            cert_pem: read("--tls-cert", &self.tls_cert)?,
            key_pem: read("--tls-key", &self.tls_key)?,
            token: read("--token-file", &self.token_file)?.trim().to_owned(),
        })
    }
}

/// Asks until it is known whether an aggregator has been there before: to guess would be to forget what it decided.
async fn former(client: &kube::Client, plan: &RunPlan) -> anyhow::Result<Option<RunResult>> {
    let ask = async {
        loop {
            match kubernetes::former(client, &plan.run).await {
                Ok(former) => return former,
                Err(error) => {
                    tracing::warn!(%error, "the API server does not tell the former result");
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
            }
        }
    };
    tokio::time::timeout(FORMER_PATIENCE, ask).await.context("ask for the former result")
}

fn endpoints(meters: &Arc<Meters>) -> http::Endpoints {
    let mut registry = Registry::default();
    meters.register(&mut registry);
    let (live, ready) = (meters.clone(), meters.clone());
    http::Endpoints {
        registry: Arc::new(registry),
        live: Arc::new(move || {
            let beat_ms = live.beat_unix_ms();
            beat_ms == 0 || clock::unix_ms() - beat_ms < STALL_MS
        }),
        ready: Arc::new(move || ready.beat_unix_ms() > 0),
    }
}
