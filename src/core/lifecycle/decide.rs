//! What should be done about one run now: a function of spec, world and time alone.

use super::{
    build::{
        access, aggregator,
        meta::{Child, aggregator_name, runner_name, writer_name},
        result, runner, script, service, writer,
    },
    ended::{ended, outcome},
    loss::{self, Losses},
    plan::{Note, Plan, Removal},
    seen::{PodPhase, PodRole, Seen, SourceSeen},
    status::{self, Story},
    trouble::{self, Trouble},
    valid::{Invalid, ValidTest},
};
use crate::{
    api::v1alpha1::{ConditionType, LoadTestRunStatus, Phase, Progress, Reason},
    wire::result::Outcome,
};

/// Shortest time between two writes of a status that differ only in counts: people read it, and etcd keeps it.
const STATUS_PERIOD_MS: i64 = 1_000;
/// Time that agents and aggregator have to leave by themselves once the result is known.
const LEAVE_MS: i64 = 10_000;
/// Time from the deletion of the Jobs until a run is let go even if a pod cannot be reached: no finalizer may wedge.
const RELEASE_MS: i64 = 120_000;
/// How often a name held by an older run is looked at.
const NAME_LOOK_MS: i64 = 1_000;
/// Longest note of an event, in bytes, as the apiserver takes it.
const NOTE_BYTES_MAX: usize = 1_000;

/// What the checks of a run that is not over look at.
#[derive(Debug)]
pub(super) struct View<'a> {
    pub(super) test: &'a ValidTest,
    pub(super) seen: &'a Seen,
    pub(super) now_ms: i64,
    pub(super) started_ms: Option<i64>,
    pub(super) stop_ms: Option<i64>,
    pub(super) losses: Losses,
    pub(super) troubles: Vec<Trouble>,
}

impl View<'_> {
    /// Whether an aggregator is at work.
    pub(super) fn aggregator_runs(&self) -> bool {
        let mut pods = self.seen.pods.iter();
        pods.any(|pod| {
            pod.role == PodRole::Aggregator
                && pod.phase == PodPhase::Running
                && pod.waiting.is_none()
        })
    }
}

/// Decides about a run whose spec is `test`; `image` is Weir's own.
pub fn decide(test: Result<&ValidTest, &Invalid>, seen: &Seen, image: &str, now_ms: i64) -> Plan {
    if status::is_true(seen.run.status.as_ref(), ConditionType::Complete) {
        return leave(seen, now_ms);
    }
    let test = match test {
        Ok(test) => test,
        Err(invalid) => {
            let outcome = outcome(Reason::InvalidSpec, invalid.to_string());
            return finish(seen, &outcome, None, None, &Losses::default(), now_ms);
        }
    };
    let started_ms = started_ms(seen);
    let losses = loss::find(seen, seen.run.wanted, started_ms, now_ms);
    let view = View {
        test,
        seen,
        now_ms,
        started_ms,
        stop_ms: stop_ms(test, seen, &losses, now_ms),
        losses,
        // An instance that has started is lost or not; no trouble of its pod matters any more.
        troubles: trouble::find(seen, started_ms.is_none()),
    };
    match ended(&view) {
        Err(outcome) => finish(seen, &outcome, started_ms, view.stop_ms, &view.losses, now_ms),
        Ok(next_ms) => go_on(&view, image, next_ms),
    }
}

fn started_ms(seen: &Seen) -> Option<i64> {
    let published = seen.result.as_ref().and_then(|result| result.started_unix_ms);
    let known = seen.run.status.as_ref().and_then(|status| status.start_time.as_ref());
    published.or_else(|| known.map(|time| time.0.as_millisecond()))
}

fn stop_ms(test: &ValidTest, seen: &Seen, losses: &Losses, now_ms: i64) -> Option<i64> {
    let known = seen.run.status.as_ref().and_then(|status| status.stop_time.as_ref());
    let told = seen.run.stop || seen.run.deleted_ms.is_some() || losses.count() > test.tolerated();
    known.map(|time| time.0.as_millisecond()).or(told.then_some(now_ms))
}

/// The run is not over: what is missing is made, and the status tells how far it is.
fn go_on(view: &View, image: &str, next_ms: Option<i64>) -> Plan {
    let seen = view.seen;
    let mut plan = Plan { next_ms, ..Plan::default() };
    if let Some(at_ms) = view.losses.next_ms {
        plan.look_at(at_ms);
    }
    if seen.name_taken.is_some() {
        plan.look_at(view.now_ms + NAME_LOOK_MS);
    } else if seen.source == SourceSeen::Found {
        make_missing(view, image, &mut plan);
    }
    plan.hold = !plan.apply.is_empty() && !seen.run.finalizer && seen.run.deleted_ms.is_none();
    let story = Story {
        seen,
        now_ms: view.now_ms,
        started_ms: view.started_ms,
        stop_ms: view.stop_ms,
        losses: &view.losses,
        trouble: problem(view),
        end: None,
    };
    let status = status::derive(&story);
    let old = seen.run.status.clone().unwrap_or_default();
    if seen.run.status.as_ref() == Some(&status) {
        return plan;
    }
    let due_ms = seen.status_written_ms.map(|written_ms| written_ms + STATUS_PERIOD_MS);
    match due_ms {
        Some(due_ms) if due_ms > view.now_ms && !status::differ_visibly(&old, &status) => {
            plan.look_at(due_ms);
        }
        _ => {
            plan.events = notes(&old, &status);
            plan.status = Some(status);
        }
    }
    plan
}

/// The Jobs that do not exist though they should, and before them all that they need. A runner Job that is gone after
/// the start stays gone: no instance is ever started twice.
fn make_missing(view: &View, image: &str, plan: &mut Plan) {
    let (test, run) = (view.test, &view.seen.run);
    if run.deleted_ms.is_some() {
        return;
    }
    let mut jobs: Vec<Child> = Vec::new();
    if view.seen.aggregator_job.is_none() {
        jobs.push(aggregator::job(test, run, image));
    }
    let writers = writer::job(test, run, image).filter(|_| view.seen.writer_job.is_none());
    let has_writers = writers.is_some();
    jobs.extend(writers);
    if view.seen.runner_job.is_none() && view.started_ms.is_none() {
        jobs.push(runner::job(test, run, image));
    }
    if jobs.is_empty() {
        return;
    }
    plan.create_secret = true;
    plan.apply = access::children(test, run);
    plan.apply.extend(service::services(run));
    plan.apply.extend(has_writers.then(|| service::of_writers(run)));
    plan.apply.push(result::result(run));
    plan.apply.extend(script::config_map(test, run));
    plan.apply.extend(jobs);
}

/// What people should look at while the instances are not all ready.
fn problem(view: &View) -> Option<(Progress, String)> {
    let seen = view.seen;
    if let Some(refusal) = &seen.refused {
        return Some((Progress::ObjectRefused, refusal.message.clone()));
    }
    if let SourceSeen::Missing(words) = &seen.source {
        return Some((Progress::ScriptNotFound, words.clone()));
    }
    if let Some(taken) = &seen.name_taken {
        return Some((Progress::NameTaken, taken.words()));
    }
    let first = view.troubles.first()?;
    Some((first.kind, trouble::summary(&view.troubles)))
}

/// The run is over: the status says so, once. Where the aggregator did not say so itself, nobody will tell the pods
/// to leave, and their Jobs go at once.
fn finish(
    seen: &Seen,
    end: &Outcome,
    started_ms: Option<i64>,
    stop_ms: Option<i64>,
    losses: &Losses,
    now_ms: i64,
) -> Plan {
    let story = Story { seen, now_ms, started_ms, stop_ms, losses, trouble: None, end: Some(end) };
    let status = status::derive(&story);
    let published = seen.result.as_ref().is_some_and(|result| result.outcome.is_some());
    let old = seen.run.status.clone().unwrap_or_default();
    Plan {
        delete_jobs: if published { Vec::new() } else { jobs(seen) },
        events: notes(&old, &status),
        status: Some(status),
        next_ms: Some(now_ms + LEAVE_MS),
        ..Plan::default()
    }
}

/// The run is over and said so: nothing of it may go on running, and the run is let go.
fn leave(seen: &Seen, now_ms: i64) -> Plan {
    let mut plan = Plan::default();
    let over = seen.run.status.as_ref().and_then(|status| status.completion_time.as_ref());
    let over_ms = over.map_or(seen.run.created_ms, |time| time.0.as_millisecond());
    let busy = seen.pods.iter().any(super::seen::PodSeen::is_active);
    let leave_ms = over_ms + LEAVE_MS;
    let release_ms = leave_ms + RELEASE_MS;
    if busy && now_ms < leave_ms {
        plan.look_at(leave_ms);
    } else if busy {
        plan.delete_jobs = jobs(seen);
    }
    if seen.run.finalizer {
        plan.release = !busy || now_ms >= release_ms;
        if !plan.release {
            plan.look_at(release_ms);
        }
    }
    plan
}

/// The Jobs that exist and are not being deleted yet.
fn jobs(seen: &Seen) -> Vec<Removal> {
    [
        (aggregator_name(&seen.run.name), &seen.aggregator_job),
        (writer_name(&seen.run.name), &seen.writer_job),
        (runner_name(&seen.run.name), &seen.runner_job),
    ]
    .into_iter()
    .filter_map(|(name, job)| {
        let job = job.as_ref().filter(|job| !job.deleting)?;
        Some(Removal { name, uid: job.uid.clone() })
    })
    .collect()
}

/// What changed, for people.
fn notes(old: &LoadTestRunStatus, new: &LoadTestRunStatus) -> Vec<Note> {
    let mut notes = Vec::new();
    let condition = |status: &LoadTestRunStatus, kind: ConditionType| {
        status.conditions.iter().find(|condition| condition.type_ == kind.as_str()).cloned()
    };
    let text = |kind: ConditionType| condition(new, kind).map(|c| c.message).unwrap_or_default();
    if new.stop_time.is_some() && old.stop_time.is_none() && new.verdict.is_none() {
        notes.push(note(false, Progress::Stopping.as_str(), "the run ends early".to_owned()));
    }
    let known: Vec<_> = old.runners.lost_instances.iter().map(|lost| lost.instance_id).collect();
    for lost in new.runners.lost_instances.iter().filter(|lost| !known.contains(&lost.instance_id))
    {
        let message = format!("instance {} is lost: {}", lost.instance_id, lost.reason);
        notes.push(note(true, "RunnerLost", message));
    }
    // What keeps a run from going on: RunnersReady tells it before the start, Complete after it.
    for kind in [ConditionType::RunnersReady, ConditionType::Complete] {
        let Some(now) = condition(new, kind) else { continue };
        let calm = [
            Progress::Pending,
            Progress::Starting,
            Progress::Running,
            Progress::Draining,
            Progress::Stopping,
        ];
        let troubled =
            now.status == "False" && !calm.map(Progress::as_str).contains(&now.reason.as_str());
        let told = condition(old, kind).is_some_and(|before| before.reason == now.reason);
        if troubled && !told && new.verdict.is_none() {
            notes.push(note(true, &now.reason, now.message));
        }
    }
    if new.phase != old.phase {
        match (new.phase, new.verdict) {
            (_, Some(verdict)) => {
                notes.push(note(
                    !verdict.passed(),
                    verdict.as_str(),
                    text(ConditionType::Complete),
                ));
            }
            (Phase::Preparing, None) => {
                let message = format!("starting {} k6 instances", new.runners.wanted);
                notes.push(note(false, "RunPreparing", message));
            }
            (Phase::Running, None) => {
                notes.push(note(
                    false,
                    Progress::LoadStarted.as_str(),
                    text(ConditionType::Started),
                ));
            }
            (Phase::Finishing, None) => {
                notes.push(note(false, "LoadFinished", text(ConditionType::Complete)));
            }
            _ => {}
        }
    }
    notes
}

/// A note that fits into an event.
pub(super) fn note(warning: bool, reason: &str, message: String) -> Note {
    let mut message = message;
    if message.len() > NOTE_BYTES_MAX {
        let cut = (0..=NOTE_BYTES_MAX).rev().find(|at| message.is_char_boundary(*at));
        message.truncate(cut.unwrap_or(0));
    }
    Note { warning, reason: reason.to_owned(), message }
}
