//! What a sample costs from k6 to the stored row, in processor time as the operating system counts it, beside what k6
//! itself and its own outputs take: one table, measured in one run. Judges nothing.
//!
//! Every figure is a difference: a run of many samples less a run of few, so that what a process needs to begin and to end
//! does not count. `WEIR_K6` and `WEIR_STANDIN` are the binaries; `WEIR_XK6_TIMESTREAM`, where it is set, a k6 with
//! xk6-output-timestream. `SAMPLES` (or the first number among the arguments) tells how many samples a run has. A word
//! picks a part: `custom`, `http`, `free`, `paced`, `memory`; `whole` measures Weir to Timestream rows alone, to be
//! profiled.
//!
//! The machine is shared and its speed changes: every row is measured in each of some rounds (`ROUNDS`), one row after the
//! other, and the table shows the median of a row, and of a difference the median of what it was within each round.
#![expect(clippy::expect_used, reason = "a benchmark that cannot be set up has nothing to say")]
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a benchmark that cannot be set up has nothing to say"
)]
#![expect(clippy::print_stdout, reason = "the table is what it is for")]

mod agent;
mod aggregator;
mod cost;
mod disk;
mod peers;
mod scripts;
#[path = "../../e2e/server.rs"]
mod server;
mod servers;
mod table;

use std::env;

use aggregator::Goal;
use scripts::{Load, Shape};
use server::Server;

// As in the binary.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Samples in a second of the runs that leave processors free: where all are busy, whatever runs beside k6 makes k6
/// itself dearer, in caches and in what waits in its memory.
const PACE: u32 = 50_000;
/// Samples of such a run.
const PACED_MAX: u32 = 300_000;
/// Samples in a second of the runs that show memory.
const PACES: [u32; 2] = [10_000, 100_000];
const ROUNDS: usize = 3;

fn main() {
    weir::io::crypto::install();
    if env::var_os(aggregator::ROLE).is_some() {
        return aggregator::run();
    }
    let words: Vec<String> = env::args().skip(1).collect();
    let has = |word: &str| words.iter().any(|given| given == word);
    let wants = |one: &str, other: &str| !has("memory") && (has(one) || !has(other));
    let print = if has("whole") { table::print_whole } else { table::print };
    let told = |name: &str| env::var(name).ok()?.parse().ok();
    let given = words.iter().find_map(|text| text.parse::<u32>().ok());
    let many = given.or_else(|| told("SAMPLES")).unwrap_or(500_000).max(PACE * 2);
    let rounds = told("ROUNDS").and_then(|rounds| usize::try_from(rounds).ok()).unwrap_or(ROUNDS);
    println!("{}", if cfg!(debug_assertions) { "debug build" } else { "optimised build" });
    for (shape, is_wanted) in
        [(Shape::Custom, wants("custom", "http")), (Shape::Http, wants("http", "custom"))]
    {
        if is_wanted && wants("free", "paced") {
            print(Load { shape, samples: many, pace: None }, rounds);
        }
        if is_wanted && wants("paced", "free") {
            print(Load { shape, samples: many.min(PACED_MAX), pace: Some(PACE) }, rounds);
        }
    }
    if !["custom", "http", "free", "paced", "whole"].into_iter().any(has) {
        memory();
    }
}

fn standin() -> Server {
    Server::standin(&["--table", "loadtests.samples"])
}

fn memory() {
    println!();
    println!(
        "{:<44} {:>18} {:>18}",
        "most memory in MiB (with the program's pages)", "agent", "aggregator"
    );
    for pace in PACES {
        let standin = standin();
        let cost = agent::weir(
            Load { shape: Shape::Http, samples: pace * 10, pace: Some(pace) },
            &Goal::Samples(standin.endpoint()),
        );
        let text = |memory: cost::Memory| format!("{} ({})", memory.own / 1024, memory.peak / 1024);
        println!(
            "{:<44} {:>18} {:>18}",
            format!("{pace} samples a second for 10 s"),
            text(cost.agent_memory),
            text(cost.aggregator_memory),
        );
    }
    println!("{:<44} {:>18} {:>18}", "bound", "32", "256");
}
