//! Whether a run is over, and why: an ordered list of checks, each with its own deadline.

use super::{
    build::meta::{aggregator_name, runner_name},
    decide::View,
    seen::{PodPhase, PodRole, SourceSeen},
    status::all_ready,
    trouble,
};
use crate::{
    api::v1alpha1::{Progress, Reason},
    wire::result::Outcome,
};

/// How long a script's ConfigMap or claim may be missing: as long as `kubectl apply -f` of a folder takes, whose
/// files may come in any order.
const SOURCE_GRACE_MS: i64 = 15_000;
/// How often a missing source is looked for within its grace.
const SOURCE_LOOK_MS: i64 = 1_000;
/// Time the operator leaves the aggregator to say itself that its ready deadline has passed: it knows more.
const READY_MARGIN_MS: i64 = 5_000;
/// Time from the end of the aggregator's Job until its result must have been seen: watches lag by less.
const RESULT_LAG_MS: i64 = 10_000;
/// Time besides the drain deadline that a stopped run has, when no aggregator works on its end.
const STOP_MARGIN_MS: i64 = 30_000;
/// The same while an aggregator runs: a graceful stop of k6 (30 s) and a teardown (60 s) at their defaults come first.
const STOP_MARGIN_WORKING_MS: i64 = 120_000;

/// What one check says.
#[derive(Debug)]
enum Check {
    /// Nothing to say.
    Pass,
    /// Nothing yet; ask again then.
    Wait(i64),
    /// The run is over.
    End(Outcome),
}

/// How the run ended, or when to ask again at the latest.
pub(super) fn ended(view: &View) -> Result<Option<i64>, Outcome> {
    let checks: [fn(&View) -> Check; 10] = [
        // The aggregator's word goes before all guesses.
        published,
        refused,
        name_taken,
        source,
        bad_image,
        stopped_before_work,
        aggregator_over,
        runners_used_up,
        not_ready,
        not_ending,
    ];
    let mut next_ms: Option<i64> = None;
    for check in checks {
        match check(view) {
            Check::Pass => {}
            Check::Wait(at_ms) => next_ms = Some(next_ms.map_or(at_ms, |next| next.min(at_ms))),
            Check::End(outcome) => return Err(outcome),
        }
    }
    Ok(next_ms)
}

/// An end that the operator itself decides.
pub(super) fn outcome(reason: Reason, message: String) -> Outcome {
    let exit_code = match reason {
        Reason::ThresholdsMet => 0,
        Reason::ThresholdsCrossed => 99,
        Reason::SetupFailed => 100,
        Reason::TeardownFailed => 101,
        Reason::DeadlineExceeded => 102,
        Reason::InvalidSpec => 104,
        Reason::Stopped => 105,
        Reason::ScriptFailed => 107,
        Reason::Aborted => 108,
        // k6's code for every failure that has none of its own.
        Reason::RunnersLost | Reason::OutputFailed => 255,
    };
    Outcome { reason, message, exit_code }
}

fn by(at_ms: i64, now_ms: i64, end: impl FnOnce() -> Outcome) -> Check {
    if at_ms <= now_ms { Check::End(end()) } else { Check::Wait(at_ms) }
}

fn published(view: &View) -> Check {
    let Some(outcome) = view.seen.result.as_ref().and_then(|result| result.outcome.clone()) else {
        return Check::Pass;
    };
    // The aggregator knows that an agent is gone or never came; the pod says what took it.
    let more = match outcome.reason {
        Reason::RunnersLost => view.losses.words(),
        Reason::DeadlineExceeded if view.started_ms.is_none() && view.troubles.is_empty() => {
            trouble::summary(&trouble::silent(view.seen))
        }
        Reason::DeadlineExceeded if view.started_ms.is_none() => trouble::summary(&view.troubles),
        _ => String::new(),
    };
    let message = match more.as_str() {
        "" => outcome.message,
        more if outcome.message.contains(more) => outcome.message,
        more => format!("{} ({more})", outcome.message),
    };
    Check::End(Outcome { message, ..outcome })
}

fn refused(view: &View) -> Check {
    match &view.seen.refused {
        Some(refusal) if refusal.last && view.started_ms.is_none() => {
            Check::End(outcome(Reason::InvalidSpec, refusal.message.clone()))
        }
        _ => Check::Pass,
    }
}

/// An object that a user made is never taken over; one of an older run goes by itself.
fn name_taken(view: &View) -> Check {
    match &view.seen.name_taken {
        Some(taken) if !taken.of_older_run => {
            Check::End(outcome(Reason::InvalidSpec, taken.words()))
        }
        _ => Check::Pass,
    }
}

fn source(view: &View) -> Check {
    let SourceSeen::Missing(words) = &view.seen.source else { return Check::Pass };
    let grace_ms = SOURCE_GRACE_MS.min(view.test.ready_ms());
    let deadline_ms = view.seen.run.created_ms + grace_ms;
    match by(deadline_ms, view.now_ms, || outcome(Reason::InvalidSpec, words.clone())) {
        Check::Wait(at_ms) => Check::Wait(at_ms.min(view.now_ms + SOURCE_LOOK_MS)),
        check => check,
    }
}

fn bad_image(view: &View) -> Check {
    match view.troubles.iter().find(|trouble| trouble.fatal) {
        Some(trouble) => {
            let words = trouble::summary(std::slice::from_ref(trouble));
            Check::End(outcome(Reason::InvalidSpec, words))
        }
        None => Check::Pass,
    }
}

/// A run that is told to end while nobody works on it ends at once.
fn stopped_before_work(view: &View) -> Check {
    let run = &view.seen.run;
    if !run.stop && run.deleted_ms.is_none() {
        return Check::Pass;
    }
    let gone = view.seen.aggregator_job.as_ref().is_none_or(|job| job.deleting);
    let idle = view.started_ms.is_none() && !view.aggregator_runs();
    if idle || (run.deleted_ms.is_some() && gone) {
        let when = if idle { "before the load began" } else { "together with its pods" };
        let what = if run.deleted_ms.is_some() { "deleted" } else { "stopped by spec.stop" };
        return Check::End(outcome(Reason::Stopped, format!("the run was {what} {when}")));
    }
    Check::Pass
}

fn aggregator_over(view: &View) -> Check {
    let Some(end) = view.seen.aggregator_job.as_ref().and_then(|job| job.end.as_ref()) else {
        return Check::Pass;
    };
    let name = aggregator_name(&view.seen.run.name);
    if !end.failed {
        return by(end.at_ms + RESULT_LAG_MS, view.now_ms, || {
            outcome(Reason::OutputFailed, format!("Job {name} ended without publishing a result"))
        });
    }
    let pods = view.seen.pods.iter().filter(|pod| pod.role == PodRole::Aggregator);
    let last = pods.filter(|pod| pod.failure.is_some()).max_by_key(|pod| pod.created_ms);
    let how = last.map_or_else(|| end.message.clone(), trouble::ending);
    let message = format!("the aggregator failed for good (Job {name}: {}): {how}", end.reason);
    Check::End(outcome(Reason::OutputFailed, message))
}

/// Before the start, an instance whose retries are used up ends the run.
fn runners_used_up(view: &View) -> Check {
    let Some(job) = view.seen.runner_job.as_ref().filter(|_| view.started_ms.is_none()) else {
        return Check::Pass;
    };
    let failed = job.end.as_ref().filter(|end| end.failed);
    if failed.is_none() && job.failed_indexes.is_none() {
        return Check::Pass;
    }
    let pods: Vec<_> = view
        .troubles
        .iter()
        .filter(|trouble| trouble.kind == Progress::PodFailed)
        .cloned()
        .collect();
    let how = match (trouble::summary(&pods), failed) {
        (words, Some(end)) if words.is_empty() => format!("{}: {}", end.reason, end.message),
        (words, None) if words.is_empty() => "its pods are gone".to_owned(),
        (words, _) => words,
    };
    let name = runner_name(&view.seen.run.name);
    let message = format!("Job {name} used up its retries before the load began: {how}");
    Check::End(outcome(Reason::RunnersLost, message))
}

fn not_ready(view: &View) -> Check {
    if all_ready(view.seen, view.started_ms) {
        return Check::Pass;
    }
    let deadline_ms = view.seen.run.created_ms + view.test.ready_ms() + READY_MARGIN_MS;
    by(deadline_ms, view.now_ms, || {
        let seconds = view.test.spec().deadlines.ready_seconds;
        let wanted = view.seen.run.wanted;
        let ready = view.seen.result.as_ref().map_or(0, |result| result.ready);
        let why = why_not_ready(view);
        let message = format!(
            "{ready} of {wanted} k6 instances were ready within {seconds} s (spec.deadlines.readySeconds): {why}"
        );
        outcome(Reason::DeadlineExceeded, message)
    })
}

fn why_not_ready(view: &View) -> String {
    let seen = view.seen;
    if let Some(refusal) = &seen.refused {
        return refusal.message.clone();
    }
    if !view.troubles.is_empty() {
        return trouble::summary(&view.troubles);
    }
    let silent = trouble::silent(seen);
    if !silent.is_empty() {
        return trouble::summary(&silent);
    }
    if let Some(taken) = &seen.name_taken {
        return taken.words();
    }
    let runners = seen.pods.iter().filter(|pod| pod.role == PodRole::Runner).count();
    if runners < usize::try_from(seen.run.wanted).unwrap_or(usize::MAX) {
        let job = runner_name(&seen.run.name);
        return format!("{runners} pods were made; the events of Job {job} tell why not more");
    }
    match seen.result.as_ref().map(|result| result.message.as_str()) {
        Some(message) if !message.is_empty() => message.to_owned(),
        _ => "the aggregator said nothing".to_owned(),
    }
}

/// A run that must end, since it was told to or no runner is left, but whose aggregator does not say that it is over.
fn not_ending(view: &View) -> Check {
    let quiet = view.stop_ms.into_iter().chain(runners_gone_ms(view)).max();
    let Some(since_ms) = quiet else { return Check::Pass };
    let ended_ms = view.seen.result.as_ref().and_then(|result| result.ended_unix_ms);
    let margin_ms = if view.aggregator_runs() { STOP_MARGIN_WORKING_MS } else { STOP_MARGIN_MS };
    let deadline_ms = since_ms.max(ended_ms.unwrap_or(since_ms)) + view.test.drain_ms() + margin_ms;
    by(deadline_ms, view.now_ms, || {
        let run = &view.seen.run;
        let why = match trouble::summary(&view.troubles) {
            words if words.is_empty() => words,
            words => format!(": {words}"),
        };
        let late = format!(
            "the aggregator published no result within the time it had (spec.deadlines.drainSeconds){why}"
        );
        if !view.losses.lost.is_empty() {
            outcome(Reason::RunnersLost, format!("{}; {late}", view.losses.words()))
        } else if run.stop || run.deleted_ms.is_some() {
            outcome(Reason::Stopped, format!("the run was told to stop; {late}"))
        } else {
            outcome(Reason::OutputFailed, format!("all k6 instances have ended; {late}"))
        }
    })
}

/// When the last runner pod ended, once the load has begun and none is left.
fn runners_gone_ms(view: &View) -> Option<i64> {
    let started_ms = view.started_ms?;
    let runners = || view.seen.pods.iter().filter(|pod| pod.role == PodRole::Runner);
    let done = |phase: PodPhase| matches!(phase, PodPhase::Succeeded | PodPhase::Failed);
    let left = runners().any(|pod| !done(pod.phase));
    let last = runners().filter_map(|pod| pod.finished_ms).max();
    if left { None } else { Some(last.unwrap_or(started_ms)) }
}
