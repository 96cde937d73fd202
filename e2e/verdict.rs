//! One verdict for all instances, on a cluster since only there it reaches a status, a ConfigMap and `kubectl wait`.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::ConfigMap;
use serde_json::{Value, json};
use weir::api::v1alpha1::{ConditionType, LoadTestRun, Reason, ThresholdStatus};

use crate::harness::{Row, World, assert_failed, assert_passed, dimension, in_world};

/// 40 iterations over 8 VUs whose values are known: `took` is 0 to 39, `seen` counts 40, `even` is half of them.
const KNOWN: &str = "
import exec from 'k6/execution';
import http from 'k6/http';
import { Counter, Rate, Trend } from 'k6/metrics';
import { check, group, sleep } from 'k6';
const seen = new Counter('seen');
const even = new Rate('even');
const took = new Trend('took');
export const options = {
  scenarios: { all: { executor: 'shared-iterations', vus: 8, iterations: 40, maxDuration: '60s' } },
  thresholds: { took: ['p(90)<35.1', 'p(90)>35.1', 'max<40'], even: ['rate==0.5'], 'seen{odd:yes}': ['count==20'] },
};
export function setup() {
  http.post(`${__ENV.TARGET}/count/setup`);
  return { given: 7 };
}
export default function (data) {
  const i = exec.scenario.iterationInTest;
  seen.add(1, { odd: i % 2 ? 'yes' : 'no' });
  even.add(i % 2 === 0);
  took.add(i);
  group('shop', () => check(data, { 'data of setup': (d) => d.given === 7 }));
  sleep(0.05);
}
export function teardown(data) {
  http.post(`${__ENV.TARGET}/count/teardown${data.given}`);
}
";

async fn counts(world: &World) -> BTreeMap<String, u64> {
    serde_json::from_str(&world.get("target", "/counts").await.unwrap()).unwrap()
}

async fn result(world: &World, run: &str) -> BTreeMap<String, String> {
    let map = world.api::<ConfigMap>().get(&format!("{run}-result")).await.unwrap();
    map.data.unwrap_or_default()
}

fn judged<'a>(run: &'a LoadTestRun, metric: &str, threshold: &str) -> &'a ThresholdStatus {
    let thresholds = &run.status.as_ref().unwrap().thresholds;
    let found = thresholds.iter().find(|one| one.metric == metric && one.threshold == threshold);
    found.unwrap_or_else(|| panic!("{metric} {threshold} is not in {thresholds:?}"))
}

fn with_target(more: Value) -> Value {
    let mut spec = json!({"k6": {"env": [{"name": "TARGET", "value": "http://target:8080"}]}});
    for (key, value) in more.as_object().unwrap() {
        spec[key] = value.clone();
    }
    spec
}

#[tokio::test(flavor = "multi_thread")]
async fn thresholds_are_judged_over_all_instances_and_each_value_is_in_the_status() {
    in_world("verdict", |world| async move {
        world.timestream(&[]).await;
        world.target().await;
        let more = with_target(json!({
            "thresholds": {"checks": [{"threshold": "rate==1"}], "iterations": [{"threshold": "count==40"}]},
        }));
        world.apply("known", world.spec(4, json!({"inline": KNOWN}), more)).await.unwrap();
        let wait = ["wait", "loadtestrun/known-1", "--for=condition=Complete", "--timeout=90s"];
        let mut waited = world.kubectl(&wait).await;
        for _ in 0..20 {
            // `kubectl wait` gives up at once on an object that is not there yet.
            if waited.is_ok() {
                break;
            }
            tokio::time::sleep(std::time::Duration::from_millis(500)).await;
            waited = world.kubectl(&wait).await;
        }
        waited.unwrap();
        let run = world.complete("known-1", 10).await;
        // Of 0 to 39 the 90th percentile is 35.1, as one k6 would have it: none of four instances alone has it.
        assert_failed(&run, Reason::ThresholdsCrossed, &["took"]);
        assert_eq!(run.status.as_ref().unwrap().exit_code, Some(99));
        for (metric, threshold, passed, value) in [
            ("took", "p(90)<35.1", false, 35.1),
            ("took", "p(90)>35.1", false, 35.1),
            ("took", "max<40", true, 39.0),
            ("even", "rate==0.5", true, 0.5),
            ("seen{odd:yes}", "count==20", true, 20.0),
            ("checks", "rate==1", true, 1.0),
            ("iterations", "count==40", true, 40.0),
        ] {
            let found = judged(&run, metric, threshold);
            assert_eq!(found.passed, passed, "{found:?}");
            let shown = found.value.expect("a value");
            assert!((shown - value).abs() <= value * 0.001, "{found:?}");
        }
        let counts = counts(&world).await;
        assert_eq!((counts.get("setup"), counts.get("teardown7")), (Some(&1), Some(&1)));

        let files = result(&world, "known-1").await;
        let text = &files["summary.txt"];
        for words in ["THRESHOLDS", "✗ 'p(90)<35.1'", "✓ 'rate==0.5'", "TOTAL RESULTS", "CUSTOM"] {
            assert!(text.contains(words), "{words:?} is not in {text}");
        }
        let summary: Value = serde_json::from_str(&files["summary.json"]).unwrap();
        assert_eq!(summary["metrics"]["seen"]["values"]["count"], 40);
        assert_eq!(summary["metrics"]["checks"]["values"]["passes"], 40);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_threshold_that_aborts_stops_all_instances_and_keeps_the_results() {
    in_world("abort", |world| async move {
        world.timestream(&[]).await;
        let script = "
import { Rate } from 'k6/metrics'; import { sleep } from 'k6';
const bad = new Rate('bad');
export const options = {
  scenarios: { all: { executor: 'constant-vus', vus: 4, duration: '120s' } },
  thresholds: { bad: [{ threshold: 'rate<0.1', abortOnFail: true, delayAbortEval: '3s' }] },
};
export default function () { bad.add(true); sleep(0.05); }
";
        world.apply("stop", world.spec(4, json!({"inline": script}), json!({}))).await.unwrap();
        let run = world.complete("stop-1", 90).await;
        assert_failed(&run, Reason::ThresholdsCrossed, &["bad", "abortOnFail"]);
        assert!(!judged(&run, "bad", "rate<0.1").passed);
        let status = run.status.as_ref().unwrap();
        let [output] = &status.outputs[..] else { panic!("{:?}", status.outputs) };
        let rows = world.rows().await;
        assert_eq!((output.emitted, output.stored), (rows.len() as u64, rows.len() as u64));
        assert!(result(&world, "stop-1").await["summary.txt"].contains("✗ 'rate<0.1'"));
        let spans = spans(&rows, "bad");
        assert_eq!(spans.len(), 4, "samples of four instances");
        let last = spans.values().map(|(_, last)| *last).max().unwrap();
        let first = spans.values().map(|(first, _)| *first).min().unwrap();
        let load_ms = (last - first) / 1_000_000;
        println!(
            "abortOnFail: the load lasted {load_ms} ms of 120000; it could be aborted after 3000"
        );
        assert!(load_ms < 60_000, "the load was not stopped");
    })
    .await;
}

/// Times of the first and the last sample of each instance.
fn spans(rows: &[Row], measure: &str) -> BTreeMap<String, (i128, i128)> {
    let mut spans: BTreeMap<String, (i128, i128)> = BTreeMap::new();
    for row in rows.iter().filter(|row| row.measure_name == measure) {
        let span = spans
            .entry(dimension(row, "instance_id").to_owned())
            .or_insert((row.time_ns, row.time_ns));
        *span = (span.0.min(row.time_ns), span.1.max(row.time_ns));
    }
    spans
}

#[tokio::test(flavor = "multi_thread")]
async fn handle_summary_runs_once_on_the_merged_data_and_its_files_are_in_the_result() {
    in_world("handle", |world| async move {
        world.timestream(&[]).await;
        world.target().await;
        let script = "
import http from 'k6/http';
import { Counter } from 'k6/metrics';
const seen = new Counter('seen');
export const options = { scenarios: { all: { executor: 'per-vu-iterations', vus: 8, iterations: 5 } } };
export default function () { seen.add(1); }
export function handleSummary(data) {
  http.post(`${__ENV.TARGET}/count/handled`);
  return {
    stdout: `seen ${data.metrics.seen.values.count}\\n`,
    'out/report.json': JSON.stringify(data.metrics.seen),
    raw: new Uint8Array([0xff, 0, 1]).buffer,
  };
}
";
        world.apply("sum", world.spec(4, json!({"inline": script}), with_target(json!({})))).await.unwrap();
        assert_passed(&world.complete("sum-1", 90).await);
        assert_eq!(counts(&world).await.get("handled"), Some(&1));
        let files = result(&world, "sum-1").await;
        assert_eq!(files["stdout"], "seen 40\n");
        let report: Value = serde_json::from_str(&files["out_report.json"]).unwrap();
        assert_eq!(report["values"]["count"], 40);
        let map = world.api::<ConfigMap>().get("sum-1-result").await.unwrap();
        assert_eq!(map.binary_data.unwrap()["raw"].0, [0xff, 0, 1]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_setup_that_fails_ends_the_run_with_k6s_code_and_no_iteration() {
    in_world("setup", |world| async move {
        world.timestream(&[]).await;
        let script = "
export const options = { scenarios: { all: { executor: 'per-vu-iterations', vus: 4, iterations: 5 } } };
export function setup() { throw new Error('no shop today'); }
export default function () {}
";
        world.apply("bad", world.spec(2, json!({"inline": script}), json!({}))).await.unwrap();
        let run = world.complete("bad-1", 90).await;
        assert_failed(&run, Reason::SetupFailed, &["no shop today"]);
        assert_eq!(run.status.as_ref().unwrap().exit_code, Some(107));
        assert!(world.rows().await.iter().all(|row| row.measure_name != "iterations"));
        world.nothing_left_running("bad-1", 30).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_instance_is_tolerated_where_the_policy_says_so_and_the_rest_is_judged() {
    in_world("tolerate", |world| async move {
        world.timestream(&[]).await;
        let script = "
import { Counter } from 'k6/metrics'; import { sleep } from 'k6';
const seen = new Counter('seen');
export const options = {
  scenarios: { all: { executor: 'per-vu-iterations', vus: 4, iterations: 80 } },
  thresholds: { seen: ['count>200'] },
};
export default function () { seen.add(1); sleep(0.1); }
export function teardown() { console.log('torn down'); }
";
        let more = json!({"runnerLoss": {"policy": "Tolerate", "maxPercent": 30}});
        world.apply("lost", world.spec(4, json!({"inline": script}), more)).await.unwrap();
        world.condition("lost-1", ConditionType::Started, "True", 60).await;
        tokio::time::sleep(std::time::Duration::from_secs(3)).await;
        // Instance 1, which would have run teardown.
        let pods = world.pods("lost-1", "runner").await;
        let first = pods.iter().find(|pod| {
            let labels = pod.metadata.labels.as_ref();
            labels.and_then(|labels| labels.get("batch.kubernetes.io/job-completion-index"))
                == Some(&"0".to_owned())
        });
        let name = first.unwrap().metadata.name.clone().unwrap();
        let at_once = kube::api::DeleteParams::default().grace_period(0);
        world.api::<k8s_openapi::api::core::v1::Pod>().delete(&name, &at_once).await.unwrap();
        let run = world.complete("lost-1", 120).await;
        assert_passed(&run);
        assert_eq!(run.status.as_ref().unwrap().runners.lost, 1);
        assert!(judged(&run, "seen", "count>200").passed);
        let logs = world.runner_logs("lost-1").await;
        let torn = logs.iter().filter(|log| log.contains("torn down")).count();
        assert_eq!(torn, 1, "teardown ran once, on another instance");
    })
    .await;
}
