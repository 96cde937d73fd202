//! HTTP as the outputs need it: a pool of connections, and one call with its answer wholly read.

use std::time::Duration;

use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::{
    HeaderMap, Request,
    header::{AsHeaderName, HeaderValue},
};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use prost::bytes::Bytes;
use rustls::{ClientConfig, RootCertStore};

use crate::{
    core::pipeline::retry::{Failure, Written},
    io::telemetry,
};

/// Longest time for a connection to be made.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Longest time for one call, from its first byte to its answer.
pub const CALL_TIMEOUT: Duration = Duration::from_secs(20);
/// How long a connection without calls is kept: less than servers and what stands before them do.
const IDLE_TIMEOUT: Duration = Duration::from_secs(20);
/// Longest answer that is read, in bytes: InfluxDB 3 may say something of each line.
const ANSWER_BYTES_MAX: usize = 4 << 20;

/// A pool of connections.
#[derive(Clone, Debug)]
pub struct Http(Client<HttpsConnector<HttpConnector>, Full<Bytes>>);

/// An answer.
#[derive(Debug)]
pub struct Answered {
    /// Its status.
    pub status: u16,
    /// Its headers.
    pub headers: HeaderMap<HeaderValue>,
    /// Its body; empty where it is longer than any that is understood.
    pub body: Bytes,
}

impl Answered {
    /// A header, where it is there and text.
    pub fn header(&self, name: impl AsHeaderName) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

impl Http {
    /// A pool that keeps so many idle connections: by TLS alone, with the certificates of this system (`SSL_CERT_FILE`),
    /// or, where a url asks for no TLS, without.
    ///
    /// # Errors
    /// When the certificates cannot be read.
    pub fn new(is_tls: bool, idle_max: usize) -> Result<Self, String> {
        let mut connector = HttpConnector::new();
        connector.enforce_http(false);
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(CONNECT_TIMEOUT));
        let builder = if is_tls {
            HttpsConnectorBuilder::new()
                .with_provider_and_native_roots(rustls::crypto::ring::default_provider())
                .map_err(|error| {
                    format!(
                        "the certificates of this system cannot be read (SSL_CERT_FILE): {error}"
                    )
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
        Ok(Self(
            Client::builder(TokioExecutor::new())
                .pool_timer(TokioTimer::new())
                .pool_idle_timeout(IDLE_TIMEOUT)
                .pool_max_idle_per_host(idle_max)
                .build(builder.enable_http1().wrap_connector(connector)),
        ))
    }

    /// Makes one call.
    ///
    /// # Errors
    /// When there is no answer: what the call wrote may be stored or not.
    pub async fn call(&self, request: Request<Full<Bytes>>) -> Result<Answered, Written> {
        tokio::time::timeout(CALL_TIMEOUT, self.answer(request)).await.unwrap_or_else(|_| {
            let why = format!("no answer within {} s", CALL_TIMEOUT.as_secs());
            Err(Written::Failed(Failure::Timeout, why))
        })
    }

    async fn answer(&self, request: Request<Full<Bytes>>) -> Result<Answered, Written> {
        let broke = |error: &(dyn std::error::Error + 'static)| {
            Written::Failed(Failure::Connection, telemetry::chain(error))
        };
        let answer = self.0.request(request).await.map_err(|error| broke(&error))?;
        let (head, body) = answer.into_parts();
        let body = match Limited::new(body, ANSWER_BYTES_MAX).collect().await {
            Ok(body) => body.to_bytes(),
            // Its status tells enough.
            Err(error) if error.is::<LengthLimitError>() => Bytes::new(),
            Err(error) => return Err(broke(&*error)),
        };
        Ok(Answered { status: head.status.as_u16(), headers: head.headers, body })
    }
}
