//! Rows stored equal samples emitted, whatever dies meanwhile: on a cluster, since only there are a network that can be
//! cut, a disk of a pod, a memory limit, and a process of the aggregator in a container of its own.

use std::time::Instant;

use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use serde_json::{Value, json};
use weir::api::v1alpha1::{ConditionType, LoadTestRun, OutputStatus};

use crate::harness::{STANDIN, World, assert_passed, eventually, in_world};

/// Iterations of a VU in a second.
const PACE: u32 = 10;

/// A load of known size: that of `vus` VUs for `seconds`, `ticks` samples of the metric `ticks` in each iteration. All of
/// it must be in the verdict, too.
struct Load {
    vus: u32,
    seconds: u32,
    ticks: u32,
}

impl Load {
    const fn ticks(&self) -> u64 {
        self.vus as u64 * self.seconds as u64 * PACE as u64 * self.ticks as u64
    }

    fn script(&self) -> Value {
        let (vus, iterations, ticks) = (self.vus, self.seconds * PACE, self.ticks);
        let (all, pause) = (self.ticks(), 1.0 / f64::from(PACE));
        json!({"inline": format!(
            "import {{ Counter }} from 'k6/metrics'; import {{ sleep }} from 'k6'; const ticks = new Counter('ticks');
             export const options = {{
               scenarios: {{ all: {{ executor: 'per-vu-iterations', vus: {vus}, iterations: {iterations} }} }},
               thresholds: {{ ticks: ['count=={all}'] }},
             }};
             export default function () {{
               for (let i = 0; i < {ticks}; i++) ticks.add(1, {{ at: String(i % 4) }});
               sleep({pause});
             }}"
        )})
    }
}

/// The one output of a run.
fn output(run: &LoadTestRun) -> OutputStatus {
    let [output] = &run.status.as_ref().unwrap().outputs[..] else { panic!("one output: {run:?}") };
    output.clone()
}

/// Asserts that the run passed and that every sample which was emitted is a row.
async fn assert_lossless(world: &World, run: &LoadTestRun, load: &Load) {
    let stored = assert_passed(run);
    let output = output(run);
    let rows = world.row_counts().await;
    println!("{}: {} emitted = {stored} stored, {} rows", run.name_any(), output.emitted, rows[""]);
    assert_eq!((output.emitted, stored), (rows[""], rows[""]), "{output:?}");
    assert_eq!(rows["ticks"], load.ticks());
    assert_eq!(run.status.as_ref().unwrap().runners.lost, 0);
}

/// Asserts that the stand-in did what it was told to, by its own counters.
async fn assert_suffered(world: &World, what: &[&str]) {
    let text = world.get(STANDIN, "/stats").await.unwrap();
    let stats: Value = serde_json::from_str(&text).unwrap();
    for name in what {
        println!("{name}: {}", stats[name]);
        assert!(stats[name].as_u64().unwrap() > 0, "{name} in {stats}");
    }
}

/// The pod of an instance of a run.
async fn instance(world: &World, run: &str, instance_id: u32) -> Pod {
    let index = (instance_id - 1).to_string();
    let pods = world.pods(run, "runner").await.into_iter();
    let mut pods = pods
        .filter(|pod| pod.labels().get("batch.kubernetes.io/job-completion-index") == Some(&index));
    pods.next().unwrap()
}

async fn until_rows(world: &World) {
    eventually("the first rows", 30, || async {
        match world.row_counts().await[""] {
            0 => Err("none".to_owned()),
            _ => Ok(()),
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_cut_off_for_half_a_minute_costs_no_sample() {
    in_world("cut", |world| async move {
        world.timestream(&[]).await;
        let load = Load { vus: 3, seconds: 50, ticks: 10 };
        // The samples of instance 2 go another way than its reports.
        let more = json!({"aggregator": {"replicas": 2}});
        world.apply("cut", world.spec(3, load.script(), more)).await.unwrap();
        world.condition("cut-1", ConditionType::Started, "True", 60).await;
        until_rows(&world).await;
        world.cut_network(&instance(&world, "cut-1", 2).await, 30).await;
        let run = world.complete("cut-1", 120).await;
        assert_lossless(&world, &run, &load).await;
        let log = &world.runner_logs("cut-1").await[1];
        for session in ["session with the aggregator is over", "session with the writer is over"] {
            assert!(log.contains(session), "{log}");
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_output_dead_for_a_minute_costs_no_sample_since_they_wait_on_the_disks_of_their_pods() {
    in_world("dead", |world| async move {
        world.timestream(&[]).await;
        let load = Load { vus: 4, seconds: 75, ticks: 50 };
        world.apply("dead", world.spec(2, load.script(), json!({}))).await.unwrap();
        world.condition("dead-1", ConditionType::Started, "True", 60).await;
        until_rows(&world).await;
        world.faults(json!({"down_ms": 60_000})).await;
        for instance_id in [1, 2] {
            let pod = instance(&world, "dead-1", instance_id).await.name_any();
            world.lend_hand(&pod, "k6", &[("weir", "/weir")]).await;
            eventually("segments of the spool", 60, || async {
                let files = "find /weir/work -name '*.segment' -size +0";
                match world.in_pod(&pod, files).await?.lines().count() {
                    0 => Err("no segment".to_owned()),
                    _ => Ok(()),
                }
            })
            .await;
        }
        let run = world.complete("dead-1", 150).await;
        assert_lossless(&world, &run, &load).await;
        assert_suffered(&world, &["refused_down"]).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_aggregator_killed_ten_times_under_an_output_that_fails_costs_no_sample() {
    in_world("kills", |world| async move {
        world.timestream(&[]).await;
        let faults = json!({"throttle_percent": 30, "fail_percent": 10, "cut_after_apply_percent": 5, "seed": 7});
        world.faults(faults).await;
        let load = Load { vus: 4, seconds: 75, ticks: 10 };
        world.apply("kills", world.spec(2, load.script(), json!({}))).await.unwrap();
        world.condition("kills-1", ConditionType::Started, "True", 60).await;
        let pod = world.pods("kills-1", "aggregator").await[0].name_any();
        world.lend_hand(&pod, "aggregator", &[]).await;
        let began = Instant::now();
        let mut killed = String::new();
        for _ in 0..10 {
            killed = world.kill_aggregator(&pod, &killed).await;
        }
        println!("kills-1: killed ten times within {} s", began.elapsed().as_secs());
        let run = world.complete("kills-1", 150).await;
        assert_lossless(&world, &run, &load).await;
        assert_suffered(&world, &["throttled", "failed", "cut_after_apply", "records_repeated"]).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_an_instance_that_ran_out_of_memory_and_is_tolerated_every_sample_is_counted() {
    in_world("oomtol", |world| async move {
        world.timestream(&[]).await;
        let script = "import exec from 'k6/execution'; import { Counter } from 'k6/metrics'; import { sleep } from 'k6';
            const ticks = new Counter('ticks'), hoard = [];
            export const options = { scenarios: { all: { executor: 'per-vu-iterations', vus: 4, iterations: 150 } } };
            export default function () {
              ticks.add(1);
              sleep(0.1);
              if (exec.vu.idInTest !== 2) return;
              for (let i = 0; i < 40; i++) hoard.push(new Array(100000).fill(exec.vu.iterationInInstance + i));
            }";
        let more = json!({
            "runnerLoss": {"policy": "Tolerate", "maxPercent": 25},
            "k6": {"resources": {"limits": {"memory": "160Mi"}}},
        });
        world.apply("oom", world.spec(4, json!({"inline": script}), more)).await.unwrap();
        let run = world.complete("oom-1", 120).await;
        let stored = assert_passed(&run);
        let (output, rows) = (output(&run), world.row_counts().await);
        println!("oom-1: {} emitted, {stored} stored, {} rows", output.emitted, rows[""]);
        assert_eq!(stored, rows[""], "{output:?}");
        let runners = run.status.unwrap().runners;
        let [lost] = &runners.lost_instances[..] else { panic!("one is lost: {runners:?}") };
        assert!(runners.lost == 1 && lost.reason.contains("OOM"), "{runners:?}");
        // Three instances did all of their part.
        assert!((450..600).contains(&rows["ticks"]), "{rows:?}");
        // Where the memory limit takes k6 alone, its agent hands over all that it emitted. Where it takes the whole
        // container, what the agent had not sent yet is gone, and counted.
        let pod = instance(&world, "oom-1", lost.instance_id).await;
        let took_all = pod.status.iter().flat_map(|status| status.container_statuses.iter().flatten()).any(|container| {
            let ended = container.state.as_ref().and_then(|state| state.terminated.as_ref());
            ended.is_some_and(|ended| ended.reason.as_deref() == Some("OOMKilled"))
        });
        let counted: Vec<&str> = output.rejected.keys().map(String::as_str).collect();
        assert!(counted.is_empty() || (took_all && counted == ["RunnerLost"]), "{output:?}");
    })
    .await;
}
