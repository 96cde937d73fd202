//! The main job, on a cluster since only there the whole chain exists: apply → pods → rows → status.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;
use weir::api::v1alpha1::{ConditionType, LoadTest, LoadTestRun};

use crate::harness::{Row, World, assert_passed, condition, dimension, in_world};

/// 40 iterations over 8 VUs, a metric of each kind, each iteration's index as a value, tags of the script's own.
const FOUR_KINDS: &str = r"
import exec from 'k6/execution';
import { Counter, Gauge, Rate, Trend } from 'k6/metrics';
import { sleep } from 'k6';
const counter = new Counter('my_counter');
const gauge = new Gauge('my_gauge');
const rate = new Rate('my_rate');
const trend = new Trend('my_trend');
export const options = {
  scenarios: { all: { executor: 'shared-iterations', vus: 8, iterations: 40, maxDuration: '60s' } },
  tags: { own: 'script' },
};
export default function () {
  const i = exec.scenario.iterationInTest;
  counter.add(2);
  gauge.add(i);
  rate.add(i % 2 === 0);
  trend.add(i + 0.5);
  sleep(0.05);
}
";

#[tokio::test(flavor = "multi_thread")]
async fn every_sample_of_four_instances_is_a_row_and_every_iteration_runs_once() {
    in_world("main", |world| async move {
        world.timestream(&[]).await;
        // k6's own csv output on standard output is an independent account of what k6 emitted; quiet, so that no
        // progress bar stands in front of a line.
        let more =
            json!({"tags": {"team": "checkout"}, "k6": {"args": ["--quiet", "--out", "csv=-"]}});
        let spec = world.spec(4, json!({"inline": FOUR_KINDS}), more);
        world.apply("main", spec).await.unwrap();
        let run = world.complete("main-1", 90).await;
        let stored = assert_passed(&run);
        let rows = world.rows().await;
        assert_eq!(
            rows.len() as u64,
            stored,
            "rows in the stand-in and samples stored by the status"
        );

        let logs = world.runner_logs("main-1").await;
        assert_eq!(logs.len(), 4);
        let mut emitted: BTreeMap<String, usize> = BTreeMap::new();
        for metric in logs.iter().flat_map(|log| log.lines()).filter_map(csv_metric) {
            *emitted.entry(metric).or_default() += 1;
        }
        assert_eq!(
            by(&rows, |row| row.measure_name.clone()),
            emitted,
            "rows and k6's own csv, for each metric"
        );
        for (metric, count) in [
            ("my_counter", 40),
            ("my_gauge", 40),
            ("my_rate", 40),
            ("my_trend", 40),
            ("iterations", 40),
        ] {
            assert_eq!(emitted.get(metric), Some(&count), "{metric}");
        }

        let instances: BTreeSet<_> = rows.iter().map(|row| dimension(row, "instance_id")).collect();
        assert_eq!(instances, BTreeSet::from(["1", "2", "3", "4"]));
        for row in &rows {
            assert_eq!(dimension(row, "team"), "checkout", "{row:?}");
            assert_eq!(dimension(row, "own"), "script", "{row:?}");
            assert_eq!(dimension(row, "testid"), "main-1", "{row:?}");
            assert_eq!(row.kind, "DOUBLE", "{row:?}");
        }
        let mut indices: Vec<_> =
            rows.iter().filter(|r| r.measure_name == "my_trend").map(Row::number).collect();
        indices.sort_by(f64::total_cmp);
        let wanted: Vec<_> = (0..40).map(|i| f64::from(i) + 0.5).collect();
        assert_eq!(indices, wanted, "each iteration index exactly once over all segments");
        let sum: f64 =
            rows.iter().filter(|r| r.measure_name == "my_counter").map(Row::number).sum();
        assert!((sum - 80.0).abs() < f64::EPSILON, "{sum}");
        start_together(&rows);
        status_is_whole(&world, &run).await;
    })
    .await;
}

/// Prints the start skew; the bound is the benchmark's to show, since a shared machine may pause any process.
fn start_together(rows: &[Row]) {
    let mut first: BTreeMap<&str, i128> = BTreeMap::new();
    for row in rows.iter().filter(|row| row.measure_name == "my_counter") {
        let earliest = first.entry(dimension(row, "instance_id")).or_insert(row.time_ns);
        *earliest = row.time_ns.min(*earliest);
    }
    let (low, high) = (first.values().min().unwrap(), first.values().max().unwrap());
    println!("first samples of {} instances within {} ms", first.len(), (high - low) / 1_000_000);
}

async fn status_is_whole(world: &World, run: &LoadTestRun) {
    let status = run.status.as_ref().unwrap();
    assert_eq!((status.runners.wanted, status.runners.ready, status.runners.lost), (4, 4, 0));
    assert_eq!(status.exit_code, Some(0));
    assert!(status.start_time.is_some() && status.completion_time.is_some());
    assert_eq!(status.result_name.as_deref(), Some("main-1-result"));
    for kind in [ConditionType::RunnersReady, ConditionType::Started, ConditionType::Complete] {
        assert_eq!(condition(run, kind).unwrap().0, "True", "{kind:?}");
    }
    let results: kube::Api<k8s_openapi::api::core::v1::ConfigMap> = world.api();
    let result = results.get("main-1-result").await.unwrap();
    assert!(result.data.unwrap().contains_key("summary.json"));
    crate::harness::eventually("the LoadTest mirrors its run", 10, || async {
        let test = world.api::<LoadTest>().get("main").await.map_err(|error| error.to_string())?;
        let status = test.status.unwrap_or_default();
        let complete =
            status.conditions.iter().any(|c| c.type_ == "Complete" && c.status == "True");
        if complete && status.run.as_deref() == Some("main-1") {
            Ok(())
        } else {
            Err(format!("{status:?}"))
        }
    })
    .await;
    world.nothing_left_running("main-1", 30).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_load_tests_at_once_do_not_mix() {
    in_world("two", |world| async move {
        world.timestream(&[]).await;
        for name in ["left", "right"] {
            let spec =
                world.spec(2, json!({"inline": FOUR_KINDS}), json!({"tags": {"side": name}}));
            world.apply(name, spec).await.unwrap();
        }
        let mut stored = 0;
        for name in ["left", "right"] {
            stored += assert_passed(&world.complete(&format!("{name}-1"), 120).await);
        }
        let rows = world.rows().await;
        assert_eq!(rows.len() as u64, stored);
        for row in &rows {
            assert_eq!(
                dimension(row, "testid"),
                format!("{}-1", dimension(row, "side")),
                "{row:?}"
            );
        }
        for name in ["left", "right"] {
            let mine = rows
                .iter()
                .filter(|r| dimension(r, "side") == name && r.measure_name == "my_trend");
            assert_eq!(mine.count(), 40, "{name}");
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_spec_starts_the_next_run_and_an_unchanged_one_does_not() {
    in_world("again", |world| async move {
        world.timestream(&[]).await;
        let script =
            "export const options = {vus: 1, iterations: 2}; export default function () {}";
        world.apply("again", world.spec(1, json!({"inline": script}), json!({}))).await.unwrap();
        assert_passed(&world.complete("again-1", 60).await);
        world.apply("again", world.spec(1, json!({"inline": script}), json!({}))).await.unwrap();
        let changed = world.spec(1, json!({"inline": script}), json!({"tags": {"round": "2"}}));
        world.apply("again", changed).await.unwrap();
        assert_passed(&world.complete("again-2", 60).await);
        let runs =
            world.api::<LoadTestRun>().list(&kube::api::ListParams::default()).await.unwrap();
        assert_eq!(runs.items.len(), 2);
    })
    .await;
}

/// The metric of a line of k6's csv output (`metric_name,timestamp,metric_value,…`), where it is one.
fn csv_metric(line: &str) -> Option<String> {
    let mut fields = line.split(',');
    let (name, time) = (fields.next()?, fields.next()?);
    time.parse::<u64>().ok()?;
    Some(name.to_owned())
}

fn by(rows: &[Row], key: impl Fn(&Row) -> String) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for row in rows {
        *counts.entry(key(row)).or_default() += 1;
    }
    counts
}
