//! Whole runs with agents that are tasks, over both kinds of link, and an output that is a map.

use super::*;
use crate::{
    api::v1alpha1::{Output as ApiOutput, Reason, RunnerLoss, Timestream},
    core::{
        dimensions::Kept,
        pipeline::{lane::LaneConfig, shape::Shape},
        plan::{RunPlan, RunRef},
    },
    io::link::Dialer,
    output::output::OpenOutput,
    wire::{
        PROTOCOL,
        result::Stage,
        session::{Hello, Outcome as Answer, ToAggregator, to_aggregator::Message as Up},
    },
};

mod agent;
mod endings;
mod store;
mod successors;
mod tls;
mod writers;

use agent::{FakeAgent, Manner};
use store::Store;

const INSTANCES: u32 = 4;
const FRAMES: u64 = 40;
const SAMPLES: u64 = 50;

fn plan() -> RunPlan {
    let timestream = Timestream {
        database_name: "k6".into(),
        table_name: "samples".into(),
        ..Timestream::default()
    };
    RunPlan {
        run: RunRef { namespace: "ns".into(), name: "run".into(), uid: "uid".into() },
        instances: INSTANCES,
        created_unix_ms: clock::unix_ms(),
        ready_ms: 20_000,
        drain_ms: 20_000,
        runner_loss: RunnerLoss::default(),
        outputs: vec![ApiOutput { timestream: Some(timestream), ..ApiOutput::default() }],
        replicas: 1,
    }
}

fn settings(plan: &RunPlan, store: &Arc<Store>, former: Option<RunResult>) -> Settings {
    let lane = LaneConfig {
        name: "timestream".to_owned(),
        writes_max: 8,
        linger_ms: 50,
        kept: Kept::All,
        shape: Shape::Records,
    };
    Settings {
        plan: plan.clone(),
        outputs: vec![OpenOutput { lane, output: store.clone() }],
        former,
        on_shutdown: OnShutdown::StopTheRun,
        stdout_tty: false,
        stderr_tty: false,
        awaits_publication: false,
        meters: Arc::new(Meters::default()),
        keep_dir: None,
    }
}

/// Hands sessions to whichever aggregator is there.
fn hub() -> (Dialer, watch::Sender<Option<mpsc::Sender<AggregatorEnd>>>) {
    let (dial_tx, mut dialled) = mpsc::channel::<AggregatorEnd>(8);
    let (to_tx, to) = watch::channel::<Option<mpsc::Sender<AggregatorEnd>>>(None);
    tokio::spawn(async move {
        while let Some(end) = dialled.recv().await {
            let to = to.borrow().clone();
            match to {
                Some(to) if to.is_closed() => return,
                Some(to) => drop(to.send(end).await),
                None => {}
            }
        }
    });
    (Dialer::Local(dial_tx), to_tx)
}

struct Running {
    task: tokio::task::JoinHandle<RunResult>,
    sessions: mpsc::Sender<AggregatorEnd>,
    control: mpsc::Sender<Control>,
    results: watch::Receiver<RunResult>,
    shutdown: CancellationToken,
}

fn begin(settings: Settings) -> Running {
    let (sessions, sessions_rx) = mpsc::channel(8);
    let (control, control_rx) = mpsc::channel(8);
    let (publish, results) = watch::channel(RunResult::default());
    let shutdown = CancellationToken::new();
    let task = tokio::spawn(run(settings, sessions_rx, control_rx, publish, shutdown.clone()));
    Running { task, sessions, control, results, shutdown }
}

fn live(dialer: &Dialer, manners: &[Manner]) -> Vec<tokio::task::JoinHandle<FakeAgent>> {
    (1..=INSTANCES)
        .map(|id| {
            let manner = manners.get(usize::try_from(id).unwrap() - 1).copied().unwrap_or_default();
            tokio::spawn(FakeAgent::new(id, manner).live(dialer.clone()))
        })
        .collect()
}

async fn all(agents: Vec<tokio::task::JoinHandle<FakeAgent>>) -> Vec<FakeAgent> {
    let mut ended = Vec::new();
    for agent in agents {
        ended.push(within(agent).await.unwrap());
    }
    ended
}

async fn within<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_mins(1), what).await.expect("it comes to an end")
}

/// The whole run over a local link, with an output that behaves as `store` does.
async fn run_locally(store: &Arc<Store>, manners: &[Manner]) -> (RunResult, Vec<FakeAgent>) {
    let (dialer, to) = hub();
    let running = begin(settings(&plan(), store, None));
    to.send_replace(Some(running.sessions.clone()));
    let agents = live(&dialer, manners);
    let result = within(running.task).await.unwrap();
    (result, all(agents).await)
}

fn verify_whole(result: &RunResult, agents: &[FakeAgent], store: &Store) {
    let total = u64::from(INSTANCES) * FRAMES * SAMPLES;
    let output = &result.outputs[0];
    assert_eq!(
        result.outcome.as_ref().unwrap().reason,
        Reason::ThresholdsMet,
        "{}",
        result.message
    );
    assert_eq!(output.emitted, total);
    assert_eq!(output.stored + output.rejected.values().sum::<u64>(), total);
    let kept = store.rows.lock().unwrap().len() as u64;
    // A record may be stored by a call whose answer was cut off, and refused when it comes again.
    assert!(kept == output.stored || store.trouble > 0 && kept > output.stored);
    assert_eq!(agents.iter().map(|agent| agent.setups).sum::<u32>(), 1);
    assert_eq!(agents.iter().map(|agent| agent.teardowns).sum::<u32>(), 1);
    for agent in agents {
        assert!(!agent.refused && agent.unacked.is_empty());
    }
}

#[tokio::test]
async fn four_agents_in_one_process_run_to_the_end_and_every_sample_is_stored() {
    let store = Arc::new(Store::default());
    let (result, agents) = run_locally(&store, &[]).await;
    verify_whole(&result, &agents, &store);
    assert_eq!(result.outputs[0].rejected.len(), 0);
    assert_eq!(result.stage, Stage::Over);
    assert!(result.started_unix_ms <= result.ended_unix_ms);
}

#[tokio::test]
async fn a_troubled_output_costs_time_and_only_what_it_refuses() {
    let store = Arc::new(Store { trouble: 7, ..Store::default() });
    let (result, agents) = run_locally(&store, &[]).await;
    verify_whole(&result, &agents, &store);
    assert!(result.outputs[0].rejected["TooOld"] > 0);
}

#[tokio::test]
async fn nothing_a_stranger_says_stops_the_aggregator() {
    let store = Arc::new(Store::default());
    let (dialer, to) = hub();
    let running = begin(settings(&plan(), &store, None));
    to.send_replace(Some(running.sessions.clone()));
    let hello = |instance_id, run: &str, protocol| {
        Up::Hello(Hello { instance_id, run: run.to_owned(), protocol, ..Hello::default() })
    };
    let odd = Frame { sample_series: vec![9, 9], value: vec![1.0; 5], ..Frame::default() };
    for letters in [
        vec![Up::Frame(odd.clone())],
        vec![hello(0, "ns/run/uid", PROTOCOL)],
        vec![hello(9, "ns/run/uid", PROTOCOL)],
        vec![hello(1, "ns/other/uid", PROTOCOL)],
        vec![hello(1, "ns/run/uid", 99)],
        vec![hello(1, "ns/run/uid", PROTOCOL), hello(1, "ns/run/uid", PROTOCOL)],
        vec![hello(1, "ns/run/uid", PROTOCOL), Up::Frame(odd), Up::Setup(Answer::default())],
    ] {
        let end = dialer.dial().await.unwrap();
        for letter in letters {
            drop(end.tx.send(ToAggregator { message: Some(letter) }).await);
        }
        drop(end.tx);
        let mut rx = end.rx;
        while within(rx.recv()).await.is_some() {}
    }
    let agents = live(&dialer, &[]);
    let result = within(running.task).await.unwrap();
    verify_whole(&result, &all(agents).await, &store);
}
