//! How a run ends: by itself, by a failure, at a deadline, because it must, and when its agents are let go.

use super::*;

#[tokio::test]
async fn a_script_that_fails_in_one_instance_stops_all_and_what_was_emitted_is_stored() {
    let store = Arc::new(Store::default());
    let manners = [Manner::default(), Manner::Fails];
    let (result, agents) = run_locally(&store, &manners).await;
    let outcome = result.outcome.unwrap();
    assert_eq!((outcome.reason, outcome.exit_code), (Reason::ScriptFailed, 107));
    assert!(outcome.message.contains("instance 2: TypeError"), "{}", outcome.message);
    let emitted: u64 = agents.iter().map(|agent| agent.report.emitted).sum();
    assert_eq!((result.outputs[0].emitted, result.outputs[0].stored), (emitted, emitted));
    assert!(emitted < u64::from(INSTANCES) * FRAMES * SAMPLES);
    assert_eq!(agents.iter().map(|agent| agent.teardowns).sum::<u32>(), 1);
}

#[tokio::test]
async fn a_setup_that_fails_ends_the_run_before_the_start() {
    let store = Arc::new(Store::default());
    let manners = [Manner::SetupFails];
    let (result, agents) = run_locally(&store, &manners).await;
    assert_eq!(result.outcome.unwrap().reason, Reason::SetupFailed);
    assert_eq!(result.started_unix_ms, None);
    assert!(agents.iter().all(|agent| agent.teardowns == 0 && agent.report.emitted == 0));
}

#[tokio::test]
async fn a_missing_table_ends_the_run_before_the_start_with_its_name() {
    let store = Arc::new(Store { missing: true, ..Store::default() });
    let (result, _) = run_locally(&store, &[]).await;
    let outcome = result.outcome.unwrap();
    assert_eq!(outcome.reason, Reason::OutputFailed);
    assert_eq!(outcome.message, "output timestream: no such table");
}

#[tokio::test]
async fn a_denied_write_stops_the_run_and_the_rest_is_counted_as_refused() {
    let store = Arc::new(Store { fatal_after: Some(20), ..Store::default() });
    let (result, _) = run_locally(&store, &[]).await;
    let outcome = result.outcome.unwrap();
    assert_eq!(outcome.reason, Reason::OutputFailed);
    let output = &result.outputs[0];
    assert!(output.rejected["OutputFailed"] > 0);
    assert_eq!(output.emitted, output.stored + output.rejected["OutputFailed"]);
}

#[tokio::test]
async fn a_users_stop_ends_the_run_gracefully() {
    let store = Arc::new(Store::default());
    let (dialer, to) = hub();
    let running = begin(settings(&plan(), &store, None));
    to.send_replace(Some(running.sessions.clone()));
    let manners = [Manner::RunsOn; 4];
    let agents = live(&dialer, &manners);
    let mut results = running.results.clone();
    within(results.wait_for(|result| result.running == INSTANCES)).await.unwrap();
    running.control.send(Control::Stop("a user stopped the run".to_owned())).await.unwrap();
    let result = within(running.task).await.unwrap();
    let agents = all(agents).await;
    let outcome = result.outcome.unwrap();
    assert_eq!((outcome.reason, outcome.exit_code), (Reason::Stopped, 105));
    assert_eq!(result.outputs[0].emitted, result.outputs[0].stored);
    assert_eq!(agents.iter().map(|agent| agent.teardowns).sum::<u32>(), 1);
}

#[tokio::test]
async fn an_aggregator_that_must_end_stops_the_run_and_tells_its_outcome() {
    let store = Arc::new(Store::default());
    let (dialer, to) = hub();
    let running = begin(settings(&plan(), &store, None));
    to.send_replace(Some(running.sessions.clone()));
    let agents = live(&dialer, &[Manner::RunsOn; 4]);
    let mut results = running.results.clone();
    within(results.wait_for(|result| result.running == INSTANCES)).await.unwrap();
    running.shutdown.cancel();
    let result = within(running.task).await.unwrap();
    drop(all(agents).await);
    assert_eq!(result.outcome.unwrap().reason, Reason::Stopped);
    assert_eq!(result.outputs[0].emitted, result.outputs[0].stored);
}

#[tokio::test]
async fn an_instance_that_is_never_ready_is_named_at_the_deadline() {
    let store = Arc::new(Store::default());
    let (dialer, to) = hub();
    let plan = RunPlan { ready_ms: 1000, ..plan() };
    let running = begin(settings(&plan, &store, None));
    to.send_replace(Some(running.sessions.clone()));
    let manners = [Manner::default(), Manner::NeverReady];
    let agents = live(&dialer, &manners);
    let result = within(running.task).await.unwrap();
    drop(all(agents).await);
    let outcome = result.outcome.unwrap();
    assert_eq!(outcome.reason, Reason::DeadlineExceeded);
    assert!(outcome.message.contains("1 of 4 instances: 2 (preparing)"), "{}", outcome.message);
}

#[tokio::test]
async fn agents_are_let_go_only_after_the_outcome_is_published() {
    let store = Arc::new(Store::default());
    let (dialer, to) = hub();
    let settings = Settings { awaits_publication: true, ..settings(&plan(), &store, None) };
    let running = begin(settings);
    to.send_replace(Some(running.sessions.clone()));
    let agents = live(&dialer, &[]);
    let mut results = running.results.clone();
    within(results.wait_for(|result| result.outcome.is_some())).await.unwrap();
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(agents.iter().all(|agent| !agent.is_finished()));
    running.control.send(Control::Published).await.unwrap();
    let result = within(running.task).await.unwrap();
    verify_whole(&result, &all(agents).await, &store);
}
