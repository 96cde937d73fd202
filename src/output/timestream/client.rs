//! The output itself: one client, its endpoint found and kept.

use std::{
    sync::{Arc, PoisonError, RwLock},
    time::{Duration, Instant},
};

use aws_sdk_timestreamwrite::{Client, Config, error::ProvideErrorMetadata};
use futures::future::{BoxFuture, FutureExt};
use hyper::{Uri, http::uri::InvalidUri};
use tokio::sync::{Mutex, OnceCell};

use super::{
    body,
    call::{self, Caller},
    config::{self, ConfigError, Settings},
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
    output::{
        http::Http,
        output::{Output, Probe},
    },
};

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

/// What calls one endpoint.
#[derive(Clone, Debug)]
struct Endpoint {
    /// The SDK's client, for all calls but those that write.
    client: Client,
    /// Where records are written.
    uri: Uri,
}

/// Settings and what is made of them.
#[derive(Debug)]
struct Base {
    config: Config,
    /// The endpoint that somebody chose.
    own: Option<Endpoint>,
    caller: Caller,
}

impl Base {
    fn new(settings: Settings, idle_max: usize) -> Result<Self, ConfigError> {
        let Settings { sdk: config, endpoint_url, region, credentials } = settings;
        let own = match endpoint_url {
            Some(url) => {
                let not_one = |error| ConfigError::Endpoint(format!("{url}: {error}"));
                let uri = uri(&url).map_err(not_one)?;
                Some(Endpoint { client: Client::from_conf(config.clone()), uri })
            }
            None => None,
        };
        let is_tls = own.as_ref().is_none_or(|own| own.uri.scheme_str() == Some("https"));
        let http = Http::new(is_tls, idle_max).map_err(ConfigError::Http)?;
        Ok(Self { config, own, caller: Caller::new(http, region, credentials) })
    }
}

/// Where calls go: a host, with a port or without; their path is `/`, and signed as such.
fn uri(url: &str) -> Result<Uri, String> {
    let uri: Uri = url.parse().map_err(|error: InvalidUri| telemetry::chain(&error))?;
    if uri.host().is_none() || uri.scheme().is_none() {
        return Err("it wants http:// or https:// and a host".to_owned());
    }
    if uri.path_and_query().is_some_and(|path| path != "/") {
        return Err(
            "behind the host it wants nothing but a port: calls go to the path /".to_owned()
        );
    }
    Ok(uri)
}

#[derive(Clone, Debug)]
struct Discovered {
    endpoint: Endpoint,
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

    /// A client of the SDK that calls the right endpoint.
    ///
    /// # Errors
    /// When that endpoint cannot be known.
    pub(super) async fn client(&self) -> Result<Client, ClientError> {
        Ok(self.endpoint(self.base().await?).await?.client)
    }

    async fn endpoint(&self, base: &Base) -> Result<Endpoint, ClientError> {
        match self.endpoint_at_hand(base) {
            Some(endpoint) => Ok(endpoint),
            None => self.endpoint_asked_for(base).await,
        }
    }

    /// The endpoint, where nobody has to be asked.
    fn endpoint_at_hand(&self, base: &Base) -> Option<Endpoint> {
        if let Some(own) = &base.own {
            return Some(own.clone());
        }
        let found = self.found().filter(|found| found.until > Instant::now())?;
        Some(found.endpoint.clone())
    }

    /// The endpoint that the service tells. In a box: it is seldom asked for, and large.
    fn endpoint_asked_for<'a>(
        &'a self,
        base: &'a Base,
    ) -> BoxFuture<'a, Result<Endpoint, ClientError>> {
        async move {
            let _one_at_a_time = self.discovery.lock().await;
            if let Some(endpoint) = self.endpoint_at_hand(base) {
                return Ok(endpoint);
            }
            let found = match (discover(base).await, self.found()) {
                (Ok(found), _) => found,
                // The old endpoint may well still answer.
                (Err(error), Some(old)) => {
                    tracing::warn!(%error, "keeping the endpoint");
                    let until = Instant::now() + ENDPOINT_KEPT;
                    Discovered { endpoint: old.endpoint.clone(), until }
                }
                (Err(error), None) => return Err(error),
            };
            let endpoint = found.endpoint.clone();
            self.set_found(Some(Arc::new(found)));
            Ok(endpoint)
        }
        .boxed()
    }

    async fn base(&self) -> Result<&Base, ConfigError> {
        match self.base.get() {
            Some(base) => Ok(base),
            None => self.base_made().await,
        }
    }

    /// Reads the settings, once. In a box: so much is awaited there that every write would carry it along.
    fn base_made(&self) -> BoxFuture<'_, Result<&Base, ConfigError>> {
        let made = self.base.get_or_try_init(|| async {
            let idle_max = usize::try_from(self.spec.max_concurrent_writes).unwrap_or(1);
            Base::new(config::load(&self.spec).await?, idle_max)
        });
        made.boxed()
    }

    fn found(&self) -> Option<Arc<Discovered>> {
        self.discovered.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set_found(&self, found: Option<Arc<Discovered>>) {
        *self.discovered.write().unwrap_or_else(PoisonError::into_inner) = found;
    }

    async fn write_batch(&self, batch: &Batch) -> Written {
        let asked = async {
            let base = self.base().await?;
            Ok((base, self.endpoint(base).await?.uri))
        };
        let (base, uri) = match asked.await {
            Ok(known) => known,
            Err(ClientError::Denied(said)) => {
                return Written::Fatal(outcome::denied(&said, self.target()));
            }
            Err(error) => return Written::Failed(Failure::Endpoint, error.to_string()),
        };
        let Target { database, table } = self.target();
        let body = body::write(batch, database, table);
        let answered = match base.caller.write_records(&uri, body).await {
            Ok(answered) => answered,
            Err(written) => return written,
        };
        let answer = call::answer(&answered);
        if answer.is_expired() {
            base.caller.credentials.forget();
        }
        let written = outcome::of_answer(&answer, &batch.records, self.target());
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
    let client = Client::from_conf(base.config.clone());
    let answer = client.describe_endpoints().send().await.map_err(|error| {
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
    let url = format!("https://{}", endpoint.address());
    let uri = uri(&url).map_err(|error| ClientError::Discovery(format!("{url}: {error}")))?;
    let config = base.config.to_builder().endpoint_url(url).build();
    let endpoint = Endpoint { client: Client::from_conf(config), uri };
    Ok(Discovered { endpoint, until: Instant::now() + kept })
}

#[cfg(test)]
mod tests;
