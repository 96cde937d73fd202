//! A run from its creation to its end, as it should go.

use super::{
    super::{check::assert_sound, decide::decide, seen::PodPhase},
    world::{IMAGE, World},
};
use crate::{
    api::v1alpha1::{OutputStatus, Phase, Reason},
    wire::result::Stage,
};

#[test]
fn everything_of_a_run_is_applied_by_the_first_plan() {
    let world = World::plain();
    let plan = world.plan();
    let names: Vec<_> =
        plan.apply.iter().map(|child| format!("{} {}", child.kind.as_str(), child.name)).collect();
    assert_eq!(
        names,
        [
            "Role checkout-1-aggregator",
            "RoleBinding checkout-1-aggregator",
            "ServiceAccount checkout-1-aggregator",
            "Service checkout-1",
            "Service checkout-1-pods",
            "ConfigMap checkout-1-result",
            "Job checkout-1-aggregator",
            "Job checkout-1-runner",
        ]
    );
    assert!(plan.create_secret && plan.hold);
}

#[test]
fn a_run_passes_through_its_phases_and_leaves_nothing() {
    let mut world = World::plain();
    let mut phases = vec![world.phase()];
    let note = |world: &World, phases: &mut Vec<Phase>| phases.push(world.phase());
    world.settle();
    note(&world, &mut phases);
    world.pass(2_000);
    world.all_pods(PodPhase::Running);
    world.publish(Stage::Gathering, 3);
    world.settle();
    assert_eq!(world.condition("RunnersReady").0, "True");
    assert_eq!(world.condition("Started").0, "False");
    world.publish(Stage::Setup, 3);
    world.settle();
    assert_eq!(world.condition("Started").1, "SetupRunning");
    world.publish(Stage::Running, 3);
    world.settle();
    note(&world, &mut phases);
    world.pass(10_000);
    world.publish(Stage::Teardown, 3);
    world.settle();
    note(&world, &mut phases);
    world.pass(500);
    world.publish(Stage::Draining, 3).outputs = vec![OutputStatus {
        name: "timestream".into(),
        emitted: 5,
        stored: 5,
        ..OutputStatus::default()
    }];
    world.publish_end(Reason::ThresholdsMet, "no threshold was crossed", 0);
    world.settle();
    note(&world, &mut phases);
    assert_eq!(
        phases,
        [Phase::Pending, Phase::Preparing, Phase::Running, Phase::Finishing, Phase::Passed]
    );
    assert_eq!(world.condition("Succeeded").0, "True");
    let status = world.seen.run.status.clone().unwrap();
    assert_eq!(status.exit_code, Some(0));
    assert_eq!(status.duration.as_deref(), Some("10s"), "10.5 s, in whole seconds of the clock");
    assert_eq!(status.outputs[0].stored, 5);
    assert_eq!(status.result_name.as_deref(), Some("checkout-1-result"));
    assert_eq!(world.events, ["RunPreparing", "LoadStarted", "LoadFinished", "ThresholdsMet"]);
    world.all_pods(PodPhase::Succeeded);
    world.settle();
    world.assert_nothing_left();
    assert!(world.seen.runner_job.is_some(), "finished pods keep their logs");
    assert_eq!(world.seen.run.status, Some(status), "a verdict is never changed");
}

#[test]
fn pods_that_do_not_leave_after_the_end_are_removed_and_the_run_is_let_go() {
    let mut world = World::running();
    world.publish_end(Reason::ThresholdsMet, "fine", 0);
    world.settle();
    assert!(world.seen.run.finalizer);
    world.pass_until_due();
    world.settle();
    world.assert_nothing_left();
    assert!(world.seen.runner_job.is_none());
}

#[test]
fn a_pod_that_cannot_be_removed_does_not_hold_the_run_for_ever() {
    let mut world = World::running();
    world.publish_end(Reason::ThresholdsMet, "fine", 0);
    world.settle();
    world.pass_until_due();
    let stuck = world.runner(1).clone();
    world.turn();
    world.seen.pods.push(stuck);
    assert!(world.seen.run.finalizer);
    world.pass_until_due();
    world.turn();
    assert!(!world.seen.run.finalizer);
}

#[test]
fn a_restarted_operator_decides_the_same_in_each_phase() {
    let mut world = World::plain();
    let steps: [fn(&mut World); 9] = [
        |_| {},
        |world| world.all_pods(PodPhase::Running),
        |world| drop(world.publish(Stage::Gathering, 1).clone()),
        |world| drop(world.publish(Stage::Gathering, 3).clone()),
        |world| drop(world.publish(Stage::Running, 3).clone()),
        |world| world.runner(2).phase = PodPhase::Failed,
        |world| drop(world.publish(Stage::Draining, 3).clone()),
        |world| world.publish_end(Reason::RunnersLost, "an instance was lost", 255),
        |world| world.all_pods(PodPhase::Failed),
    ];
    for step in steps {
        step(&mut world);
        // What only this process knew is gone; what it wrote is all there is.
        let mut fresh = world.seen.clone();
        fresh.status_written_ms = None;
        let plan = decide(world.test.as_ref(), &fresh, IMAGE, world.now_ms + 1_000);
        assert_sound(&plan, &fresh, world.now_ms + 1_000);
        world.pass(1_000);
        assert_eq!(plan.text(0), world.plan().text(0));
        world.settle();
    }
    assert_eq!(world.verdict().0, Reason::RunnersLost);
    world.assert_nothing_left();
}

#[test]
fn a_lost_aggregator_job_is_made_again_and_a_lost_runner_job_is_not() {
    let mut world = World::running();
    world.seen.aggregator_job = None;
    world.seen.runner_job = None;
    let plan = world.plan();
    let jobs: Vec<_> =
        plan.apply.iter().filter(|child| child.is_job()).map(|child| child.name.as_str()).collect();
    assert_eq!(jobs, ["checkout-1-aggregator"]);
}

#[test]
fn an_aggregator_that_starts_anew_does_not_take_the_run_back() {
    let mut world = World::running();
    let result = world.publish(Stage::Gathering, 0);
    result.started_unix_ms = None;
    world.pass(1_000);
    world.settle();
    assert_eq!(world.phase(), Phase::Running);
    assert_eq!(world.condition("RunnersReady").0, "True");
    assert_eq!(world.seen.run.status.as_ref().unwrap().runners.ready, 3);
}

#[test]
fn counts_that_change_all_the_time_are_written_once_a_second() {
    let mut world = World::running();
    let count = |world: &mut World, emitted: u64| {
        world.seen.result.as_mut().unwrap().outputs =
            vec![OutputStatus { name: "timestream".into(), emitted, ..OutputStatus::default() }];
    };
    count(&mut world, 1);
    assert!(world.turn().status.is_some());
    count(&mut world, 2);
    world.pass(300);
    let plan = world.turn();
    assert!(plan.status.is_none());
    assert_eq!(plan.next_ms, Some(world.now_ms + 700));
    world.pass(700);
    assert!(world.turn().status.is_some());
}

#[test]
fn a_user_who_stops_a_run_gets_the_aggregators_verdict() {
    let mut world = World::running();
    world.seen.run.stop = true;
    world.settle();
    assert_eq!(world.condition("Complete").1, "Stopping");
    world.pass(3_000);
    world.publish_end(Reason::Stopped, "stopped by a user", 105);
    world.settle();
    assert_eq!(world.verdict(), (Reason::Stopped, "stopped by a user".to_owned()));
}

#[test]
fn a_stop_before_anything_runs_ends_the_run_at_once() {
    let mut world = World::plain();
    world.seen.run.stop = true;
    let plan = world.turn();
    assert!(plan.apply.is_empty());
    assert_eq!(world.verdict().0, Reason::Stopped);
    world.settle();
    world.assert_nothing_left();
}

#[test]
fn a_deleted_run_is_held_until_the_aggregator_has_ended_it() {
    let mut world = World::running();
    world.seen.run.deleted_ms = Some(world.now_ms);
    world.settle();
    assert!(world.seen.run.finalizer);
    world.pass(2_000);
    world.publish_end(Reason::Stopped, "the run was deleted", 105);
    world.all_pods(PodPhase::Succeeded);
    world.settle();
    assert_eq!(world.verdict().0, Reason::Stopped);
    world.assert_nothing_left();
}

#[test]
fn a_run_that_is_deleted_with_its_jobs_does_not_wait_for_an_answer() {
    let mut world = World::running();
    world.seen.run.deleted_ms = Some(world.now_ms);
    world.seen.aggregator_job.as_mut().unwrap().deleting = true;
    world.seen.runner_job.as_mut().unwrap().deleting = true;
    world.settle();
    assert_eq!(world.verdict().0, Reason::Stopped);
    world.seen.pods.clear();
    world.settle();
    world.assert_nothing_left();
}
