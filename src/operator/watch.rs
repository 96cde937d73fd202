//! Watches → [`Change`]s. An object is reduced to its facts before it is handed on: scripts and whole pods do not stay.

use std::{collections::BTreeSet, fmt::Debug, sync::Arc};

use futures::{StreamExt, pin_mut};
use k8s_openapi::api::{
    batch::v1::Job,
    core::v1::{ConfigMap, Pod},
};
use kube::{
    Api, Client, Resource, ResourceExt,
    core::{DeserializeGuard, NamespaceResourceScope},
    runtime::{
        WatchStreamExt,
        watcher::{self, Event, watcher},
    },
};
use serde::de::DeserializeOwned;
use tokio::{sync::mpsc, task::JoinSet};

use super::{
    facts::{Change, Fact, Kind, Name, RunFact, TestFact},
    metrics::{KindLabel, Metrics},
};
use crate::{
    api::{
        labels,
        v1alpha1::{LoadTest, LoadTestRun},
    },
    core::lifecycle::reduce,
    io::telemetry::chain,
    wire::result::RunResult,
};

/// Objects in one page of a list: a page of tests or runs is held whole, each with a script of up to 512 KiB.
const PAGE: u32 = 25;
/// Objects in one page of pods and Jobs, of some 10 KiB each.
const PAGE_OF_CHILDREN: u32 = 200;

/// Starts all watches, of these namespaces or (with none) of all; answers how many lists must be shown first.
pub(super) fn start(
    client: &Client,
    namespaces: &[String],
    metrics: &Arc<Metrics>,
    changes: &mpsc::Sender<Change>,
    tasks: &mut JoinSet<()>,
) -> usize {
    let scopes: Vec<Option<String>> = match namespaces {
        [] => vec![None],
        names => names.iter().cloned().map(Some).collect(),
    };
    let any = watcher::Config::default();
    let of_run = || any.clone().labels(labels::RUN).page_size(PAGE_OF_CHILDREN);
    let results = format!("{}={}", labels::ROLE, labels::ROLE_RESULT);
    for scope in &scopes {
        let pump = |kind| Pump {
            kind,
            scope: scope.clone(),
            client: client.clone(),
            metrics: metrics.clone(),
            changes: changes.clone(),
        };
        let page = any.clone().page_size(PAGE);
        tasks.spawn(
            pump(Kind::Test)
                .run(page.clone(), |test: LoadTest| Some(Fact::Test(TestFact::of(test)))),
        );
        tasks
            .spawn(pump(Kind::Run).run(page, |run: LoadTestRun| Some(Fact::Run(RunFact::of(run)))));
        tasks.spawn(pump(Kind::Job).run(of_run(), |object: Job| Some(job(&object))));
        tasks.spawn(pump(Kind::Pod).run(of_run(), |object: Pod| Some(pod(&object))));
        let page = any.clone().labels(&results).page_size(PAGE);
        tasks.spawn(pump(Kind::Result).run(page, |object: ConfigMap| result(&object)));
    }
    scopes.len() * 5
}

fn job(object: &Job) -> Fact {
    let (run, run_uid) = run_of(&object.metadata);
    Fact::Job { run, run_uid, job: reduce::job(object) }
}

fn pod(object: &Pod) -> Fact {
    let (run, run_uid) = run_of(&object.metadata);
    Fact::Pod { run, run_uid, pod: reduce::pod(object) }
}

fn result(object: &ConfigMap) -> Option<Fact> {
    let (run, run_uid) = run_of(&object.metadata);
    let text = object.data.as_ref().and_then(|data| data.get(labels::RESULT_KEY));
    let result = match text.map(|text| serde_json::from_str::<RunResult>(text)) {
        Some(Ok(result)) => Some(Box::new(result)),
        Some(Err(error)) => {
            tracing::warn!(run, error = %error, "result document cannot be read");
            return None;
        }
        None => None,
    };
    Some(Fact::Result { run, run_uid, result })
}

fn run_of(meta: &kube::core::ObjectMeta) -> (String, String) {
    (reduce::label(meta, labels::RUN).to_owned(), reduce::label(meta, labels::RUN_UID).to_owned())
}

/// One watch.
struct Pump {
    kind: Kind,
    scope: Option<String>,
    client: Client,
    metrics: Arc<Metrics>,
    changes: mpsc::Sender<Change>,
}

impl Kind {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Test => "LoadTest",
            Self::Run => "LoadTestRun",
            Self::Job => "Job",
            Self::Pod => "Pod",
            Self::Result => "ConfigMap",
        }
    }
}

impl Pump {
    /// Watches until the receiver is gone. An object that cannot be decoded is counted and passed over.
    async fn run<K>(self, config: watcher::Config, reduce: fn(K) -> Option<Fact>)
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>
            + Clone
            + Debug
            + DeserializeOwned
            + Send
            + 'static,
    {
        let api: Api<DeserializeGuard<K>> = match &self.scope {
            Some(namespace) => Api::namespaced(self.client.clone(), namespace),
            None => Api::all(self.client.clone()),
        };
        let stream = watcher(api, config).default_backoff();
        pin_mut!(stream);
        let mut listed = BTreeSet::new();
        while let Some(event) = stream.next().await {
            let change = match event {
                Ok(Event::Init) => {
                    listed.clear();
                    continue;
                }
                Ok(Event::InitApply(object)) => {
                    listed.insert(name_of(&object));
                    self.put(object, reduce)
                }
                Ok(Event::InitDone) => {
                    Some(Change::Listed(self.kind, self.scope.clone(), std::mem::take(&mut listed)))
                }
                Ok(Event::Apply(object)) => self.put(object, reduce),
                Ok(Event::Delete(object)) => Some(Change::Gone(self.kind, name_of(&object))),
                // Old versions are thrown away every few minutes; the list is shown anew.
                Err(watcher::Error::WatchError(status)) if status.code == 410 => {
                    tracing::debug!(kind = self.kind.as_str(), "watch is behind");
                    continue;
                }
                Err(error) => {
                    tracing::warn!(kind = self.kind.as_str(), error = %chain(&error), "watch failed");
                    self.metrics
                        .watch_errors
                        .get_or_create(&KindLabel { kind: self.kind.as_str() })
                        .inc();
                    continue;
                }
            };
            if let Some(change) = change
                && self.changes.send(change).await.is_err()
            {
                return;
            }
        }
    }

    fn put<K: Resource>(
        &self,
        object: DeserializeGuard<K>,
        reduce: fn(K) -> Option<Fact>,
    ) -> Option<Change>
    where
        DeserializeGuard<K>: Resource,
    {
        let name = name_of(&object);
        match object.0 {
            Ok(object) => reduce(object).map(|fact| Change::Put(name, Box::new(fact))),
            Err(invalid) => {
                let Name { namespace, name } = name;
                tracing::warn!(kind = self.kind.as_str(), namespace, name, error = %invalid.error, "object cannot be decoded");
                self.metrics
                    .undecodable
                    .get_or_create(&KindLabel { kind: self.kind.as_str() })
                    .inc();
                None
            }
        }
    }
}

fn name_of<K: Resource>(object: &K) -> Name {
    Name { namespace: object.namespace().unwrap_or_default(), name: object.name_any() }
}
