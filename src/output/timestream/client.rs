//! The output itself: one client, its endpoint found and kept.

use std::{
    sync::{Arc, PoisonError, RwLock},
    time::{Duration, Instant},
};

use aws_sdk_timestreamwrite::{Client, Config, error::ProvideErrorMetadata};
use aws_smithy_types::body::SdkBody;
use futures::future::{BoxFuture, FutureExt};
use tokio::sync::{Mutex, OnceCell};

use super::{
    body,
    config::{self, ConfigError},
    outcome::{self, Target},
    probe,
};
use crate::{
    api::v1alpha1::Timestream,
    core::pipeline::{
        batch::Batch,
        retry::{Failure, Written},
    },
    io::telemetry,
    output::output::{Output, Probe},
};

const CONTENT_LENGTH: &str = "content-length";
/// How long a discovered endpoint is kept when the service does not say, or could not be asked again.
const ENDPOINT_KEPT: Duration = Duration::from_mins(1);
/// Longest time that a discovered endpoint is kept, whatever the service says: twice as long as it usually does.
const ENDPOINT_KEPT_MAX: Duration = Duration::from_hours(48);

/// Why no client is there to call with.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClientError {
    /// The settings are not enough.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The service did not tell its endpoint.
    #[error("endpoint discovery failed: {0}")]
    Discovery(String),
    /// The service refuses to tell its endpoint.
    #[error("endpoint discovery was denied: {0}")]
    Denied(String),
}

/// Settings and the client made of them.
#[derive(Debug)]
struct Base {
    config: Config,
    client: Client,
    discovers: bool,
}

#[derive(Clone, Debug)]
struct Discovered {
    client: Client,
    until: Instant,
}

/// Writes samples to one table.
#[derive(Debug)]
pub struct TimestreamOutput {
    spec: Timestream,
    base: OnceCell<Base>,
    discovered: RwLock<Option<Arc<Discovered>>>,
    discovery: Mutex<()>,
}

impl TimestreamOutput {
    /// An output to the table of `spec`; nothing is connected yet.
    pub fn new(spec: Timestream) -> Self {
        Self {
            spec,
            base: OnceCell::new(),
            discovered: RwLock::new(None),
            discovery: Mutex::new(()),
        }
    }

    /// The table.
    pub(super) fn target(&self) -> Target<'_> {
        Target { database: &self.spec.database_name, table: &self.spec.table_name }
    }

    /// What the user asked for.
    pub(super) fn spec(&self) -> &Timestream {
        &self.spec
    }

    /// A client that calls the right endpoint.
    ///
    /// # Errors
    /// When that endpoint cannot be known.
    pub(super) async fn client(&self) -> Result<Client, ClientError> {
        let base = self.base().await?;
        if !base.discovers {
            return Ok(base.client.clone());
        }
        if let Some(found) = self.found().filter(|found| found.until > Instant::now()) {
            return Ok(found.client.clone());
        }
        let _one_at_a_time = self.discovery.lock().await;
        if let Some(found) = self.found().filter(|found| found.until > Instant::now()) {
            return Ok(found.client.clone());
        }
        let found = match (discover(base).await, self.found()) {
            (Ok(found), _) => found,
            // The old endpoint may well still answer.
            (Err(error), Some(old)) => {
                tracing::warn!(%error, "keeping the endpoint");
                Discovered { client: old.client.clone(), until: Instant::now() + ENDPOINT_KEPT }
            }
            (Err(error), None) => return Err(error),
        };
        let client = found.client.clone();
        self.set_found(Some(Arc::new(found)));
        Ok(client)
    }

    async fn base(&self) -> Result<&Base, ConfigError> {
        self.base
            .get_or_try_init(|| async {
                let (config, discovers) = config::load(&self.spec).await?;
                Ok(Base { client: Client::from_conf(config.clone()), config, discovers })
            })
            .await
    }

    fn found(&self) -> Option<Arc<Discovered>> {
        self.discovered.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set_found(&self, found: Option<Arc<Discovered>>) {
        *self.discovered.write().unwrap_or_else(PoisonError::into_inner) = found;
    }

    async fn write_batch(&self, batch: &Batch) -> Written {
        let client = match self.client().await {
            Ok(client) => client,
            Err(ClientError::Denied(said)) => {
                return Written::Fatal(outcome::denied(&said, self.target()));
            }
            Err(error) => return Written::Failed(Failure::Endpoint, error.to_string()),
        };
        let Target { database, table } = self.target();
        let body = body::write(batch, database, table);
        let answer = client
            .write_records()
            .database_name(database)
            .table_name(table)
            // The SDK wants the member; what goes out is the body that takes its place before the request is signed.
            .set_records(Some(Vec::new()))
            .customize()
            .mutate_request(move |request| {
                request.headers_mut().insert(CONTENT_LENGTH, body.len().to_string());
                *request.body_mut() = SdkBody::from(body.clone());
            })
            .send()
            .await;
        let Err(error) = answer else { return Written::Stored };
        let written = outcome::of_error(&error, &batch.records, self.target());
        if matches!(written, Written::Failed(Failure::Endpoint, _)) {
            self.set_found(None);
        }
        written
    }
}

impl Output for TimestreamOutput {
    fn probe(&self) -> BoxFuture<'_, Probe> {
        probe::probe(self).boxed()
    }

    fn write<'a>(&'a self, batch: &'a Batch) -> BoxFuture<'a, Written> {
        self.write_batch(batch).boxed()
    }
}

/// Asks the service for the endpoint that this account's calls go to.
async fn discover(base: &Base) -> Result<Discovered, ClientError> {
    let answer = base.client.describe_endpoints().send().await.map_err(|error| {
        let status = error.raw_response().map(|raw| raw.status().as_u16());
        let is_throttled = error.code() == Some("ThrottlingException");
        let said = telemetry::chain(&error);
        match status {
            Some(400 | 401 | 403) if !is_throttled => ClientError::Denied(said),
            _ => ClientError::Discovery(said),
        }
    })?;
    let Some(endpoint) = answer.endpoints().first() else {
        return Err(ClientError::Discovery("the answer names no endpoint".to_owned()));
    };
    let minutes = u64::try_from(endpoint.cache_period_in_minutes()).unwrap_or(0);
    let kept = Duration::from_secs(minutes.saturating_mul(60));
    let kept = kept.clamp(ENDPOINT_KEPT, ENDPOINT_KEPT_MAX);
    let config =
        base.config.to_builder().endpoint_url(format!("https://{}", endpoint.address())).build();
    Ok(Discovered { client: Client::from_conf(config), until: Instant::now() + kept })
}

#[cfg(test)]
mod tests;
