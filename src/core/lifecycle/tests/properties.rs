//! What holds of every plan, whatever the world looks like.

use proptest::prelude::*;

use super::{
    super::{
        check::problems,
        decide::decide,
        seen::{
            FailureSeen, JobEnd, JobSeen, PodPhase, PodRole, PodSeen, Refusal, SourceSeen,
            WaitingSeen,
        },
    },
    world::{CREATED_MS, IMAGE, World},
};
use crate::{
    api::v1alpha1::{LostRunner, Reason},
    wire::result::{Outcome, RunResult, Stage},
};

fn pods() -> impl Strategy<Value = Vec<PodSeen>> {
    let pod = (
        (0..4_u32, any::<bool>(), 0..4_u8, 0..200_000_i64),
        proptest::option::of(0..200_000_i64),
        proptest::option::of(prop_oneof![
            Just("ImagePullBackOff"),
            Just("InvalidImageName"),
            Just("CreateContainerError"),
            Just("CrashLoopBackOff")
        ]),
        any::<bool>(),
        any::<bool>(),
    );
    proptest::collection::vec(
        pod.prop_map(|((index, runner, phase, at), deleting, waiting, failed, unschedulable)| {
            PodSeen {
                name: format!("p{index}-{at}"),
                role: match (runner, at % 2) {
                    (true, _) => PodRole::Runner,
                    (false, 0) => PodRole::Aggregator,
                    (false, _) => PodRole::Writer,
                },
                index,
                created_ms: CREATED_MS + at,
                deleting_ms: deleting.map(|at| CREATED_MS + at),
                phase: [
                    PodPhase::Pending,
                    PodPhase::Running,
                    PodPhase::Succeeded,
                    PodPhase::Failed,
                ][usize::from(phase)],
                waiting: waiting
                    .map(|reason| WaitingSeen { reason: reason.into(), ..WaitingSeen::default() }),
                failure: failed.then(|| FailureSeen { exit_code: 1, ..FailureSeen::default() }),
                unschedulable: unschedulable.then(|| "no node".to_owned()),
                finished_ms: failed.then_some(CREATED_MS + at + 5),
                ..PodSeen::default()
            }
        }),
        0..8,
    )
}

fn results() -> impl Strategy<Value = Option<RunResult>> {
    let stage = prop_oneof![
        Just(Stage::Gathering),
        Just(Stage::Setup),
        Just(Stage::Running),
        Just(Stage::Teardown),
        Just(Stage::Draining),
        Just(Stage::Over)
    ];
    let reason = prop_oneof![
        Just(Reason::ThresholdsMet),
        Just(Reason::RunnersLost),
        Just(Reason::DeadlineExceeded),
        Just(Reason::ScriptFailed)
    ];
    proptest::option::of(
        (
            stage,
            0..4_u32,
            proptest::option::of(0..200_000_i64),
            proptest::option::of(reason),
            0..3_u32,
        )
            .prop_map(|(stage, ready, started, reason, lost)| RunResult {
                stage,
                wanted: 3,
                ready,
                started_unix_ms: started.map(|at| CREATED_MS + at),
                lost: (0..lost)
                    .map(|i| LostRunner { instance_id: i + 1, reason: "x".into() })
                    .collect(),
                outcome: reason.map(|reason| Outcome { reason, message: "m".into(), exit_code: 1 }),
                ..RunResult::default()
            }),
    )
}

fn jobs() -> impl Strategy<Value = Option<JobSeen>> {
    proptest::option::of(
        (any::<bool>(), any::<bool>(), proptest::option::of((any::<bool>(), 0..200_000_i64)))
            .prop_map(|(deleting, indexes, end)| JobSeen {
                uid: "uid".into(),
                deleting,
                failed_indexes: indexes.then(|| "1".to_owned()),
                end: end.map(|(failed, at)| JobEnd {
                    failed,
                    at_ms: CREATED_MS + at,
                    ..JobEnd::default()
                }),
            }),
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn no_plan_breaks_a_rule_and_every_run_comes_to_its_end(
        pods in pods(),
        result in results(),
        runner_job in jobs(),
        aggregator_job in jobs(),
        writer_job in jobs(),
        has_writers in any::<bool>(),
        stop in any::<bool>(),
        deleted in any::<bool>(),
        missing in any::<bool>(),
        refused in proptest::option::of(any::<bool>()),
        after in 0..200_000_i64,
    ) {
        let mut world = if has_writers { World::with_writers() } else { World::plain() };
        world.seen.writer_job = writer_job;
        world.seen.pods = pods;
        world.seen.result = result;
        world.seen.runner_job = runner_job;
        world.seen.aggregator_job = aggregator_job;
        world.seen.run.stop = stop;
        world.seen.run.finalizer = deleted;
        world.seen.run.deleted_ms = deleted.then_some(CREATED_MS + 1_000);
        if missing {
            world.seen.source = SourceSeen::Missing("gone".into());
        }
        world.seen.refused = refused.map(|last| Refusal { message: "no".into(), last });
        world.now_ms = CREATED_MS + after;
        // The world stands still; only time passes, as far as each plan asks for it.
        for _ in 0..100 {
            let plan = decide(world.test.as_ref(), &world.seen, IMAGE, world.now_ms);
            prop_assert_eq!(problems(&plan, &world.seen, world.now_ms), Vec::<String>::new());
            if let Some(status) = plan.status {
                world.seen.run.status = Some(status);
                world.seen.status_written_ms = Some(world.now_ms);
            }
            match plan.next_ms {
                Some(next_ms) => world.now_ms = next_ms,
                None => break,
            }
        }
    }
}
