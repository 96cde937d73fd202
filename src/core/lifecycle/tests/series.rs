//! The runs of one test.

use super::super::{
    build::run::{load_test_run, number},
    fingerprint::Fingerprint,
    series::{RunFacts, TestPlan, TestSeen, decide},
};
use super::world::{World, spec};
use crate::api::v1alpha1::{LoadTestRunStatus, Phase, Reason};

fn fingerprint(parallelism: u32) -> Fingerprint {
    Fingerprint::of(&spec(&format!("{{parallelism: {parallelism}, script: {{inline: x}}}}")).test)
}

fn test() -> TestSeen {
    TestSeen {
        namespace: "shop".into(),
        name: "checkout".into(),
        uid: "uid-of-test".into(),
        generation: 1,
        fingerprint: fingerprint(1),
        history_limit: 2,
        ..TestSeen::default()
    }
}

fn run(number: u64, settled: bool) -> RunFacts {
    let mut world = World::running();
    if settled {
        world.publish_end(Reason::ThresholdsMet, "fine", 0);
        world.settle();
    }
    RunFacts {
        name: format!("checkout-{number}"),
        uid: format!("uid-{number}"),
        number,
        fingerprint: fingerprint(1),
        settled,
        deleting: false,
        status: world.seen.run.status,
    }
}

/// Does what the plan says, as far as it concerns the test.
fn follow(seen: &mut TestSeen) -> TestPlan {
    let plan = decide(seen);
    if let Some(status) = &plan.status {
        seen.status = Some(status.clone());
    }
    if let Some(name) = &plan.start {
        let number = number("checkout", name).unwrap();
        let mut started = run(number, false);
        started.fingerprint = seen.fingerprint;
        started.status = None;
        seen.runs.push(started);
        seen.highest_number = seen.highest_number.max(number);
    }
    plan
}

#[test]
fn a_new_test_starts_its_first_run() {
    assert_eq!(decide(&test()).start.as_deref(), Some("checkout-1"));
}

#[test]
fn a_test_whose_latest_run_is_made_of_its_spec_starts_nothing() {
    let seen = TestSeen { runs: vec![run(1, true)], highest_number: 1, ..test() };
    assert_eq!(decide(&seen).start, None);
}

#[test]
fn a_changed_spec_waits_for_the_run_that_is_on_and_says_so() {
    let mut seen = TestSeen { runs: vec![run(1, false)], highest_number: 1, ..test() };
    follow(&mut seen);
    seen.generation = 2;
    seen.fingerprint = fingerprint(2);
    let plan = follow(&mut seen);
    assert_eq!(plan.start, None);
    let status = plan.status.unwrap();
    assert_eq!(status.observed_generation, Some(1), "no tool may take the old run for the new one");
    let complete = status.conditions.iter().find(|c| c.type_ == "Complete").unwrap();
    assert!(
        complete.message.contains("runs as checkout-2 once checkout-1 is over"),
        "{}",
        complete.message
    );
    seen.runs[0] = run(1, true);
    assert_eq!(decide(&seen).start.as_deref(), Some("checkout-2"));
}

#[test]
fn a_change_of_what_is_kept_starts_nothing() {
    let mut seen = TestSeen { runs: vec![run(1, true)], highest_number: 1, ..test() };
    follow(&mut seen);
    seen.generation = 2;
    seen.history_limit = 7;
    let plan = follow(&mut seen);
    assert_eq!(plan.start, None);
    assert_eq!(plan.status.unwrap().observed_generation, Some(2));
}

#[test]
fn a_deleted_run_is_not_started_again_and_its_number_is_not_used_again() {
    let mut seen = TestSeen { runs: vec![run(1, true)], highest_number: 1, ..test() };
    follow(&mut seen);
    seen.runs.clear();
    seen.highest_number = 0;
    assert_eq!(decide(&seen).start, None);
    seen.generation = 2;
    seen.fingerprint = fingerprint(2);
    assert_eq!(decide(&seen).start.as_deref(), Some("checkout-2"));
}

#[test]
fn a_run_of_this_name_that_is_not_the_tests_own_is_passed_over() {
    let seen = TestSeen { highest_number: 6, ..test() };
    assert_eq!(decide(&seen).start.as_deref(), Some("checkout-7"));
}

#[test]
fn finished_runs_beyond_the_limit_are_deleted_the_oldest_first() {
    let runs = vec![run(1, true), run(2, true), run(3, true), run(4, false)];
    let seen = TestSeen { runs, highest_number: 4, ..test() };
    let names: Vec<_> = decide(&seen).delete_runs.into_iter().map(|run| run.name).collect();
    assert_eq!(names, ["checkout-1"]);
}

#[test]
fn a_test_that_is_being_deleted_does_nothing() {
    assert_eq!(decide(&TestSeen { deleting: true, ..test() }), TestPlan::default());
}

#[test]
fn the_status_mirrors_the_latest_run_once_under_the_tests_own_generation() {
    let mut seen =
        TestSeen { generation: 5, runs: vec![run(1, true)], highest_number: 1, ..test() };
    let plan = follow(&mut seen);
    let status = plan.status.unwrap();
    assert_eq!((status.run.as_deref(), status.phase), (Some("checkout-1"), Phase::Passed));
    assert!(status.conditions.iter().all(|condition| condition.observed_generation == Some(5)));
    assert_eq!(plan.events.len(), 1);
    assert_eq!(follow(&mut seen), TestPlan::default(), "nothing is written twice");
}

#[test]
fn a_life_of_three_changes_makes_three_runs() {
    let mut seen = test();
    let mut started = Vec::new();
    for generation in 1..=3 {
        seen.generation = generation;
        seen.fingerprint = fingerprint(u32::try_from(generation).unwrap());
        for _ in 0..3 {
            started.extend(follow(&mut seen).start);
        }
        let latest = seen.runs.last_mut().unwrap();
        latest.settled = true;
        latest.status =
            Some(LoadTestRunStatus { phase: Phase::Passed, ..LoadTestRunStatus::default() });
    }
    assert_eq!(started, ["checkout-1", "checkout-2", "checkout-3"]);
}

#[test]
fn a_run_is_a_copy_of_what_the_test_says() {
    let spec = spec("{parallelism: 3, script: {inline: x}, historyLimit: 4}").test;
    let run = load_test_run(&test(), "checkout-1", spec.clone());
    assert_eq!(run.spec.test, spec);
    let owner = &run.metadata.owner_references.unwrap()[0];
    assert_eq!((owner.kind.as_str(), owner.uid.as_str()), ("LoadTest", "uid-of-test"));
}

#[test]
fn fingerprints_see_values_and_not_their_writing() {
    let of = |yaml: &str| Fingerprint::of(&spec(yaml).test);
    let base = of("{script: {inline: x}, runnerTemplate: {spec: {a: 1, b: [2, 3]}}}");
    assert_eq!(
        base,
        of(
            "{runnerTemplate: {spec: {b: [2, 3], a: 1}}, parallelism: 1, script: {inline: x}, historyLimit: 3}"
        )
    );
    for other in [
        "{script: {inline: other}, runnerTemplate: {spec: {a: 1, b: [2, 3]}}}",
        "{script: {inline: x}, runnerTemplate: {spec: {a: 1, b: [3, 2]}}}",
        "{script: {inline: x}, runnerTemplate: {spec: {a: '1', b: [2, 3]}}}",
        "{script: {inline: x}, runnerTemplate: {spec: {a: 1, b: [[2], 3]}}}",
        "{script: {inline: x}}",
    ] {
        assert_ne!(base, of(other), "{other}");
    }
}

#[test]
fn numbers_are_read_only_from_names_of_the_form() {
    assert_eq!(number("a", "a-12"), Some(12));
    for other in ["a", "a-", "a-0", "a-01", "a-x", "ab-1", "a-1-1", "a-99999999999999999999"] {
        assert_eq!(number("a", other), None, "{other}");
    }
}
