//! One table: every row measured in every round, and what the rounds say together.

use std::env;

use serde_json::Value;

use crate::{agent, aggregator::Goal, cost::Cost, disk, peers, scripts::Load, servers, standin};

/// Samples of the run that is taken off.
const FEW: u32 = 20_000;

/// What one sample costs in each row, of one round.
struct Round {
    bare: f64,
    json: f64,
    printed: f64,
    piped: f64,
    csv: f64,
    influxdb: f64,
    xk6: Option<f64>,
    verdict: Cost,
    batches: Cost,
    rollup: Cost,
    whole: Cost,
}

impl Round {
    fn measure(load: Load) -> Self {
        let per_sample = |measure: &dyn Fn(Load) -> Cost| per_sample(load, measure);
        let k6 = |out: Option<&str>| per_sample(&|load| peers::k6(load, out)).k6;
        let sink = servers::Sink::start();
        Self {
            bare: k6(None),
            json: k6(Some("json=/dev/null")),
            printed: per_sample(&peers::printed).k6,
            whole: per_sample(&whole),
            batches: per_sample(&|load| agent::weir(load, &Goal::Batches)),
            verdict: per_sample(&|load| agent::weir(load, &Goal::Verdict)),
            rollup: per_sample(&|load| {
                let standin = standin();
                agent::weir(load, &Goal::Rollup(standin.endpoint()))
            }),
            xk6: env::var_os("WEIR_XK6_TIMESTREAM").map(|k6| {
                let measure = |load| {
                    let standin = standin();
                    peers::xk6(&k6, load, &standin.endpoint())
                };
                per_sample(&measure).k6
            }),
            piped: per_sample(&peers::piped).k6,
            csv: k6(Some("csv=/dev/null")),
            influxdb: k6(Some(&sink.influxdb())),
        }
    }

    fn output(&self) -> f64 {
        self.whole.aggregator - self.batches.aggregator
    }

    fn on_top(&self) -> f64 {
        self.whole.total() - self.json
    }
}

/// Weir from k6 to Timestream rows.
fn whole(load: Load) -> Cost {
    let standin = standin();
    let cost = agent::weir(load, &Goal::Samples(standin.endpoint()));
    let stats: Value = serde_json::from_str(&standin.ask("GET", "/stats", "")).expect("JSON");
    assert_eq!(stats["stored_rows"], cost.stored, "every sample is a row");
    cost
}

/// Measures something with few samples and with many, and tells what one more costs.
fn per_sample(load: Load, measure: &dyn Fn(Load) -> Cost) -> Cost {
    // k6 wants a paced load to take a second.
    let few = load.pace.unwrap_or(FEW);
    let (less, all) = (measure(Load { samples: few, ..load }), measure(load));
    all.less(&less, f64::from(load.samples - few))
}

/// What the rounds say together: their median, and how far apart they are.
struct Said {
    median: f64,
    least: f64,
    most: f64,
}

impl Said {
    fn of(rounds: &[Round], figure: impl Fn(&Round) -> f64) -> Self {
        let mut figures: Vec<f64> = rounds.iter().map(figure).collect();
        figures.sort_by(f64::total_cmp);
        let at = |place: usize| figures.get(place).copied().unwrap_or(f64::NAN);
        let last = figures.len().saturating_sub(1);
        Self {
            median: f64::midpoint(at(last / 2), at(last.div_ceil(2))),
            least: at(0),
            most: at(last),
        }
    }
}

fn row(what: &str, said: &Said, more: &str) {
    println!("{what:<58} {:>8.2} {:>8.2} {:>8.2}   {more}", said.median, said.least, said.most);
}

fn print_title(Load { shape, samples, pace }: Load, rounds: usize) {
    println!();
    match pace {
        None => println!("{}, as fast as they come", shape.title()),
        Some(pace) => println!("{}, {pace} samples a second", shape.title()),
    }
    println!("{samples} samples a run, {rounds} rounds");
}

/// Measures Weir to Timestream rows and nothing beside it, and prints each round.
pub(crate) fn print_whole(load: Load, rounds: usize) {
    print_title(load, rounds);
    for _ in 0..rounds {
        let Cost { k6, agent, aggregator, .. } = per_sample(load, &whole);
        println!("k6 {k6:.2}, agent {agent:.2}, aggregator with its output {aggregator:.2}");
    }
}

/// Measures and prints the table of one load.
pub(crate) fn print(load: Load, rounds: usize) {
    let Load { shape, .. } = load;
    print_title(load, rounds);
    let rounds: Vec<Round> = (0..rounds).map(|_| Round::measure(load)).collect();
    let says = |figure: &dyn Fn(&Round) -> f64| Said::of(&rounds, figure);
    println!(
        "{:<58} {:>8} {:>8} {:>8}",
        "microseconds of processor time a sample", "median", "least", "most"
    );
    let line = |what: &str, figure: &dyn Fn(&Round) -> f64, more: &str| {
        row(what, &says(figure), more);
    };
    line("(a) bare k6", &|round| round.bare, "");
    line("(b) k6 --out json=/dev/null", &|round| round.json, "");
    line("    k6 --out json, its reader throws all away", &|round| round.printed, "");
    line("    k6 --out json=PIPE --tag …, its reader throws all away", &|round| round.piped, "");
    line("(c) k6 --out csv=/dev/null", &|round| round.csv, "");
    line("(c) k6 --out influxdb, its server takes all at once", &|round| round.influxdb, "");
    if env::var_os("WEIR_XK6_TIMESTREAM").is_some() {
        let xk6 = |round: &Round| round.xk6.unwrap_or(f64::NAN);
        line("    xk6-output-timestream into the stand-in", &xk6, "");
    } else {
        println!("    xk6-output-timestream: not measured, WEIR_XK6_TIMESTREAM is not set");
    }
    line("    Weir, verdict only, all in all", &|round| round.verdict.total(), "");
    line("    Weir to rows of a second, all in all", &|round| round.rollup.total(), "");
    line("(d) Weir to Timestream rows, all in all", &|round| round.whole.total(), "");
    line("      k6's own part", &|round| round.whole.k6, "");
    line("      agent", &|round| round.whole.agent, "at most 0.5");
    line("      agent, verdict only", &|round| round.verdict.agent, "");
    line("      agent, rows of a second", &|round| round.rollup.agent, "");
    line("      aggregator", &|round| round.batches.aggregator, "");
    line("      its output: request, signature, HTTP", &Round::output, "");
    println!("differences within a round:");
    line("    (d) on top of (a)", &|round| round.whole.total() - round.bare, "");
    line(
        "    xk6-output-timestream on top of (a)",
        &|round| round.xk6.unwrap_or(f64::NAN) - round.bare,
        "",
    );
    line("    (d) on top of (b)", &Round::on_top, "at most 2");
    line(
        "      of it agent, aggregator, output",
        &|round| round.whole.total() - round.whole.k6,
        "",
    );
    line("      of it k6's own part", &|round| round.whole.k6 - round.json, "");
    line("      standard output costs k6 by itself", &|round| round.printed - round.json, "");

    // What is less than this cannot be told from nothing.
    let rate = |figure: &dyn Fn(&Round) -> f64| {
        let us = says(figure).median;
        if us < 0.01 { "over 100".to_owned() } else { format!("{:.2}", 1.0 / us) }
    };
    println!();
    println!("million samples a second that one processor of the aggregator takes:");
    println!(
        "  verdict only {}, Rollup {} (at least 2), Samples to batches {}, Samples {}",
        rate(&|round| round.verdict.aggregator),
        rate(&|round| round.rollup.aggregator),
        rate(&|round| round.batches.aggregator),
        rate(&|round| round.whole.aggregator)
    );
    println!(
        "bytes a sample on the wire, with TLS, TCP and ledgers: {:.1} (at most 12); rows of a second {:.1}, with the calls; on disk {:.1}",
        says(&|round| round.batches.wire_bytes).median,
        says(&|round| round.rollup.wire_bytes).median,
        disk::bytes(Load { shape, samples: FEW * 5, pace: None })
    );
}
