//! The pure planner at 10, 100, 1,000 and 10,000 k6 instances: a plan costs what the pods it looks at cost, no more.
#![expect(missing_docs, reason = "the macro's functions have none")]
#![expect(clippy::expect_used, reason = "a benchmark that cannot be set up has nothing to say")]

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use weir::{
    api::v1alpha1::LoadTestSpec,
    core::lifecycle::{
        decide::decide,
        seen::{FailureSeen, JobSeen, PodPhase, PodRole, PodSeen, RunSeen, Seen},
        valid::{ValidTest, validate},
    },
    wire::result::{RunResult, Stage},
};

const CREATED_MS: i64 = 1_795_000_000_000;
const SIZES: [u32; 4] = [10, 100, 1_000, 10_000];

fn test(instances: u32) -> ValidTest {
    let text = format!(
        "{{parallelism: {instances}, script: {{inline: 'export default function () {{}}'}}}}"
    );
    let spec: LoadTestSpec = serde_saphyr::from_str(&text).expect("the spec is YAML");
    validate("bench-1", spec.test).expect("the spec is valid")
}

fn seen(instances: u32, phase: PodPhase) -> Seen {
    let run = RunSeen {
        namespace: "default".into(),
        name: "bench-1".into(),
        uid: "uid".into(),
        generation: 1,
        wanted: instances,
        created_ms: CREATED_MS,
        ..RunSeen::default()
    };
    let pods = (0..instances).map(|index| PodSeen {
        name: format!("bench-1-runner-{index}-abcde"),
        role: PodRole::Runner,
        index,
        created_ms: CREATED_MS + 1_000,
        phase,
        failure: (phase == PodPhase::Failed).then(|| FailureSeen {
            reason: "OOMKilled".into(),
            exit_code: 137,
            ..FailureSeen::default()
        }),
        unschedulable: (phase == PodPhase::Pending).then(|| "0/5 nodes are available".to_owned()),
        ..PodSeen::default()
    });
    Seen {
        run,
        aggregator_job: Some(JobSeen::default()),
        runner_job: Some(JobSeen::default()),
        pods: pods.collect(),
        result: Some(RunResult {
            stage: if phase == PodPhase::Pending { Stage::Gathering } else { Stage::Running },
            wanted: instances,
            ready: instances,
            started_unix_ms: (phase != PodPhase::Pending).then_some(CREATED_MS + 5_000),
            ..RunResult::default()
        }),
        ..Seen::default()
    }
}

fn plans(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("plan");
    for instances in SIZES {
        let valid = test(instances);
        group.throughput(Throughput::Elements(u64::from(instances)));
        let fresh = Seen { run: seen(instances, PodPhase::Pending).run, ..Seen::default() };
        let cases = [
            ("first plan", fresh),
            ("none can be scheduled", seen(instances, PodPhase::Pending)),
            ("all run", seen(instances, PodPhase::Running)),
            ("all are lost", seen(instances, PodPhase::Failed)),
        ];
        for (name, seen) in cases {
            group.bench_with_input(BenchmarkId::new(name, instances), &seen, |bencher, seen| {
                bencher.iter(|| {
                    decide(Ok(&valid), black_box(seen), "weir:bench", CREATED_MS + 20_000)
                });
            });
        }
    }
    group.finish();
}

criterion_group!(benches, plans);
criterion_main!(benches);
