//! Plans and objects as texts: a change of them is seen in review.

use super::{
    super::{
        build::{aggregator, runner, writer},
        seen::{FailureSeen, PodPhase},
    },
    world::{IMAGE, World},
};
use crate::{api::v1alpha1::Reason, wire::result::Stage};

const FULL: &str = "{parallelism: 4, script: {configMap: {name: checkout-script, key: main.js}},
    k6: {image: 'grafana/k6:2.2.0', args: [--env, BASE_URL=http://shop], env: [{name: A, value: b}], resources: {limits: {memory: 1Gi}}},
    tags: {team: checkout}, outputs: [{timestream: {region: eu-west-1, databaseName: k6db, tableName: samples}}],
    deadlines: {readySeconds: 60, drainSeconds: 30}, spool: {sizeMiB: 256, onFull: Drop}}";

fn yaml(value: &serde_json::Value) -> String {
    serde_saphyr::to_string(value).unwrap()
}

#[test]
fn the_runner_job() {
    let world = World::new(FULL);
    let job = runner::job(world.test.as_ref().unwrap(), &world.seen.run, IMAGE);
    insta::assert_snapshot!(yaml(&job.object));
}

#[test]
fn the_aggregator_job() {
    let world = World::new(FULL);
    let job = aggregator::job(world.test.as_ref().unwrap(), &world.seen.run, IMAGE);
    insta::assert_snapshot!(yaml(&job.object));
}

#[test]
fn the_tokens_of_outputs_reach_those_who_write_alone_and_only_by_reference() {
    let world = World::new(
        "{parallelism: 4, aggregator: {replicas: 2}, script: {inline: x}, outputs: [
            {timestream: {databaseName: k6db, tableName: samples}},
            {influxdb: {url: 'https://host', org: o, bucket: b, tokenSecret: {name: influx, key: token}}},
            {name: open, influxdb: {url: 'https://host', api: V3, database: d}}]}",
    );
    let test = world.test.as_ref().unwrap();
    let env = "        - name: WEIR_INFLUXDB_TOKEN_1
          valueFrom:
            secretKeyRef:
              key: token
              name: influx
              optional: false
";
    let aggregator = aggregator::job(test, &world.seen.run, IMAGE);
    for job in [aggregator, writer::job(test, &world.seen.run, IMAGE).unwrap()] {
        let job = yaml(&job.object);
        assert!(job.contains(env), "{job}");
        assert_eq!(job.matches("WEIR_INFLUXDB_TOKEN").count(), 1, "{job}");
    }
    let runner = yaml(&runner::job(test, &world.seen.run, IMAGE).object);
    assert!(!runner.contains("influx"), "{runner}");
}

#[test]
fn the_writers_job() {
    let world = World::new(&FULL.replacen('{', "{aggregator: {replicas: 3}, ", 1));
    let test = world.test.as_ref().unwrap();
    let job = writer::job(test, &world.seen.run, IMAGE).unwrap();
    insta::assert_snapshot!(yaml(&job.object));
}

#[test]
fn the_plans_of_a_run_that_loses_an_instance() {
    let mut text = String::new();
    let mut world = World::new(FULL);
    let mut turn = |world: &mut World, what: &str| {
        let now_ms = world.now_ms;
        let plan = world.turn();
        text.extend(["--- ", what, "\n", &plan.text(now_ms)]);
    };
    turn(&mut world, "created");
    turn(&mut world, "Jobs are there");
    world.pass(800);
    world.waits(3, "ErrImagePull", "not found");
    turn(&mut world, "an image is not there yet");
    world.pass(2_000);
    world.runner(3).waiting = None;
    world.all_pods(PodPhase::Running);
    world.publish(Stage::Gathering, 4);
    turn(&mut world, "all instances are ready");
    world.pass(100);
    world.publish(Stage::Running, 4);
    turn(&mut world, "the load is on");
    world.pass(9_000);
    world.runner(2).phase = PodPhase::Failed;
    world.runner(2).failure = Some(FailureSeen {
        container: "k6".into(),
        reason: "OOMKilled".into(),
        exit_code: 137,
        message: String::new(),
    });
    turn(&mut world, "an instance runs out of memory");
    world.pass(1_500);
    world.publish(Stage::Draining, 4);
    turn(&mut world, "the aggregator has stopped the load");
    world.pass(700);
    world.publish_end(Reason::RunnersLost, "1 of 4 k6 instances was lost; 0 are tolerated", 255);
    turn(&mut world, "the result is there");
    turn(&mut world, "pods still run");
    world.all_pods(PodPhase::Succeeded);
    turn(&mut world, "all pods have ended");
    insta::assert_snapshot!(text);
}
