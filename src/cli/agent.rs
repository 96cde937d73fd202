//! `weir agent`: PID 1 of the k6 container in each runner pod.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context, bail};

use crate::{
    agent::{self, Exit, Settings, reaper},
    api::v1alpha1::{Dimensions, OnFull, Threshold},
    core::{
        plan::RunRef,
        replicas::share,
        samples::{rollup::spec::Wanted, spool::Limits},
    },
    io::{
        dns,
        link::{Dialer, GrpcDialer},
        runtime, shutdown, telemetry,
    },
};

/// Arguments of `weir agent`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The run, as namespace/name/uid
    #[arg(long, value_name = "NS/NAME/UID")]
    run: RunRef,
    /// Number of k6 instances of the run
    #[arg(long, value_name = "N")]
    instances: u32,
    /// Index of this instance, from 0, as the Job counts
    #[arg(long, value_name = "I", env = "JOB_COMPLETION_INDEX")]
    instance_index: u32,
    /// Where the aggregator listens, such as https://checkout-1.default.svc:7465; given again, where to try next
    #[arg(long = "endpoint", value_name = "URL", required = true)]
    endpoints: Vec<String>,
    /// Where the aggregator's replicas 1 and up listen, in their order, of which one writes this instance's samples
    #[arg(long = "writer", value_name = "URL")]
    writers: Vec<String>,
    /// PEM file of the authority that signed the aggregator's certificate
    #[arg(long, value_name = "FILE")]
    ca_file: PathBuf,
    /// File with the token that proves an agent of this run
    #[arg(long, value_name = "FILE")]
    token_file: PathBuf,
    /// Folder for this agent's own files
    #[arg(long, value_name = "DIR")]
    work_dir: PathBuf,
    /// The script or archive
    #[arg(long, value_name = "PATH")]
    script: String,
    /// The k6 binary
    #[arg(long, value_name = "PATH", default_value = "k6")]
    k6: PathBuf,
    /// Tag on every sample
    #[arg(long = "tag", value_name = "NAME=VALUE", value_parser = parse_tag)]
    tags: Vec<(String, String)>,
    /// Thresholds besides the script's own: spec.thresholds as JSON
    #[arg(long, value_name = "JSON", value_parser = parse_thresholds)]
    thresholds: Option<Thresholds>,
    /// Ship samples: an output wants them
    #[arg(long)]
    ship_samples: bool,
    /// Which dimensions the rows of each output have: a list of their `dimensions` in spec.outputs as JSON
    #[arg(long, value_name = "JSON", value_parser = parse_dimensions)]
    dimensions: Option<OutputDimensions>,
    /// Which outputs want rows of a second instead of samples, with which dimensions, and whether all do, as JSON
    #[arg(long, value_name = "JSON", value_parser = parse_rollups)]
    rollups: Option<Wanted>,
    /// Disk space for samples that no output has taken yet
    #[arg(long, value_name = "MIB", default_value_t = 1024, value_parser = clap::value_parser!(u32).range(1..))]
    spool_mib: u32,
    /// What happens to samples for which there is no room: Fail (the run) or Drop (them)
    #[arg(long, value_name = "POLICY", default_value = "Fail", value_parser = parse_on_full)]
    spool_on_full: OnFull,
    /// Give up after this many seconds without the aggregator
    #[arg(long, value_name = "SECONDS", default_value_t = 120)]
    orphan_seconds: u32,
    /// Be gone within this many seconds after SIGTERM
    #[arg(long, value_name = "SECONDS", default_value_t = 25)]
    grace_seconds: u32,
    /// Arguments of `k6 run`
    #[arg(last = true, value_name = "K6_ARGS")]
    passed: Vec<String>,
}

fn parse_tag(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err(format!("{text:?} is not of the form name=value")),
    }
}

fn parse_on_full(text: &str) -> Result<OnFull, String> {
    let policy = [OnFull::Fail, OnFull::Drop].into_iter().find(|policy| policy.as_str() == text);
    policy.ok_or_else(|| format!("{text:?} is neither Fail nor Drop"))
}

/// `spec.thresholds`.
type Thresholds = BTreeMap<String, Vec<Threshold>>;

fn parse_thresholds(text: &str) -> Result<Thresholds, String> {
    serde_json::from_str(text).map_err(|error| error.to_string())
}

/// The `dimensions` of each output.
type OutputDimensions = Vec<Option<Dimensions>>;

fn parse_rollups(text: &str) -> Result<Wanted, String> {
    serde_json::from_str(text).map_err(|error| error.to_string())
}

fn parse_dimensions(text: &str) -> Result<OutputDimensions, String> {
    serde_json::from_str(text).map_err(|error| error.to_string())
}

impl Args {
    pub(super) fn run(self) -> anyhow::Result<u8> {
        telemetry::init();
        let service_domain = dns::service_domain(Path::new(dns::RESOLV_CONF))
            .inspect_err(|error| tracing::debug!(%error, "no search list for names"))
            .unwrap_or_default();
        let (ca_pem, token) = (read(&self.ca_file)?, read(&self.token_file)?.trim().to_owned());
        let to = |endpoints: Vec<String>| {
            let (service_domain, ca_pem) = (service_domain.clone(), ca_pem.clone());
            let token = token.clone();
            Dialer::Grpc(Arc::new(GrpcDialer { endpoints, service_domain, ca_pem, token }))
        };
        let dialer = to(self.endpoints.clone());
        let writer = share::writer_of(self.instance_index.saturating_add(1), &self.writers)
            .map(|(replica, endpoint)| (replica, to(vec![endpoint.clone()])));
        let settings = Settings { writer, ..self.settings()? };
        let runtime = runtime::of_one_thread().context("start the runtime")?;
        let exit = runtime.block_on(async {
            let shutdown = shutdown::on_signal().context("listen for signals")?;
            tokio::spawn(reaper::reap());
            anyhow::Ok(agent::run(settings, dialer, shutdown).await)
        })?;
        // Not waited for: a task that still copies a log must not keep the pod.
        runtime.shutdown_background();
        match &exit {
            Exit::HandedOver => tracing::info!("all is handed over"),
            Exit::Failed(reason) => tracing::error!(reason, "not all could be handed over"),
        }
        Ok(exit.code())
    }

    fn settings(self) -> anyhow::Result<Settings> {
        if self.instance_index >= self.instances {
            bail!(
                "--instance-index {} is not below --instances {}",
                self.instance_index,
                self.instances
            );
        }
        Ok(Settings {
            run: self.run,
            instances: self.instances,
            instance_id: self.instance_index + 1,
            k6: self.k6,
            work_dir: self.work_dir,
            script: self.script,
            thresholds: self.thresholds.unwrap_or_default(),
            tags: self.tags.into_iter().collect(),
            args: self.passed,
            env: BTreeMap::new(),
            ship_samples: self.ship_samples,
            writer: None,
            dimensions: self.dimensions.unwrap_or_default(),
            rollups: self.rollups.unwrap_or_default(),
            spool: Limits::new(u64::from(self.spool_mib) << 20, self.spool_on_full),
            orphan_ms: i64::from(self.orphan_seconds) * 1000,
            grace_ms: i64::from(self.grace_seconds) * 1000,
            log_prefix: None,
        })
    }
}

fn read(path: &std::path::Path) -> anyhow::Result<String> {
    std::fs::read_to_string(path).with_context(|| format!("read {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn policies_are_written_as_in_the_spec() {
        for policy in [OnFull::Fail, OnFull::Drop] {
            assert_eq!(parse_on_full(policy.as_str()), Ok(policy));
            assert_eq!(serde_json::to_value(policy).unwrap(), policy.as_str());
        }
        assert!(parse_on_full("drop").is_err());
    }
}
