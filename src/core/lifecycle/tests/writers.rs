//! Runs whose aggregator has several replicas.

use super::{
    super::{
        build::{
            service::{host_names, writer_endpoints},
            writer,
        },
        seen::{FailureSeen, PodPhase, PodRole, WaitingSeen},
    },
    world::{World, valid},
};
use crate::{api::v1alpha1::Reason, wire::result::Stage};

fn names(world: &World) -> Vec<String> {
    let plan = world.plan();
    plan.apply.iter().map(|child| format!("{} {}", child.kind.as_str(), child.name)).collect()
}

fn started() -> World {
    let mut world = World::with_writers();
    world.settle();
    world.all_pods(PodPhase::Running);
    world.publish(Stage::Gathering, 3);
    world.settle();
    world.publish(Stage::Running, 3);
    world.settle();
    world.pass(5_000);
    world
}

#[test]
fn replicas_besides_the_first_are_a_job_with_a_name_for_each_pod() {
    let world = World::with_writers();
    let applied = names(&world);
    assert!(applied.contains(&"Service checkout-1-writers".to_owned()), "{applied:?}");
    let jobs: Vec<_> = applied.iter().filter(|name| name.starts_with("Job")).collect();
    assert_eq!(
        jobs,
        ["Job checkout-1-aggregator", "Job checkout-1-writer", "Job checkout-1-runner"]
    );
    let plan = world.plan();
    let job = plan.apply.iter().find(|child| child.name == "checkout-1-writer").unwrap();
    assert_eq!(job.object["spec"]["completions"], 2);
    assert_eq!(job.object["spec"]["template"]["spec"]["subdomain"], "checkout-1-writers");
    let runner = plan.apply.iter().find(|child| child.name == "checkout-1-runner").unwrap();
    let command = runner.object["spec"]["template"]["spec"]["containers"][0]["command"].clone();
    let command: Vec<String> = serde_json::from_value(command).unwrap();
    let told: Vec<_> = command.windows(2).filter(|pair| pair[0] == "--writer").collect();
    assert_eq!(told.len(), 2);
    assert_eq!(told[1][1], "https://checkout-1-writer-1.checkout-1-writers.shop.svc:7465");
}

#[test]
fn the_certificate_is_for_every_name_that_agents_dial() {
    let world = World::with_writers();
    let of_certificate = host_names(&world.seen.run);
    for endpoint in writer_endpoints(&world.seen.run, 2) {
        let host = endpoint.strip_prefix("https://").unwrap().split(':').next().unwrap();
        let (_, domain) = host.split_once('.').unwrap();
        assert!(of_certificate.contains(&format!("*.{domain}")), "{host}: {of_certificate:?}");
    }
}

#[test]
fn a_replica_without_an_instance_or_an_output_is_not_made() {
    let of = |yaml: &str| writer::writers(&valid(yaml));
    let output = "outputs: [{timestream: {databaseName: k6db, tableName: samples}}]";
    let script = "script: {inline: x}";
    assert_eq!(of(&format!("{{{script}, {output}, parallelism: 9}}")), 0);
    assert_eq!(
        of(&format!("{{{script}, {output}, parallelism: 9, aggregator: {{replicas: 4}}}}")),
        3
    );
    assert_eq!(
        of(&format!("{{{script}, {output}, parallelism: 2, aggregator: {{replicas: 4}}}}")),
        1
    );
    assert_eq!(of(&format!("{{{script}, parallelism: 9, aggregator: {{replicas: 4}}}}")), 0);
    let mut alone = World::plain();
    alone.settle();
    assert!(alone.seen.pods.iter().all(|pod| pod.role != PodRole::Writer));
}

#[test]
fn a_lost_writers_job_is_made_again_while_the_load_is_on() {
    let mut world = started();
    world.seen.writer_job = None;
    let applied = names(&world);
    let jobs: Vec<_> = applied.iter().filter(|name| name.starts_with("Job")).collect();
    assert_eq!(jobs, ["Job checkout-1-writer"]);
}

#[test]
fn a_writer_in_trouble_is_named_before_the_start() {
    let mut world = World::with_writers();
    world.settle();
    let pods = &mut world.seen.pods;
    let writer = pods.iter_mut().find(|pod| pod.role == PodRole::Writer && pod.index == 1).unwrap();
    writer.waiting = Some(WaitingSeen {
        reason: "ImagePullBackOff".to_owned(),
        message: "not found".to_owned(),
        image: "weir".to_owned(),
    });
    world.settle();
    let (_, reason, message) = world.condition("RunnersReady");
    assert_eq!(reason, "ImagePullFailed");
    assert!(
        message.contains("replica 2 of the aggregator (pod checkout-1-writer-1-x)"),
        "{message}"
    );
}

#[test]
fn a_writer_that_keeps_ending_leaves_the_verdict_to_the_aggregator() {
    let mut world = started();
    let pods = &mut world.seen.pods;
    let writer = pods.iter_mut().find(|pod| pod.role == PodRole::Writer).unwrap();
    writer.phase = PodPhase::Failed;
    writer.failure = Some(FailureSeen {
        container: "aggregator".to_owned(),
        reason: "OOMKilled".to_owned(),
        exit_code: 137,
        message: String::new(),
    });
    world.settle();
    world.publish_end(Reason::OutputFailed, "5 samples are not stored", 255);
    world.settle();
    assert_eq!(world.verdict().0, Reason::OutputFailed);
}

#[test]
fn writers_that_do_not_leave_are_removed_with_the_rest() {
    let mut world = started();
    world.publish_end(Reason::ThresholdsMet, "fine", 0);
    world.settle();
    for pod in world.seen.pods.iter_mut().filter(|pod| pod.role != PodRole::Writer) {
        pod.phase = PodPhase::Succeeded;
    }
    world.settle();
    assert!(world.seen.run.finalizer, "a writer still runs");
    world.pass_until_due();
    world.settle();
    world.assert_nothing_left();
    assert!(world.seen.writer_job.is_none());
}

#[test]
fn a_run_that_ends_without_an_aggregator_takes_its_writers_along() {
    let mut world = World::with_writers();
    world.settle();
    world.seen.run.stop = true;
    world.settle();
    world.assert_nothing_left();
    assert!(world.seen.writer_job.is_none());
}
