//! The process: probes, lease, watches, loop; and their end in the reverse order.

use std::{
    net::SocketAddr,
    sync::{Arc, atomic::Ordering},
};

use kube::{
    Client,
    runtime::events::{Recorder, Reporter},
};
use prometheus_client::registry::Registry;
use tokio::{
    sync::{mpsc, watch},
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;

use super::{
    engine::{Engine, Pulse},
    lease::{self, LeaseConfig},
    metrics::Metrics,
    reconcile::Context,
    watch as watches,
};
use crate::io::{clock, http};

/// Changes that wait for the loop: more hold the watches back, which the apiserver bears for minutes.
const CHANGES_MAX: usize = 1_024;
/// The loop turns every few seconds; after this it hangs.
const HANGS_MS: i64 = 60_000;

/// Settings of an operator.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Weir's own image, for init containers and aggregators.
    pub image: String,
    /// Namespaces to watch; none: all.
    pub namespaces: Vec<String>,
    /// Namespace of the Lease.
    pub lease_namespace: String,
    /// Name of the Lease.
    pub lease_name: String,
    /// Who this replica is, among all that ever were.
    pub identity: String,
    /// Where probes and metrics are served.
    pub listen: SocketAddr,
}

/// Why an operator could not start, or ended by itself.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The address of probes and metrics.
    #[error("cannot serve probes and metrics on {0}")]
    Http(SocketAddr, #[source] std::io::Error),
    /// A part of the process ended though nobody asked it to.
    #[error("the {0} ended")]
    Ended(&'static str),
}

/// Runs an operator until `stop` is cancelled.
///
/// # Errors
/// When it cannot start, or a part of it ends by itself.
pub async fn serve(
    client: Client,
    settings: Settings,
    stop: CancellationToken,
) -> Result<(), ServeError> {
    let mut registry = Registry::default();
    let metrics = Arc::new(Metrics::new(&mut registry));
    let pulse = Arc::new(Pulse::default());
    pulse.turned_ms.store(clock::unix_ms(), Ordering::Relaxed);
    let endpoints = http::Endpoints {
        registry: Arc::new(registry),
        live: {
            let pulse = pulse.clone();
            Arc::new(move || clock::unix_ms() - pulse.turned_ms.load(Ordering::Relaxed) < HANGS_MS)
        },
        ready: {
            let pulse = pulse.clone();
            Arc::new(move || pulse.synced.load(Ordering::Relaxed))
        },
    };
    let listener =
        http::bind(settings.listen).await.map_err(|e| ServeError::Http(settings.listen, e))?;
    let probes = tokio::spawn(http::serve(listener, endpoints, stop.clone()));

    let mut pumps = JoinSet::new();
    let (sender, changes) = mpsc::channel(CHANGES_MAX);
    let lists = watches::start(&client, &settings.namespaces, &metrics, &sender, &mut pumps);
    drop(sender);

    let (told, leads) = watch::channel(false);
    // The lease outlives the loop: it is given away when nobody writes any more.
    let lease_stop = CancellationToken::new();
    let lease = LeaseConfig {
        namespace: settings.lease_namespace,
        name: settings.lease_name,
        identity: settings.identity.clone(),
    };
    let keeper = tokio::spawn(lease::keep(client.clone(), lease, told, lease_stop.clone()));

    let reporter =
        Reporter { controller: "weir.dev/operator".to_owned(), instance: Some(settings.identity) };
    let context = Context {
        recorder: Recorder::new(client.clone(), reporter),
        client,
        image: settings.image.into(),
    };
    let engine = Engine { context, metrics, pulse, changes, leads, lists };
    engine.run(stop.clone()).await;
    let asked = stop.is_cancelled();
    stop.cancel();
    lease_stop.cancel();
    drop(keeper.await);
    pumps.shutdown().await;
    drop(probes.await);
    if asked { Ok(()) } else { Err(ServeError::Ended("watches or the lease")) }
}
