//! What a watch says, reduced to the facts of each object.

use std::{collections::BTreeSet, sync::Arc};

use crate::{
    api::v1alpha1::{ConditionType, LoadTest, LoadTestRun, LoadTestStatus, TestSpec},
    core::lifecycle::{
        fingerprint::Fingerprint,
        reduce,
        seen::{JobSeen, PodSeen, RunSeen},
        valid::{Invalid, ValidTest, validate},
    },
    wire::result::RunResult,
};

/// Namespace and name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Name {
    pub(super) namespace: String,
    pub(super) name: String,
}

/// What is reconciled.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Key {
    Test(Name),
    Run(Name),
}

/// Kinds that are watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Test,
    Run,
    Job,
    Pod,
    Result,
}

/// The facts of one object.
#[derive(Debug)]
pub(super) enum Fact {
    Test(TestFact),
    Run(RunFact),
    /// A child of the run with this name and UID.
    Job {
        run: String,
        run_uid: String,
        job: JobSeen,
    },
    Pod {
        run: String,
        run_uid: String,
        pod: PodSeen,
    },
    Result {
        run: String,
        run_uid: String,
        result: Option<Box<RunResult>>,
    },
}

/// What a watch says.
#[derive(Debug)]
pub(super) enum Change {
    /// The object is so now.
    Put(Name, Box<Fact>),
    /// The object is gone.
    Gone(Kind, Name),
    /// A whole list was shown: of this kind in this namespace (or all), nothing else exists.
    Listed(Kind, Option<String>, BTreeSet<Name>),
}

/// A LoadTest.
#[derive(Debug)]
pub(super) struct TestFact {
    pub(super) version: u64,
    pub(super) uid: String,
    pub(super) generation: i64,
    pub(super) deleting: bool,
    pub(super) fingerprint: Fingerprint,
    pub(super) history_limit: u32,
    pub(super) status: Option<LoadTestStatus>,
    /// Kept only while a run may have to be made from it.
    pub(super) spec: Option<Arc<TestSpec>>,
}

/// A LoadTestRun.
#[derive(Debug)]
pub(super) struct RunFact {
    pub(super) version: u64,
    pub(super) seen: RunSeen,
    pub(super) test_uid: Option<String>,
    pub(super) fingerprint: Fingerprint,
    /// Kept only while the run is not over.
    pub(super) test: Option<Arc<Result<ValidTest, Invalid>>>,
}

impl TestFact {
    pub(super) fn of(object: LoadTest) -> Self {
        let meta = object.metadata;
        Self {
            version: version(meta.resource_version.as_deref()),
            uid: meta.uid.unwrap_or_default(),
            generation: meta.generation.unwrap_or_default(),
            deleting: meta.deletion_timestamp.is_some(),
            fingerprint: Fingerprint::of(&object.spec.test),
            history_limit: object.spec.history_limit,
            status: object.status,
            spec: Some(Arc::new(object.spec.test)),
        }
    }
}

impl RunFact {
    pub(super) fn of(object: LoadTestRun) -> Self {
        let seen = reduce::run(&object);
        let owners = object.metadata.owner_references.iter().flatten();
        let test_uid = owners
            .filter(|owner| owner.kind == "LoadTest" && owner.controller == Some(true))
            .map(|owner| owner.uid.clone())
            .next();
        let over = is_complete(&seen);
        Self {
            version: version(object.metadata.resource_version.as_deref()),
            test_uid,
            fingerprint: Fingerprint::of(&object.spec.test),
            test: (!over).then(|| Arc::new(validate(&seen.name, object.spec.test))),
            seen,
        }
    }
}

/// A resource version as a number, which it is: versions of one kind grow.
fn version(text: Option<&str>) -> u64 {
    text.and_then(|text| text.parse().ok()).unwrap_or(u64::MAX)
}

pub(super) fn is_complete(run: &RunSeen) -> bool {
    run.status.iter().flat_map(|status| &status.conditions).any(|condition| {
        condition.type_ == ConditionType::Complete.as_str() && condition.status == "True"
    })
}
