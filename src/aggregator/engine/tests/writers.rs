//! Runs whose aggregator has several replicas, each a task, and agents whose frames go to the replica that writes them.

use std::collections::BTreeMap;

use tokio::net::TcpListener;

use super::{agent::note, *};
use crate::{
    aggregator::writer::{self, End},
    api::v1alpha1::LossPolicy,
    core::replicas::share,
    io::{grpc::serve::serve, link::DialError},
    wire::session::{OutputCounts, Report, to_agent::Message as Down},
};

const REPLICAS: u32 = 3;

/// An agent's session with its writer, dialled again whenever it is over.
pub(super) struct Link {
    pub(super) frames: mpsc::UnboundedSender<Frame>,
    acks: mpsc::Receiver<Ack>,
}

/// The next acknowledgement of a writer, where there is one.
pub(super) async fn next_ack(link: &mut Option<Link>) -> Option<Ack> {
    link.as_mut()?.acks.recv().await
}

impl Link {
    pub(super) fn start(id: u32, (replica, dialer): (u32, Dialer)) -> Self {
        let (frames, mut new) = mpsc::unbounded_channel::<Frame>();
        let (acked, acks) = mpsc::channel(64);
        tokio::spawn(async move {
            let mut unacked: BTreeMap<u64, Frame> = BTreeMap::new();
            let mut report = Report::default();
            loop {
                let mut end = match dialer.dial().await {
                    Ok(end) => end,
                    Err(DialError::Gone) => return,
                    Err(_) if acked.is_closed() => return,
                    Err(_) => {
                        tokio::time::sleep(Duration::from_millis(50)).await;
                        continue;
                    }
                };
                let hello = Up::Hello(Hello {
                    protocol: PROTOCOL,
                    run: "ns/run/uid".to_owned(),
                    instance_id: id,
                    incarnation: format!("agent-{id}"),
                    report: Some(report.clone()),
                    replica,
                    ..Hello::default()
                });
                let again = unacked.values().cloned().map(Up::Frame);
                let letters: Vec<Up> = std::iter::once(hello).chain(again).collect();
                let mut is_up = true;
                for letter in letters {
                    is_up &= end.tx.send(ToAggregator { message: Some(letter) }).await.is_ok();
                }
                while is_up {
                    tokio::select! {
                        frame = new.recv() => {
                            let Some(frame) = frame else { return };
                            unacked.insert(frame.seq, frame.clone());
                            note(&mut report, &unacked);
                            let letter = ToAggregator { message: Some(Up::Frame(frame)) };
                            is_up = end.tx.send(letter).await.is_ok();
                        }
                        message = end.rx.recv() => match message.and_then(|m| m.message) {
                            Some(Down::Ack(ack)) => {
                                if unacked.remove(&ack.seq).is_some() {
                                    report.acked += SAMPLES;
                                    add(&mut report.outputs, &ack.outputs);
                                    note(&mut report, &unacked);
                                }
                                if acked.send(ack).await.is_err() {
                                    return;
                                }
                            }
                            Some(Down::Welcome(_)) => {}
                            Some(other) => panic!("a writer says {other:?}"),
                            None => is_up = false,
                        },
                    }
                }
                tokio::time::sleep(Duration::from_millis(30)).await;
            }
        });
        Self { frames, acks }
    }
}

fn add(to: &mut Vec<OutputCounts>, counts: &[OutputCounts]) {
    to.resize_with(counts.len(), OutputCounts::default);
    for (own, counts) in to.iter_mut().zip(counts) {
        own.name.clone_from(&counts.name);
        own.stored += counts.stored;
        for (reason, count) in &counts.rejected {
            *own.rejected.entry(reason.clone()).or_default() += count;
        }
    }
}

fn plan_of_replicas() -> RunPlan {
    RunPlan { replicas: REPLICAS, ..plan() }
}

/// A writer that can be killed and started anew under its name.
struct Post {
    replica: u32,
    plan: RunPlan,
    leader: Dialer,
    name: Dialer,
    to: watch::Sender<Option<mpsc::Sender<AggregatorEnd>>>,
    task: tokio::task::JoinHandle<End>,
}

impl Post {
    fn new(replica: u32, plan: &RunPlan, store: &Arc<Store>, leader: &Dialer) -> Self {
        let (name, to) = hub();
        let task = tokio::spawn(async { End::Told });
        let mut post = Self { replica, plan: plan.clone(), leader: leader.clone(), name, to, task };
        post.start(store);
        post
    }

    fn start(&mut self, store: &Arc<Store>) {
        let (sessions_tx, sessions) = mpsc::channel(8);
        let settings = writer::Settings {
            plan: self.plan.clone(),
            replica: self.replica,
            outputs: settings(&self.plan, store, None).outputs,
            meters: Arc::new(Meters::default()),
            orphan_ms: 20_000,
        };
        let leader = self.leader.clone();
        self.task = tokio::spawn(writer::run(settings, sessions, leader, CancellationToken::new()));
        self.to.send_replace(Some(sessions_tx));
    }

    fn kill(&self) {
        self.to.send_replace(None);
        self.task.abort();
    }
}

/// A run of several replicas whose writers have outputs of their own.
struct Crew {
    leader: Dialer,
    to: watch::Sender<Option<mpsc::Sender<AggregatorEnd>>>,
    running: Running,
    posts: Vec<Post>,
    /// Of each replica.
    stores: Vec<Arc<Store>>,
}

impl Crew {
    fn start(stores: [Store; REPLICAS as usize], plan: &RunPlan) -> Self {
        let stores: Vec<_> = stores.into_iter().map(Arc::new).collect();
        let (leader, to) = hub();
        let running = begin(settings(plan, &stores[0], None));
        to.send_replace(Some(running.sessions.clone()));
        let posts = (1..REPLICAS)
            .map(|replica| {
                let store = &stores[usize::try_from(replica).unwrap()];
                Post::new(replica, plan, store, &leader)
            })
            .collect();
        Self { leader, to, running, posts, stores }
    }

    fn agents(&self, manners: &[Manner]) -> Vec<tokio::task::JoinHandle<FakeAgent>> {
        let names: Vec<_> = self.posts.iter().map(|post| post.name.clone()).collect();
        (1..=INSTANCES)
            .map(|id| {
                let at = usize::try_from(id).unwrap() - 1;
                let mut agent = FakeAgent::new(id, manners.get(at).copied().unwrap_or_default());
                agent.writer = share::writer_of(id, &names).map(|(n, to)| (n, to.clone()));
                tokio::spawn(agent.live(self.leader.clone()))
            })
            .collect()
    }

    /// Waits until so many samples are stored, as the aggregator knows.
    async fn until_stored(&self, count: u64) {
        let mut results = self.running.results.clone();
        let stored = |r: &RunResult| r.outputs.first().is_some_and(|o| o.stored >= count);
        within(results.wait_for(stored)).await.unwrap();
    }

    async fn end(self) -> (RunResult, Vec<End>, Vec<Arc<Store>>) {
        let result = within(self.running.task).await.unwrap();
        let mut ends = Vec::new();
        for post in self.posts {
            ends.push(within(post.task).await.unwrap());
        }
        (result, ends, self.stores)
    }
}

fn rows(stores: &[Arc<Store>]) -> Vec<u64> {
    stores.iter().map(|store| store.rows.lock().unwrap().len() as u64).collect()
}

fn verify_closed(result: &RunResult, stores: &[Arc<Store>]) {
    let total = u64::from(INSTANCES) * FRAMES * SAMPLES;
    let outcome = result.outcome.as_ref().unwrap();
    assert_eq!(outcome.reason, Reason::ThresholdsMet, "{}", result.message);
    let output = &result.outputs[0];
    assert_eq!((output.emitted, output.stored, output.in_flight), (total, total, 0));
    let all: BTreeMap<_, _> =
        stores.iter().flat_map(|store| store.rows.lock().unwrap().clone()).collect();
    assert_eq!(all.len() as u64, total, "each sample is one row");
}

#[tokio::test]
async fn each_replica_writes_the_samples_of_its_own_instances_and_all_are_stored() {
    let crew = Crew::start(Default::default(), &plan_of_replicas());
    let agents = crew.agents(&[]);
    let (result, ends, stores) = crew.end().await;
    let agents = all(agents).await;
    verify_closed(&result, &stores);
    let each = FRAMES * SAMPLES;
    assert_eq!(rows(&stores), [2 * each, each, each], "instances 1 and 4, 2, 3");
    assert_eq!(ends, [End::Dismissed, End::Dismissed]);
    assert!(agents.iter().all(|agent| !agent.refused && agent.unacked.is_empty()));
}

#[tokio::test]
async fn a_writer_killed_mid_run_costs_no_sample() {
    let mut crew = Crew::start(Default::default(), &plan_of_replicas());
    let agents = crew.agents(&[]);
    for lives in 1..=3 {
        crew.until_stored(lives * 800).await;
        let store = crew.stores[1].clone();
        crew.posts[0].kill();
        tokio::time::sleep(Duration::from_millis(100)).await;
        crew.posts[0].start(&store);
    }
    let (result, ends, stores) = crew.end().await;
    drop(all(agents).await);
    verify_closed(&result, &stores);
    assert_eq!(ends, [End::Dismissed, End::Dismissed]);
}

#[tokio::test]
async fn a_killed_aggregator_finds_its_writers_again_and_the_counts_are_exact() {
    let plan = plan_of_replicas();
    let mut crew = Crew::start(Default::default(), &plan);
    let agents = crew.agents(&[]);
    crew.until_stored(1000).await;
    crew.running.task.abort();
    let former = crew.running.results.borrow().clone();
    crew.to.send_replace(None);
    tokio::time::sleep(Duration::from_millis(200)).await;
    crew.running = begin(settings(&plan, &crew.stores[0], Some(former)));
    crew.to.send_replace(Some(crew.running.sessions.clone()));
    let (result, ends, stores) = crew.end().await;
    drop(all(agents).await);
    verify_closed(&result, &stores);
    assert_eq!(ends, [End::Dismissed, End::Dismissed]);
}

#[tokio::test]
async fn a_denied_write_of_a_writer_ends_the_run_as_one_of_the_aggregator_does() {
    let denied = || Store { fatal_after: Some(5), ..Store::default() };
    let mut messages = Vec::new();
    for stores in [
        [denied(), Store::default(), Store::default()],
        [Store::default(), Store::default(), denied()],
    ] {
        let crew = Crew::start(stores, &plan_of_replicas());
        let agents = crew.agents(&[Manner::RunsOn; 4]);
        let (result, _, _) = crew.end().await;
        drop(all(agents).await);
        let outcome = result.outcome.unwrap();
        assert_eq!(outcome.reason, Reason::OutputFailed);
        messages.push(outcome.message);
        let output = &result.outputs[0];
        assert_eq!(output.emitted, output.stored + output.rejected["OutputFailed"]);
    }
    assert_eq!(messages, ["output timestream: access denied"; 2]);
}

#[tokio::test]
async fn an_output_that_a_writer_cannot_write_to_ends_the_run_before_the_start() {
    let missing = Store { missing: true, ..Store::default() };
    let crew = Crew::start([Store::default(), missing, Store::default()], &plan_of_replicas());
    let agents = crew.agents(&[]);
    let (result, _, stores) = crew.end().await;
    drop(all(agents).await);
    let outcome = result.outcome.unwrap();
    assert_eq!(outcome.reason, Reason::OutputFailed);
    assert!(outcome.message.contains("no such table"), "{}", outcome.message);
    assert_eq!((result.started_unix_ms, rows(&stores)), (None, vec![0, 0, 0]));
}

#[tokio::test]
async fn a_writer_that_never_comes_is_named_at_the_deadline() {
    let plan = RunPlan { ready_ms: 1500, ..plan_of_replicas() };
    let crew = Crew::start(Default::default(), &plan);
    crew.posts[1].kill();
    let agents = crew.agents(&[]);
    let result = within(crew.running.task).await.unwrap();
    drop(all(agents).await);
    let outcome = result.outcome.unwrap();
    assert_eq!(outcome.reason, Reason::OutputFailed);
    assert!(
        outcome.message.contains("replica 2 of the aggregator is not connected"),
        "{}",
        outcome.message
    );
    assert_eq!(result.started_unix_ms, None);
}

#[tokio::test]
async fn a_writer_that_does_not_come_back_ends_the_drain_with_the_count_of_what_it_has_not_written()
{
    let plan = RunPlan { drain_ms: 2000, ..plan_of_replicas() };
    let crew = Crew::start(Default::default(), &plan);
    let agents = crew.agents(&[]);
    crew.until_stored(1000).await;
    crew.posts[0].kill();
    let result = within(crew.running.task).await.unwrap();
    drop(all(agents).await);
    let outcome = result.outcome.as_ref().unwrap();
    assert_eq!(outcome.reason, Reason::OutputFailed);
    let output = &result.outputs[0];
    assert_eq!(output.stored, rows(&crew.stores).iter().sum::<u64>(), "no row is left out");
    assert_eq!(output.emitted, output.stored + output.in_flight);
    let message = &outcome.message;
    assert!(message.contains(&format!("{} samples are not stored", output.in_flight)), "{message}");
    assert!(message.contains("instance 2: "), "{message}");
    assert!(message.contains("replica 1 of the aggregator is not connected"), "{message}");
}

#[tokio::test]
async fn of_an_instance_that_dies_its_writer_tells_what_was_stored() {
    let runner_loss = RunnerLoss { policy: LossPolicy::Tolerate, max_percent: 50 };
    let plan = RunPlan { runner_loss, ..plan_of_replicas() };
    let crew = Crew::start(Default::default(), &plan);
    // Instance 2 sends its third frame and is gone before it could tell of the acknowledgement.
    let agents = crew.agents(&[Manner::EndsWell, Manner::Dies]);
    tokio::time::sleep(Duration::from_secs(1)).await;
    let gone = Control::Gone { instance_id: 2, reason: "OOMKilled".to_owned() };
    crew.running.control.send(gone).await.unwrap();
    let (result, _, stores) = crew.end().await;
    drop(all(agents).await);
    let output = &result.outputs[0];
    let outcome = result.outcome.as_ref().unwrap();
    assert_eq!(outcome.reason, Reason::ThresholdsMet, "{}", result.message);
    assert_eq!(output.stored, rows(&stores).iter().sum::<u64>(), "no row is left out: {output:?}");
    assert_eq!(output.emitted, output.stored + output.rejected.values().sum::<u64>());
}

#[tokio::test]
async fn agents_and_writers_over_tls_find_each_other_again() {
    let credentials = tls::credentials();
    let to = |address| tls::dialer(address, &credentials, tls::TOKEN);
    let serving = |listener: TcpListener, sessions: mpsc::Sender<AggregatorEnd>| {
        let process = CancellationToken::new();
        tokio::spawn(serve(listener, credentials.clone(), 16, sessions, process.clone()));
        process
    };
    let plan = RunPlan { replicas: 2, ..plan() };
    let stores = [Arc::new(Store::default()), Arc::new(Store::default())];
    let running = begin(settings(&plan, &stores[0], None));
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let leader = to(listener.local_addr().unwrap());
    let _leads = serving(listener, running.sessions.clone());
    let write = || {
        let (sessions_tx, sessions) = mpsc::channel(8);
        let outputs = settings(&plan, &stores[1], None).outputs;
        let (plan, meters) = (plan.clone(), Arc::new(Meters::default()));
        let settings = writer::Settings { plan, replica: 1, outputs, meters, orphan_ms: 20_000 };
        let told = CancellationToken::new();
        let run = writer::run(settings, sessions, leader.clone(), told.clone());
        (tokio::spawn(run), told, sessions_tx)
    };
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let (task, told, sessions) = write();
    let serves = serving(listener, sessions);
    let names = [to(address)];
    let agents: Vec<_> = (1..=INSTANCES)
        .map(|id| {
            let mut agent = FakeAgent::new(id, Manner::EndsWell);
            agent.writer = share::writer_of(id, &names).map(|(at, name)| (at, name.clone()));
            tokio::spawn(agent.live(leader.clone()))
        })
        .collect();
    let mut results = running.results.clone();
    within(results.wait_for(|r| r.outputs.first().is_some_and(|o| o.stored > 500))).await.unwrap();
    told.cancel();
    assert_eq!(within(task).await.unwrap(), End::Told);
    serves.cancel();
    let listener = loop {
        match TcpListener::bind(address).await {
            Ok(listener) => break listener,
            Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    };
    let (task, _told, sessions) = write();
    let _serves = serving(listener, sessions);
    let result = within(running.task).await.unwrap();
    drop(all(agents).await);
    verify_closed(&result, &stores);
    assert_eq!(within(task).await.unwrap(), End::Dismissed);
}
