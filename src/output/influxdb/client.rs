//! The output itself: one pool of connections to one server.

use std::time::Duration;

use futures::future::{BoxFuture, FutureExt};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::{Request, header};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use prost::bytes::Bytes;
use rustls::{ClientConfig, RootCertStore};

use super::{
    outcome::{self, Answer},
    probe,
    target::Target,
};
use crate::{
    api::v1alpha1::InfluxDb,
    core::pipeline::{
        batch::Batch,
        line,
        retry::{Failure, Written},
    },
    io::{clock, telemetry},
    output::output::{Output, Probe},
};

/// Longest time for a connection to be made.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Longest time for one call, from its first byte to its answer.
const CALL_TIMEOUT: Duration = Duration::from_secs(20);
/// How long a connection without calls is kept: less than servers and what stands before them do.
const IDLE_TIMEOUT: Duration = Duration::from_secs(20);
/// Longest answer that is read, in bytes: InfluxDB 3 may say something of each line.
const ANSWER_BYTES_MAX: usize = 4 << 20;

type HttpClient = Client<HttpsConnector<HttpConnector>, Full<Bytes>>;

/// Writes lines to one server.
#[derive(Debug)]
pub struct InfluxDbOutput {
    /// What every call needs, or why none can be made.
    base: Result<Base, String>,
}

#[derive(Debug)]
struct Base {
    target: Target,
    client: HttpClient,
}

/// An answer, wholly read.
#[derive(Debug)]
pub(super) struct Answered {
    status: u16,
    retry_after: Option<String>,
    location: Option<String>,
    body: Bytes,
}

impl Answered {
    pub(super) fn answer(&self) -> Answer<'_> {
        Answer {
            status: self.status,
            retry_after: self.retry_after.as_deref(),
            location: self.location.as_deref(),
            body: &self.body,
        }
    }
}

impl InfluxDbOutput {
    /// An output to the server of `spec`; nothing is connected yet. `token` is what stands in the environment under the
    /// name `variable`.
    pub fn new(spec: &InfluxDb, variable: &str, token: Option<&str>) -> Self {
        let idle_max = usize::try_from(spec.max_concurrent_writes).unwrap_or(1);
        let base = Target::new(spec, variable, token)
            .map_err(|error| error.to_string())
            .and_then(|target| Ok(Base { client: client(&target, idle_max)?, target }));
        Self { base }
    }

    /// The bucket or database, for messages.
    pub(super) fn place(&self) -> &str {
        self.base.as_ref().map_or("", |base| &base.target.place)
    }

    /// Posts these lines.
    ///
    /// # Errors
    /// When there is no answer.
    pub(super) async fn post(&self, lines: String) -> Result<Answered, Written> {
        let base = self.base.as_ref().map_err(|why| Written::Fatal(why.clone()))?;
        let mut request = Request::post(base.target.uri.clone())
            .header(header::CONTENT_TYPE, "text/plain; charset=utf-8")
            .header(header::USER_AGENT, concat!("weir/", env!("CARGO_PKG_VERSION")));
        if let Some(authorization) = &base.target.authorization {
            request = request.header(header::AUTHORIZATION, authorization.clone());
        }
        let request = request
            .body(Full::new(Bytes::from(lines)))
            .map_err(|error| Written::Fatal(error.to_string()))?;
        let call = async {
            let broke = |error: &(dyn std::error::Error + 'static)| {
                Written::Failed(Failure::Connection, telemetry::chain(error))
            };
            let answer = base.client.request(request).await.map_err(|error| broke(&error))?;
            let (head, body) = answer.into_parts();
            let text = |name| Some(head.headers.get(name)?.to_str().ok()?.to_owned());
            let body = match Limited::new(body, ANSWER_BYTES_MAX).collect().await {
                Ok(body) => body.to_bytes(),
                // Its status tells enough.
                Err(error) if error.is::<LengthLimitError>() => Bytes::new(),
                Err(error) => return Err(broke(&*error)),
            };
            Ok(Answered {
                status: head.status.as_u16(),
                retry_after: text(header::RETRY_AFTER),
                location: text(header::LOCATION),
                body,
            })
        };
        tokio::time::timeout(CALL_TIMEOUT, call).await.unwrap_or_else(|_| {
            let why = format!("no answer within {} s", CALL_TIMEOUT.as_secs());
            Err(Written::Failed(Failure::Timeout, why))
        })
    }

    async fn write_batch(&self, batch: &Batch) -> Written {
        match self.post(line::body(&batch.records)).await {
            Ok(answered) => {
                let (answer, lines) = (answered.answer(), batch.records.len());
                outcome::of_answer(answer, lines, self.place(), clock::unix_ms())
            }
            Err(written) => written,
        }
    }
}

impl Output for InfluxDbOutput {
    fn probe(&self) -> BoxFuture<'_, Probe> {
        probe::probe(self).boxed()
    }

    fn write<'a>(&'a self, batch: &'a Batch) -> BoxFuture<'a, Written> {
        self.write_batch(batch).boxed()
    }
}

/// A pool of connections: by TLS where the url asks for it, with the certificates of this system (`SSL_CERT_FILE`).
fn client(target: &Target, idle_max: usize) -> Result<HttpClient, String> {
    let mut connector = HttpConnector::new();
    connector.enforce_http(false);
    connector.set_nodelay(true);
    connector.set_connect_timeout(Some(CONNECT_TIMEOUT));
    let builder = if target.uri.scheme_str() == Some("https") {
        HttpsConnectorBuilder::new()
            .with_provider_and_native_roots(rustls::crypto::ring::default_provider())
            .map_err(|error| {
                format!("the certificates of this system cannot be read (SSL_CERT_FILE): {error}")
            })?
            .https_only()
    } else {
        let provider = rustls::crypto::ring::default_provider().into();
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?
            .with_root_certificates(RootCertStore::empty())
            .with_no_client_auth();
        HttpsConnectorBuilder::new().with_tls_config(config).https_or_http()
    };
    Ok(Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(IDLE_TIMEOUT)
        .pool_max_idle_per_host(idle_max)
        .build(builder.enable_http1().wrap_connector(connector)))
}

#[cfg(test)]
mod tests;
