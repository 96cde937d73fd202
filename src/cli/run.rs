//! `weir run`: a LoadTest on this machine.

use std::{
    io::Write,
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};

use crate::{
    core::lifecycle::valid::PARALLELISM_MAX,
    io::{crypto, telemetry},
    run::{
        input::{self, LocalScript},
        local::{self, Options},
    },
    wire::result::{Artifacts, RunResult},
};

/// Exit code of a run that ended without a verdict; k6 uses 0 and 97 to 110.
const NO_OUTCOME: u8 = 1;

/// Arguments of `weir run`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// A LoadTest (YAML or JSON), or a bare k6 script or archive
    file: PathBuf,
    /// Number of k6 instances; overrides the file's
    #[arg(short = 'n', long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=i64::from(PARALLELISM_MAX)))]
    parallelism: Option<u32>,
    /// The script to run in place of the file's own
    #[arg(long, value_name = "PATH")]
    script: Option<PathBuf>,
    /// The k6 binary
    #[arg(long, value_name = "PATH", default_value = "k6")]
    k6: PathBuf,
    /// Write the result as JSON to this file
    #[arg(long, value_name = "FILE")]
    result: Option<PathBuf>,
    /// Further arguments of `k6 run`, after the file's own
    #[arg(last = true, value_name = "K6_ARGS")]
    passed: Vec<String>,
}

impl Args {
    pub(super) fn run(self) -> anyhow::Result<u8> {
        telemetry::init_quiet();
        crypto::install();
        let mut local = input::read(&self.file)?;
        if let Some(path) = self.script {
            if !path.is_file() {
                bail!("--script: {} is not a file", path.display());
            }
            local.script = LocalScript::File(path);
        }
        if let Some(parallelism) = self.parallelism {
            local.test.parallelism = parallelism;
        }
        local.test.k6.args.extend(self.passed);
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()
            .context("start the runtime")?;
        let result = runtime.block_on(local::run(Options { local, k6: self.k6 }))?;
        runtime.shutdown_background();
        write_artifacts(&result.artifacts).context("write to standard output")?;
        print(&result).context("write to standard output")?;
        if let Some(path) = &self.result {
            save(&result, path)?;
        }
        Ok(result
            .outcome
            .map_or(NO_OUTCOME, |outcome| u8::try_from(outcome.exit_code).unwrap_or(NO_OUTCOME)))
    }
}

/// Writes what one k6 would have written, where it would have.
fn write_artifacts(artifacts: &Artifacts) -> std::io::Result<()> {
    for (name, content) in &artifacts.files {
        match name.as_str() {
            "stdout" => std::io::stdout().lock().write_all(content)?,
            "stderr" => std::io::stderr().lock().write_all(content)?,
            path => {
                if let Err(error) = std::fs::write(path, content) {
                    tracing::error!(path, %error, "the summary could not be saved");
                }
            }
        }
    }
    if let Some(error) = &artifacts.error {
        tracing::error!(error, "failed to handle the end-of-test summary");
    }
    Ok(())
}

/// The account and the verdict: to standard error, since standard output is the script's.
fn print(result: &RunResult) -> std::io::Result<()> {
    let mut out = std::io::stderr().lock();
    writeln!(out)?;
    for output in &result.outputs {
        let rejected: u64 = output.rejected.values().sum();
        let (emitted, stored) = (output.emitted, output.stored);
        write!(out, "output {}: {emitted} samples emitted = {stored} stored", output.name)?;
        write!(out, " + {rejected} rejected")?;
        if output.in_flight > 0 {
            write!(out, " + {} that never arrived", output.in_flight)?;
        }
        match output.duplicates_ignored {
            0 => writeln!(out)?,
            ignored => writeln!(out, " ({ignored} duplicates ignored)")?,
        }
        for (reason, count) in &output.rejected {
            writeln!(out, "  rejected {reason}: {count}")?;
        }
    }
    for lost in &result.lost {
        writeln!(out, "instance {} was lost: {}", lost.instance_id, lost.reason)?;
    }
    match &result.outcome {
        Some(outcome) => writeln!(
            out,
            "{}: {} (exit code {})",
            outcome.reason.as_str(),
            outcome.message,
            outcome.exit_code
        ),
        None => writeln!(out, "the run ended without a verdict: {}", result.message),
    }
}

fn save(result: &RunResult, path: &Path) -> anyhow::Result<()> {
    let mut text = serde_json::to_string_pretty(result).context("encode the result")?;
    text.push('\n');
    std::fs::write(path, text).with_context(|| format!("--result: write {}", path.display()))
}
