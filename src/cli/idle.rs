//! `weir idle`.

use anyhow::Context;
use nix::sys::signal::{SigSet, Signal};

/// Arguments of `weir idle`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {}

impl Args {
    #[expect(clippy::unused_self, reason = "every command is run alike")]
    pub(super) fn run(&self) -> anyhow::Result<u8> {
        let signals: SigSet = [Signal::SIGTERM, Signal::SIGINT].into_iter().collect();
        // Blocked first: as PID 1 of a container a signal without handler would be ignored, elsewhere it would kill.
        signals.thread_block().context("block the signals")?;
        signals.wait().context("wait for a signal")?;
        Ok(0)
    }
}
