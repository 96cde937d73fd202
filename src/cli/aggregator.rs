//! `weir aggregator`.

use std::{path::PathBuf, sync::Arc, time::Duration};

use anyhow::{Context, anyhow};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::serving::{self, LEFT, SESSIONS_MAX, Serving, broken};
use crate::{
    aggregator::{
        engine, kubernetes,
        meters::Meters,
        settings::{OnShutdown, Settings},
    },
    core::plan::{PLAN_ENV, RunPlan},
    io::shutdown,
    output::output,
    wire::result::RunResult,
};

/// How long the API server may take to say what a former aggregator published.
const FORMER_PATIENCE: Duration = Duration::from_mins(1);
/// How long publication may go on after the run has ended.
const PUBLISH_PATIENCE: Duration = Duration::from_mins(1);

/// Arguments of `weir aggregator`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The run, as JSON
    #[arg(long, env = PLAN_ENV, value_name = "JSON", hide_env_values = true)]
    plan: String,
    #[command(flatten)]
    serving: Serving,
    /// Folder that outlives this process: for what must be known should instances be gone when the next one comes
    #[arg(long, value_name = "DIR")]
    keep_dir: Option<PathBuf>,
}

impl Args {
    pub(super) fn run(self) -> anyhow::Result<u8> {
        serving::run(self.serve())
    }

    async fn serve(self) -> anyhow::Result<u8> {
        let plan: RunPlan = serde_json::from_str(&self.plan)
            .with_context(|| format!("--plan (or {PLAN_ENV}): not a run plan"))?;
        let shutdown = shutdown::on_signal().context("listen for signals")?;
        let client = kube::Client::try_default().await.context("find the API server")?;
        let former = former(&client, &plan).await?;
        let meters = Arc::new(Meters::default());
        let process = CancellationToken::new();
        let _ends_with_us = process.clone().drop_guard();
        let (server, sessions) = self.serving.start(plan.instances, &meters, &process).await?;
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
            ended = server => return Err(broken(ended)),
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
