//! What a sample costs from k6 to the stored row, in processor time as the operating system counts it, beside what k6
//! itself and its own outputs take: one table, measured in one run. Judges nothing.
//!
//! Every figure is a difference: a run of many samples less a run of few, so that what a process needs to begin and to end
//! does not count. `WEIR_K6` and `WEIR_STANDIN` are the binaries; `WEIR_XK6_TIMESTREAM`, where it is set, a k6 with
//! xk6-output-timestream. `SAMPLES` (or the first number among the arguments) tells how many samples a run has.
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

use std::env;

use aggregator::Goal;
use cost::Cost;
use scripts::Shape;
use serde_json::Value;
use server::Server;

// As in the binary.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Samples of the run that is taken off.
const FEW: u32 = 20_000;
/// Samples in a second of the runs that show memory.
const PACES: [u32; 2] = [10_000, 100_000];

fn main() {
    weir::io::crypto::install();
    if env::var_os(aggregator::ROLE).is_some() {
        return aggregator::run();
    }
    let given = env::args().skip(1).find_map(|text| text.parse::<u32>().ok());
    let told = || env::var("SAMPLES").ok()?.parse().ok();
    let many = given.or_else(told).unwrap_or(1_000_000).max(FEW * 2);
    println!(
        "{many} samples a run, {}",
        if cfg!(debug_assertions) { "debug build" } else { "optimised build" }
    );
    // `memory` among the arguments: nothing else.
    let tables: &[Shape] =
        if env::args().any(|text| text == "memory") { &[] } else { &[Shape::Custom, Shape::Http] };
    for shape in tables {
        table(*shape, many);
    }
    memory();
}

fn standin() -> Server {
    Server::standin(&["--table", "loadtests.samples"])
}

/// Measures something with few samples and with many, and tells what one more costs.
fn per_sample(many: u32, measure: impl Fn(u32) -> Cost) -> Cost {
    let (few, all) = (measure(FEW), measure(many));
    all.less(&few, f64::from(many - FEW))
}

fn table(shape: Shape, many: u32) {
    println!();
    println!("{}", shape.title());
    println!("{:<58} {:>8} {:>12}", "microseconds of processor time a sample", "µs", "above bare");
    let bare = per_sample(many, |n| peers::k6(shape, n, None)).k6;
    let row = |what: &str, us: f64| println!("{what:<58} {us:>8.2} {:>12.2}", us - bare);
    row("(a) bare k6", bare);
    let json = per_sample(many, |n| peers::k6(shape, n, Some("json=/dev/null"))).k6;
    row("(b) k6 --out json=/dev/null", json);
    let piped = per_sample(many, |n| peers::piped(shape, n)).k6;
    row("    k6 --out json=PIPE, its reader throws all away", piped);
    let csv = per_sample(many, |n| peers::k6(shape, n, Some("csv=/dev/null"))).k6;
    row("(c) k6 --out csv=/dev/null", csv);
    let sink = servers::Sink::start();
    let influx = per_sample(many, |n| peers::k6(shape, n, Some(&sink.influxdb()))).k6;
    row("(c) k6 --out influxdb, its server takes all at once", influx);
    match env::var_os("WEIR_XK6_TIMESTREAM") {
        Some(k6) => {
            let cost = per_sample(many, |n| {
                let standin = standin();
                peers::xk6(&k6, shape, n, &standin.endpoint())
            });
            row("    xk6-output-timestream into the stand-in", cost.k6);
        }
        None => println!("    xk6-output-timestream: not measured, WEIR_XK6_TIMESTREAM is not set"),
    }
    let verdict = per_sample(many, |n| agent::weir(shape, n, None, &Goal::Verdict));
    let batches = per_sample(many, |n| agent::weir(shape, n, None, &Goal::Batches));
    let rollup = per_sample(many, |n| {
        let standin = standin();
        agent::weir(shape, n, None, &Goal::Rollup(standin.endpoint()))
    });
    let whole = per_sample(many, |n| {
        let standin = standin();
        let cost = agent::weir(shape, n, None, &Goal::Samples(standin.endpoint()));
        let stats: Value = serde_json::from_str(&standin.ask("GET", "/stats", "")).unwrap();
        assert_eq!(stats["stored_rows"], cost.stored, "every sample is a row");
        cost
    });
    row("    Weir, verdict only, all in all", verdict.total());
    row("    Weir to rows of a second, all in all", rollup.total());
    row("(d) Weir to Timestream rows, all in all", whole.total());
    println!("      k6's own part {:>52.2}", whole.k6);
    println!(
        "      agent {:>60.2}   (at most 0.5; verdict only {:.2}, rows of a second {:.2})",
        whole.agent, verdict.agent, rollup.agent
    );
    println!("      aggregator {:>55.2}", batches.aggregator);
    println!(
        "      its output: request, signature, HTTP {:>29.2}",
        whole.aggregator - batches.aggregator
    );
    println!("    on top of (b) {:>54.2}   (at most 2)", whole.total() - json);
    println!("    agent, aggregator and output alone {:>33.2}", whole.total() - whole.k6);
    // What is less than this cannot be told from nothing.
    let rate = |us: f64| {
        if us < 0.01 { "over 100".to_owned() } else { format!("{:.2}", 1.0 / us) }
    };
    println!();
    println!("million samples a second that one processor of the aggregator takes:");
    println!(
        "  verdict only {}, Rollup {} (at least 2), Samples to batches {}, Samples {}",
        rate(verdict.aggregator),
        rate(rollup.aggregator),
        rate(batches.aggregator),
        rate(whole.aggregator)
    );
    println!(
        "bytes a sample on the wire, with TLS, TCP and ledgers: {:.1} (at most 12); rows of a second {:.1}, with the calls; on disk {:.1}",
        batches.wire_bytes,
        rollup.wire_bytes,
        disk::bytes(shape, FEW * 5)
    );
}

fn memory() {
    println!();
    println!(
        "{:<44} {:>18} {:>18}",
        "most memory in MiB (with the program's pages)", "agent", "aggregator"
    );
    for pace in PACES {
        let standin = standin();
        let cost =
            agent::weir(Shape::Http, pace * 10, Some(pace), &Goal::Samples(standin.endpoint()));
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
