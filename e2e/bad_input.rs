//! Bad input, on a cluster since most of it is refused by the apiserver, the scheduler or the kubelet: each ends with a
//! reason that names object, field and remedy, and leaves nothing running.

use serde_json::{Value, json};
use weir::api::v1alpha1::Reason;

use crate::harness::{World, assert_failed, in_world};

const SHORT: &str = "export const options = {vus: 4, iterations: 8}; export default function () {}";

/// Applies the spec, waits for the end, and asserts reason and words of the message.
async fn ends(world: &World, spec: Value, reason: Reason, words: &[&str]) {
    world.apply("bad", spec).await.unwrap();
    let run = world.complete("bad-1", 60).await;
    assert_failed(&run, reason, words);
    world.nothing_left_running("bad-1", 40).await;
}

fn short_ready() -> Value {
    json!({"deadlines": {"readySeconds": 8, "drainSeconds": 8}})
}

#[tokio::test(flavor = "multi_thread")]
async fn two_script_sources_are_refused_by_the_apiserver() {
    in_world("twosrc", |world| async move {
        let script = json!({"inline": SHORT, "file": {"path": "/x.js"}});
        let error =
            world.apply("bad", world.spec(1, script, json!({}))).await.unwrap_err().to_string();
        assert!(error.contains("exactly one of"), "{error}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn dimensions_that_cannot_be_are_refused_by_the_apiserver() {
    in_world("dims", |world| async move {
        for (dimensions, words) in [
            (json!({"include": ["status"], "exclude": ["url"]}), "not both"),
            (
                json!({"exclude": ["url", "instance_id"]}),
                "tell the rows of instances and runs apart",
            ),
        ] {
            let mut spec = world.spec(1, json!({"inline": SHORT}), json!({}));
            spec["outputs"][0]["timestream"]["dimensions"] = dimensions;
            let error = world.apply("bad", spec).await.unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_config_map_is_named() {
    in_world("nocm", |world| async move {
        let spec =
            world.spec(2, json!({"configMap": {"name": "absent", "key": "a.js"}}), short_ready());
        ends(&world, spec, Reason::InvalidSpec, &["spec.script.configMap", "absent"]).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_key_is_named() {
    in_world("nokey", |world| async move {
        world.config_map("script", &[("main.js", SHORT)]).await;
        let spec = world.spec(
            2,
            json!({"configMap": {"name": "script", "key": "other.js"}}),
            short_ready(),
        );
        ends(&world, spec, Reason::InvalidSpec, &["other.js", "script"]).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_syntax_error_is_quoted_from_k6() {
    in_world("syntax", |world| async move {
        world.timestream(&[]).await;
        let spec =
            world.spec(2, json!({"inline": "export default function () { let x = ; }"}), json!({}));
        ends(&world, spec, Reason::ScriptFailed, &["Unexpected token", "Line 1:38"]).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn more_runners_than_vus_is_refused() {
    in_world("vus", |world| async move {
        world.timestream(&[]).await;
        let script =
            "export const options = {vus: 2, iterations: 8}; export default function () {}";
        let spec = world.spec(4, json!({"inline": script}), json!({}));
        ends(&world, spec, Reason::InvalidSpec, &["spec.parallelism", "4", "2"]).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn flags_that_are_weirs_own_are_refused() {
    in_world("flag", |world| async move {
        let spec = world.spec(1, json!({"inline": SHORT}), json!({"k6": {"args": ["--paused"]}}));
        ends(&world, spec, Reason::InvalidSpec, &["spec.k6.args", "--paused"]).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_k6_argument_is_quoted_from_k6() {
    in_world("arg", |world| async move {
        world.timestream(&[]).await;
        let spec =
            world.spec(2, json!({"inline": SHORT}), json!({"k6": {"args": ["--no-such-flag"]}}));
        world.apply("bad", spec).await.unwrap();
        let run = world.complete("bad-1", 60).await;
        let (status, reason, message) =
            crate::harness::condition(&run, weir::api::v1alpha1::ConditionType::Succeeded).unwrap();
        assert_eq!(status, "False");
        assert!(["InvalidSpec", "ScriptFailed"].contains(&reason.as_str()), "{reason}");
        assert!(
            message.contains("--no-such-flag") || message.contains("no-such-flag"),
            "{message}"
        );
        world.nothing_left_running("bad-1", 40).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_that_cannot_be_pulled_is_named() {
    in_world("image", |world| async move {
        let mut spec = world.spec(2, json!({"inline": SHORT}), short_ready());
        spec["k6"] = json!({"image": "127.0.0.1:1/no/such:image"});
        ends(&world, spec, Reason::DeadlineExceeded, &["127.0.0.1:1/no/such:image"]).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_that_cannot_be_scheduled_is_named() {
    in_world("sched", |world| async move {
        let template =
            json!({"runnerTemplate": {"spec": {"nodeSelector": {"weir.dev/nowhere": "1"}}}});
        let mut spec = world.spec(2, json!({"inline": SHORT}), short_ready());
        spec["runnerTemplate"] = template["runnerTemplate"].clone();
        ends(&world, spec, Reason::DeadlineExceeded, &["node"]).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_aggregator_that_can_never_start_is_named() {
    in_world("never", |world| async move {
        world.timestream(&[]).await;
        let mut spec = world.spec(1, json!({"inline": SHORT}), short_ready());
        let container =
            json!({"name": "aggregator", "env": [{"name": "WEIR_PLAN", "value": "no plan"}]});
        spec["aggregator"]["template"] = json!({"spec": {"containers": [container]}});
        let words = ["the aggregator (pod bad-1-aggregator-", "keeps ending", "exit code 2"];
        ends(&world, spec, Reason::DeadlineExceeded, &words).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_table_is_named() {
    in_world("table", |world| async move {
        world.timestream(&[]).await;
        let mut spec = world.spec(2, json!({"inline": SHORT}), json!({}));
        spec["outputs"][0]["timestream"]["tableName"] = json!("absent");
        ends(&world, spec, Reason::OutputFailed, &["k6db", "absent"]).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn access_denied_is_named() {
    in_world("denied", |world| async move {
        world.timestream(&["--deny"]).await;
        let spec = world.spec(
            2,
            json!({"inline": SHORT}),
            json!({"deadlines": {"readySeconds": 20, "drainSeconds": 8}}),
        );
        ends(&world, spec, Reason::OutputFailed, &["AccessDenied"]).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_that_is_dead_at_the_start_is_named() {
    in_world("dead", |world| async move {
        let spec = world.spec(2, json!({"inline": SHORT}), short_ready());
        ends(&world, spec, Reason::OutputFailed, &["timestream"]).await;
    })
    .await;
}
