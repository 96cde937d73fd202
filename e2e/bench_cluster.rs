//! `make bench-cluster`: time from apply to the end over the script's own time, and start skew, on a real cluster: of
//! Weir and, turn by turn with it, of its peer grafana/k6-operator where that is installed. Prints; judges nothing.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::needless_pass_by_value,
    clippy::cast_precision_loss,
    dead_code,
    unused_imports,
    reason = "a benchmark over the tests' harness, of which it uses a part"
)]

mod bench_peer;
mod harness;

use std::{
    collections::BTreeMap,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use futures::{StreamExt, TryStreamExt};
use harness::{Row, World, assert_passed, condition, dimension, eventually, in_world};
use k8s_openapi::api::core::v1::Pod;
use kube::{
    ResourceExt,
    api::{DeleteParams, ListParams},
    runtime::{WatchStreamExt, watcher},
};
use serde_json::json;
use weir::api::v1alpha1::{ConditionType, LoadTest, LoadTestRun};

/// A load of exactly ten seconds on every instance: constant VUs, short iterations, no graceful stop to wait for. Each
/// instance has one VU, so its first iteration is one line of its log.
const TEN_SECONDS: &str = "
import { Counter } from 'k6/metrics'; import { sleep } from 'k6'; import exec from 'k6/execution';
const ticks = new Counter('ticks');
export const options = {scenarios: {all: {executor: 'constant-vus', vus: 4, duration: '10s', gracefulStop: '0s'}}};
export default function () {
  if (exec.vu.iterationInInstance === 0) console.log(`first iteration at ${Date.now()}`);
  ticks.add(1); sleep(0.01);
}
";
const SCRIPT_SECONDS: f64 = 10.0;
/// Runners of each run; as many as the script has VUs.
const RUNNERS: u32 = 4;

/// A run that came to its end.
struct Timing {
    started_s: f64,
    over_s: f64,
    skew_ms: f64,
}

/// When a run was applied.
struct Applied {
    at: Instant,
    unix_ms: f64,
}

impl Applied {
    fn now() -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock after 1970");
        Self { at: Instant::now(), unix_ms: since.as_secs_f64() * 1e3 }
    }

    /// The run ended just now; `first_ms` are the Unix times of its instances' first iterations.
    fn over(&self, over: Duration, first_ms: &[f64]) -> Timing {
        assert_eq!(first_ms.len(), RUNNERS as usize, "a first iteration of each instance");
        let earliest = first_ms.iter().copied().fold(f64::INFINITY, f64::min);
        let latest = first_ms.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        Timing {
            started_s: (earliest - self.unix_ms) / 1e3,
            over_s: over.as_secs_f64() - SCRIPT_SECONDS,
            skew_ms: latest - earliest,
        }
    }
}

#[tokio::main]
async fn main() {
    let rounds: usize =
        std::env::var("ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(20);
    // The peer's figure is steady after a few; its tries take the most time.
    let peer_rounds: usize =
        std::env::var("PEER_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(rounds);
    in_world("bench", |world| async move {
        world.timestream(&[]).await;
        let peer = match bench_peer::Peer::find(&world).await {
            Ok(peer) => Some(peer),
            Err(why) => {
                println!("{}: {why}; Weir's figures alone", bench_peer::NAME);
                None
            }
        };
        let (mut own, mut peers) = (Vec::new(), Vec::new());
        println!(
            "{:>5} {:<11} {:>10} {:>14} {:>8}",
            "round", "operator", "started s", "over script s", "skew ms"
        );
        for round in 1..=rounds {
            let outcome = Ok(weir(&world, round).await);
            print_try(round, "weir", &outcome);
            own.push(outcome);
            if let Some(peer) = peer.as_ref().filter(|_| round <= peer_rounds) {
                let outcome = peer.run(round).await;
                print_try(round, bench_peer::NAME, &outcome);
                peers.push(outcome);
            }
        }
        print_figures("weir", &own);
        if peer.is_some() {
            print_figures(bench_peer::NAME, &peers);
        }
    })
    .await;
}

fn print_try(round: usize, operator: &str, outcome: &Result<Timing, String>) {
    match outcome {
        Ok(Timing { started_s, over_s, skew_ms }) => {
            println!("{round:>5} {operator:<11} {started_s:>10.2} {over_s:>14.2} {skew_ms:>8.1}");
        }
        Err(why) => println!("{round:>5} {operator:<11} {why}"),
    }
}

fn print_figures(operator: &str, tries: &[Result<Timing, String>]) {
    println!("{operator}: {} of {} tries came to their end", ended(tries).count(), tries.len());
    for (name, unit, pick) in [
        ("apply to first iteration", "s", (|timing| timing.started_s) as fn(&Timing) -> f64),
        ("apply to the end, over the script's 10 s", "s", |timing| timing.over_s),
        ("first iterations of 4 runners apart", "ms", |timing| timing.skew_ms),
    ] {
        let mut values: Vec<f64> = ended(tries).map(pick).collect();
        values.sort_by(f64::total_cmp);
        let (Some(min), Some(max)) = (values.first(), values.last()) else { continue };
        let median = values[values.len() / 2];
        println!("{operator}: {name}: min {min:.2} median {median:.2} max {max:.2} {unit}");
    }
    let mut reasons: BTreeMap<&str, usize> = BTreeMap::new();
    for why in tries.iter().filter_map(|outcome| outcome.as_ref().err()) {
        *reasons.entry(why).or_default() += 1;
    }
    for (why, count) in reasons {
        println!("{operator}: {why}: {count} of {} tries", tries.len());
    }
}

fn ended(tries: &[Result<Timing, String>]) -> impl Iterator<Item = &Timing> {
    tries.iter().filter_map(|outcome| outcome.as_ref().ok())
}

async fn weir(world: &World, round: usize) -> Timing {
    let name = format!("bench{round}");
    let run = format!("{name}-1");
    let runs = world.api::<LoadTestRun>();
    let config = watcher::Config::default().fields(&format!("metadata.name={run}"));
    let mut events = watcher(runs, config).applied_objects().boxed();
    let spec = world.spec(RUNNERS, json!({"inline": TEN_SECONDS}), json!({}));
    let applied = Applied::now();
    world.apply(&name, spec).await.unwrap();
    let over = loop {
        let next = tokio::time::timeout(Duration::from_secs(120), events.try_next()).await;
        let found = next.expect("the run ends within two minutes").unwrap().unwrap();
        let complete = condition(&found, ConditionType::Complete);
        if complete.is_some_and(|(status, _, _)| status == "True") {
            let over = applied.at.elapsed();
            assert_passed(&found);
            break over;
        }
    };
    let timing = applied.over(over, &first_iterations_ms(&world.rows().await, &run));
    // Each try begins as the first did: its own pods and rows would be in the way of the next.
    world.forget_rows().await;
    world.api::<LoadTest>().delete(&name, &DeleteParams::default()).await.unwrap();
    eventually("the pods of the run are gone", 60, || async {
        let pods = world.api::<Pod>().list(&ListParams::default()).await;
        let pods = pods.map_err(|error| error.to_string())?;
        let left = pods.iter().filter(|pod| pod.name_any().starts_with(&format!("{run}-"))).count();
        if left == 0 { Ok(()) } else { Err(format!("{left} are left")) }
    })
    .await;
    timing
}

/// Unix time of the first sample of each of the run's instances, in milliseconds.
fn first_iterations_ms(rows: &[Row], run: &str) -> Vec<f64> {
    let mut first: BTreeMap<&str, i128> = BTreeMap::new();
    for row in
        rows.iter().filter(|row| row.measure_name == "ticks" && dimension(row, "testid") == run)
    {
        let earliest = first.entry(dimension(row, "instance_id")).or_insert(row.time_ns);
        *earliest = row.time_ns.min(*earliest);
    }
    first.into_values().map(|time_ns| time_ns as f64 / 1e6).collect()
}
