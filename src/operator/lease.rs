//! The Lease in the cluster: what [`Elector`] says is done, and whether this replica leads is told.

use std::time::{Duration, Instant};

use k8s_openapi::{
    api::coordination::v1::{Lease, LeaseSpec},
    apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta},
    jiff::Timestamp,
};
use kube::{Api, Client, api::PostParams};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::error::code;
use crate::{
    core::lease::{Elector, LeaseAction, LeaseSeen},
    io::{clock, telemetry::chain},
};

/// How long a lease lasts after a renewal: a leader that dies is replaced this much later.
const DURATION: Duration = Duration::from_secs(9);
/// Pause between two looks: a released lease is taken this much later at most, and a leader may miss two renewals.
const LOOK: Duration = Duration::from_secs(2);

/// Which Lease, and whose.
#[derive(Clone, Debug)]
pub(super) struct LeaseConfig {
    pub(super) namespace: String,
    pub(super) name: String,
    pub(super) identity: String,
}

/// Keeps the Lease until `stop` is cancelled, then gives it away.
pub(super) async fn keep(
    client: Client,
    config: LeaseConfig,
    leads: watch::Sender<bool>,
    stop: CancellationToken,
) {
    let mut keeper = Keeper {
        api: Api::namespaced(client, &config.namespace),
        elector: Elector::new(config.identity.clone(), millis(DURATION)),
        config,
        began: Instant::now(),
        last: None,
    };
    loop {
        let now_ms = keeper.now_ms();
        // No longer than leadership lasts: a request that hangs must not hold it.
        let left_ms =
            keeper.elector.leads_until_ms().map_or(millis(DURATION), |until| until - now_ms);
        let limit = Duration::from_millis(u64::try_from(left_ms.max(1)).unwrap_or(1));
        match tokio::time::timeout(limit, keeper.turn()).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) if code(&error) == Some(409) => {
                tracing::debug!("another replica was faster");
            }
            Ok(Err(error)) => tracing::warn!(error = %chain(&error), "lease not kept"),
            Err(_) => tracing::warn!("the apiserver did not answer about the lease in time"),
        }
        let now_ms = keeper.now_ms();
        let leading = keeper.elector.leads(now_ms);
        leads.send_if_modified(|told| std::mem::replace(told, leading) != leading);
        let left_ms =
            keeper.elector.leads_until_ms().filter(|_| leading).map(|until| until - now_ms);
        let pause_ms = left_ms.map_or(millis(LOOK), |left_ms| left_ms.min(millis(LOOK)));
        let pause = Duration::from_millis(u64::try_from(pause_ms.max(10)).unwrap_or(10));
        tokio::select! {
            () = stop.cancelled() => break,
            () = tokio::time::sleep(pause) => {}
        }
    }
    leads.send_replace(false);
    if let Ok(Err(error)) = tokio::time::timeout(LOOK, keeper.release()).await {
        tracing::warn!(error = %chain(&error), "lease not released");
    }
}

struct Keeper {
    api: Api<Lease>,
    elector: Elector,
    config: LeaseConfig,
    began: Instant,
    last: Option<Lease>,
}

impl Keeper {
    fn now_ms(&self) -> i64 {
        millis(self.began.elapsed())
    }

    /// One look, and what follows from it.
    async fn turn(&mut self) -> kube::Result<()> {
        let found = self.api.get_opt(&self.config.name).await?;
        let seen = found.as_ref().map(seen);
        let sent_ms = self.now_ms();
        let taken = match self.elector.look(seen.as_ref(), sent_ms) {
            LeaseAction::Leave => {
                self.last = None;
                return Ok(());
            }
            LeaseAction::Create => {
                let lease = self.lease(None, &self.config.identity, true);
                self.api.create(&PostParams::default(), &lease).await
            }
            LeaseAction::Take => {
                let lease = self.lease(found.as_ref(), &self.config.identity, true);
                self.api.replace(&self.config.name, &PostParams::default(), &lease).await
            }
            LeaseAction::Renew => {
                let lease = self.lease(found.as_ref(), &self.config.identity, false);
                self.api.replace(&self.config.name, &PostParams::default(), &lease).await
            }
        };
        match taken {
            Ok(lease) => {
                self.elector.wrote(sent_ms);
                self.last = Some(lease);
                Ok(())
            }
            Err(error) => {
                if code(&error) == Some(409) {
                    self.elector.lost();
                }
                Err(error)
            }
        }
    }

    /// Gives the Lease away, so that the next leader need not wait until it expires.
    async fn release(&mut self) -> kube::Result<()> {
        let Some(last) = self.last.take() else { return Ok(()) };
        let lease = self.lease(Some(&last), "", false);
        self.api.replace(&self.config.name, &PostParams::default(), &lease).await.map(|_| ())
    }

    /// The Lease as this replica writes it. Its resource version makes a write fail that another one came before.
    fn lease(&self, found: Option<&Lease>, holder: &str, taken: bool) -> Lease {
        let now = Timestamp::from_millisecond(clock::unix_ms()).map(MicroTime).ok();
        let before = found.and_then(|lease| lease.spec.clone()).unwrap_or_default();
        let transitions = before.lease_transitions.unwrap_or(0);
        Lease {
            metadata: ObjectMeta {
                name: Some(self.config.name.clone()),
                namespace: Some(self.config.namespace.clone()),
                resource_version: found.and_then(|lease| lease.metadata.resource_version.clone()),
                ..ObjectMeta::default()
            },
            spec: Some(LeaseSpec {
                holder_identity: Some(holder.to_owned()),
                lease_duration_seconds: i32::try_from(DURATION.as_secs()).ok(),
                acquire_time: if taken { now.clone() } else { before.acquire_time },
                renew_time: now,
                lease_transitions: Some(if taken {
                    transitions.saturating_add(1)
                } else {
                    transitions
                }),
                ..LeaseSpec::default()
            }),
        }
    }
}

fn seen(lease: &Lease) -> LeaseSeen {
    let spec = lease.spec.clone().unwrap_or_default();
    LeaseSeen {
        holder: spec.holder_identity.unwrap_or_default(),
        duration_ms: i64::from(spec.lease_duration_seconds.unwrap_or(0)) * 1000,
        version: lease.metadata.resource_version.clone().unwrap_or_default(),
    }
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
