//! Output `influxdb` on a cluster, since only there are a Secret, pods of their own for those who may see it and those who
//! may not, and an aggregator that can be taken away: into VictoriaMetrics, behind a front that asks for the token.
//!
//! VictoriaMetrics keeps milliseconds, and keeps what is written twice twice. So each sample of the script has a series of
//! its own (the tags `vu` and `iter`), and what is counted are distinct samples.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::{
    authorization::v1::SubjectAccessReview,
    batch::v1::Job,
    core::v1::{ConfigMap, Pod},
};
use kube::{
    Api, ResourceExt,
    api::{ListParams, LogParams, PostParams},
};
use serde::Serialize;
use serde_json::{Value, json};
use weir::api::v1alpha1::{ConditionType, LoadTestRun, Reason};

use crate::harness::{
    INFLUXDB, World, assert_failed, assert_passed, distinct, in_world, may_coincide,
};

/// The Secret that the server's front and the aggregator are given, and what is in it.
const SECRET: &str = "influxdb-token";
const TOKEN: &str = "a-token-that-nobody-may-see";
const INSTANCES: u32 = 3;
/// Iterations that begin in a second, over all instances.
const RATE: u32 = 30;
/// Samples of `noise` in each iteration.
const NOISE: u32 = 10;
/// Of a hundred writes 30 are throttled, 10 fail, and 5 lose their answer after they were written.
const FAULTS: [&str; 8] = [
    "--throttle-percent",
    "30",
    "--fail-percent",
    "10",
    "--cut-after-apply-percent",
    "5",
    "--seed",
    "7",
];

/// Each iteration says its number, which no other iteration of any instance has; k6 sees no token.
fn script(seconds: u32) -> Value {
    let iterations = RATE * seconds;
    let noise = iterations * NOISE;
    json!({"inline": format!(
        "import exec from 'k6/execution'; import {{ Counter, Trend }} from 'k6/metrics'; import {{ sleep }} from 'k6';
         const seen = new Trend('seen'), noise = new Counter('noise');
         export const options = {{
           systemTags: ['scenario', 'group', 'vu', 'iter'],
           scenarios: {{ load: {{
             executor: 'shared-iterations', vus: {RATE}, iterations: {iterations}, maxDuration: '5m' }} }},
           thresholds: {{ noise: ['count=={noise}'] }},
         }};
         for (const name in __ENV)
           if (name.startsWith('WEIR_INFLUXDB') || __ENV[name].includes('nobody' + '-may-see')) throw new Error(name);
         export default function () {{
           seen.add(exec.scenario.iterationInTest);
           for (let i = 0; i < {NOISE}; i++) noise.add(1, {{ at: String(i) }});
           sleep(1);
         }}"
    )})
}

/// The test `name` with its lines for the server, by the token in `secret`.
async fn apply(world: &World, name: &str, seconds: u32, secret: &str, compression: &str) {
    let more = json!({
        "outputs": [{"influxdb": {
            "url": format!("http://{INFLUXDB}.{}.svc:8080", world.namespace),
            "org": "load tests", "bucket": "k6",
            "tokenSecret": {"name": secret, "key": "token"},
            "compression": compression,
            "lingerMilliseconds": 50,
        }}],
        "aggregator": {"env": []},
    });
    world.apply(name, world.spec(INSTANCES, script(seconds), more)).await.unwrap();
}

/// Asserts that the run passed and that the server holds every sample, with its tags.
async fn assert_lossless(world: &World, run: &LoadTestRun, seconds: u32) {
    let stored = assert_passed(run);
    let output = &run.status.as_ref().unwrap().outputs[0];
    let samples = world.influxdb_samples(stored).await;
    let (held, stats) = (distinct(&samples), world.influxdb_stats().await);
    println!(
        "{}: {} emitted = {stored} stored; the server holds {} samples, {} distinct; its front counts {stats}",
        run.name_any(),
        output.emitted,
        samples.len(),
        held.len(),
    );
    assert_eq!((output.emitted, output.in_flight), (stored, 0), "{output:?}");
    assert_eq!(output.rejected, BTreeMap::new());
    // Those that may share a millisecond are as many as are there, or some fewer with what was written again.
    let coincident = samples.iter().filter(|(tags, _, _)| may_coincide(tags)).count();
    let known = held.keys().filter(|(tags, _)| !may_coincide(tags)).count();
    let all = held.len() as u64..=(known + coincident) as u64;
    assert!(all.contains(&stored), "the server has all {stored} samples, and no other: {all:?}");
    let of =
        |name: &'static str| held.iter().filter(move |((tags, _), _)| tags["__name__"] == name);
    let iterations = u64::from(RATE * seconds);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "counts")]
    let numbers: BTreeSet<u64> = of("seen_value").map(|(_, value)| *value as u64).collect();
    assert_eq!(numbers, (0..iterations).collect());
    for (name, times) in
        [("noise_value", NOISE), ("iterations_value", 1), ("iteration_duration_value", 1)]
    {
        assert_eq!(of(name).count() as u64, iterations * u64::from(times), "{name}");
    }
    let tags =
        |name: &str| held.keys().map(|(tags, _)| tags[name].clone()).collect::<BTreeSet<_>>();
    assert_eq!(tags("instance_id"), (1..=INSTANCES).map(|id| id.to_string()).collect());
    assert_eq!(tags("testid"), BTreeSet::from([run.name_any()]));
    for fault in ["throttled", "failed", "cut_after_apply"] {
        assert!(stats[fault].as_u64().unwrap() > 0, "{fault} must happen to be tested: {stats}");
    }
    assert!(samples.len() > held.len(), "what was cut is written again");
    assert_eq!(stats["unauthorized"], 0);
}

/// All objects of a kind in the test's namespace, as text.
async fn text<K>(world: &World) -> String
where
    K: kube::Resource<Scope = kube::core::NamespaceResourceScope> + Clone + Serialize,
    K: serde::de::DeserializeOwned + std::fmt::Debug,
    K::DynamicType: Default,
{
    let all = world.api::<K>().list(&ListParams::default()).await.unwrap();
    serde_json::to_string(&all.items).unwrap()
}

/// Whether an account may do this to the Secrets of the test's namespace.
async fn may(world: &World, namespace: &str, account: &str, verb: &str) -> bool {
    let review: SubjectAccessReview = serde_json::from_value(json!({"metadata": {}, "spec": {
        "user": format!("system:serviceaccount:{namespace}:{account}"),
        "groups": ["system:serviceaccounts", format!("system:serviceaccounts:{namespace}"), "system:authenticated"],
        "resourceAttributes": {"namespace": world.namespace, "verb": verb, "resource": "secrets", "name": SECRET},
    }}))
    .unwrap();
    let reviews: Api<SubjectAccessReview> = Api::all(world.client.clone());
    reviews.create(&PostParams::default(), &review).await.unwrap().status.unwrap().allowed
}

/// The account of a pod.
fn account(pod: &Pod) -> &str {
    pod.spec.as_ref().unwrap().service_account_name.as_deref().unwrap()
}

/// Asserts that of the pods of a run the aggregator's alone has the token, and that nothing else shows it.
async fn assert_secret(world: &World, run: &str) {
    let (aggregators, runners) =
        (world.pods(run, "aggregator").await, world.pods(run, "runner").await);
    assert_eq!((aggregators.len(), runners.len()), (1, INSTANCES as usize));
    let refers = |pod: &Pod| json!(pod.spec).to_string().contains(SECRET);
    assert!(aggregators.iter().all(refers), "{aggregators:?}");
    assert!(!runners.iter().any(refers), "{runners:?}");
    let mut shown = vec![
        text::<Pod>(world).await,
        text::<Job>(world).await,
        text::<ConfigMap>(world).await,
        text::<LoadTestRun>(world).await,
    ];
    for pod in aggregators.iter().chain(&runners) {
        for container in pod.spec.iter().flat_map(|spec| &spec.containers) {
            let params =
                LogParams { container: Some(container.name.clone()), ..LogParams::default() };
            let log = world.api::<Pod>().logs(&pod.name_any(), &params).await.unwrap();
            assert!(!log.is_empty(), "{} says something", container.name);
            shown.push(log);
        }
    }
    for text in shown {
        assert!(!text.contains(TOKEN), "the token shows: {text}");
    }
    for pod in aggregators.iter().chain(&runners) {
        assert!(!may(world, &world.namespace, account(pod), "get").await, "{}", account(pod));
    }
    let selector = "app.kubernetes.io/name=weir,app.kubernetes.io/component=operator";
    let operators: Api<Pod> = Api::all(world.client.clone());
    let operators = operators.list(&ListParams::default().labels(selector)).await.unwrap();
    let operator = operators.items.first().expect("an operator runs");
    let namespace = operator.namespace().unwrap();
    for (verb, allowed) in [("create", true), ("get", false), ("list", false), ("watch", false)] {
        assert_eq!(may(world, &namespace, account(operator), verb).await, allowed, "{verb}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_sample_reaches_a_server_that_asks_for_a_token_which_the_aggregator_alone_is_given() {
    in_world("lines", |world| async move {
        world.token(SECRET, TOKEN).await;
        world.influxdb(SECRET, &FAULTS).await;
        apply(&world, "lines", 15, SECRET, "None").await;
        let run = world.complete("lines-1", 120).await;
        assert_lossless(&world, &run, 15).await;
        assert_eq!(world.influxdb_stats().await["compressed"], 0);
        assert_secret(&world, "lines-1").await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_aggregator_of_compressed_lines_that_is_killed_and_whose_pod_is_taken_away_costs_no_sample()
 {
    in_world("linekill", |world| async move {
        world.token(SECRET, TOKEN).await;
        world.influxdb(SECRET, &FAULTS).await;
        apply(&world, "kill", 60, SECRET, "Gzip").await;
        world.condition("kill-1", ConditionType::Started, "True", 60).await;
        let pods = world.pods("kill-1", "aggregator").await;
        let pod = pods[0].name_any();
        world.lend_hand(&pod, "aggregator", &[]).await;
        let mut killed = String::new();
        for _ in 0..3 {
            killed = world.kill_aggregator(&pod, &killed).await;
        }
        world.force_delete(&pods).await;
        let run = world.complete("kill-1", 150).await;
        assert_lossless(&world, &run, 60).await;
        let counts = world.influxdb_stats().await;
        assert_eq!(counts["compressed"], counts["calls"]);
        let last = world.pods("kill-1", "aggregator").await;
        assert!(last.iter().all(|pod| pod.uid() != pods[0].uid()), "another pod took its place");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_does_not_open_the_server_ends_the_run_with_what_to_do() {
    in_world("badtoken", |world| async move {
        world.token(SECRET, TOKEN).await;
        world.token("stale", "another-token-that-nobody-may-see").await;
        world.influxdb(SECRET, &[]).await;
        apply(&world, "stale", 5, "stale", "None").await;
        let run = world.complete("stale-1", 60).await;
        let words = [
            "valid",
            "spec.outputs[].influxdb.tokenSecret",
            "bucket k6 of organization load tests",
            "401",
        ];
        assert_failed(&run, Reason::OutputFailed, &words);
        let status = json!(run.status).to_string();
        assert!(!status.contains("nobody-may-see"), "a token shows: {status}");
        world.nothing_left_running("stale-1", 60).await;
        let counts = world.influxdb_stats().await;
        println!("stale-1: {status}; the front counts {counts}");
        assert!(counts["unauthorized"].as_u64().unwrap() > 0);
        assert_eq!(counts["calls"], 0, "no line is sent");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_whose_secret_is_missing_is_named() {
    in_world("nosecret", |world| async move {
        let mut spec =
            world.spec(1, script(5), json!({"deadlines": {"readySeconds": 8, "drainSeconds": 8}}));
        spec["outputs"] = json!([{"influxdb": {
            "url": "http://influxdb:8080", "org": "o", "bucket": "b",
            "tokenSecret": {"name": "absent", "key": "token"},
        }}]);
        world.apply("nosecret", spec).await.unwrap();
        let run = world.complete("nosecret-1", 60).await;
        assert_failed(&run, Reason::DeadlineExceeded, &["the aggregator", "absent"]);
        world.nothing_left_running("nosecret-1", 40).await;
    })
    .await;
}
