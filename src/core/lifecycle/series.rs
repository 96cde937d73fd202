//! The runs of one `LoadTest`: when the next starts, which are forgotten, what the test's status says.

use super::{
    build::run,
    decide::note,
    fingerprint::Fingerprint,
    plan::{Note, Removal},
};
use crate::api::v1alpha1::{LoadTestRunStatus, LoadTestStatus, Phase};

/// All that a decision about one test may know of the world.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TestSeen {
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// UID.
    pub uid: String,
    /// Generation of the spec.
    pub generation: i64,
    /// It is being deleted.
    pub deleting: bool,
    /// What it runs.
    pub fingerprint: Fingerprint,
    /// Finished runs to keep.
    pub history_limit: u32,
    /// Its status.
    pub status: Option<LoadTestStatus>,
    /// The runs it owns, by number.
    pub runs: Vec<RunFacts>,
    /// Highest number among all runs of the namespace whose name is of this test's form.
    pub highest_number: u64,
}

/// What a test knows of one of its runs.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RunFacts {
    /// Name.
    pub name: String,
    /// UID.
    pub uid: String,
    /// Its number.
    pub number: u64,
    /// What it runs.
    pub fingerprint: Fingerprint,
    /// Its verdict is known, and nothing of it runs any more.
    pub settled: bool,
    /// It is being deleted.
    pub deleting: bool,
    /// Its status.
    pub status: Option<LoadTestRunStatus>,
}

/// What to do about one test.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TestPlan {
    /// Name of the run to start.
    pub start: Option<String>,
    /// Runs to delete.
    pub delete_runs: Vec<Removal>,
    /// The status to write.
    pub status: Option<LoadTestStatus>,
    /// Events to record on the test.
    pub events: Vec<Note>,
}

/// Decides about a test.
pub fn decide(seen: &TestSeen) -> TestPlan {
    if seen.deleting {
        return TestPlan::default();
    }
    let latest = seen.runs.iter().max_by_key(|run| run.number);
    let changed = match latest {
        Some(run) => run.fingerprint != seen.fingerprint,
        // A run that a user deleted is not started again; only a spec that was never run is.
        None => !known(seen, seen.generation),
    };
    let start = (changed && latest.is_none_or(|run| run.settled)).then(|| next_name(seen));
    let mut plan = TestPlan {
        delete_runs: old_runs(seen, latest),
        status: latest.and_then(|run| mirror(seen, run, changed)),
        ..TestPlan::default()
    };
    if let Some(status) = &plan.status {
        plan.events = notes(&seen.status.clone().unwrap_or_default(), status);
    }
    if let Some(name) = start {
        plan.events.push(note(false, "RunCreated", format!("run {name} is created")));
        plan.start = Some(name);
    }
    plan
}

/// Whether the status already speaks of that generation.
fn known(seen: &TestSeen, generation: i64) -> bool {
    let status = seen.status.as_ref();
    status.is_some_and(|status| {
        status.run.is_some() && status.observed_generation.is_some_and(|seen| seen >= generation)
    })
}

/// The name of the next run: no number is used twice, not even that of a run that is gone.
fn next_name(seen: &TestSeen) -> String {
    let last = seen.status.as_ref().and_then(|status| status.run.as_deref());
    let last = last.and_then(|name| run::number(&seen.name, name)).unwrap_or(0);
    let of_runs = seen.runs.iter().map(|run| run.number).max().unwrap_or(0);
    run::name(&seen.name, seen.highest_number.max(last).max(of_runs) + 1)
}

/// Finished runs beyond the limit, the oldest first; never the latest.
fn old_runs(seen: &TestSeen, latest: Option<&RunFacts>) -> Vec<Removal> {
    let keep = usize::try_from(seen.history_limit.max(1)).unwrap_or(usize::MAX);
    let mut finished: Vec<_> = seen.runs.iter().filter(|run| run.settled).collect();
    finished.sort_by_key(|run| run.number);
    let surplus = finished.len().saturating_sub(keep);
    finished
        .into_iter()
        .take(surplus)
        .filter(|run| !run.deleting && latest.is_some_and(|latest| latest.number != run.number))
        .map(|run| Removal { name: run.name.clone(), uid: run.uid.clone() })
        .collect()
}

/// The latest run's status, as the test's own; none when it is written already.
fn mirror(seen: &TestSeen, run: &RunFacts, changed: bool) -> Option<LoadTestStatus> {
    let old = seen.status.as_ref();
    // While a changed spec waits, the status still speaks of the generation that the run was made from.
    let generation = if changed {
        old.and_then(|old| old.observed_generation).unwrap_or(0).min(seen.generation - 1)
    } else {
        seen.generation
    };
    let mut status = run.status.clone().unwrap_or_default();
    status.run = Some(run.name.clone());
    status.observed_generation = Some(generation);
    for condition in &mut status.conditions {
        condition.observed_generation = Some(generation);
    }
    if changed && !run.settled {
        let next = next_name(seen);
        for condition in status.conditions.iter_mut().filter(|c| c.type_ == "Complete") {
            condition.message = format!(
                "{}; the changed spec runs as {next} once {} is over",
                condition.message, run.name
            );
        }
    }
    (old != Some(&status)).then_some(status)
}

fn notes(old: &LoadTestStatus, new: &LoadTestStatus) -> Vec<Note> {
    let run = new.run.clone().unwrap_or_default();
    if old.run == new.run && old.phase == new.phase {
        return Vec::new();
    }
    let text = |kind: &str| {
        let found = new.conditions.iter().find(|condition| condition.type_ == kind);
        found.map(|condition| condition.message.clone()).unwrap_or_default()
    };
    match (new.phase, new.verdict) {
        (_, Some(verdict)) => {
            vec![note(
                !verdict.passed(),
                verdict.as_str(),
                format!("run {run}: {}", text("Complete")),
            )]
        }
        (Phase::Running, None) => {
            vec![note(false, "LoadStarted", format!("run {run}: {}", text("Started")))]
        }
        _ => Vec::new(),
    }
}
