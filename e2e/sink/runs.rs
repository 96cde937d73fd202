//! A run: the aggregator, its replicas, and agents.

use std::{sync::Arc, time::Duration};

use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use weir::{
    aggregator::{engine, meters::Meters, settings::Settings, writer},
    api::v1alpha1::{Output, RunnerLoss, Timestream},
    core::{
        plan::{RunPlan, RunRef},
        replicas::share,
    },
    io::link::{AggregatorEnd, Dialer},
    output::output,
    wire::{result::RunResult, session::Frame},
};

use crate::{INSTANCES, agent::agent, rows::now_ns};

const DEADLINE: Duration = Duration::from_mins(2);

pub(crate) fn output(endpoint: &str) -> Timestream {
    Timestream {
        region: Some("us-east-1".to_owned()),
        database_name: "loadtests".to_owned(),
        table_name: "samples".to_owned(),
        endpoint_url: Some(endpoint.to_owned()),
        max_concurrent_writes: 8,
        linger_milliseconds: 100,
        ..Timestream::default()
    }
}

pub(crate) async fn run(timestream: Timestream, frames: Vec<Vec<Frame>>) -> RunResult {
    run_with(1, timestream, frames).await
}

/// A run whose aggregator has so many replicas, of which the first writer is killed and made anew in the middle.
pub(crate) async fn run_with(
    replicas: u32,
    timestream: Timestream,
    frames: Vec<Vec<Frame>>,
) -> RunResult {
    let plan = RunPlan {
        run: RunRef { namespace: "ns".into(), name: "run".into(), uid: "uid".into() },
        instances: INSTANCES,
        created_unix_ms: now_ns() / 1_000_000,
        ready_ms: 30_000,
        drain_ms: 90_000,
        runner_loss: RunnerLoss::default(),
        outputs: vec![Output { timestream: Some(timestream), ..Output::default() }],
        replicas,
    };
    let (sessions_tx, sessions) = mpsc::channel(8);
    let (_control, control) = mpsc::channel(8);
    let (publish, mut results) = watch::channel(RunResult::default());
    let leader = Dialer::Local(sessions_tx.clone());
    let posts: Vec<Post> =
        (1..replicas).map(|replica| Post::new(replica, &plan, &leader)).collect();
    let names: Vec<Dialer> = posts.iter().map(|post| post.name.clone()).collect();
    let run = tokio::spawn(engine::run(
        Settings::local(plan.clone()),
        sessions,
        control,
        publish,
        CancellationToken::new(),
    ));
    let agents: Vec<_> = (1..=INSTANCES)
        .zip(frames)
        .map(|(id, frames)| {
            let writer = share::writer_of(id, &names).map(|(at, name)| (at, name.clone()));
            tokio::spawn(agent(Dialer::Local(sessions_tx.clone()), writer, id, frames))
        })
        .collect();
    if let Some(first) = posts.first() {
        let has_begun = |r: &RunResult| r.outputs.first().is_some_and(|o| o.stored > 0);
        drop(tokio::time::timeout(DEADLINE, results.wait_for(has_begun)).await);
        first.kill();
        tokio::time::sleep(Duration::from_millis(300)).await;
        first.start(&plan, &leader);
    }
    let result = tokio::time::timeout(DEADLINE, run).await.expect("the run ends").unwrap();
    for agent in agents {
        agent.abort();
    }
    result
}

/// A writer under a name that outlives it.
struct Post {
    replica: u32,
    name: Dialer,
    to: watch::Sender<Option<mpsc::Sender<AggregatorEnd>>>,
    life: watch::Sender<CancellationToken>,
}

impl Post {
    fn new(replica: u32, plan: &RunPlan, leader: &Dialer) -> Self {
        let (name, mut dialled) = mpsc::channel::<AggregatorEnd>(8);
        let (to, now) = watch::channel::<Option<mpsc::Sender<AggregatorEnd>>>(None);
        tokio::spawn(async move {
            while let Some(end) = dialled.recv().await {
                let to = now.borrow().clone();
                if let Some(to) = to {
                    drop(to.send(end).await);
                }
            }
        });
        let life = watch::Sender::new(CancellationToken::new());
        let post = Self { replica, name: Dialer::Local(name), to, life };
        post.start(plan, leader);
        post
    }

    fn start(&self, plan: &RunPlan, leader: &Dialer) {
        let (sessions_tx, sessions) = mpsc::channel(8);
        let settings = writer::Settings {
            plan: plan.clone(),
            replica: self.replica,
            outputs: output::open(&plan.outputs),
            meters: Arc::new(Meters::default()),
            orphan_ms: 60_000,
        };
        let life = CancellationToken::new();
        tokio::spawn(writer::run(settings, sessions, leader.clone(), life.clone()));
        self.to.send_replace(Some(sessions_tx));
        self.life.send_replace(life);
    }

    fn kill(&self) {
        self.to.send_replace(None);
        self.life.borrow().cancel();
    }
}
