//! What the watches have shown, reduced to what decisions need: changes in, snapshots out. No client, no clock.

use std::{collections::BTreeMap, sync::Arc};

use super::facts::{Change, Fact, Key, Kind, Name, RunFact, TestFact, is_complete};
use crate::{
    api::v1alpha1::{Phase, TestSpec},
    core::lifecycle::{
        build,
        seen::{JobSeen, PodSeen, Refusal, Seen, SourceSeen},
        series::{RunFacts, TestSeen},
        valid::{Invalid, ValidTest},
    },
    wire::result::RunResult,
};

#[derive(Debug, Default)]
struct RunEntry {
    fact: Option<RunFact>,
    jobs: BTreeMap<String, (String, JobSeen)>,
    pods: BTreeMap<String, (String, PodSeen)>,
    result: Option<(String, Box<RunResult>)>,
    source_found: bool,
    source: SourceSeen,
    refused: Option<Refusal>,
    written_ms: Option<i64>,
}

/// Everything that is known.
#[derive(Debug, Default)]
pub(super) struct Index {
    tests: BTreeMap<Name, TestFact>,
    runs: BTreeMap<Name, RunEntry>,
    /// The run of each child, since a child that is gone no longer tells.
    parents: BTreeMap<(Kind, Name), String>,
}

/// A run as one reconcile needs it.
#[derive(Debug)]
pub(super) struct RunSnapshot {
    pub(super) seen: Seen,
    pub(super) test: Option<Arc<Result<ValidTest, Invalid>>>,
    /// Whether the script's source must be looked up.
    pub(super) look_up: bool,
}

/// A test as one reconcile needs it.
#[derive(Debug)]
pub(super) struct TestSnapshot {
    pub(super) seen: TestSeen,
    pub(super) spec: Option<Arc<TestSpec>>,
}

impl Index {
    /// Takes a change in; answers what must be looked at.
    pub(super) fn apply(&mut self, change: Change) -> Vec<Key> {
        match change {
            Change::Put(name, fact) => self.put(name, *fact),
            Change::Gone(kind, name) => self.gone(kind, &name),
            Change::Listed(kind, namespace, names) => {
                let inside = |name: &Name| {
                    namespace.as_ref().is_none_or(|n| *n == name.namespace) && !names.contains(name)
                };
                let stale: Vec<Name> = match kind {
                    Kind::Test => self.tests.keys().filter(|name| inside(name)).cloned().collect(),
                    Kind::Run => {
                        let known = self.runs.iter().filter(|(_, entry)| entry.fact.is_some());
                        known.map(|(name, _)| name).filter(|name| inside(name)).cloned().collect()
                    }
                    Kind::Job | Kind::Pod | Kind::Result => {
                        let children = self.parents.keys().filter(|(of, _)| *of == kind);
                        children
                            .map(|(_, name)| name)
                            .filter(|name| inside(name))
                            .cloned()
                            .collect()
                    }
                };
                stale.iter().flat_map(|name| self.gone(kind, name)).collect()
            }
        }
    }

    fn put(&mut self, name: Name, fact: Fact) -> Vec<Key> {
        match fact {
            Fact::Test(fact) => {
                if self.tests.get(&name).is_some_and(|known| known.version > fact.version) {
                    return Vec::new();
                }
                self.tests.insert(name.clone(), fact);
                vec![Key::Test(name)]
            }
            Fact::Run(fact) => {
                let entry = self.runs.entry(name.clone()).or_default();
                if entry.fact.as_ref().is_some_and(|known| known.version > fact.version) {
                    return Vec::new();
                }
                if entry.fact.as_ref().is_some_and(|known| known.seen.uid != fact.seen.uid) {
                    entry.forget_run();
                }
                let mut keys = vec![Key::Run(name.clone())];
                keys.extend(test_key(&name, &fact));
                entry.fact = Some(fact);
                keys
            }
            Fact::Job { run, run_uid, job } => {
                let parent = self.parent(Kind::Job, &name, run);
                let child = name.name;
                self.runs.entry(parent.clone()).or_default().jobs.insert(child, (run_uid, job));
                vec![Key::Run(parent)]
            }
            Fact::Pod { run, run_uid, pod } => {
                let parent = self.parent(Kind::Pod, &name, run);
                let child = name.name;
                self.runs.entry(parent.clone()).or_default().pods.insert(child, (run_uid, pod));
                vec![Key::Run(parent)]
            }
            Fact::Result { run, run_uid, result } => {
                let parent = self.parent(Kind::Result, &name, run);
                let entry = self.runs.entry(parent.clone()).or_default();
                entry.result = result.map(|result| (run_uid, result));
                vec![Key::Run(parent)]
            }
        }
    }

    fn parent(&mut self, kind: Kind, child: &Name, run: String) -> Name {
        self.parents.insert((kind, child.clone()), run.clone());
        Name { namespace: child.namespace.clone(), name: run }
    }

    fn gone(&mut self, kind: Kind, name: &Name) -> Vec<Key> {
        let parent = match kind {
            Kind::Test => {
                self.tests.remove(name);
                return vec![Key::Test(name.clone())];
            }
            Kind::Run => name.clone(),
            Kind::Job | Kind::Pod | Kind::Result => {
                match self.parents.remove(&(kind, name.clone())) {
                    Some(run) => Name { namespace: name.namespace.clone(), name: run },
                    None => return Vec::new(),
                }
            }
        };
        let Some(entry) = self.runs.get_mut(&parent) else { return Vec::new() };
        let mut keys = vec![Key::Run(parent.clone())];
        match kind {
            Kind::Job => drop(entry.jobs.remove(&name.name)),
            Kind::Pod => drop(entry.pods.remove(&name.name)),
            Kind::Result => entry.result = None,
            Kind::Test | Kind::Run => {
                keys.extend(entry.fact.as_ref().and_then(|fact| test_key(&parent, fact)));
                entry.fact = None;
                entry.forget_run();
            }
        }
        if entry.is_empty() {
            self.runs.remove(&parent);
        }
        keys
    }

    /// Everything there is, to be looked at by a new leader.
    pub(super) fn keys(&self) -> Vec<Key> {
        let tests = self.tests.keys().cloned().map(Key::Test);
        let known = self.runs.iter().filter(|(_, entry)| entry.fact.is_some());
        tests.chain(known.map(|(name, _)| Key::Run(name.clone()))).collect()
    }

    /// Number of runs in each phase.
    pub(super) fn phases(&self) -> BTreeMap<&'static str, i64> {
        let mut phases: BTreeMap<&'static str, i64> = [
            Phase::Pending,
            Phase::Preparing,
            Phase::Running,
            Phase::Finishing,
            Phase::Passed,
            Phase::Failed,
        ]
        .map(|phase| (phase.as_str(), 0))
        .into();
        for fact in self.runs.values().filter_map(|entry| entry.fact.as_ref()) {
            let phase = fact.seen.status.as_ref().map_or(Phase::Pending, |status| status.phase);
            *phases.entry(phase.as_str()).or_default() += 1;
        }
        phases
    }

    /// The run as it is known now.
    pub(super) fn run(&self, name: &Name) -> Option<RunSnapshot> {
        let entry = self.runs.get(name)?;
        let fact = entry.fact.as_ref()?;
        let uid = &fact.seen.uid;
        let job = |job: String| {
            entry.jobs.get(&job).filter(|(of, _)| of == uid).map(|(_, job)| job.clone())
        };
        let seen = Seen {
            aggregator_job: job(build::meta::aggregator_name(&name.name)),
            runner_job: job(build::meta::runner_name(&name.name)),
            pods: entry
                .pods
                .values()
                .filter(|(of, _)| of == uid)
                .map(|(_, pod)| pod.clone())
                .collect(),
            source: entry.source.clone(),
            result: entry.result.as_ref().filter(|(of, _)| of == uid).map(|(_, r)| (**r).clone()),
            refused: entry.refused.clone(),
            name_taken: entry.jobs.values().any(|(of, _)| of != uid),
            status_written_ms: entry.written_ms,
            run: fact.seen.clone(),
        };
        let look_up = !entry.source_found && seen.runner_job.is_none();
        Some(RunSnapshot { seen, test: fact.test.clone(), look_up })
    }

    /// The test as it is known now.
    pub(super) fn test(&self, name: &Name) -> Option<TestSnapshot> {
        let fact = self.tests.get(name)?;
        let mut runs = Vec::new();
        let mut highest_number = 0;
        // Names of one namespace and prefix stand together.
        let first = Name { namespace: name.namespace.clone(), name: format!("{}-", name.name) };
        for (run_name, entry) in self.runs.range(first.clone()..) {
            if run_name.namespace != first.namespace || !run_name.name.starts_with(&first.name) {
                break;
            }
            let number = build::run::number(&name.name, &run_name.name);
            let (Some(number), Some(run)) = (number, entry.fact.as_ref()) else { continue };
            highest_number = highest_number.max(number);
            if run.test_uid.as_ref() == Some(&fact.uid) {
                runs.push(RunFacts {
                    name: run_name.name.clone(),
                    uid: run.seen.uid.clone(),
                    number,
                    fingerprint: run.fingerprint,
                    settled: is_complete(&run.seen) && !run.seen.finalizer,
                    deleting: run.seen.deleted_ms.is_some(),
                    status: run.seen.status.clone(),
                });
            }
        }
        let seen = TestSeen {
            namespace: name.namespace.clone(),
            name: name.name.clone(),
            uid: fact.uid.clone(),
            generation: fact.generation,
            deleting: fact.deleting,
            fingerprint: fact.fingerprint,
            history_limit: fact.history_limit,
            status: fact.status.clone(),
            runs,
            highest_number,
        };
        Some(TestSnapshot { seen, spec: fact.spec.clone() })
    }

    /// The test's latest run is made of its spec, which need not be held any longer.
    pub(super) fn drop_spec(&mut self, name: &Name) {
        if let Some(fact) = self.tests.get_mut(name) {
            fact.spec = None;
        }
    }

    /// What a reconcile of the run learned that no watch tells.
    pub(super) fn learn(
        &mut self,
        name: &Name,
        uid: &str,
        source: Option<SourceSeen>,
        refused: Option<Refusal>,
        written_ms: Option<i64>,
    ) {
        let Some(entry) = self.runs.get_mut(name) else { return };
        if entry.fact.as_ref().is_none_or(|fact| fact.seen.uid != uid) {
            return;
        }
        if let Some(source) = source {
            entry.source_found = source == SourceSeen::Found;
            entry.source = source;
        }
        entry.refused = refused;
        entry.written_ms = written_ms.or(entry.written_ms);
    }
}

impl RunEntry {
    fn forget_run(&mut self) {
        self.source_found = false;
        self.source = SourceSeen::Found;
        self.refused = None;
        self.written_ms = None;
    }

    fn is_empty(&self) -> bool {
        self.fact.is_none() && self.jobs.is_empty() && self.pods.is_empty() && self.result.is_none()
    }
}

fn test_key(run: &Name, fact: &RunFact) -> Option<Key> {
    let name = fact.seen.test.clone()?;
    Some(Key::Test(Name { namespace: run.namespace.clone(), name }))
}
