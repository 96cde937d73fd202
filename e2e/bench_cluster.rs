//! `make bench-cluster`: time from apply to Complete over the script's own time, and start skew, on a real cluster.
//! Prints; judges nothing.
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

mod harness;

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use futures::{StreamExt, TryStreamExt};
use harness::{Row, World, assert_passed, condition, dimension, in_world};
use kube::runtime::{WatchStreamExt, watcher};
use serde_json::json;
use weir::api::v1alpha1::{ConditionType, LoadTestRun};

/// A load of exactly ten seconds on every instance: constant VUs, short iterations, no graceful stop to wait for.
const TEN_SECONDS: &str = "
import { Counter } from 'k6/metrics'; import { sleep } from 'k6';
const ticks = new Counter('ticks');
export const options = {scenarios: {all: {executor: 'constant-vus', vus: 4, duration: '10s', gracefulStop: '0s'}}};
export default function () { ticks.add(1); sleep(0.01); }
";
const SCRIPT_SECONDS: f64 = 10.0;

struct Sample {
    ready_s: f64,
    over_s: f64,
    skew_ms: f64,
}

#[tokio::main]
async fn main() {
    let rounds: usize =
        std::env::var("ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(20);
    let mut samples = Vec::new();
    in_world("bench", |world| async move {
        world.timestream(&[]).await;
        println!("{:>5} {:>10} {:>14} {:>12}", "round", "started s", "over script s", "skew ms");
        for round in 1..=rounds {
            let sample = one(&world, round).await;
            println!(
                "{round:>5} {:>10.2} {:>14.2} {:>12.1}",
                sample.ready_s, sample.over_s, sample.skew_ms
            );
            samples.push(sample);
        }
        for (name, unit, pick) in [
            ("apply to load started", "s", (|s| s.ready_s) as fn(&Sample) -> f64),
            ("apply to Complete, over the script's 10 s", "s", |s| s.over_s),
            ("first samples of 4 runners apart", "ms", |s| s.skew_ms),
        ] {
            let mut values: Vec<f64> = samples.iter().map(pick).collect();
            values.sort_by(f64::total_cmp);
            let (min, median, max) =
                (values[0], values[values.len() / 2], values[values.len() - 1]);
            println!(
                "{name}: min {min:.2} median {median:.2} max {max:.2} {unit} of {rounds} rounds"
            );
        }
    })
    .await;
}

async fn one(world: &World, round: usize) -> Sample {
    let name = format!("bench{round}");
    let run = format!("{name}-1");
    let runs = world.api::<LoadTestRun>();
    let config = watcher::Config::default().fields(&format!("metadata.name={run}"));
    let mut events = watcher(runs, config).applied_objects().boxed();
    let spec = world.spec(4, json!({"inline": TEN_SECONDS}), json!({}));
    let applied = Instant::now();
    world.apply(&name, spec).await.unwrap();
    let mut started = None;
    let over = loop {
        let next = tokio::time::timeout(Duration::from_secs(120), events.try_next()).await;
        let found = next.expect("the run ends within two minutes").unwrap().unwrap();
        let is = |kind| condition(&found, kind).is_some_and(|(status, _, _)| status == "True");
        if started.is_none() && is(ConditionType::Started) {
            started = Some(applied.elapsed());
        }
        if is(ConditionType::Complete) {
            let over = applied.elapsed();
            assert_passed(&found);
            break over;
        }
    };
    let skew_ms = skew(&world.rows().await, &run);
    Sample {
        ready_s: started.unwrap_or(over).as_secs_f64(),
        over_s: over.as_secs_f64() - SCRIPT_SECONDS,
        skew_ms,
    }
}

/// Milliseconds between the earliest and the latest first iteration of the run's instances, by the samples' own times.
fn skew(rows: &[Row], run: &str) -> f64 {
    let mut first: BTreeMap<&str, i128> = BTreeMap::new();
    for row in
        rows.iter().filter(|row| row.measure_name == "ticks" && dimension(row, "testid") == run)
    {
        let earliest = first.entry(dimension(row, "instance_id")).or_insert(row.time_ns);
        *earliest = row.time_ns.min(*earliest);
    }
    assert_eq!(first.len(), 4, "samples of four instances");
    (first.values().max().unwrap() - first.values().min().unwrap()) as f64 / 1e6
}
