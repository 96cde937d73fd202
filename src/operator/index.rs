//! What the watches have shown, reduced to what decisions need: changes in, snapshots out. No client, no clock.

use std::{collections::BTreeMap, sync::Arc};

use super::facts::{Change, Fact, Key, Kind, Name, RunFact, TestFact, is_complete};
use crate::{
    api::v1alpha1::{Phase, TestSpec},
    core::lifecycle::{
        build,
        seen::{JobSeen, NameTaken, PodSeen, Refusal, Seen, SourceSeen},
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
            writer_job: job(build::meta::writer_name(&name.name)),
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
            name_taken: entry
                .jobs
                .iter()
                .find(|(_, (of, _))| of != uid)
                .map(|(job, _)| NameTaken { object: format!("Job {job}"), of_older_run: true }),
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

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::{api::v1alpha1::LoadTestRun, core::lifecycle::seen::PodRole};

    fn name(name: &str) -> Name {
        Name { namespace: "shop".to_owned(), name: name.to_owned() }
    }

    fn run(version: &str, uid: &str, status: &Value) -> Change {
        let object: LoadTestRun = serde_json::from_value(json!({
            "apiVersion": "weir.dev/v1alpha1", "kind": "LoadTestRun",
            "metadata": {"name": "checkout-1", "namespace": "shop", "uid": uid, "resourceVersion": version,
                "labels": {"weir.dev/load-test": "checkout"},
                "ownerReferences": [{"apiVersion": "weir.dev/v1alpha1", "kind": "LoadTest", "name": "checkout", "uid": "uid-of-test", "controller": true}]},
            "spec": {"test": {"script": {"inline": "x"}}}, "status": status,
        }))
        .unwrap();
        Change::Put(name("checkout-1"), Box::new(Fact::Run(RunFact::of(object))))
    }

    fn pod(pod: &str, run_uid: &str) -> Change {
        let fact = Fact::Pod {
            run: "checkout-1".to_owned(),
            run_uid: run_uid.to_owned(),
            pod: PodSeen { name: pod.to_owned(), role: PodRole::Runner, ..PodSeen::default() },
        };
        Change::Put(name(pod), Box::new(fact))
    }

    fn pods(index: &Index) -> Vec<String> {
        let snapshot = index.run(&name("checkout-1")).unwrap();
        snapshot.seen.pods.into_iter().map(|pod| pod.name).collect()
    }

    #[test]
    fn a_change_of_a_run_or_its_children_makes_the_run_due_and_a_run_also_its_test() {
        let mut index = Index::default();
        let keys = index.apply(run("1", "a", &Value::Null));
        assert_eq!(keys, [Key::Run(name("checkout-1")), Key::Test(name("checkout"))]);
        assert_eq!(index.apply(pod("p", "a")), [Key::Run(name("checkout-1"))]);
        assert_eq!(index.apply(Change::Gone(Kind::Pod, name("p"))), [Key::Run(name("checkout-1"))]);
        assert_eq!(index.apply(Change::Gone(Kind::Pod, name("p"))), []);
    }

    #[test]
    fn a_watch_that_lags_does_not_undo_what_was_written() {
        let mut index = Index::default();
        index.apply(run("9", "a", &json!({"phase": "Running"})));
        assert_eq!(index.apply(run("8", "a", &json!({"phase": "Pending"}))), []);
        let status = index.run(&name("checkout-1")).unwrap().seen.run.status.unwrap();
        assert_eq!(status.phase, Phase::Running);
    }

    #[test]
    fn pods_of_an_older_run_of_the_same_name_are_not_the_runs() {
        let mut index = Index::default();
        index.apply(run("1", "new", &Value::Null));
        index.apply(pod("old-pod", "old"));
        index.apply(pod("new-pod", "new"));
        assert_eq!(pods(&index), ["new-pod"]);
    }

    #[test]
    fn a_job_of_an_older_run_takes_the_name() {
        let mut index = Index::default();
        index.apply(run("1", "new", &Value::Null));
        let fact = Fact::Job {
            run: "checkout-1".into(),
            run_uid: "old".into(),
            job: JobSeen { uid: "j".into(), ..JobSeen::default() },
        };
        index.apply(Change::Put(name("checkout-1-runner"), Box::new(fact)));
        let seen = index.run(&name("checkout-1")).unwrap().seen;
        assert_eq!(seen.name_taken.unwrap().object, "Job checkout-1-runner");
        assert!(seen.runner_job.is_none());
    }

    #[test]
    fn what_a_new_list_does_not_show_is_gone_but_only_in_its_namespace() {
        let mut index = Index::default();
        index.apply(run("1", "a", &Value::Null));
        index.apply(pod("p", "a"));
        index.apply(pod("q", "a"));
        let shown = [name("q")].into();
        let other =
            Change::Listed(Kind::Pod, Some("other".into()), std::collections::BTreeSet::new());
        assert_eq!(index.apply(other), []);
        index.apply(Change::Listed(Kind::Pod, Some("shop".into()), shown));
        assert_eq!(pods(&index), ["q"]);
        index.apply(Change::Listed(Kind::Run, None, std::collections::BTreeSet::new()));
        assert!(index.run(&name("checkout-1")).is_none());
    }

    #[test]
    fn nothing_is_kept_of_what_is_gone() {
        let mut index = Index::default();
        index.apply(run("1", "a", &Value::Null));
        index.apply(pod("p", "a"));
        index.apply(Change::Gone(Kind::Run, name("checkout-1")));
        index.apply(Change::Gone(Kind::Pod, name("p")));
        assert!(index.runs.is_empty() && index.parents.is_empty());
    }

    #[test]
    fn the_spec_of_a_run_that_is_over_is_not_held() {
        let over = json!({"phase": "Passed", "conditions": [{"type": "Complete", "status": "True", "reason": "ThresholdsMet",
            "message": "m", "lastTransitionTime": "2026-11-23T00:00:00Z"}]});
        let mut index = Index::default();
        index.apply(run("1", "a", &Value::Null));
        assert!(index.run(&name("checkout-1")).unwrap().test.is_some());
        index.apply(run("2", "a", &over));
        assert!(index.run(&name("checkout-1")).unwrap().test.is_none());
    }

    #[test]
    fn a_test_sees_its_own_runs_and_the_numbers_of_all() {
        let mut index = Index::default();
        let test: crate::api::v1alpha1::LoadTest = serde_json::from_value(json!({
            "apiVersion": "weir.dev/v1alpha1", "kind": "LoadTest",
            "metadata": {"name": "checkout", "namespace": "shop", "uid": "uid-of-test", "resourceVersion": "1"},
            "spec": {"script": {"inline": "x"}},
        }))
        .unwrap();
        index.apply(Change::Put(name("checkout"), Box::new(Fact::Test(TestFact::of(test)))));
        index.apply(run("1", "a", &Value::Null));
        let stranger: LoadTestRun = serde_json::from_value(json!({
            "apiVersion": "weir.dev/v1alpha1", "kind": "LoadTestRun",
            "metadata": {"name": "checkout-5", "namespace": "shop", "uid": "b", "resourceVersion": "1"},
            "spec": {"test": {"script": {"inline": "x"}}},
        }))
        .unwrap();
        index.apply(Change::Put(name("checkout-5"), Box::new(Fact::Run(RunFact::of(stranger)))));
        let seen = index.test(&name("checkout")).unwrap().seen;
        assert_eq!(seen.runs.iter().map(|run| run.number).collect::<Vec<_>>(), [1]);
        assert_eq!(seen.highest_number, 5);
        assert_eq!(
            seen.runs[0].fingerprint, seen.fingerprint,
            "left-out defaults make no other spec"
        );
    }
}
