//! A run and its cluster as a test moves them.

use super::super::{
    build::{
        meta::{aggregator_name, runner_name, writer_name},
        run::name as run_name,
    },
    check::assert_sound,
    decide::decide,
    plan::Plan,
    seen::{JobSeen, PodPhase, PodRole, PodSeen, RunSeen, Seen, WaitingSeen},
    valid::{Invalid, ValidTest, validate},
};
use crate::{
    api::v1alpha1::{LoadTestSpec, Phase, Reason},
    wire::result::{Outcome, RunResult, Stage},
};

/// When runs of tests are created.
pub(super) const CREATED_MS: i64 = 1_795_000_000_000;
/// Weir's image in tests.
pub(super) const IMAGE: &str = "weir.example/weir:test";

pub(super) fn spec(yaml: &str) -> LoadTestSpec {
    serde_saphyr::from_str(yaml).unwrap()
}

/// A valid test, named so that a swap of names shows.
pub(super) fn valid(yaml: &str) -> ValidTest {
    validate("checkout-1", spec(yaml).test).unwrap()
}

pub(super) struct World {
    pub(super) test: Result<ValidTest, Invalid>,
    pub(super) seen: Seen,
    pub(super) now_ms: i64,
    /// All events so far.
    pub(super) events: Vec<String>,
}

impl World {
    pub(super) fn new(yaml: &str) -> Self {
        let spec = spec(yaml).test;
        let run = RunSeen {
            namespace: "shop".to_owned(),
            name: run_name("checkout", 1),
            uid: "uid-of-run".to_owned(),
            test: Some("checkout".to_owned()),
            generation: 1,
            wanted: spec.parallelism,
            created_ms: CREATED_MS,
            ..RunSeen::default()
        };
        Self {
            test: validate(&run.name, spec),
            seen: Seen { run, ..Seen::default() },
            now_ms: CREATED_MS + 100,
            events: Vec::new(),
        }
    }

    /// Three instances, ready deadline 60 s, drain deadline 30 s.
    pub(super) fn plain() -> Self {
        Self::new(
            "{parallelism: 3, script: {file: {path: /test.js}}, deadlines: {readySeconds: 60, drainSeconds: 30}}",
        )
    }

    /// The same with an output and three replicas of the aggregator.
    pub(super) fn with_writers() -> Self {
        Self::new(
            "{parallelism: 3, script: {file: {path: /test.js}}, deadlines: {readySeconds: 60, drainSeconds: 30},
              outputs: [{timestream: {databaseName: k6db, tableName: samples}}], aggregator: {replicas: 3}}",
        )
    }

    /// What should be done now, checked.
    #[track_caller]
    pub(super) fn plan(&self) -> Plan {
        let plan = decide(self.test.as_ref(), &self.seen, IMAGE, self.now_ms);
        assert_sound(&plan, &self.seen, self.now_ms);
        plan
    }

    /// Plans, and does to the world what the operator would do to the cluster.
    #[track_caller]
    pub(super) fn turn(&mut self) -> Plan {
        let plan = self.plan();
        let done = plan.clone();
        self.seen.run.finalizer = (self.seen.run.finalizer || done.hold) && !done.release;
        for child in done.apply.iter().filter(|child| child.is_job()) {
            let job = JobSeen { uid: format!("uid-of-{}", child.name), ..JobSeen::default() };
            if child.name == aggregator_name(&self.seen.run.name) {
                self.seen.aggregator_job = Some(job);
                self.seen.pods.push(self.pod(PodRole::Aggregator, 0));
            } else if child.name == writer_name(&self.seen.run.name) {
                self.seen.writer_job = Some(job);
                let writers = child.object["spec"]["completions"].as_u64().unwrap();
                for index in 0..u32::try_from(writers).unwrap() {
                    let pod = self.pod(PodRole::Writer, index);
                    self.seen.pods.push(pod);
                }
            } else {
                self.seen.runner_job = Some(job);
                for index in 0..self.seen.run.wanted {
                    let pod = self.pod(PodRole::Runner, index);
                    self.seen.pods.push(pod);
                }
            }
        }
        for job in &done.delete_jobs {
            let (role, slot) = if job.name == runner_name(&self.seen.run.name) {
                (PodRole::Runner, &mut self.seen.runner_job)
            } else if job.name == writer_name(&self.seen.run.name) {
                (PodRole::Writer, &mut self.seen.writer_job)
            } else {
                (PodRole::Aggregator, &mut self.seen.aggregator_job)
            };
            *slot = None;
            self.seen.pods.retain(|pod| pod.role != role);
        }
        if let Some(status) = done.status {
            self.seen.run.status = Some(status);
            self.seen.status_written_ms = Some(self.now_ms);
        }
        self.events.extend(done.events.iter().map(|event| event.reason.clone()));
        plan
    }

    /// Turns until nothing more is to be done at this time.
    #[track_caller]
    pub(super) fn settle(&mut self) {
        for _ in 0..10 {
            let next = Plan { next_ms: None, ..self.turn() };
            if next == Plan::default() {
                return;
            }
        }
        panic!("the world does not come to rest:\n{}", self.plan().text(self.now_ms));
    }

    pub(super) fn pass(&mut self, ms: i64) {
        self.now_ms += ms;
    }

    /// Time passes until the operator wants to look again.
    #[track_caller]
    pub(super) fn pass_until_due(&mut self) {
        self.now_ms = self.plan().next_ms.expect("the operator waits for a time");
    }

    pub(super) fn pod(&self, role: PodRole, index: u32) -> PodSeen {
        PodSeen {
            name: match role {
                PodRole::Runner => format!("checkout-1-runner-{index}-x"),
                PodRole::Aggregator => "checkout-1-aggregator-x".to_owned(),
                PodRole::Writer => format!("checkout-1-writer-{index}-x"),
            },
            uid: format!("{role:?}-{index}"),
            role,
            index,
            created_ms: self.now_ms / 1000 * 1000,
            ..PodSeen::default()
        }
    }

    /// The latest runner pod of an instance, from 1.
    pub(super) fn runner(&mut self, instance: u32) -> &mut PodSeen {
        let mut pods = self.seen.pods.iter_mut();
        pods.rfind(|pod| pod.role == PodRole::Runner && pod.index + 1 == instance).unwrap()
    }

    pub(super) fn aggregator(&mut self) -> &mut PodSeen {
        self.seen.pods.iter_mut().find(|pod| pod.role == PodRole::Aggregator).unwrap()
    }

    pub(super) fn all_pods(&mut self, phase: PodPhase) {
        let now_ms = self.now_ms;
        for pod in &mut self.seen.pods {
            pod.phase = phase;
            pod.finished_ms = (!pod.is_active()).then_some(now_ms);
        }
    }

    /// What the aggregator says, with the counts that go with the stage.
    pub(super) fn publish(&mut self, stage: Stage, ready: u32) -> &mut RunResult {
        let wanted = self.seen.run.wanted;
        let now_ms = self.now_ms;
        let result = self.seen.result.get_or_insert_default();
        result.stage = stage;
        result.wanted = wanted;
        result.ready = ready;
        result.message = format!("{stage:?}");
        if stage == Stage::Running {
            result.started_unix_ms.get_or_insert(now_ms);
        }
        if stage > Stage::Running && result.started_unix_ms.is_some() {
            result.ended_unix_ms.get_or_insert(now_ms);
        }
        result
    }

    pub(super) fn publish_end(&mut self, reason: Reason, message: &str, exit_code: i32) {
        let ready = self.seen.result.as_ref().map_or(0, |result| result.ready);
        self.publish(Stage::Over, ready).outcome =
            Some(Outcome { reason, message: message.to_owned(), exit_code });
    }

    pub(super) fn waits(&mut self, instance: u32, reason: &str, message: &str) {
        self.runner(instance).waiting = Some(WaitingSeen {
            reason: reason.to_owned(),
            message: message.to_owned(),
            image: "registry.example/k6:nope".to_owned(),
        });
    }

    /// A run whose load is on.
    pub(super) fn running() -> Self {
        let mut world = Self::plain();
        world.settle();
        world.pass(2_000);
        world.all_pods(PodPhase::Running);
        world.publish(Stage::Gathering, 3);
        world.settle();
        world.pass(1_000);
        world.publish(Stage::Running, 3);
        world.settle();
        world.pass(10_000);
        world.settle();
        world
    }

    pub(super) fn phase(&self) -> Phase {
        self.seen.run.status.as_ref().map_or(Phase::Pending, |status| status.phase)
    }

    /// Verdict and the message that goes with it.
    #[track_caller]
    pub(super) fn verdict(&self) -> (Reason, String) {
        let status = self.seen.run.status.as_ref().unwrap();
        let verdict = status.verdict.unwrap_or_else(|| panic!("not over: {status:?}"));
        (verdict, self.condition("Complete").2)
    }

    /// Status, reason and message of a condition.
    #[track_caller]
    pub(super) fn condition(&self, kind: &str) -> (String, String, String) {
        let status = self.seen.run.status.as_ref().unwrap();
        let found = status.conditions.iter().find(|condition| condition.type_ == kind).unwrap();
        (found.status.clone(), found.reason.clone(), found.message.clone())
    }

    /// Asserts that nothing runs, and that the run is let go.
    #[track_caller]
    pub(super) fn assert_nothing_left(&self) {
        let active: Vec<_> = self.seen.pods.iter().filter(|pod| pod.is_active()).collect();
        assert!(active.is_empty(), "{active:?}");
        assert!(!self.seen.run.finalizer, "the run is still held");
    }
}
