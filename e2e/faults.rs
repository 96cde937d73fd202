//! Things that die, on a cluster since only there they can: pods, containers, the operator, the aggregator.

use std::collections::BTreeSet;

use k8s_openapi::api::{
    batch::v1::Job,
    core::v1::{ConfigMap, Pod, Secret},
};
use kube::{
    Api, ResourceExt,
    api::{DeleteParams, ListParams, Patch, PatchParams},
};
use serde_json::json;
use weir::api::v1alpha1::{ConditionType, LoadTest, LoadTestRun, Reason};

use crate::harness::{
    Row, World, assert_failed, assert_passed, dimension, eventually, in_world, records_stored,
};

/// About `seconds` of steady iterations on 4 VUs.
fn steady(seconds: u32) -> String {
    format!(
        "import {{ Counter }} from 'k6/metrics'; import {{ sleep }} from 'k6'; const c = new Counter('ticks');
         export const options = {{scenarios: {{all: {{executor: 'per-vu-iterations', vus: 4, iterations: {}}}}}}};
         export default function () {{ c.add(1); sleep(0.1); }}",
        seconds * 10
    )
}

/// Whether a replica of the aggregator has stored a record.
async fn writes(world: &World, replica: &Pod) -> Result<(), String> {
    let metrics = world.metrics(&replica.name_any()).await?;
    match records_stored(&metrics) {
        0 => Err(format!("{}: {metrics}", replica.name_any())),
        _ => Ok(()),
    }
}

fn ticks(rows: &[Row]) -> usize {
    rows.iter().filter(|row| row.measure_name == "ticks").count()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_aggregator_killed_mid_run_costs_no_sample() {
    in_world("aggkill", |world| async move {
        world.timestream(&[]).await;
        world.apply("kill", world.spec(4, json!({"inline": steady(10)}), json!({}))).await.unwrap();
        world.condition("kill-1", ConditionType::Started, "True", 60).await;
        tokio::time::sleep(std::time::Duration::from_secs(3)).await;
        world.force_delete(&world.pods("kill-1", "aggregator").await).await;
        let stored = assert_passed(&world.complete("kill-1", 120).await);
        let rows = world.rows().await;
        assert_eq!(rows.len() as u64, stored);
        assert_eq!(ticks(&rows), 400, "4 VUs of 100 iterations each");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn replicas_share_the_runners_and_a_writer_killed_mid_run_costs_no_sample() {
    in_world("replicas", |world| async move {
        world.timestream(&[]).await;
        let more = json!({"aggregator": {"replicas": 2}});
        world.apply("share", world.spec(4, json!({"inline": steady(45)}), more)).await.unwrap();
        world.condition("share-1", ConditionType::Started, "True", 60).await;
        let killed = world.pods("share-1", "writer").await;
        assert_eq!(killed.len(), 1, "replica 0 is the aggregator");
        let aggregator = world.pods("share-1", "aggregator").await;
        for replica in [&aggregator[0], &killed[0]] {
            eventually("a share of each replica", 30, || writes(&world, replica)).await;
        }
        world.force_delete(&killed).await;
        eventually("another writer that takes samples", 40, || async {
            let writers = world.pods("share-1", "writer").await;
            let is_new = |pod: &&Pod| killed.iter().all(|old| old.uid() != pod.uid());
            match writers.iter().find(is_new) {
                Some(new) => writes(&world, new).await,
                None => Err("none".to_owned()),
            }
        })
        .await;
        let counted = assert_passed(&world.complete("share-1", 120).await);
        let rows = world.rows().await;
        assert_eq!(
            (rows.len() as u64, ticks(&rows)),
            (counted, 1800),
            "4 VUs, 450 iterations each"
        );
        let instances: BTreeSet<_> = rows.iter().map(|row| dimension(row, "instance_id")).collect();
        assert_eq!(instances.len(), 4);
        world.nothing_left_running("share-1", 60).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_killed_in_each_phase_changes_nothing() {
    in_world("opkill", |world| async move {
        world.timestream(&[]).await;
        world.apply("op", world.spec(2, json!({"inline": steady(8)}), json!({}))).await.unwrap();
        kill_operator(&world).await;
        world.condition("op-1", ConditionType::RunnersReady, "True", 90).await;
        kill_operator(&world).await;
        world.condition("op-1", ConditionType::Started, "True", 90).await;
        kill_operator(&world).await;
        tokio::time::sleep(std::time::Duration::from_secs(5)).await;
        kill_operator(&world).await;
        let stored = assert_passed(&world.complete("op-1", 120).await);
        let rows = world.rows().await;
        assert_eq!((rows.len() as u64, ticks(&rows)), (stored, 320));
    })
    .await;
}

/// Kills every operator pod at once; the Deployment brings new ones.
async fn kill_operator(world: &World) {
    let pods: Api<Pod> = Api::all(world.client.clone());
    let selector = ListParams::default()
        .labels("app.kubernetes.io/name=weir,app.kubernetes.io/component=operator");
    let found = pods.list(&selector).await.unwrap().items;
    assert!(!found.is_empty(), "no operator pod found");
    for pod in found {
        let pods: Api<Pod> = Api::namespaced(world.client.clone(), &pod.namespace().unwrap());
        drop(pods.delete(&pod.name_any(), &DeleteParams::default().grace_period(0)).await);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_runner_that_runs_out_of_memory_is_named() {
    in_world("oom", |world| async move {
        world.timestream(&[]).await;
        let script = "import { sleep } from 'k6'; export const options = {vus: 2, duration: '40s'}; let hoard = [];
            export default function () { sleep(0.2); if (__VU == 1) { for (let i = 0; i < 40; i++) { hoard.push(new Array(100000).fill(__ITER + i)); } } }";
        let more = json!({"k6": {"resources": {"limits": {"memory": "160Mi"}}}});
        world.apply("oom", world.spec(2, json!({"inline": script}), more)).await.unwrap();
        let run = world.complete("oom-1", 90).await;
        assert_failed(&run, Reason::RunnersLost, &["OOM"]);
        world.nothing_left_running("oom-1", 60).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_runner_pod_deleted_mid_run_fails_the_run_by_name() {
    in_world("del", |world| async move {
        world.timestream(&[]).await;
        world.apply("del", world.spec(3, json!({"inline": steady(60)}), json!({}))).await.unwrap();
        world.condition("del-1", ConditionType::Started, "True", 60).await;
        let pods = world.pods("del-1", "runner").await;
        let victim = pods
            .iter()
            .find(|pod| {
                pod.labels()
                    .get("batch.kubernetes.io/job-completion-index")
                    .is_some_and(|i| i == "1")
            })
            .unwrap();
        world.force_delete(std::slice::from_ref(victim)).await;
        let run = world.complete("del-1", 90).await;
        assert_failed(&run, Reason::RunnersLost, &["2"]);
        assert_eq!(run.status.unwrap().runners.lost, 1);
        world.nothing_left_running("del-1", 60).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_load_test_deleted_mid_run_leaves_nothing() {
    in_world("gone", |world| async move {
        world.timestream(&[]).await;
        world
            .apply("gone", world.spec(2, json!({"inline": steady(120)}), json!({})))
            .await
            .unwrap();
        world.condition("gone-1", ConditionType::Started, "True", 60).await;
        world.api::<LoadTest>().delete("gone", &DeleteParams::default()).await.unwrap();
        let selector = ListParams::default().labels("weir.dev/run=gone-1");
        eventually("everything of the run gone", 90, || async {
            let mut left = BTreeSet::new();
            left.extend(
                world
                    .api::<Pod>()
                    .list(&selector)
                    .await
                    .map_err(|e| e.to_string())?
                    .into_iter()
                    .map(|o| o.name_any()),
            );
            left.extend(
                world
                    .api::<Job>()
                    .list(&selector)
                    .await
                    .map_err(|e| e.to_string())?
                    .into_iter()
                    .map(|o| o.name_any()),
            );
            left.extend(
                world
                    .api::<Secret>()
                    .list(&selector)
                    .await
                    .map_err(|e| e.to_string())?
                    .into_iter()
                    .map(|o| o.name_any()),
            );
            left.extend(
                world
                    .api::<ConfigMap>()
                    .list(&selector)
                    .await
                    .map_err(|e| e.to_string())?
                    .into_iter()
                    .map(|o| o.name_any()),
            );
            if left.is_empty() { Ok(()) } else { Err(format!("{left:?}")) }
        })
        .await;
        assert!(world.api::<LoadTestRun>().get_opt("gone-1").await.unwrap().is_none());
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_ends_the_run_gracefully_with_its_samples() {
    in_world("stop", |world| async move {
        world.timestream(&[]).await;
        world
            .apply("stop", world.spec(2, json!({"inline": steady(120)}), json!({})))
            .await
            .unwrap();
        world.condition("stop-1", ConditionType::Started, "True", 60).await;
        tokio::time::sleep(std::time::Duration::from_secs(2)).await;
        let patch = Patch::Merge(json!({"spec": {"stop": "Requested"}}));
        world.api::<LoadTestRun>().patch("stop-1", &PatchParams::default(), &patch).await.unwrap();
        let run = world.complete("stop-1", 60).await;
        assert_failed(&run, Reason::Stopped, &[]);
        let status = run.status.unwrap();
        assert_eq!(status.exit_code, Some(105));
        let rows = world.rows().await;
        assert_eq!(status.outputs[0].stored, rows.len() as u64);
        assert_eq!(status.outputs[0].emitted, rows.len() as u64);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn throttling_errors_and_cut_connections_cost_time_but_no_sample() {
    in_world("flaky", |world| async move {
        world.timestream(&[]).await;
        world.faults(json!({"throttle_percent": 30, "fail_percent": 10, "cut_after_apply_percent": 5, "seed": 7})).await;
        world.apply("flaky", world.spec(4, json!({"inline": steady(5)}), json!({}))).await.unwrap();
        let stored = assert_passed(&world.complete("flaky-1", 120).await);
        let rows = world.rows().await;
        assert_eq!((rows.len() as u64, ticks(&rows)), (stored, 200));
        let instances: BTreeSet<_> = rows.iter().map(|row| dimension(row, "instance_id")).collect();
        assert_eq!(instances.len(), 4);
    })
    .await;
}
