//! What the operator says to an apiserver, which here only notes it and answers as it is told.

use std::sync::{Arc, Mutex};

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{Method, StatusCode, Uri},
    response::IntoResponse,
};
use kube::{
    Client, Config,
    runtime::events::{Recorder, Reporter},
};
use serde_json::{Value, json};

use super::{
    effect::{Effected, carry_out},
    error::Error,
    observe,
};
use crate::{
    api::v1alpha1::LoadTestSpec,
    core::lifecycle::{
        decide::decide,
        plan::{Plan, Removal},
        seen::{RunSeen, Seen},
        valid::validate,
    },
};

/// One request: method, last parts of the path, and body.
type Request = (String, String, Value);
/// Answers an error for a request that contains the text.
type Refusals = Vec<(&'static str, StatusCode)>;

#[derive(Clone, Default)]
struct Apiserver {
    requests: Arc<Mutex<Vec<Request>>>,
    refusals: Arc<Refusals>,
    /// The objects that are there, by the end of their path.
    objects: Arc<Vec<(&'static str, Value)>>,
}

async fn answer(
    State(server): State<Apiserver>,
    method: Method,
    uri: Uri,
    body: Bytes,
) -> impl IntoResponse {
    let mut object: Value = serde_json::from_slice(&body).unwrap_or_default();
    let place = uri.path().rsplit("/shop/").next().unwrap_or_default().to_owned();
    let text = format!("{method} {place}");
    server.requests.lock().unwrap().push((method.to_string(), place, object.clone()));
    if let Some((_, status)) = server.refusals.iter().find(|(part, _)| text.contains(part)) {
        let refusal = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "Test",
            "message": format!("no {text}"), "code": status.as_u16()});
        return (*status, refusal.to_string());
    }
    if method == Method::GET {
        let found = server.objects.iter().find(|(part, _)| text.ends_with(part));
        return match found {
            Some((_, object)) => (StatusCode::OK, object.to_string()),
            None => (
                StatusCode::NOT_FOUND,
                json!({"kind": "Status", "apiVersion": "v1", "status": "Failure",
                "reason": "NotFound", "message": "not found", "code": 404})
                .to_string(),
            ),
        };
    }
    if text.contains("loadtestruns") {
        // What an apply leaves out is there already.
        object["spec"] = json!({"test": {"script": {"inline": "x"}}});
        object["metadata"]["resourceVersion"] = json!("7");
    }
    (StatusCode::OK, object.to_string())
}

/// A client of an apiserver that refuses what is said.
async fn apiserver(refusals: Refusals) -> (Client, Apiserver) {
    serve(Apiserver { refusals: Arc::new(refusals), ..Apiserver::default() }).await
}

async fn serve(server: Apiserver) -> (Client, Apiserver) {
    drop(rustls::crypto::ring::default_provider().install_default());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = Router::new().fallback(answer).with_state(server.clone());
    tokio::spawn(async move { axum::serve(listener, router).await });
    let config = Config::new(format!("http://{address}").parse().unwrap());
    (Client::try_from(config).unwrap(), server)
}

fn run() -> RunSeen {
    RunSeen {
        namespace: "shop".into(),
        name: "checkout-1".into(),
        uid: "uid-of-run".into(),
        generation: 1,
        wanted: 2,
        ..RunSeen::default()
    }
}

fn first_plan() -> Plan {
    let spec: LoadTestSpec =
        serde_saphyr::from_str("{parallelism: 2, script: {inline: x}}").unwrap();
    let test = validate("checkout-1", spec.test).unwrap();
    decide(Ok(&test), &Seen { run: run(), ..Seen::default() }, "weir:test", 1)
}

async fn carry(plan: Plan, refusals: Refusals) -> (Result<Effected, Error>, Vec<Request>) {
    let (client, server) = apiserver(refusals).await;
    let reporter = Reporter { controller: "test".into(), instance: None };
    let recorder = Recorder::new(client.clone(), reporter);
    let effected = carry_out(&client, &recorder, &run(), plan).await;
    let requests = server.requests.lock().unwrap().clone();
    (effected, requests)
}

fn place(requests: &[Request], part: &str) -> usize {
    let found =
        requests.iter().position(|(method, place, _)| format!("{method} {place}").contains(part));
    found.unwrap_or_else(|| panic!("{part} was not asked for: {requests:?}"))
}

#[tokio::test]
async fn jobs_are_applied_after_all_that_their_pods_need() {
    let (effected, requests) = carry(first_plan(), Vec::new()).await;
    let effected = effected.unwrap();
    let job = place(&requests, "jobs/checkout-1-aggregator")
        .min(place(&requests, "jobs/checkout-1-runner"));
    for needed in [
        "POST secrets",
        "services/checkout-1",
        "serviceaccounts/checkout-1-aggregator",
        "configmaps/checkout-1-result",
        "configmaps/checkout-1-script",
        "roles/checkout-1-aggregator",
    ] {
        assert!(place(&requests, needed) < job, "{needed} comes after a Job");
    }
    assert_eq!(effected.jobs.len(), 2);
    assert!(effected.status_written);
    assert!(place(&requests, "loadtestruns/checkout-1/status") > job);
}

#[tokio::test]
async fn a_secret_that_exists_is_left_as_it_is() {
    let (effected, requests) =
        carry(first_plan(), vec![("POST secrets", StatusCode::CONFLICT)]).await;
    assert_eq!(effected.unwrap().jobs.len(), 2);
    let secrets = requests.iter().filter(|(_, place, _)| place.contains("secrets")).count();
    assert_eq!(secrets, 1, "it is never read and never patched");
}

#[tokio::test]
async fn a_job_that_is_wrong_is_refused_for_good_and_the_status_is_written_all_the_same() {
    let wrong = vec![("jobs/checkout-1-runner", StatusCode::UNPROCESSABLE_ENTITY)];
    let (effected, requests) = carry(first_plan(), wrong).await;
    let effected = effected.unwrap();
    let refusal = effected.refused.unwrap();
    assert!(refusal.last);
    assert!(refusal.message.contains("Job checkout-1-runner"), "{}", refusal.message);
    place(&requests, "loadtestruns/checkout-1/status");
}

#[tokio::test]
async fn what_a_quota_forbids_may_be_allowed_later() {
    let (effected, requests) =
        carry(first_plan(), vec![("services/", StatusCode::FORBIDDEN)]).await;
    assert!(!effected.unwrap().refused.unwrap().last);
    assert!(
        requests.iter().all(|(_, place, _)| !place.contains("jobs/")),
        "no Job without its Service"
    );
}

#[tokio::test]
async fn an_apiserver_that_is_ill_is_asked_again_later() {
    let ill = vec![("services/", StatusCode::INTERNAL_SERVER_ERROR)];
    let (effected, _) = carry(first_plan(), ill).await;
    assert_eq!(effected.unwrap_err().step(), "apply");
}

#[tokio::test]
async fn a_run_that_is_gone_needs_no_status_and_no_release() {
    let mut plan = first_plan();
    plan.apply.clear();
    plan.create_secret = false;
    plan.hold = false;
    plan.release = true;
    let gone = vec![("loadtestruns/checkout-1", StatusCode::NOT_FOUND)];
    let (effected, _) = carry(plan, gone).await;
    assert!(effected.unwrap().run.is_none());
}

#[tokio::test]
async fn only_the_job_that_was_meant_is_deleted() {
    let job = Removal { name: "checkout-1-runner".into(), uid: "uid-of-job".into() };
    let plan = Plan { delete_jobs: vec![job], ..Plan::default() };
    let (effected, requests) = carry(plan, Vec::new()).await;
    effected.unwrap();
    let (method, _, body) = &requests[place(&requests, "jobs/checkout-1-runner")];
    assert_eq!(method, "DELETE");
    assert_eq!(body["preconditions"]["uid"], "uid-of-job");
    assert_eq!(body["propagationPolicy"], "Background");
}

#[tokio::test]
async fn every_write_to_the_run_names_its_uid() {
    let mut plan = first_plan();
    plan.release = true;
    let (effected, requests) = carry(plan, Vec::new()).await;
    effected.unwrap();
    let writes: Vec<_> =
        requests.iter().filter(|(_, place, _)| place.starts_with("loadtestruns/")).collect();
    assert_eq!(writes.len(), 3, "finalizer, status, release");
    for (_, _, body) in writes {
        assert_eq!(body["metadata"]["uid"], "uid-of-run");
    }
}

/// An object as the apiserver shows its metadata.
fn meta(kind: &str, name: &str, labels: &Value) -> Value {
    json!({"apiVersion": "meta.k8s.io/v1", "kind": kind,
        "metadata": {"name": name, "namespace": "shop", "labels": labels}})
}

async fn taken(objects: Vec<(&'static str, Value)>) -> Option<(String, bool)> {
    let server = Apiserver { objects: Arc::new(objects), ..Apiserver::default() };
    let (client, _) = serve(server).await;
    let taken = observe::taken(&client, &run(), &first_plan().apply).await.unwrap();
    taken.map(|taken| (taken.object, taken.of_older_run))
}

#[tokio::test]
async fn free_names_and_the_runs_own_objects_are_no_obstacle() {
    assert_eq!(taken(Vec::new()).await, None);
    let own =
        meta("PartialObjectMetadata", "checkout-1", &json!({"weir.dev/run-uid": "uid-of-run"}));
    assert_eq!(taken(vec![("services/checkout-1", own)]).await, None);
}

#[tokio::test]
async fn a_users_own_object_and_one_of_an_older_run_are_told_apart() {
    let older = meta(
        "PartialObjectMetadata",
        "checkout-1-runner",
        &json!({"weir.dev/run-uid": "uid-of-old"}),
    );
    let users = meta("PartialObjectMetadata", "checkout-1", &json!({"app": "shop"}));
    assert_eq!(
        taken(vec![("jobs/checkout-1-runner", older.clone())]).await,
        Some(("Job checkout-1-runner".to_owned(), true))
    );
    assert_eq!(
        taken(vec![("jobs/checkout-1-runner", older), ("services/checkout-1", users)]).await,
        Some(("Service checkout-1".to_owned(), false)),
        "what never goes by itself is told first"
    );
}
