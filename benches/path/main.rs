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
use scripts::{Load, Shape};
use serde_json::Value;
use server::Server;

// As in the binary.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Samples of the run that is taken off.
const FEW: u32 = 20_000;
/// Samples in a second of the runs that leave processors free: where all are busy, whatever runs beside k6 makes k6
/// itself dearer, in caches and in what waits in its memory.
const PACE: u32 = 50_000;
/// Samples of such a run.
const PACED_MAX: u32 = 500_000;
/// Samples in a second of the runs that show memory.
const PACES: [u32; 2] = [10_000, 100_000];

fn main() {
    weir::io::crypto::install();
    if env::var_os(aggregator::ROLE).is_some() {
        return aggregator::run();
    }
    let given = env::args().skip(1).find_map(|text| text.parse::<u32>().ok());
    let told = || env::var("SAMPLES").ok()?.parse().ok();
    let many = given.or_else(told).unwrap_or(1_000_000).max(PACE * 2);
    println!(
        "{many} samples a run, {}",
        if cfg!(debug_assertions) { "debug build" } else { "optimised build" }
    );
    // `memory` among the arguments: nothing else.
    let tables: &[Shape] =
        if env::args().any(|text| text == "memory") { &[] } else { &[Shape::Custom, Shape::Http] };
    for shape in tables {
        table(*shape, many, None);
        table(*shape, many.min(PACED_MAX), Some(PACE));
    }
    memory();
}

fn standin() -> Server {
    Server::standin(&["--table", "loadtests.samples"])
}

/// Measures something with few samples and with many, and tells what one more costs.
fn per_sample(few: u32, many: u32, measure: impl Fn(u32) -> Cost) -> Cost {
    let (less, all) = (measure(few), measure(many));
    all.less(&less, f64::from(many - few))
}

fn table(shape: Shape, many: u32, pace: Option<u32>) {
    println!();
    match pace {
        None => println!("{}, as fast as they come", shape.title()),
        Some(pace) => println!("{}, {pace} samples a second", shape.title()),
    }
    // k6 wants a paced load to take a second.
    let few = pace.unwrap_or(FEW);
    let per_sample = |measure: &dyn Fn(Load) -> Cost| {
        per_sample(few, many, |samples| measure(Load { shape, samples, pace }))
    };
    println!("{:<58} {:>8} {:>12}", "microseconds of processor time a sample", "µs", "above bare");
    let bare = per_sample(&|load| peers::k6(load, None)).k6;
    let row = |what: &str, us: f64| println!("{what:<58} {us:>8.2} {:>12.2}", us - bare);
    row("(a) bare k6", bare);
    let json = per_sample(&|load| peers::k6(load, Some("json=/dev/null"))).k6;
    row("(b) k6 --out json=/dev/null", json);
    let printed = per_sample(&peers::printed).k6;
    row("    k6 --out json, its reader throws all away", printed);
    let piped = per_sample(&peers::piped).k6;
    row("    k6 --out json=PIPE --tag …, its reader throws all away", piped);
    let csv = per_sample(&|load| peers::k6(load, Some("csv=/dev/null"))).k6;
    row("(c) k6 --out csv=/dev/null", csv);
    let sink = servers::Sink::start();
    let influx = per_sample(&|load| peers::k6(load, Some(&sink.influxdb()))).k6;
    row("(c) k6 --out influxdb, its server takes all at once", influx);
    match env::var_os("WEIR_XK6_TIMESTREAM") {
        Some(k6) => {
            let cost = per_sample(&|load| {
                let standin = standin();
                peers::xk6(&k6, load, &standin.endpoint())
            });
            row("    xk6-output-timestream into the stand-in", cost.k6);
        }
        None => println!("    xk6-output-timestream: not measured, WEIR_XK6_TIMESTREAM is not set"),
    }
    let verdict = per_sample(&|load| agent::weir(load, &Goal::Verdict));
    let batches = per_sample(&|load| agent::weir(load, &Goal::Batches));
    let rollup = per_sample(&|load| {
        let standin = standin();
        agent::weir(load, &Goal::Rollup(standin.endpoint()))
    });
    let whole = per_sample(&|load| {
        let standin = standin();
        let cost = agent::weir(load, &Goal::Samples(standin.endpoint()));
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
    println!(
        "      of it agent, aggregator, output {:>34.2}; standard output costs k6 {:.2} by itself",
        whole.total() - whole.k6,
        printed - json
    );
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
        disk::bytes(Load { shape, samples: FEW * 5, pace: None })
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
