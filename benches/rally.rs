//! A whole rally of many agents in one process: what the aggregator's decisions cost when the transport costs nothing.

#![expect(missing_docs, reason = "criterion's macros make public functions")]

use std::{collections::BTreeMap, hint::black_box};

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use weir::{
    core::{
        rally::{
            input::{Action, Input, RallyConfig, SessionId},
            rally::Rally,
        },
        verdict::Judgement,
    },
    wire::{
        PROTOCOL,
        session::{
            AgentPhase, Hello, Outcome, OutputCounts, Report, Requirements, to_agent::Message,
        },
    },
};

const REPORTS: u64 = 10;

fn report(phase: AgentPhase, samples: u64) -> Report {
    Report {
        phase: phase.into(),
        emitted: samples,
        framed: samples,
        acked: samples,
        outputs: vec![OutputCounts {
            name: "timestream".to_owned(),
            stored: samples,
            rejected: BTreeMap::new(),
        }],
        requirements: Some(Requirements {
            max_vus: 1_000_000,
            total_duration_ms: 60_000,
            ..Requirements::default()
        }),
        vus: 10,
        started_unix_ns: i64::from(phase >= AgentPhase::Starting),
        ..Report::default()
    }
}

struct Agents {
    rally: Rally,
    now_ms: i64,
    /// By session: which messages came, as far as they matter.
    started: u32,
    goodbyes: u32,
}

impl Agents {
    fn tell(&mut self, input: Input) {
        self.rally.handle(input, self.now_ms);
        while let Some(action) = self.rally.poll_action() {
            let (session, message) = match action {
                Action::Send(session, message) => (session, message),
                Action::Judge => {
                    self.rally.handle(Input::Judged(Judgement::default()), self.now_ms);
                    continue;
                }
                Action::Close(_) | Action::End => continue,
            };
            match message {
                Message::RunSetup(_) => {
                    let answer = Outcome { ok: true, ..Outcome::default() };
                    self.rally.handle(Input::SetupAnswered(session, answer), self.now_ms);
                }
                Message::RunTeardown(_) => {
                    let answer = Outcome { ok: true, ..Outcome::default() };
                    self.rally.handle(Input::TeardownAnswered(session, answer), self.now_ms);
                }
                Message::Start(_) => self.started += 1,
                Message::Goodbye(_) => self.goodbyes += 1,
                _ => {}
            }
        }
        black_box(self.rally.poll_timeout());
    }

    fn all_report(&mut self, instances: u32, phase: AgentPhase, samples: u64) {
        for id in 1..=instances {
            let session = SessionId(id.into());
            self.tell(Input::Reported(session, report(phase, samples)));
            let is_last = phase == AgentPhase::Finished;
            self.tell(Input::Ledgered { session, is_last });
        }
        black_box(self.rally.result());
    }
}

fn rally(instances: u32) -> u32 {
    let config = RallyConfig {
        run: "ns/run/uid".to_owned(),
        instances,
        ready_deadline_ms: 300_000,
        drain_ms: 300_000,
        runner_loss: weir::api::v1alpha1::RunnerLoss::default(),
        outputs: vec!["timestream".to_owned()],
        has_writers: false,
    };
    let mut agents =
        Agents { rally: Rally::new(config, None, 0), now_ms: 0, started: 0, goodbyes: 0 };
    agents.tell(Input::OutputReady(0));
    for id in 1..=instances {
        let hello = Hello {
            protocol: PROTOCOL,
            run: "ns/run/uid".to_owned(),
            instance_id: id,
            incarnation: format!("i{id}"),
            report: Some(report(AgentPhase::Ready, 0)),
            ..Hello::default()
        };
        agents.tell(Input::Opened(SessionId(id.into()), hello));
    }
    assert_eq!(agents.started, instances, "all are started together");
    for round in 1..=REPORTS {
        agents.now_ms += 1000;
        agents.all_report(instances, AgentPhase::Running, round * 100);
    }
    agents.all_report(instances, AgentPhase::Ended, REPORTS * 100);
    agents.all_report(instances, AgentPhase::Finished, REPORTS * 100);
    agents.tell(Input::Published);
    assert_eq!(agents.goodbyes, instances, "all are let go");
    let result = agents.rally.result();
    assert_eq!(result.outputs[0].stored, u64::from(instances) * REPORTS * 100);
    agents.goodbyes
}

fn bench(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("rally");
    group.sample_size(10);
    for instances in [50, 500, 5000, 20_000] {
        // One Hello and a dozen reports for each agent.
        group.throughput(Throughput::Elements(u64::from(instances) * (REPORTS + 3)));
        group.bench_with_input(BenchmarkId::new("agents", instances), &instances, |b, agents| {
            b.iter(|| rally(*agents));
        });
    }
    group.finish();
}

criterion_group!(benches, bench);
criterion_main!(benches);
