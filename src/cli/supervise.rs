//! `weir supervise`.

use std::ffi::OsString;

use anyhow::Context;

use crate::{
    aggregator::supervisor,
    io::{shutdown, telemetry},
};

/// Arguments of `weir supervise`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Command of weir, with its arguments
    #[arg(
        required = true,
        trailing_var_arg = true,
        allow_hyphen_values = true,
        value_name = "COMMAND"
    )]
    command: Vec<OsString>,
}

impl Args {
    pub(super) fn run(self) -> anyhow::Result<u8> {
        telemetry::init();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .context("start the runtime")?;
        runtime.block_on(self.supervise())
    }

    async fn supervise(self) -> anyhow::Result<u8> {
        let shutdown = shutdown::on_signal().context("listen for signals")?;
        let program = std::env::current_exe().context("find this executable")?;
        supervisor::supervise(&program, &self.command, &shutdown)
            .await
            .with_context(|| format!("start {}", program.display()))
    }

    /// What is supervised.
    #[cfg(test)]
    pub(super) fn words(&self) -> Vec<String> {
        self.command.iter().map(|word| word.to_string_lossy().into_owned()).collect()
    }
}
