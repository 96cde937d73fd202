//! The checker of plans: what must hold of every plan, whatever it was made from. Each test of a plan calls it.

use serde_json::Value;

use super::{build::meta::Kind, plan::Plan, seen::Seen};
use crate::api::{
    labels,
    v1alpha1::{LoadTestRunStatus, Phase},
};

/// All that is wrong with a plan about `seen`, made at `now_ms`.
pub(crate) fn problems(plan: &Plan, seen: &Seen, now_ms: i64) -> Vec<String> {
    let mut found = Vec::new();
    check_children(plan, seen, &mut found);
    check_order(plan, seen, now_ms, &mut found);
    check_status(plan, seen, &mut found);
    found
}

/// Panics with all that is wrong with a plan.
#[track_caller]
pub(crate) fn assert_sound(plan: &Plan, seen: &Seen, now_ms: i64) {
    let found = problems(plan, seen, now_ms);
    assert!(found.is_empty(), "{}\n{}", found.join("\n"), plan.text(now_ms));
}

fn check_children(plan: &Plan, seen: &Seen, found: &mut Vec<String>) {
    let run = &seen.run;
    let mut names = Vec::new();
    for child in &plan.apply {
        let who = format!("{} {}", child.kind.as_str(), child.name);
        let mut must = |good: bool, what: &str| {
            if !good {
                found.push(format!("{who}: {what}"));
            }
        };
        let text =
            |path: &str| child.object.pointer(path).and_then(Value::as_str).unwrap_or_default();
        let label = |path: &str, key: &str| -> Option<String> {
            Some(child.object.pointer(path)?.get(key)?.as_str()?.to_owned())
        };
        must(child.name.len() <= 63, "its name is too long for a label");
        must(text("/metadata/name") == child.name, "its name is another in its metadata");
        must(text("/metadata/namespace") == run.namespace, "it is in another namespace");
        must(text("/metadata/ownerReferences/0/uid") == run.uid, "the run does not own it");
        must(text("/metadata/ownerReferences/0/kind") == "LoadTestRun", "a run does not own it");
        must(
            child.object.pointer("/metadata/ownerReferences/0/controller")
                == Some(&Value::Bool(true)),
            "its owner does not control it",
        );
        for (key, value) in [
            (labels::RUN, run.name.as_str()),
            (labels::RUN_UID, run.uid.as_str()),
            (labels::MANAGED_BY, labels::FIELD_MANAGER),
        ] {
            must(label("/metadata/labels", key).as_deref() == Some(value), "a label is missing");
        }
        must(!names.contains(&(child.kind, child.name.clone())), "it is there twice");
        names.push((child.kind, child.name.clone()));
        if child.kind == Kind::Job {
            let pod = "/spec/template/metadata/labels";
            must(
                label(pod, labels::RUN_UID).as_deref() == Some(run.uid.as_str()),
                "its pods lack the run's UID",
            );
            must(
                label(pod, labels::ROLE) == label("/metadata/labels", labels::ROLE),
                "its pods have another role",
            );
            let template = child.object.pointer("/spec/template/spec").cloned().unwrap_or_default();
            for problem in pod_problems(&template) {
                found.push(format!("{who}: {problem}"));
            }
        }
    }
}

/// What keeps a pod from running, or from passing the `restricted` Pod Security Standard by Weir's own doing.
fn pod_problems(pod: &Value) -> Vec<String> {
    let mut found = Vec::new();
    let list = |value: &Value, field: &str| {
        value.get(field).and_then(Value::as_array).cloned().unwrap_or_default()
    };
    let volumes: Vec<Value> =
        list(pod, "volumes").iter().map(|volume| volume["name"].clone()).collect();
    let containers: Vec<Value> =
        list(pod, "initContainers").into_iter().chain(list(pod, "containers")).collect();
    let mut names: Vec<_> =
        containers.iter().map(|container| container["name"].to_string()).collect();
    names.sort();
    names.dedup();
    if names.len() != containers.len() {
        found.push("two containers have one name".to_owned());
    }
    for container in &containers {
        let name = container["name"].as_str().unwrap_or_default();
        for mount in list(container, "volumeMounts") {
            if !volumes.contains(&mount["name"]) {
                found
                    .push(format!("container {name} mounts {}, which is no volume", mount["name"]));
            }
        }
        let own = ["k6", "aggregator", super::template::INIT_CONTAINER].contains(&name);
        let security = &container["securityContext"];
        if own && security["capabilities"]["drop"] != serde_json::json!(["ALL"]) {
            found.push(format!("container {name} keeps capabilities"));
        }
        if own && security["allowPrivilegeEscalation"] != Value::Bool(false) {
            found.push(format!("container {name} may gain privileges"));
        }
    }
    let security = &pod["securityContext"];
    if security["runAsNonRoot"] != Value::Bool(true) {
        found.push("the pod may run as root".to_owned());
    }
    if security["seccompProfile"]["type"] != "RuntimeDefault" {
        found.push("the pod has no seccomp profile".to_owned());
    }
    let writer = containers.iter().any(|container| container["args"][0] == "writer");
    if writer && pod["automountServiceAccountToken"] != Value::Bool(false) {
        found.push("writers have credentials of the cluster".to_owned());
    }
    let k6 = containers.iter().any(|container| container["name"] == "k6");
    if k6 && pod["automountServiceAccountToken"] != Value::Bool(false) {
        found.push("runners have credentials of the cluster".to_owned());
    }
    found
}

fn check_order(plan: &Plan, seen: &Seen, now_ms: i64, found: &mut Vec<String>) {
    let jobs_last = plan
        .apply
        .iter()
        .skip_while(|child| !child.is_job())
        .all(super::build::meta::Child::is_job);
    if !jobs_last {
        found.push("a Job is applied before what it needs".to_owned());
    }
    if !plan.apply.is_empty() && !plan.delete_jobs.is_empty() {
        found.push("objects are applied and deleted at once".to_owned());
    }
    let held = plan.hold || seen.run.finalizer || seen.run.deleted_ms.is_some();
    if !plan.apply.is_empty() && !held {
        found.push("pods are made for a run that is not held".to_owned());
    }
    for removal in &plan.delete_jobs {
        let own = [&seen.aggregator_job, &seen.writer_job, &seen.runner_job].into_iter().flatten();
        if !own.into_iter().any(|job| job.uid == removal.uid) {
            found.push(format!("Job {} is deleted, but is not the run's", removal.name));
        }
    }
    if plan.next_ms.is_some_and(|next_ms| next_ms <= now_ms) {
        found.push("it looks again in the past".to_owned());
    }
    for event in &plan.events {
        if event.reason.is_empty() || event.message.is_empty() || event.message.len() > 1_024 {
            found.push(format!("event {event:?} is empty or too long"));
        }
    }
}

fn check_status(plan: &Plan, seen: &Seen, found: &mut Vec<String>) {
    let over = |status: &LoadTestRunStatus| status.verdict.is_some();
    let was_over = seen.run.status.as_ref().is_some_and(over);
    let Some(status) = &plan.status else {
        let waits = plan.next_ms.is_some();
        if !was_over && !waits && !handed_over(seen.run.status.as_ref()) {
            found.push("the run is not over, and nothing bounds the wait".to_owned());
        }
        return;
    };
    if was_over {
        found.push("a verdict is changed".to_owned());
    }
    let condition = |kind: &str| status.conditions.iter().find(|condition| condition.type_ == kind);
    for kind in ["RunnersReady", "Started", "Complete", "Succeeded"] {
        match condition(kind) {
            None => found.push(format!("condition {kind} is missing")),
            Some(c) if c.reason.is_empty() || c.message.is_empty() => {
                found.push(format!("condition {kind} does not say why"));
            }
            Some(c) if c.observed_generation != Some(seen.run.generation) => {
                found.push(format!("condition {kind} is of another generation"));
            }
            Some(_) => {}
        }
    }
    let complete = condition("Complete").is_some_and(|c| c.status == "True");
    let ended = matches!(status.phase, Phase::Passed | Phase::Failed);
    let decided = condition("Succeeded").is_some_and(|c| c.status != "Unknown");
    let all = [
        complete,
        ended,
        decided,
        over(status),
        status.completion_time.is_some(),
        status.exit_code.is_some(),
    ];
    if all.contains(&true) && all.contains(&false) {
        found.push(format!("it is half over: {all:?}"));
    }
    if complete && !plan.apply.is_empty() {
        found.push("a run that is over makes objects".to_owned());
    }
    if !complete && plan.next_ms.is_none() && !handed_over(Some(status)) {
        found.push("nothing bounds the wait".to_owned());
    }
}

/// Once all instances are ready, the aggregator bounds every wait, for it knows how long the load takes; and the agents
/// bound the absence of an aggregator. Their pods' ends are changes that the operator sees.
fn handed_over(status: Option<&LoadTestRunStatus>) -> bool {
    let mut conditions = status.into_iter().flat_map(|status| &status.conditions);
    conditions.any(|condition| condition.type_ == "RunnersReady" && condition.status == "True")
}
