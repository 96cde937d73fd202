//! Instances lost after the start: named at once, never started again, and the run ends in a bounded time.

use super::{
    super::seen::{FailureSeen, PodPhase},
    world::World,
};
use crate::{
    api::v1alpha1::{LostRunner, Phase, Reason},
    wire::result::Stage,
};

fn oom(world: &mut World, instance: u32) {
    let now_ms = world.now_ms;
    let pod = world.runner(instance);
    pod.phase = PodPhase::Failed;
    pod.finished_ms = Some(now_ms);
    pod.failure = Some(FailureSeen {
        container: "k6".into(),
        reason: "OOMKilled".into(),
        exit_code: 137,
        message: String::new(),
    });
}

fn lost(world: &World) -> Vec<(u32, String)> {
    let runners = &world.seen.run.status.as_ref().unwrap().runners;
    runners.lost_instances.iter().map(|lost| (lost.instance_id, lost.reason.clone())).collect()
}

#[test]
fn an_instance_that_ran_out_of_memory_is_named_at_once() {
    let mut world = World::running();
    oom(&mut world, 2);
    world.settle();
    assert_eq!(lost(&world), [(2, "OOMKilled".to_owned())]);
    assert!(world.events.contains(&"RunnerLost".to_owned()));
    assert_eq!(world.phase(), Phase::Running, "the aggregator ends the run");
}

#[test]
fn the_verdict_about_lost_runners_says_what_took_them() {
    let mut world = World::running();
    oom(&mut world, 2);
    world.settle();
    world.pass(1_000);
    world.publish_end(Reason::RunnersLost, "1 of 3 instances was lost, 0 are tolerated", 255);
    world.settle();
    let (reason, message) = world.verdict();
    assert_eq!(reason, Reason::RunnersLost);
    assert!(message.contains("instance 2: OOMKilled"), "{message}");
}

#[test]
fn other_ways_to_go_have_their_own_words() {
    let mut world = World::running();
    world.runner(1).phase = PodPhase::Failed;
    world.runner(1).reason = Some("Evicted".into());
    world.runner(2).phase = PodPhase::Failed;
    world.runner(2).failure = Some(FailureSeen {
        container: "k6".into(),
        reason: "Error".into(),
        exit_code: 3,
        message: String::new(),
    });
    world.seen.pods.retain(|pod| pod.index != 2 || !pod.name.contains("runner"));
    world.settle();
    let found = lost(&world);
    assert_eq!(
        found,
        [(1, "Evicted".to_owned()), (2, "ExitCode3".to_owned()), (3, "Deleted".to_owned())]
    );
}

#[test]
fn a_pod_that_is_only_being_deleted_is_lost_when_its_node_does_not_answer() {
    let mut world = World::running();
    let gone_ms = world.now_ms + 60_000;
    world.runner(1).deleting_ms = Some(gone_ms);
    world.settle();
    assert_eq!(lost(&world), [], "its agent may still hand over its samples");
    assert_eq!(world.plan().next_ms, Some(gone_ms + 15_000));
    world.pass_until_due();
    world.settle();
    assert_eq!(lost(&world), [(1, "NodeLost".to_owned())]);
}

#[test]
fn a_pod_that_replaces_a_lost_one_does_not_bring_it_back() {
    let mut world = World::running();
    oom(&mut world, 2);
    world.settle();
    let mut replacement = world.pod(super::super::seen::PodRole::Runner, 1);
    replacement.name = "checkout-1-runner-1-second".into();
    replacement.phase = PodPhase::Succeeded;
    world.seen.pods.push(replacement);
    world.pass(2_000);
    world.settle();
    assert_eq!(lost(&world), [(2, "OOMKilled".to_owned())]);
}

#[test]
fn a_pod_that_failed_before_the_start_and_was_replaced_is_no_loss() {
    let mut world = World::plain();
    world.settle();
    oom(&mut world, 2);
    world.pass(12_000);
    let mut replacement = world.pod(super::super::seen::PodRole::Runner, 1);
    replacement.name = "checkout-1-runner-1-second".into();
    replacement.phase = PodPhase::Running;
    world.seen.pods.push(replacement);
    world.pass(3_000);
    world.publish(Stage::Running, 3);
    world.settle();
    world.pass(10_000);
    world.settle();
    assert_eq!(lost(&world), []);
}

#[test]
fn pods_that_the_watch_has_not_shown_yet_are_not_lost() {
    let mut world = World::plain();
    world.settle();
    world.pass(2_000);
    world.seen.pods.clear();
    world.publish(Stage::Running, 3);
    world.settle();
    assert_eq!(lost(&world), []);
    world.pass(5_000);
    world.settle();
    assert_eq!(lost(&world).len(), 3);
}

#[test]
fn a_loss_beyond_the_policy_ends_the_run_even_if_the_aggregator_is_silent() {
    let mut world = World::running();
    oom(&mut world, 2);
    world.settle();
    let status = world.seen.run.status.clone().unwrap();
    assert!(status.stop_time.is_some());
    let since_ms = world.now_ms / 1000 * 1000;
    world.aggregator().phase = PodPhase::Pending;
    assert_eq!(world.plan().next_ms, Some(since_ms + 30_000 + 30_000), "drain deadline and margin");
    world.pass_until_due();
    world.settle();
    let (reason, message) = world.verdict();
    assert_eq!(reason, Reason::RunnersLost);
    assert!(message.contains("OOMKilled") && message.contains("drainSeconds"), "{message}");
    world.assert_nothing_left();
}

#[test]
fn an_aggregator_at_work_gets_the_time_that_teardown_needs() {
    let mut world = World::running();
    oom(&mut world, 2);
    world.settle();
    let since_ms = world.now_ms / 1000 * 1000;
    assert_eq!(world.plan().next_ms, Some(since_ms + 30_000 + 120_000));
}

#[test]
fn a_tolerated_loss_lets_the_run_go_on_for_as_long_as_the_load_lasts() {
    let mut world = World::running();
    world.test = Ok(super::world::valid(
        "{parallelism: 3, script: {file: {path: /test.js}}, runnerLoss: {policy: Tolerate, maxPercent: 34}, deadlines: {drainSeconds: 30}}",
    ));
    oom(&mut world, 2);
    world.settle();
    assert_eq!(lost(&world).len(), 1);
    world.pass(86_400_000);
    world.settle();
    assert_eq!(world.phase(), Phase::Running);
    assert!(world.seen.run.status.as_ref().unwrap().stop_time.is_none());
}

#[test]
fn runners_that_all_left_without_a_result_end_the_run_after_the_drain_deadline() {
    let mut world = World::running();
    let now_ms = world.now_ms;
    for instance in 1..=3 {
        world.runner(instance).phase = PodPhase::Succeeded;
        world.runner(instance).finished_ms = Some(now_ms);
    }
    world.aggregator().phase = PodPhase::Pending;
    world.settle();
    assert_eq!(world.plan().next_ms, Some(now_ms + 60_000));
    world.pass_until_due();
    world.settle();
    let (reason, message) = world.verdict();
    assert_eq!(reason, Reason::OutputFailed);
    assert!(message.contains("all k6 instances have ended"), "{message}");
}

#[test]
fn what_the_aggregator_lost_is_taken_over_and_the_pods_word_wins() {
    let mut world = World::running();
    let by_silence = |instance_id| LostRunner { instance_id, reason: "NoHeartbeat".into() };
    world.seen.result.as_mut().unwrap().lost = vec![by_silence(1), by_silence(2)];
    oom(&mut world, 2);
    world.settle();
    assert_eq!(lost(&world), [(1, "NoHeartbeat".to_owned()), (2, "OOMKilled".to_owned())]);
}

#[test]
fn only_the_first_lost_instances_are_named_and_all_are_counted() {
    let mut world = World::new("{parallelism: 30, script: {file: {path: /test.js}}}");
    world.settle();
    world.pass(2_000);
    world.all_pods(PodPhase::Running);
    world.publish(Stage::Running, 30);
    world.pass(10_000);
    world.settle();
    for instance in 1..=25 {
        oom(&mut world, instance);
    }
    world.settle();
    let runners = &world.seen.run.status.as_ref().unwrap().runners;
    assert_eq!((runners.lost, runners.lost_instances.len()), (25, 20));
}

#[test]
fn the_end_of_the_sidecar_does_not_hide_what_took_k6() {
    let pod: k8s_openapi::api::core::v1::Pod = serde_json::from_value(serde_json::json!({
        "metadata": {"name": "p"},
        "status": {
            "phase": "Failed",
            "initContainerStatuses": [{
                "name": "weir-init", "image": "weir", "imageID": "", "ready": false, "restartCount": 0,
                "state": {"terminated": {"exitCode": 137, "reason": "Error"}},
            }],
            "containerStatuses": [{
                "name": "k6", "image": "k6", "imageID": "", "ready": false, "restartCount": 0,
                "state": {"terminated": {"exitCode": 137, "reason": "OOMKilled"}},
            }],
        },
    }))
    .unwrap();
    assert_eq!(crate::core::lifecycle::reduce::pod(&pod).failure_word(), "OOMKilled");
}
