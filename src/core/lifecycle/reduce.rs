//! Kubernetes objects → the few facts a decision needs: what the operator holds of a pod must stay small.

use k8s_openapi::{
    api::{
        batch::v1::Job,
        core::v1::{ContainerStatus, Pod, PodStatus},
    },
    apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time},
};

use super::seen::{FailureSeen, JobEnd, JobSeen, PodPhase, PodRole, PodSeen, RunSeen, WaitingSeen};
use crate::api::{
    labels,
    v1alpha1::{LoadTestRun, StopRequest},
};

/// Label of the completion index on the pods of an Indexed Job.
const COMPLETION_INDEX: &str = "batch.kubernetes.io/job-completion-index";
/// Longest text taken from a kubelet's or scheduler's message: enough for an image name and its error.
const MESSAGE_CHARS_MAX: usize = 400;

/// The label's value, or an empty text.
pub fn label<'a>(meta: &'a ObjectMeta, key: &str) -> &'a str {
    meta.labels.as_ref().and_then(|labels| labels.get(key)).map_or("", String::as_str)
}

/// Unix time in milliseconds.
pub fn millis(time: &Time) -> i64 {
    time.0.as_millisecond()
}

/// The first characters of a text, on one line.
pub fn brief(text: &str) -> String {
    let mut line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if let Some((at, _)) = line.char_indices().nth(MESSAGE_CHARS_MAX) {
        line.truncate(at);
        line.push('…');
    }
    line
}

/// The facts of a run.
pub fn run(object: &LoadTestRun) -> RunSeen {
    let meta = &object.metadata;
    RunSeen {
        namespace: meta.namespace.clone().unwrap_or_default(),
        name: meta.name.clone().unwrap_or_default(),
        uid: meta.uid.clone().unwrap_or_default(),
        test: Some(label(meta, labels::LOAD_TEST)).filter(|n| !n.is_empty()).map(str::to_owned),
        generation: meta.generation.unwrap_or_default(),
        wanted: object.spec.test.parallelism,
        created_ms: meta.creation_timestamp.as_ref().map(millis).unwrap_or_default(),
        deleted_ms: meta.deletion_timestamp.as_ref().map(millis),
        stop: object.spec.stop == StopRequest::Requested,
        finalizer: meta.finalizers.iter().flatten().any(|name| name == labels::FINALIZER),
        status: object.status.clone(),
    }
}

/// The facts of a Job.
pub fn job(object: &Job) -> JobSeen {
    let status = object.status.as_ref();
    let end = status
        .and_then(|status| status.conditions.as_ref())
        .into_iter()
        .flatten()
        .filter(|condition| condition.status == "True")
        .find_map(|condition| {
            let failed = match condition.type_.as_str() {
                "Failed" | "FailureTarget" => true,
                "Complete" => false,
                _ => return None,
            };
            Some(JobEnd {
                failed,
                reason: condition.reason.clone().unwrap_or_default(),
                message: brief(condition.message.as_deref().unwrap_or_default()),
                at_ms: condition.last_transition_time.as_ref().map(millis).unwrap_or_default(),
            })
        });
    JobSeen {
        uid: object.metadata.uid.clone().unwrap_or_default(),
        deleting: object.metadata.deletion_timestamp.is_some(),
        failed_indexes: status
            .and_then(|status| status.failed_indexes.clone())
            .filter(|indexes| !indexes.is_empty()),
        end,
    }
}

/// The facts of a pod of a run.
pub fn pod(object: &Pod) -> PodSeen {
    let meta = &object.metadata;
    let empty = PodStatus::default();
    let status = object.status.as_ref().unwrap_or(&empty);
    let containers = || {
        status
            .init_container_statuses
            .iter()
            .flatten()
            .chain(status.container_statuses.iter().flatten())
    };
    PodSeen {
        name: meta.name.clone().unwrap_or_default(),
        uid: meta.uid.clone().unwrap_or_default(),
        role: match label(meta, labels::ROLE) {
            labels::ROLE_AGGREGATOR => PodRole::Aggregator,
            labels::ROLE_WRITER => PodRole::Writer,
            _ => PodRole::Runner,
        },
        index: label(meta, COMPLETION_INDEX).parse().unwrap_or_default(),
        created_ms: meta.creation_timestamp.as_ref().map(millis).unwrap_or_default(),
        deleting_ms: meta.deletion_timestamp.as_ref().map(millis),
        phase: match status.phase.as_deref() {
            Some("Running") => PodPhase::Running,
            Some("Succeeded") => PodPhase::Succeeded,
            Some("Failed") => PodPhase::Failed,
            _ => PodPhase::Pending,
        },
        reason: status
            .reason
            .clone()
            .or_else(|| condition(status, "DisruptionTarget").map(|c| c.0)),
        message: status.message.as_deref().map(brief).filter(|message| !message.is_empty()),
        unschedulable: unschedulable(status),
        waiting: containers().find_map(waiting),
        starting_image: containers().find_map(starting_image),
        // The main container's first: a sidecar that ends with it is no cause.
        failure: status
            .container_statuses
            .iter()
            .chain(status.init_container_statuses.iter())
            .flatten()
            .find_map(failure),
        restarts: containers()
            .filter(|container| exit_code(container) != Some(0))
            .filter_map(|container| u32::try_from(container.restart_count).ok())
            .max()
            .unwrap_or_default(),
        is_down: containers().any(|container| exit_code(container).is_some_and(|code| code != 0)),
        finished_ms: containers().filter_map(finished_ms).max(),
        node: object.spec.as_ref().and_then(|spec| spec.node_name.clone()),
    }
}

/// What is said of each container of a pod that is only starting.
const STARTING: [&str; 3] = ["", "PodInitializing", "ContainerCreating"];

/// Reason and message of a pod's condition that is True.
fn condition(status: &PodStatus, kind: &str) -> Option<(String, String)> {
    let found = status
        .conditions
        .iter()
        .flatten()
        .find(|condition| condition.type_ == kind && condition.status == "True")?;
    Some((found.reason.clone()?, found.message.clone().unwrap_or_default()))
}

fn unschedulable(status: &PodStatus) -> Option<String> {
    let found = status.conditions.iter().flatten().find(|condition| {
        condition.type_ == "PodScheduled"
            && condition.status == "False"
            && condition.reason.as_deref() == Some("Unschedulable")
    })?;
    Some(brief(found.message.as_deref().unwrap_or("the scheduler found no node")))
}

fn starting_image(container: &ContainerStatus) -> Option<String> {
    let waiting = container.state.as_ref()?.waiting.as_ref()?;
    let is_starting = waiting.reason.as_deref().is_none_or(|reason| STARTING.contains(&reason));
    is_starting.then(|| container.image.clone())
}

fn waiting(container: &ContainerStatus) -> Option<WaitingSeen> {
    let waiting = container.state.as_ref()?.waiting.as_ref()?;
    let reason = waiting.reason.clone().unwrap_or_default();
    if STARTING.contains(&reason.as_str()) {
        return None;
    }
    Some(WaitingSeen {
        reason,
        message: brief(waiting.message.as_deref().unwrap_or_default()),
        image: container.image.clone(),
    })
}

fn failure(container: &ContainerStatus) -> Option<FailureSeen> {
    let ended = |state: &Option<k8s_openapi::api::core::v1::ContainerState>| {
        state.as_ref().and_then(|state| state.terminated.clone())
    };
    let found = [ended(&container.state), ended(&container.last_state)]
        .into_iter()
        .flatten()
        .find(|ended| ended.exit_code != 0)?;
    Some(FailureSeen {
        container: container.name.clone(),
        reason: found.reason.unwrap_or_default(),
        exit_code: found.exit_code,
        message: brief(found.message.as_deref().unwrap_or_default()),
    })
}

/// How a container that is not running ended.
fn exit_code(container: &ContainerStatus) -> Option<i32> {
    Some(container.state.as_ref()?.terminated.as_ref()?.exit_code)
}

fn finished_ms(container: &ContainerStatus) -> Option<i64> {
    let ended = container.state.as_ref()?.terminated.as_ref()?;
    ended.finished_at.as_ref().map(millis)
}
