//! A plan: all that should be done about one run now. It leaves no choice to its executor, and prints itself.

use std::fmt;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

use super::build::meta::{Child, Kind};
use crate::api::v1alpha1::LoadTestRunStatus;

/// What to do about one run, in the order of the fields.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plan {
    /// Make the run hold Weir's finalizer.
    pub hold: bool,
    /// Create the run's Secret, unless it exists.
    pub create_secret: bool,
    /// Objects to apply: all but Jobs first, which need the others, then the Jobs; within each group at once.
    pub apply: Vec<Child>,
    /// Jobs to delete, with their pods.
    pub delete_jobs: Vec<Removal>,
    /// The status to write.
    pub status: Option<LoadTestRunStatus>,
    /// Events to record on the run.
    pub events: Vec<Note>,
    /// Let the run go: remove Weir's finalizer.
    pub release: bool,
    /// When to look again, even if nothing changes before (Unix time in milliseconds).
    pub next_ms: Option<i64>,
}

/// One object to delete, and no other that came to have its name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Removal {
    /// Its name.
    pub name: String,
    /// Its UID.
    pub uid: String,
}

/// An event for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// Something is not as it should be.
    pub warning: bool,
    /// One word that tools match on.
    pub reason: String,
    /// One line for people.
    pub message: String,
}

impl Plan {
    /// Looks again at `at_ms` at the latest.
    pub fn look_at(&mut self, at_ms: i64) {
        self.next_ms = Some(self.next_ms.map_or(at_ms, |next| next.min(at_ms)));
    }

    /// Its text; times are given from `now_ms` on.
    pub fn text(&self, now_ms: i64) -> String {
        let mut plan = self.clone();
        plan.next_ms = self.next_ms.map(|next| next - now_ms);
        plan.to_string()
    }
}

impl Child {
    /// Whether it waits for the others.
    pub fn is_job(&self) -> bool {
        self.kind == Kind::Job
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Taken apart without `..`, so that a new field cannot be forgotten here.
        let Self { hold, create_secret, apply, delete_jobs, status, events, release, next_ms } =
            self;
        if *hold {
            writeln!(f, "hold the run")?;
        }
        if *create_secret {
            writeln!(f, "create Secret")?;
        }
        for child in apply {
            writeln!(f, "apply {} {}", child.kind.as_str(), child.name)?;
        }
        for job in delete_jobs {
            writeln!(f, "delete Job {}", job.name)?;
        }
        if let Some(status) = status {
            write_status(f, status)?;
        }
        for event in events {
            let kind = if event.warning { "Warning" } else { "Normal" };
            writeln!(f, "event {kind} {}: {}", event.reason, event.message)?;
        }
        if *release {
            writeln!(f, "release the run")?;
        }
        match next_ms {
            Some(ms) => writeln!(f, "look again at {ms} ms"),
            None => writeln!(f, "look again when something changes"),
        }
    }
}

fn write_status(f: &mut fmt::Formatter<'_>, status: &LoadTestRunStatus) -> fmt::Result {
    write!(f, "status {} {}", status.phase.as_str(), status.runners.summary)?;
    if let Some(verdict) = status.verdict {
        write!(f, " {}", verdict.as_str())?;
    }
    if let Some(code) = status.exit_code {
        write!(f, " exit {code}")?;
    }
    if let Some(duration) = &status.duration {
        write!(f, " took {duration}")?;
    }
    if status.stop_time.is_some() {
        write!(f, " stopping")?;
    }
    writeln!(f)?;
    for lost in &status.runners.lost_instances {
        writeln!(f, "  lost {}: {}", lost.instance_id, lost.reason)?;
    }
    for Condition { type_, status, reason, message, .. } in &status.conditions {
        writeln!(f, "  {type_}={status} {reason}: {message}")?;
    }
    Ok(())
}
