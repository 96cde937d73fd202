//! `weir writer`.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context, anyhow, bail};
use tokio_util::sync::CancellationToken;

use super::serving::{self, LEFT, Serving, broken, read};
use crate::{
    aggregator::{
        meters::Meters,
        writer::{self, End},
    },
    core::plan::{PLAN_ENV, RunPlan},
    io::{
        dns,
        link::{Dialer, GrpcDialer},
        shutdown,
    },
    output::output,
};

/// Arguments of `weir writer`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The run, as JSON
    #[arg(long, env = PLAN_ENV, value_name = "JSON", hide_env_values = true)]
    plan: String,
    /// Index of this writer, from 0, as the Job counts: it is replica 1 of the aggregator, and so on
    #[arg(long, value_name = "I", env = "JOB_COMPLETION_INDEX")]
    writer_index: u32,
    #[command(flatten)]
    serving: Serving,
    /// Where the aggregator listens, such as https://checkout-1.default.svc:7465; given again, where to try next
    #[arg(long = "endpoint", value_name = "URL", required = true)]
    endpoints: Vec<String>,
    /// PEM file of the authority that signed the aggregator's certificate
    #[arg(long, value_name = "FILE", default_value = "/weir-run/ca.crt")]
    ca_file: PathBuf,
    /// Give up after this many seconds without the aggregator
    #[arg(long, value_name = "SECONDS", default_value_t = 120)]
    orphan_seconds: u32,
}

impl Args {
    pub(super) fn run(self) -> anyhow::Result<u8> {
        serving::run(self.serve())
    }

    async fn serve(self) -> anyhow::Result<u8> {
        let plan: RunPlan = serde_json::from_str(&self.plan)
            .with_context(|| format!("--plan (or {PLAN_ENV}): not a run plan"))?;
        let replica = self.writer_index.saturating_add(1);
        if replica >= plan.replicas {
            bail!(
                "--writer-index: {} is none of a run with {} replicas",
                self.writer_index,
                plan.replicas
            );
        }
        let leader = Dialer::Grpc(Arc::new(GrpcDialer {
            endpoints: self.endpoints,
            service_domain: dns::service_domain(Path::new(dns::RESOLV_CONF)).unwrap_or_default(),
            ca_pem: read("--ca-file", &self.ca_file)?,
            token: self.serving.token()?,
        }));
        let shutdown = shutdown::on_signal().context("listen for signals")?;
        let meters = Arc::new(Meters::default());
        let process = CancellationToken::new();
        let _ends_with_us = process.clone().drop_guard();
        let (server, sessions) = self.serving.start(plan.instances, &meters, &process).await?;
        tracing::info!(run = %plan.run, replica, replicas = plan.replicas, "writer serves");
        let settings = writer::Settings {
            outputs: output::open(&plan.outputs),
            plan,
            replica,
            meters,
            orphan_ms: i64::from(self.orphan_seconds) * 1000,
        };
        let end = tokio::select! {
            end = writer::run(settings, sessions, leader, shutdown) => end,
            ended = server => return Err(broken(ended)),
        };
        match end {
            End::Dismissed => {
                tracing::info!("the run is over");
                Ok(0)
            }
            End::Told => {
                tracing::info!("told to end before the run has: the next writer goes on");
                Ok(LEFT)
            }
            End::Unwanted(why) => Err(anyhow!("{why}")),
        }
    }
}
