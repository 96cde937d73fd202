//! The progress line: where the run stands, in one line.

use crate::wire::result::{RunResult, Stage};

/// The line for `result`, `elapsed_ms` after the command was given.
pub(super) fn line(result: &RunResult, elapsed_ms: i64) -> String {
    let seconds = elapsed_ms.max(0) / 1000;
    let (minutes, seconds) = (seconds / 60, seconds % 60);
    let stage = match result.stage {
        Stage::Gathering => "preparing",
        Stage::Setup => "setup",
        Stage::Running => "running",
        Stage::Teardown => "teardown",
        Stage::Draining => "draining",
        Stage::Over => "over",
    };
    let head =
        format!("{minutes:02}:{seconds:02} {stage:<9} {}/{} ready", result.ready, result.wanted);
    let mut parts = Vec::new();
    if result.stage >= Stage::Running {
        parts.push(format!("{} VUs", result.vus));
    }
    for output in &result.outputs {
        let rejected: u64 = output.rejected.values().sum();
        let tail = if rejected > 0 { format!(", {rejected} rejected") } else { String::new() };
        parts.push(format!(
            "{}: {} emitted, {} stored{tail}",
            output.name, output.emitted, output.stored
        ));
    }
    if !result.lost.is_empty() {
        parts.push(format!("{} lost", result.lost.len()));
    }
    if result.stage == Stage::Gathering && !result.message.is_empty() {
        parts.push(result.message.clone());
    }
    parts.insert(0, head);
    parts.join("  ")
}
