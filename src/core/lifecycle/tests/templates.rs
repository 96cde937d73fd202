//! What runner and aggregator pods look like.

use serde_json::{Value, json};

use super::{
    super::{
        build::{aggregator, runner, service},
        seen::RunSeen,
    },
    world::{IMAGE, World, valid},
};
use crate::core::{
    plan::{PLAN_ENV, RunPlan},
    samples::rollup::spec::Wanted,
};

fn run() -> RunSeen {
    World::plain().seen.run
}

fn runner_pod(yaml: &str) -> Value {
    runner::job(&valid(yaml), &run(), IMAGE).object["spec"]["template"].clone()
}

fn k6(pod: &Value) -> Value {
    let containers = pod["spec"]["containers"].as_array().unwrap();
    containers.iter().find(|container| container["name"] == "k6").unwrap().clone()
}

#[test]
fn the_agents_command_line_carries_the_users_arguments_as_they_are() {
    let pod = runner_pod(
        "{parallelism: 4, script: {inline: x}, tags: {team: 'a b'}, k6: {args: [--env, 'X=$(HOME) y', --vus, '8']},
          outputs: [{timestream: {databaseName: abc, tableName: def}}], deadlines: {drainSeconds: 90}}",
    );
    let expected = json!([
        "/weir/weir",
        "agent",
        "--run",
        "shop/checkout-1/uid-of-run",
        "--instances",
        "4",
        "--endpoint",
        "https://checkout-1-pods.shop.svc:7465",
        "--endpoint",
        "https://checkout-1.shop.svc:7465",
        "--ca-file",
        "/weir-run/ca.crt",
        "--token-file",
        "/weir-run/token",
        "--work-dir",
        "/weir/work",
        "--script",
        "/weir-script/test.js",
        "--orphan-seconds",
        "90",
        "--tag",
        "team=a b",
        "--ship-samples",
        "--spool-mib",
        "1024",
        "--spool-on-full",
        "Fail",
        "--",
        "--env",
        "X=$$(HOME) y",
        "--vus",
        "8",
    ]);
    assert_eq!(k6(&pod)["command"], expected);
}

#[test]
fn the_agents_are_told_which_dimensions_the_outputs_leave_out() {
    let pod = runner_pod(
        "{script: {inline: x}, outputs: [{timestream: {databaseName: abc, tableName: def, dimensions: {exclude: [url, vu]}}},
          {name: b, timestream: {databaseName: abc, tableName: ghi}}]}",
    );
    let command = k6(&pod)["command"].as_array().unwrap().clone();
    let at = command.iter().position(|word| word == "--dimensions").unwrap();
    assert_eq!(command[at + 1], r#"[{"exclude":["url","vu"]},null]"#);
}

#[test]
fn the_agents_are_told_which_outputs_want_rows_of_a_second() {
    let rows = "databaseName: abc, tableName: ghi, mode: Rollup";
    let pod = runner_pod(&format!(
        "{{script: {{inline: x}}, outputs: [{{timestream: {{databaseName: abc, tableName: def}}}},
          {{name: b, timestream: {{{rows}, dimensions: {{include: [name]}}}}}}]}}",
    ));
    let command = k6(&pod)["command"].as_array().unwrap().clone();
    assert!(!command.contains(&json!("--dimensions")), "the rows' are not the samples'");
    let at = command.iter().position(|word| word == "--rollups").unwrap();
    let want = r#"{"rollups":[{"output":1,"dimensions":{"include":["name"]}}],"only":false}"#;
    assert_eq!(command[at + 1], want);
    let pod =
        runner_pod(&format!("{{script: {{inline: x}}, outputs: [{{timestream: {{{rows}}}}}]}}"));
    let command = k6(&pod)["command"].as_array().unwrap().clone();
    let at = command.iter().position(|word| word == "--rollups").unwrap();
    let read: Wanted = serde_json::from_str(command[at + 1].as_str().unwrap()).unwrap();
    assert!(read.only && read.rollups.len() == 1, "{read:?}");
}

#[test]
fn without_outputs_no_samples_are_shipped() {
    let pod = runner_pod("{script: {inline: x}}");
    let command = k6(&pod)["command"].clone();
    assert!(!command.as_array().unwrap().contains(&json!("--ship-samples")));
}

#[test]
fn each_source_has_its_path_and_its_volume() {
    let path = |yaml: &str| {
        let pod = runner_pod(yaml);
        let command = k6(&pod)["command"].as_array().unwrap().clone();
        let at = command.iter().position(|word| word == "--script").unwrap();
        let volumes = pod["spec"]["volumes"].as_array().unwrap();
        let volume = volumes.iter().find(|volume| volume["name"] == "weir-script").cloned();
        (command[at + 1].as_str().unwrap().to_owned(), volume.unwrap_or_default())
    };
    let (inline, volume) = path("{script: {inline: x}}");
    assert_eq!(inline, "/weir-script/test.js");
    assert_eq!(volume["configMap"]["name"], "checkout-1-script");
    let (archive, volume) = path("{script: {configMap: {name: mine, key: a.tar}}}");
    assert_eq!(archive, "/weir-script/a.tar");
    assert_eq!(volume["configMap"]["name"], "mine");
    let (claim, volume) = path("{script: {volumeClaim: {name: disk, path: sub/a.js}}}");
    assert_eq!(claim, "/weir-script/sub/a.js");
    assert_eq!(volume["persistentVolumeClaim"]["claimName"], "disk");
    let (file, volume) = path("{script: {file: {path: /opt/a.js}}}");
    assert_eq!(file, "/opt/a.js");
    assert_eq!(volume, Value::Null);
}

#[test]
fn a_template_is_laid_over_the_pod_and_the_users_init_containers_run_after_weirs() {
    let pod = runner_pod(
        "{script: {file: {path: /s/a.js}}, runnerTemplate: {metadata: {labels: {team: x}}, spec: {
            nodeSelector: {pool: load}, securityContext: {runAsUser: 1000, fsGroup: null},
            initContainers: [{name: fetch, image: busybox}],
            containers: [{name: k6, volumeMounts: [{name: s, mountPath: /s}]}, {name: side, image: other}],
            volumes: [{name: s, emptyDir: {}}]}}}",
    );
    assert_eq!(pod["metadata"]["labels"]["team"], "x");
    assert_eq!(pod["metadata"]["labels"]["weir.dev/role"], "runner");
    assert_eq!(pod["spec"]["nodeSelector"]["pool"], "load");
    assert_eq!(pod["spec"]["securityContext"]["runAsUser"], 1000);
    assert_eq!(pod["spec"]["securityContext"]["fsGroup"], Value::Null);
    assert_eq!(pod["spec"]["securityContext"]["runAsNonRoot"], true);
    let names = |list: &str| -> Vec<String> {
        let items = pod["spec"][list].as_array().unwrap();
        items.iter().map(|item| item["name"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(names("initContainers"), ["weir-init", "fetch"]);
    assert_eq!(names("containers"), ["k6", "side"]);
    assert_eq!(names("volumes"), ["weir", "weir-run", "s"]);
    let mounts = k6(&pod)["volumeMounts"].as_array().unwrap().len();
    assert_eq!(mounts, 3, "/weir, /weir-run and the user's");
}

#[test]
fn environment_and_resources_are_the_k6_containers() {
    let pod = runner_pod(
        "{script: {inline: x}, k6: {env: [{name: A, value: b}], envFrom: [{secretRef: {name: s}}], resources: {limits: {memory: 1Gi}}, imagePullSecrets: [{name: pull}]}}",
    );
    let container = k6(&pod);
    assert_eq!(container["env"], json!([{"name": "A", "value": "b"}]));
    assert_eq!(container["envFrom"], json!([{"secretRef": {"name": "s"}}]));
    assert_eq!(container["resources"]["limits"]["memory"], "1Gi");
    assert_eq!(pod["spec"]["imagePullSecrets"], json!([{"name": "pull"}]));
    assert_eq!(pod["spec"]["automountServiceAccountToken"], false);
}

#[test]
fn the_aggregator_gets_its_plan_and_the_users_account() {
    let yaml = "{parallelism: 7, script: {inline: x}, aggregator: {serviceAccountName: irsa, env: [{name: AWS_REGION, value: eu-west-1}]}}";
    let object = aggregator::job(&valid(yaml), &run(), IMAGE).object;
    let pod = &object["spec"]["template"]["spec"];
    assert_eq!(pod["serviceAccountName"], "irsa");
    let env = pod["containers"][0]["env"].as_array().unwrap();
    assert_eq!(env[0]["name"], PLAN_ENV);
    let plan: RunPlan = serde_json::from_str(env[0]["value"].as_str().unwrap()).unwrap();
    assert_eq!(
        (plan.instances, plan.run.to_string()),
        (7, "shop/checkout-1/uid-of-run".to_owned())
    );
    assert_eq!(env[1]["name"], "AWS_REGION");
    assert_eq!(pod["containers"][0]["image"], IMAGE);
}

#[test]
fn the_service_finds_the_aggregator_of_this_run_alone() {
    let [own, pods] = service::services(&run()).map(|child| child.object);
    assert_eq!(own["spec"].get("clusterIP"), None, "its name is known before there is a pod");
    assert_eq!(pods["spec"]["clusterIP"], "None");
    for object in [own, pods] {
        assert_eq!(
            object["spec"]["selector"],
            json!({"weir.dev/role": "aggregator", "weir.dev/run-uid": "uid-of-run"})
        );
    }
}
