//! What users and clusters get wrong: each ends with a reason that names object, field and remedy, within a bound.

use super::{
    super::seen::{FailureSeen, JobEnd, NameTaken, PodPhase, Refusal, SourceSeen, WaitingSeen},
    world::{CREATED_MS, World},
};
use crate::{api::v1alpha1::Reason, wire::result::Stage};

/// Lets time pass, as the plans ask for it, until the run is over; asserts how, when at the latest, and that nothing
/// is left.
#[track_caller]
fn ends(world: &mut World, within_ms: i64, reason: Reason, words: &[&str]) {
    for _ in 0..200 {
        world.settle();
        if world.seen.run.status.as_ref().is_some_and(|status| status.verdict.is_some()) {
            break;
        }
        world.pass_until_due();
    }
    let (found, message) = world.verdict();
    assert_eq!(found, reason, "{message}");
    for word in words {
        assert!(message.contains(word), "{word:?} is not in {message:?}");
    }
    let took_ms = world.now_ms - CREATED_MS;
    assert!(took_ms <= within_ms, "it took {took_ms} ms");
    world.pass(10_000);
    world.settle();
    world.assert_nothing_left();
}

#[test]
fn an_invalid_spec_ends_at_once_with_all_errors() {
    let mut world = World::new(
        "{parallelism: 2, script: {inline: x, file: {path: relative}}, k6: {args: [--paused]}, tags: {instance_id: a}}",
    );
    assert!(world.plan().apply.is_empty());
    ends(
        &mut world,
        1_000,
        Reason::InvalidSpec,
        &[
            "spec.script: set exactly one",
            "spec.script.file.path",
            "spec.k6.args: --paused",
            "spec.tags",
        ],
    );
    assert_eq!(world.seen.run.status.as_ref().unwrap().exit_code, Some(104));
}

#[test]
fn a_missing_config_map_is_shown_at_once_and_fatal_after_a_grace() {
    let mut world = World::plain();
    world.seen.source = SourceSeen::Missing("there is no ConfigMap absent".into());
    let plan = world.turn();
    assert!(plan.apply.is_empty(), "no pod is made that could only hang");
    assert_eq!(world.condition("RunnersReady").1, "ScriptNotFound");
    ends(&mut world, 15_000, Reason::InvalidSpec, &["there is no ConfigMap absent"]);
}

#[test]
fn a_config_map_that_comes_within_the_grace_starts_the_run() {
    let mut world = World::plain();
    world.seen.source = SourceSeen::Missing("there is no ConfigMap late".into());
    world.settle();
    world.pass_until_due();
    world.seen.source = SourceSeen::Found;
    assert_eq!(world.plan().apply.len(), 8);
}

#[test]
fn an_image_name_that_no_registry_could_have_ends_at_once() {
    let mut world = World::plain();
    world.settle();
    world.waits(1, "InvalidImageName", "couldn't parse image name");
    ends(
        &mut world,
        1_000,
        Reason::InvalidSpec,
        &["InvalidImageName", "registry.example/k6:nope", "instance 1"],
    );
}

#[test]
fn an_image_that_cannot_be_pulled_is_named_at_once_and_fatal_at_the_ready_deadline() {
    let mut world = World::plain();
    world.settle();
    for instance in 1..=3 {
        world.waits(instance, "ImagePullBackOff", "not found");
    }
    world.settle();
    let (status, reason, message) = world.condition("RunnersReady");
    assert_eq!((status.as_str(), reason.as_str()), ("False", "ImagePullFailed"));
    assert!(message.contains("instance 2"), "{message}");
    assert_eq!(message.matches("not found").count(), 1, "one cause is told once: {message}");
    ends(
        &mut world,
        65_000,
        Reason::DeadlineExceeded,
        &["registry.example/k6:nope", "spec.deadlines.readySeconds", "0 of 3"],
    );
}

#[test]
fn the_aggregators_word_about_its_deadline_gets_the_pods_cause() {
    let mut world = World::plain();
    world.settle();
    world.waits(3, "ErrImagePull", "manifest unknown");
    world.publish(Stage::Gathering, 2);
    world.publish_end(Reason::DeadlineExceeded, "2 of 3 instances were ready", 102);
    ends(
        &mut world,
        65_000,
        Reason::DeadlineExceeded,
        &["2 of 3 instances were ready", "manifest unknown"],
    );
}

#[test]
fn a_pod_that_cannot_be_scheduled_is_named() {
    let mut world = World::plain();
    world.settle();
    world.runner(2).unschedulable = Some("0/5 nodes are available: 5 Insufficient cpu.".into());
    world.settle();
    assert_eq!(world.condition("RunnersReady").1, "Unschedulable");
    assert!(world.events.contains(&"Unschedulable".to_owned()));
    ends(&mut world, 65_000, Reason::DeadlineExceeded, &["instance 2", "Insufficient cpu"]);
}

#[test]
fn a_secret_that_the_container_refers_to_and_that_is_missing_is_named() {
    let mut world = World::plain();
    world.settle();
    world.waits(1, "CreateContainerConfigError", "secret \"credentials\" not found");
    world.settle();
    assert_eq!(world.condition("RunnersReady").1, "ContainerConfigError");
    ends(&mut world, 65_000, Reason::DeadlineExceeded, &["credentials"]);
}

#[test]
fn an_aggregator_pod_that_cannot_start_is_named_before_the_runners() {
    let mut world = World::plain();
    world.settle();
    world.waits(1, "ImagePullBackOff", "of a runner");
    world.aggregator().waiting = Some(WaitingSeen {
        reason: "ErrImagePull".into(),
        message: "of the aggregator".into(),
        image: "weir".into(),
    });
    world.settle();
    let message = world.condition("RunnersReady").2;
    let place =
        |word: &str| message.find(word).unwrap_or_else(|| panic!("{word} is not in {message}"));
    assert!(place("of the aggregator") < place("of a runner"));
    ends(&mut world, 65_000, Reason::DeadlineExceeded, &["the aggregator"]);
}

#[test]
fn pods_that_only_hang_are_named_at_the_deadline() {
    let mut world = World::plain();
    world.settle();
    world.runner(1).node = Some("node-7".into());
    ends(
        &mut world,
        65_000,
        Reason::DeadlineExceeded,
        &["still starting on node node-7", "not scheduled yet"],
    );
}

/// A kubelet may not have come to `CrashLoopBackOff` by the deadline: it says that the container runs, or has just ended.
#[test]
fn an_aggregator_between_two_of_its_ends_is_named_at_the_deadline() {
    for is_down in [false, true] {
        let mut world = World::plain();
        world.settle();
        world.all_pods(PodPhase::Running);
        let pod = world.aggregator();
        pod.failure = Some(FailureSeen {
            container: "aggregator".into(),
            reason: "Error".into(),
            exit_code: 2,
            message: String::new(),
        });
        (pod.restarts, pod.is_down) = (2, is_down);
        world.settle();
        let named = world.condition("RunnersReady").1 == "PodFailed";
        assert_eq!(named, is_down, "what runs may go on well");
        ends(
            &mut world,
            65_000,
            Reason::DeadlineExceeded,
            &["the aggregator (pod checkout-1-aggregator-", "keeps ending", "exit code 2"],
        );
    }
}

#[test]
fn pods_that_the_job_cannot_make_are_missed_at_the_deadline() {
    let mut world = World::plain();
    world.settle();
    world.seen.pods.clear();
    ends(
        &mut world,
        65_000,
        Reason::DeadlineExceeded,
        &["0 pods", "events of Job checkout-1-runner"],
    );
}

#[test]
fn a_template_that_the_apiserver_refuses_ends_at_once_in_its_words() {
    let mut world = World::plain();
    let message = "the apiserver refuses Job checkout-1-runner: unknown field \"spec.template.spec.tolerationz\"";
    world.seen.refused = Some(Refusal { message: message.into(), last: true });
    ends(&mut world, 1_000, Reason::InvalidSpec, &["tolerationz"]);
}

#[test]
fn a_quota_that_refuses_an_object_is_shown_at_once_and_fatal_at_the_deadline() {
    let mut world = World::plain();
    world.seen.refused = Some(Refusal { message: "exceeded quota: jobs".into(), last: false });
    let plan = world.turn();
    assert!(!plan.apply.is_empty(), "it is tried again");
    assert_eq!(world.condition("RunnersReady").1, "ObjectRefused");
    world.seen.aggregator_job = None;
    world.seen.runner_job = None;
    world.seen.pods.clear();
    world.pass(65_000);
    world.turn();
    assert_eq!(world.verdict().0, Reason::DeadlineExceeded);
    assert!(world.verdict().1.contains("exceeded quota"));
}

#[test]
fn a_runner_that_uses_up_its_retries_before_the_start_is_named() {
    let mut world = World::plain();
    world.settle();
    let pod = world.runner(2);
    pod.phase = PodPhase::Failed;
    pod.failure = Some(FailureSeen {
        container: "k6".into(),
        reason: "OOMKilled".into(),
        exit_code: 137,
        message: String::new(),
    });
    world.settle();
    assert_eq!(world.condition("RunnersReady").1, "PodFailed");
    world.seen.runner_job.as_mut().unwrap().failed_indexes = Some("1".into());
    ends(&mut world, 10_000, Reason::RunnersLost, &["instance 2", "OOMKilled", "137"]);
}

#[test]
fn an_aggregator_that_fails_for_good_ends_the_run() {
    let mut world = World::running();
    let pod = world.aggregator();
    pod.phase = PodPhase::Failed;
    pod.failure = Some(FailureSeen {
        container: "aggregator".into(),
        reason: "OOMKilled".into(),
        exit_code: 137,
        message: String::new(),
    });
    world.seen.aggregator_job.as_mut().unwrap().end = Some(JobEnd {
        failed: true,
        reason: "BackoffLimitExceeded".into(),
        message: "Job has reached the specified backoff limit".into(),
        at_ms: world.now_ms,
    });
    ends(&mut world, 60_000, Reason::OutputFailed, &["OOMKilled", "BackoffLimitExceeded"]);
}

#[test]
fn an_aggregator_that_ends_without_a_result_is_waited_for_only_as_long_as_watches_lag() {
    let mut world = World::running();
    let now_ms = world.now_ms;
    world.aggregator().phase = PodPhase::Succeeded;
    world.seen.aggregator_job.as_mut().unwrap().end =
        Some(JobEnd { at_ms: now_ms, ..JobEnd::default() });
    world.settle();
    assert_eq!(world.plan().next_ms, Some(now_ms + 10_000));
    ends(&mut world, 60_000, Reason::OutputFailed, &["without publishing a result"]);
}

#[test]
fn the_name_of_a_run_that_is_being_deleted_is_waited_for() {
    let mut world = World::plain();
    let taken = NameTaken { object: "Service checkout-1".into(), of_older_run: true };
    world.seen.name_taken = Some(taken);
    let plan = world.turn();
    assert!(plan.apply.is_empty());
    assert_eq!(world.condition("RunnersReady").1, "NameTaken");
    world.seen.name_taken = None;
    assert!(!world.plan().apply.is_empty());
}

#[test]
fn an_object_that_a_user_made_is_not_taken_over() {
    let mut world = World::plain();
    let taken = NameTaken { object: "Service checkout-1".into(), of_older_run: false };
    world.seen.name_taken = Some(taken);
    assert!(world.plan().apply.is_empty());
    ends(&mut world, 1_000, Reason::InvalidSpec, &["Service checkout-1", "another name"]);
}
