//! The aggregator's dealings with Kubernetes: it looks at its own run, and publishes the result. Nothing else.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use futures::{StreamExt, TryStreamExt};
use k8s_openapi::{
    ByteString, api::core::v1::ConfigMap, apimachinery::pkg::apis::meta::v1::ObjectMeta,
};
use kube::{
    Api, Client,
    api::{Patch, PatchParams, WatchEvent, WatchParams},
};
use tokio::sync::{mpsc, watch};

use super::settings::Control;
use crate::{
    api::{
        labels,
        v1alpha1::{LoadTestRun, StopRequest},
    },
    core::{plan::RunRef, rally::runner::SESSION_LOST, summary::keeping},
    wire::result::RunResult,
};

/// Pause after the API could not be asked.
const RETRY_PAUSE: Duration = Duration::from_secs(1);
/// Time between two publications at most, so that the API server is not asked more than four times a second.
const PUBLISH_PAUSE: Duration = Duration::from_millis(250);
/// What an object may hold (etcd takes 1 MiB and a half; the API server takes 1 MiB of a ConfigMap), with room for its
/// metadata.
const OBJECT_BYTES_MAX: usize = 1_000_000;
/// Longest time for one call.
const CALL_TIMEOUT: Duration = Duration::from_secs(10);
/// Seconds after which a watch is begun anew.
const WATCH_SECONDS: u32 = 240;

/// Name of the `ConfigMap` that carries the result of `run`.
pub fn result_name(run: &RunRef) -> String {
    format!("{}-result", run.name)
}

/// What an aggregator of `run` published last.
///
/// # Errors
/// When the API cannot be asked; a document that cannot be read counts as none.
pub async fn former(client: &Client, run: &RunRef) -> kube::Result<Option<RunResult>> {
    let api: Api<ConfigMap> = Api::namespaced(client.clone(), &run.namespace);
    let Some(found) = api.get_opt(&result_name(run)).await? else { return Ok(None) };
    let text = found.data.as_ref().and_then(|data| data.get(labels::RESULT_KEY));
    let former: Option<RunResult> = text.and_then(|text| serde_json::from_str(text).ok());
    Ok(former.filter(|former| former.run == run.to_string()))
}

/// Watches `run` for the wishes of users and the findings of the operator, for as long as somebody listens.
pub async fn follow(client: Client, run: RunRef, control: mpsc::Sender<Control>) {
    let api: Api<LoadTestRun> = Api::namespaced(client, &run.namespace);
    let mut told = Told::default();
    while !control.is_closed() {
        match look(&api, &run, &mut told, &control).await {
            Ok(()) => {}
            Err(error) => tracing::warn!(%error, "the run cannot be watched"),
        }
        tokio::time::sleep(RETRY_PAUSE).await;
    }
}

async fn look(
    api: &Api<LoadTestRun>,
    run: &RunRef,
    told: &mut Told,
    control: &mpsc::Sender<Control>,
) -> kube::Result<()> {
    let found = api.get_opt(&run.name).await?;
    told.tell(run, found.as_ref(), control).await;
    let Some(version) = found.and_then(|found| found.metadata.resource_version) else {
        return Ok(());
    };
    let params = WatchParams::default()
        .fields(&format!("metadata.name={}", run.name))
        .timeout(WATCH_SECONDS);
    let mut changes = api.watch(&params, &version).await?.boxed();
    while let Some(change) = changes.try_next().await? {
        match change {
            WatchEvent::Added(now) | WatchEvent::Modified(now) => {
                told.tell(run, Some(&now), control).await;
            }
            WatchEvent::Deleted(_) => told.tell(run, None, control).await,
            WatchEvent::Bookmark(_) => {}
            WatchEvent::Error(status) => {
                tracing::debug!(code = status.code, "the watch ended");
                return Ok(());
            }
        }
        if control.is_closed() {
            return Ok(());
        }
    }
    Ok(())
}

/// What the aggregator was told already.
#[derive(Debug, Default)]
struct Told {
    stop: bool,
    gone: BTreeSet<u32>,
}

impl Told {
    async fn tell(
        &mut self,
        run: &RunRef,
        now: Option<&LoadTestRun>,
        control: &mpsc::Sender<Control>,
    ) {
        for news in self.news(run, now) {
            // Whoever does not listen any more needs no news.
            drop(control.send(news).await);
        }
    }

    /// What is new about the run.
    fn news(&mut self, run: &RunRef, now: Option<&LoadTestRun>) -> Vec<Control> {
        let mut news = Vec::new();
        let now = now.filter(|now| now.metadata.uid.as_deref() == Some(run.uid.as_str()));
        let why = match now {
            None => Some("the run was deleted"),
            Some(now) if now.metadata.deletion_timestamp.is_some() => Some("the run was deleted"),
            Some(now) if now.spec.stop == StopRequest::Requested => {
                Some("a user stopped the run (spec.stop)")
            }
            Some(_) => None,
        };
        if let Some(why) = why.filter(|_| !self.stop) {
            self.stop = true;
            news.push(Control::Stop(why.to_owned()));
        }
        let status = now.and_then(|now| now.status.as_ref());
        for lost in status.iter().flat_map(|status| &status.runners.lost_instances) {
            // The aggregator's own finding, which the status repeats: the instance may still come back.
            if lost.reason != SESSION_LOST && self.gone.insert(lost.instance_id) {
                news.push(Control::Gone {
                    instance_id: lost.instance_id,
                    reason: lost.reason.clone(),
                });
            }
        }
        news
    }
}

/// Publishes every result that comes, at most four a second, until the outcome is published or the sender is gone.
/// `is_published`: a former aggregator published the outcome. Tells `control` when the outcome is where the operator finds it, and answers whether that came about.
pub async fn publish(
    client: Client,
    run: RunRef,
    mut results: watch::Receiver<RunResult>,
    control: mpsc::Sender<Control>,
    is_published: bool,
) -> bool {
    let api: Api<ConfigMap> = Api::namespaced(client, &run.namespace);
    if is_published {
        // A former aggregator's, with files beside it that this one does not have.
        drop(control.send(Control::Published).await);
        return true;
    }
    let mut is_open = true;
    loop {
        let result = results.borrow_and_update().clone();
        let is_outcome = result.outcome.is_some();
        let applied = tokio::time::timeout(CALL_TIMEOUT, apply(&api, &run, &result)).await;
        match applied {
            Ok(Ok(())) if is_outcome => {
                drop(control.send(Control::Published).await);
                return true;
            }
            Ok(Ok(())) if is_open => {
                // Progress waits its turn; a change of the stage does not.
                let is_news = |now: &RunResult| {
                    now.stage != result.stage || now.cause != result.cause || now.outcome.is_some()
                };
                let wait = tokio::time::timeout(PUBLISH_PAUSE, results.wait_for(is_news)).await;
                if matches!(wait, Ok(Ok(_))) {
                    drop(wait);
                    continue;
                }
                drop(wait);
                is_open = results.changed().await.is_ok();
                continue;
            }
            Ok(Ok(())) => return false,
            Ok(Err(error)) => tracing::warn!(%error, "the result is not published yet"),
            Err(_) => tracing::warn!("the result is not published yet: no answer in time"),
        }
        tokio::time::sleep(RETRY_PAUSE).await;
        is_open = results.has_changed().is_ok();
        if !is_open && !is_outcome && results.borrow().outcome.is_none() {
            return false;
        }
    }
}

async fn apply(api: &Api<ConfigMap>, run: &RunRef, result: &RunResult) -> kube::Result<()> {
    let text = serde_json::to_string(result).map_err(kube::Error::SerdeError)?;
    let room = OBJECT_BYTES_MAX.saturating_sub(text.len());
    let mut kept = keeping::keep(&result.artifacts, &[labels::RESULT_KEY], room);
    if !kept.omitted.is_empty() {
        tracing::warn!(files = ?kept.omitted, "too large for the result ConfigMap, left out");
    }
    kept.data.insert(labels::RESULT_KEY.to_owned(), text);
    let binary = kept.binary_data.into_iter().map(|(key, bytes)| (key, ByteString(bytes)));
    let map = ConfigMap {
        metadata: ObjectMeta {
            name: Some(result_name(run)),
            namespace: Some(run.namespace.clone()),
            ..ObjectMeta::default()
        },
        data: Some(kept.data),
        binary_data: Some(binary.collect()).filter(|map: &BTreeMap<_, _>| !map.is_empty()),
        ..ConfigMap::default()
    };
    let params = PatchParams::apply(labels::AGGREGATOR_FIELD_MANAGER).force();
    api.patch(&result_name(run), &params, &Patch::Apply(map)).await.map(|_| ())
}

#[cfg(test)]
mod tests;
