//! Logs: one JSON object a line on standard error, or text on a terminal; filtered by `WEIR_LOG` (default `info`).

pub use crate::core::error::chain;
use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

/// Installs the global subscriber. A second call changes nothing.
pub fn init() {
    install("info");
}

/// As [`init`], for a command that talks to a person: only warnings by default.
pub fn init_quiet() {
    install("warn");
}

fn install(default: &str) {
    let filter = EnvFilter::try_from_env("WEIR_LOG").unwrap_or_else(|_| EnvFilter::new(default));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let installed = if std::io::stderr().is_terminal() {
        builder.try_init()
    } else {
        builder.json().flatten_event(true).try_init()
    };
    drop(installed);
}
