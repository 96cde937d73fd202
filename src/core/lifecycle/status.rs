//! Facts → status: the only constructor of conditions. `phase` is derived here for people and never read back.

use k8s_openapi::{
    apimachinery::pkg::apis::meta::v1::{Condition, Time},
    jiff::Timestamp,
};

use super::{
    build::meta::result_name,
    loss::{LOST_NAMED_MAX, Losses},
    seen::Seen,
};
use crate::{
    api::v1alpha1::{ConditionType, LoadTestRunStatus, Phase, Progress, Reason, RunnersStatus},
    wire::result::{Outcome, RunResult, Stage},
};

/// Longest message of a condition: longer ones are no line for people any more.
const MESSAGE_CHARS_MAX: usize = 1_500;

/// What a status is made from.
#[derive(Debug)]
pub(super) struct Story<'a> {
    pub(super) seen: &'a Seen,
    pub(super) now_ms: i64,
    /// When the load began.
    pub(super) started_ms: Option<i64>,
    /// When the run was told to end early.
    pub(super) stop_ms: Option<i64>,
    pub(super) losses: &'a Losses,
    /// What keeps the instances from being ready.
    pub(super) trouble: Option<(Progress, String)>,
    /// How the run ended.
    pub(super) end: Option<&'a Outcome>,
}

/// A condition before its time is known.
struct State {
    status: &'static str,
    reason: &'static str,
    message: String,
}

/// The status that tells the story.
pub(super) fn derive(story: &Story) -> LoadTestRunStatus {
    let run = &story.seen.run;
    let empty = RunResult::default();
    let result = story.seen.result.as_ref().unwrap_or(&empty);
    let start_time = story.started_ms.and_then(time);
    let completion_time = story.end.and_then(|_| time(story.now_ms));
    let duration = match (&start_time, &completion_time) {
        (Some(start), Some(end)) => Some(duration(end.0.as_second() - start.0.as_second())),
        _ => None,
    };
    LoadTestRunStatus {
        observed_generation: Some(run.generation),
        phase: phase(story),
        run: None,
        verdict: story.end.map(|end| end.reason),
        runners: runners(story, result),
        start_time,
        stop_time: story.stop_ms.and_then(time),
        completion_time,
        duration,
        exit_code: story.end.map(|end| end.exit_code),
        thresholds: result.thresholds.clone(),
        outputs: result.outputs.clone(),
        result_name: story.seen.result.as_ref().map(|_| result_name(&run.name)),
        conditions: conditions(story),
    }
}

/// Whether all instances have been ready at once.
pub(super) fn all_ready(seen: &Seen, started_ms: Option<i64>) -> bool {
    let result = seen.result.as_ref();
    started_ms.is_some()
        || result.is_some_and(|result| {
            result.stage > Stage::Gathering && result.stage < Stage::Draining
                || result.ready >= seen.run.wanted && result.wanted > 0
        })
}

/// Whether two statuses differ in what people and tools wait for, not only in counts that change all the time.
pub(super) fn differ_visibly(old: &LoadTestRunStatus, new: &LoadTestRunStatus) -> bool {
    let calm = |status: &LoadTestRunStatus| {
        let mut status = status.clone();
        status.runners = RunnersStatus { lost: status.runners.lost, ..RunnersStatus::default() };
        status.outputs.clear();
        status.thresholds.clear();
        for condition in &mut status.conditions {
            condition.message.clear();
        }
        status
    };
    calm(old) != calm(new)
}

/// Whether the condition is True.
pub(super) fn is_true(status: Option<&LoadTestRunStatus>, kind: ConditionType) -> bool {
    status
        .into_iter()
        .flat_map(|status| &status.conditions)
        .any(|condition| condition.type_ == kind.as_str() && condition.status == "True")
}

/// Unix milliseconds as Kubernetes writes times: in whole seconds.
pub(super) fn time(ms: i64) -> Option<Time> {
    Timestamp::from_second(ms.div_euclid(1000)).ok().map(Time)
}

/// Seconds as `kubectl` prints ages.
fn duration(seconds: i64) -> String {
    let seconds = seconds.max(0);
    let (hours, minutes, rest) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    match (hours, minutes, rest) {
        (0, 0, s) => format!("{s}s"),
        (0, m, s) => format!("{m}m{s}s"),
        (h, m, s) => format!("{h}h{m}m{s}s"),
    }
}

fn runners(story: &Story, result: &RunResult) -> RunnersStatus {
    let wanted = story.seen.run.wanted;
    // Until the aggregator has counted anew after a restart, the last count is the best one.
    let known = story.seen.run.status.as_ref().map_or(0, |status| status.runners.ready);
    let ready = if story.started_ms.is_some() { result.ready.max(known) } else { result.ready };
    let mut lost_instances = story.losses.named();
    lost_instances.truncate(LOST_NAMED_MAX);
    RunnersStatus {
        wanted,
        ready,
        lost: story.losses.count(),
        summary: format!("{ready}/{wanted}"),
        lost_instances,
    }
}

fn phase(story: &Story) -> Phase {
    let seen = story.seen;
    let stage = seen.result.as_ref().map(|result| result.stage);
    match story.end {
        Some(end) if end.reason.passed() => Phase::Passed,
        Some(_) => Phase::Failed,
        None if stage >= Some(Stage::Teardown) => Phase::Finishing,
        None if story.started_ms.is_some() => Phase::Running,
        None if seen.runner_job.is_some() || seen.aggregator_job.is_some() => Phase::Preparing,
        None => Phase::Pending,
    }
}

fn conditions(story: &Story) -> Vec<Condition> {
    let old = story.seen.run.status.as_ref();
    [
        (ConditionType::RunnersReady, runners_ready(story)),
        (ConditionType::Started, started(story)),
        (ConditionType::Complete, complete(story)),
        (ConditionType::Succeeded, succeeded(story)),
    ]
    .into_iter()
    .filter_map(|(kind, state)| {
        let before = old
            .into_iter()
            .flat_map(|status| &status.conditions)
            .find(|condition| condition.type_ == kind.as_str() && condition.status == state.status)
            .map(|condition| condition.last_transition_time.clone());
        Some(Condition {
            type_: kind.as_str().to_owned(),
            status: state.status.to_owned(),
            reason: state.reason.to_owned(),
            message: state.message.chars().take(MESSAGE_CHARS_MAX).collect(),
            observed_generation: Some(story.seen.run.generation),
            last_transition_time: before.or_else(|| time(story.now_ms))?,
        })
    })
    .collect()
}

fn runners_ready(story: &Story) -> State {
    let wanted = story.seen.run.wanted;
    let ready = story.seen.result.as_ref().map_or(0, |result| result.ready);
    let count = format!("{ready} of {wanted} k6 instances are ready");
    if all_ready(story.seen, story.started_ms) {
        let message = format!("all {wanted} k6 instances have initialised their VUs");
        return State { status: "True", reason: Progress::AllReady.as_str(), message };
    }
    if let Some(end) = story.end {
        return missed(end);
    }
    if let Some((kind, words)) = &story.trouble {
        let message = format!("{count}; {words}");
        return State { status: "False", reason: kind.as_str(), message };
    }
    let (kind, status) = match phase(story) {
        Phase::Pending => (Progress::Pending, "Unknown"),
        _ => (Progress::Starting, "False"),
    };
    State { status, reason: kind.as_str(), message: count }
}

fn started(story: &Story) -> State {
    if let Some(at) = story.started_ms.and_then(time) {
        let message = format!("the load began at {}", at.0);
        return State { status: "True", reason: Progress::LoadStarted.as_str(), message };
    }
    if let Some(end) = story.end {
        return missed(end);
    }
    match story.seen.result.as_ref().map(|result| result.stage) {
        Some(Stage::Setup) => State {
            status: "False",
            reason: Progress::SetupRunning.as_str(),
            message: said(story).unwrap_or_else(|| "setup runs".to_owned()),
        },
        _ => State {
            status: "False",
            reason: going(story).as_str(),
            message: "waits for all k6 instances to be ready".to_owned(),
        },
    }
}

fn complete(story: &Story) -> State {
    match (story.end, &story.trouble) {
        (Some(end), _) => over(end, "True"),
        // The load goes on, but nobody takes its samples.
        (None, Some((kind, words))) if story.started_ms.is_some() => {
            State { status: "False", reason: kind.as_str(), message: words.clone() }
        }
        (None, _) => State {
            status: "False",
            reason: going(story).as_str(),
            message: said(story).unwrap_or_else(|| "the run is not over".to_owned()),
        },
    }
}

/// What the aggregator said last.
fn said(story: &Story) -> Option<String> {
    let result = story.seen.result.as_ref()?;
    Some(result.message.clone()).filter(|message| !message.is_empty())
}

fn succeeded(story: &Story) -> State {
    match story.end {
        Some(end) => over(end, if end.reason.passed() { "True" } else { "False" }),
        None => State {
            status: "Unknown",
            reason: going(story).as_str(),
            message: "the run is not over".to_owned(),
        },
    }
}

fn over(end: &Outcome, status: &'static str) -> State {
    let reason: Reason = end.reason;
    State { status, reason: reason.as_str(), message: end.message.clone() }
}

/// A condition that the run did not live to meet: why stands in `Complete`, once.
fn missed(end: &Outcome) -> State {
    let message = "the run ended before".to_owned();
    State { status: "False", reason: end.reason.as_str(), message }
}

/// What a run that is not over is doing.
fn going(story: &Story) -> Progress {
    match phase(story) {
        Phase::Pending => Progress::Pending,
        _ if story.stop_ms.is_some() => Progress::Stopping,
        Phase::Running => Progress::Running,
        Phase::Finishing => Progress::Draining,
        Phase::Preparing | Phase::Passed | Phase::Failed => Progress::Starting,
    }
}
