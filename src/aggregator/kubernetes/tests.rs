use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
};

use axum::{
    Router,
    extract::State,
    http::{Method, StatusCode, Uri},
    response::IntoResponse,
};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::*;
use crate::{
    api::v1alpha1::{LostRunner, Reason},
    wire::result::{Outcome, Stage},
};

#[derive(Default)]
struct ApiServer {
    answers: VecDeque<(u16, Value)>,
    calls: Vec<(Method, Uri, String)>,
}

async fn answer(
    State(server): State<Arc<Mutex<ApiServer>>>,
    method: Method,
    uri: Uri,
    body: String,
) -> impl IntoResponse {
    let mut server = server.lock().unwrap();
    server.calls.push((method, uri, body));
    let (status, body) = server.answers.pop_front().unwrap_or((200, json!({ "metadata": {} })));
    (StatusCode::from_u16(status).unwrap(), body.to_string())
}

async fn api_server(answers: Vec<(u16, Value)>) -> (Client, Arc<Mutex<ApiServer>>) {
    crate::io::crypto::install();
    let server =
        Arc::new(Mutex::new(ApiServer { answers: answers.into(), ..ApiServer::default() }));
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let router = Router::new().fallback(answer).with_state(server.clone());
    tokio::spawn(async move { axum::serve(listener, router).await });
    (Client::try_from(kube::Config::new(url.parse().unwrap())).unwrap(), server)
}

fn run() -> RunRef {
    RunRef { namespace: "shop".into(), name: "checkout-1".into(), uid: "u1".into() }
}

fn result(stage: Stage, outcome: bool) -> RunResult {
    RunResult {
        run: run().to_string(),
        stage,
        outcome: outcome.then(|| Outcome {
            reason: Reason::ThresholdsMet,
            message: "done".to_owned(),
            exit_code: 0,
        }),
        ..RunResult::default()
    }
}

fn failure(code: u16) -> (u16, Value) {
    let reason = if code == 404 { "NotFound" } else { "" };
    let body = json!({ "kind": "Status", "status": "Failure", "code": code, "reason": reason, "message": "no" });
    (code, body)
}

fn object(uid: &str, stop: &str, lost: &[LostRunner]) -> LoadTestRun {
    serde_json::from_value(json!({
        "apiVersion": "weir.dev/v1alpha1",
        "kind": "LoadTestRun",
        "metadata": { "name": "checkout-1", "uid": uid },
        "spec": { "test": { "script": { "inline": "x" } }, "stop": stop },
        "status": { "runners": { "wanted": 4, "ready": 4, "lost": 0, "lostInstances": lost } },
    }))
    .unwrap()
}

#[tokio::test]
async fn an_outcome_is_published_however_often_it_fails_and_then_told() {
    let (client, server) = api_server(vec![failure(500), failure(409)]).await;
    let (control, mut told) = mpsc::channel(4);
    let (results_tx, results) = watch::channel(result(Stage::Over, true));
    assert!(publish(client, run(), results, control, false).await);
    assert_eq!(told.recv().await, Some(Control::Published));
    drop(results_tx);
    let calls = server.lock().unwrap().calls.clone();
    assert_eq!(calls.len(), 3);
    let (method, uri, body) = calls.last().unwrap();
    assert_eq!(method, Method::PATCH);
    assert_eq!(uri.path(), "/api/v1/namespaces/shop/configmaps/checkout-1-result");
    assert!(uri.query().unwrap().contains("fieldManager=weir-aggregator"));
    let body: Value = serde_json::from_str(body).unwrap();
    let document = body["data"]["summary.json"].as_str().unwrap();
    assert_eq!(serde_json::from_str::<RunResult>(document).unwrap(), result(Stage::Over, true));
}

#[tokio::test]
async fn every_stage_is_published_and_an_engine_that_is_gone_ends_it() {
    let (client, server) = api_server(vec![]).await;
    let (control, _told) = mpsc::channel(4);
    let (results_tx, results) = watch::channel(result(Stage::Gathering, false));
    let publisher = tokio::spawn(publish(client, run(), results, control, false));
    for (count, stage) in [(1, Stage::Running), (2, Stage::Draining)] {
        while server.lock().unwrap().calls.len() < count {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        results_tx.send_replace(result(stage, false));
    }
    while server.lock().unwrap().calls.len() < 3 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    drop(results_tx);
    assert!(!publisher.await.unwrap(), "nothing was published that ends the run");
    let calls = server.lock().unwrap().calls.clone();
    for (call, stage) in calls.iter().zip(["Gathering", "Running", "Draining"]) {
        assert!(call.2.contains(stage), "{}", call.2);
    }
}

#[tokio::test]
async fn what_a_former_aggregator_published_is_found_and_another_runs_is_not() {
    let published = |run: &str| {
        let document = RunResult { run: run.to_owned(), ..result(Stage::Running, false) };
        json!({ "metadata": {}, "data": { "summary.json": serde_json::to_string(&document).unwrap() } })
    };
    let (client, _server) = api_server(vec![
        (200, published("shop/checkout-1/u1")),
        (200, published("shop/checkout-1/older")),
        (200, json!({ "metadata": {}, "data": { "summary.json": "not a document" } })),
        (200, json!({ "metadata": {} })),
        failure(404),
        failure(403),
    ])
    .await;
    assert_eq!(former(&client, &run()).await.unwrap().unwrap().stage, Stage::Running);
    for _ in 0..4 {
        assert_eq!(former(&client, &run()).await.unwrap(), None);
    }
    assert!(former(&client, &run()).await.is_err(), "not to know is not the same as none");
}

#[test]
fn wishes_and_losses_are_told_once() {
    let lost = LostRunner { instance_id: 3, reason: "OOMKilled".to_owned() };
    let mut told = Told::default();
    assert_eq!(told.news(&run(), Some(&object("u1", "None", &[]))), []);
    let gone = Control::Gone { instance_id: 3, reason: "OOMKilled".to_owned() };
    let one_lost = object("u1", "None", std::slice::from_ref(&lost));
    assert_eq!(told.news(&run(), Some(&one_lost)), [gone]);
    assert_eq!(told.news(&run(), Some(&one_lost)), []);
    let stopped = object("u1", "Requested", &[lost]);
    assert!(matches!(&told.news(&run(), Some(&stopped))[..], [Control::Stop(_)]));
    assert_eq!(told.news(&run(), Some(&stopped)), []);
    assert_eq!(told.news(&run(), None), []);
}

#[test]
fn what_the_aggregator_found_by_silence_comes_back_to_it_as_no_news() {
    let lost = |reason: &str| {
        let lost = LostRunner { instance_id: 3, reason: reason.to_owned() };
        object("u1", "None", &[lost])
    };
    let mut told = Told::default();
    assert_eq!(told.news(&run(), Some(&lost("SessionLost"))), []);
    let gone = lost("NodeLost");
    let expected = Control::Gone { instance_id: 3, reason: "NodeLost".to_owned() };
    assert_eq!(told.news(&run(), Some(&gone)), [expected]);
}

#[test]
fn a_run_that_is_gone_or_another_of_its_name_ends_this_one() {
    for now in [None, Some(object("another", "None", &[]))] {
        let news = Told::default().news(&run(), now.as_ref());
        assert_eq!(news, [Control::Stop("the run was deleted".to_owned())]);
    }
}

#[tokio::test]
async fn a_change_of_the_run_reaches_the_aggregator() {
    let mut now = serde_json::to_value(object("u1", "None", &[])).unwrap();
    now["metadata"]["resourceVersion"] = json!("7");
    let mut then = serde_json::to_value(object("u1", "Requested", &[])).unwrap();
    then["metadata"]["resourceVersion"] = json!("8");
    let change = json!({ "type": "MODIFIED", "object": then });
    let (client, server) = api_server(vec![failure(500), (200, now), (200, change)]).await;
    let (control, mut told) = mpsc::channel(4);
    tokio::spawn(follow(client, run(), control));
    assert!(matches!(told.recv().await, Some(Control::Stop(_))));
    let watched = server.lock().unwrap().calls[2].1.clone();
    let query = watched.query().unwrap();
    assert!(query.contains("watch=true") && query.contains("resourceVersion=7"), "{query}");
    assert!(query.contains("metadata.name%3Dcheckout-1"), "{query}");
}
