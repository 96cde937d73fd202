//! Runs whose aggregator is killed or moved, and goes on as another process.

use tokio::net::TcpListener;

use super::*;
use crate::{
    aggregator::keeper,
    api::v1alpha1::LossPolicy,
    io::{grpc::serve::serve, link::DialError},
};

#[tokio::test]
async fn a_killed_aggregator_is_followed_by_another_and_the_counts_are_exact() {
    let store = Arc::new(Store { trouble: 11, ..Store::default() });
    let plan = plan();
    let (dialer, to) = hub();
    let first = begin(settings(&plan, &store, None));
    to.send_replace(Some(first.sessions.clone()));
    let agents = live(&dialer, &[]);
    let mut results = first.results.clone();
    within(results.wait_for(|r| r.outputs.first().is_some_and(|o| o.stored > 500))).await.unwrap();
    first.task.abort();
    let former = results.borrow().clone();
    to.send_replace(None);
    let second = begin(settings(&plan, &store, Some(former)));
    to.send_replace(Some(second.sessions.clone()));
    let result = within(second.task).await.unwrap();
    let agents = all(agents).await;
    let total = u64::from(INSTANCES) * FRAMES * SAMPLES;
    let output = &result.outputs[0];
    assert_eq!(
        result.outcome.as_ref().unwrap().reason,
        Reason::ThresholdsMet,
        "{}",
        result.message
    );
    assert_eq!(
        (output.emitted, output.stored + output.rejected.values().sum::<u64>()),
        (total, total)
    );
    // A record refused in the first life may be stored in the second: the store may know more, never less.
    assert!(store.rows.lock().unwrap().len() as u64 >= output.stored);
    assert_eq!(agents.iter().map(|agent| agent.teardowns).sum::<u32>(), 1);
}

#[tokio::test]
async fn what_a_lost_instance_measured_outlives_a_killed_aggregator() {
    let keep_dir = std::env::temp_dir().join(format!("weir-engine-{}", clock::unix_ns()));
    let store = Arc::new(Store::default());
    let runner_loss = RunnerLoss { policy: LossPolicy::Tolerate, max_percent: 50 };
    let plan = RunPlan { runner_loss, ..plan() };
    let keeping =
        |former| Settings { keep_dir: Some(keep_dir.clone()), ..settings(&plan, &store, former) };
    let (dialer, to) = hub();
    let first = begin(keeping(None));
    to.send_replace(Some(first.sessions.clone()));
    let agents = live(&dialer, &[Manner::EndsWell, Manner::Dies]);
    let is_kept = || keeper::read_all(&keep_dir).iter().any(|k| k.instance_id == 2 && k.is_whole);
    within(async {
        while !is_kept() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    let mut results = first.results.clone();
    within(results.wait_for(|result| result.started_unix_ms.is_some())).await.unwrap();
    first.task.abort();
    let former = results.borrow().clone();
    to.send_replace(None);
    let second = begin(keeping(Some(former)));
    to.send_replace(Some(second.sessions.clone()));
    let gone = Control::Gone { instance_id: 2, reason: "OOMKilled".to_owned() };
    second.control.send(gone).await.unwrap();
    let result = within(second.task).await.unwrap();
    all(agents).await;
    // Its last files may still be on their way.
    within(async {
        while std::fs::remove_dir_all(&keep_dir).is_err() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    let reason = result.outcome.as_ref().unwrap().reason;
    assert_eq!(reason, Reason::ThresholdsMet, "{}", result.message);
    assert!(!result.message.contains("aggregator"), "nothing is missing: {}", result.message);
    let total = (u64::from(INSTANCES - 1) * FRAMES + 3) * SAMPLES;
    let value = result.thresholds[0].value.unwrap();
    assert_eq!(value.to_string(), total.to_string());
}

#[tokio::test]
async fn agents_over_tls_outlive_a_killed_aggregator() {
    let credentials = tls::credentials();
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let dialer = |token: &str| tls::dialer(address, &credentials, token);
    let store = Arc::new(Store::default());
    let plan = plan();
    let first = begin(settings(&plan, &store, None));
    let server = tokio::spawn(serve(
        listener,
        credentials.clone(),
        8,
        first.sessions.clone(),
        CancellationToken::new(),
    ));
    let wrong = dialer("guess").dial().await;
    assert!(matches!(wrong, Err(DialError::Denied(_))), "{wrong:?}");
    let agents = live(&dialer(tls::TOKEN), &[]);
    let mut results = first.results.clone();
    within(results.wait_for(|r| r.outputs.first().is_some_and(|o| o.stored > 500))).await.unwrap();
    first.task.abort();
    server.abort();
    drop(server.await);
    let second = begin(settings(&plan, &store, None));
    let listener = TcpListener::bind(address).await.unwrap();
    let stop = CancellationToken::new();
    tokio::spawn(serve(listener, credentials, 8, second.sessions.clone(), stop.clone()));
    let result = within(second.task).await.unwrap();
    let agents = all(agents).await;
    stop.cancel();
    verify_whole(&result, &agents, &store);
}

#[tokio::test]
async fn an_aggregator_that_is_moved_leaves_and_the_next_goes_on() {
    let store = Arc::new(Store::default());
    let plan = plan();
    let (dialer, to) = hub();
    let leaves = Settings { on_shutdown: OnShutdown::Leave, ..settings(&plan, &store, None) };
    let first = begin(leaves);
    to.send_replace(Some(first.sessions.clone()));
    let agents = live(&dialer, &[]);
    let mut results = first.results.clone();
    within(results.wait_for(|r| r.outputs.first().is_some_and(|o| o.stored > 500))).await.unwrap();
    to.send_replace(None);
    first.shutdown.cancel();
    let left = within(first.task).await.unwrap();
    assert_eq!(left.outcome, None);
    let second = begin(settings(&plan, &store, Some(left)));
    to.send_replace(Some(second.sessions.clone()));
    let result = within(second.task).await.unwrap();
    verify_whole(&result, &all(agents).await, &store);
}
