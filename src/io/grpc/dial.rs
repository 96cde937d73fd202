//! The agent's side.

use std::time::Duration;

use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{
    Request,
    metadata::MetadataValue,
    transport::{Certificate, Channel, ClientTlsConfig, Endpoint},
};

use super::{PING_INTERVAL, PING_TIMEOUT};
use crate::{
    io::{
        dns,
        link::{AgentEnd, DialError, GrpcDialer, SESSION_QUEUE},
        telemetry,
    },
    wire::{MESSAGE_BYTES_MAX, session::rally_client::RallyClient},
};

/// Longest time for a connection to be made, where there is nothing else to try.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// The same where there is: a name may still lead to a pod that is gone.
const CONNECT_TIMEOUT_FIRST: Duration = Duration::from_secs(2);
/// Longest time until the session stands.
const DIAL_TIMEOUT: Duration = Duration::from_secs(10);

/// Opens one session with the aggregator at `to`.
///
/// # Errors
/// When it cannot be reached, or turns this agent away.
pub async fn dial(to: &GrpcDialer) -> Result<AgentEnd, DialError> {
    tokio::time::timeout(DIAL_TIMEOUT, open(to))
        .await
        .unwrap_or_else(|_| Err(DialError::Unreachable("no answer in time".to_owned())))
}

async fn open(to: &GrpcDialer) -> Result<AgentEnd, DialError> {
    let mut bearer = MetadataValue::try_from(format!("Bearer {}", to.token))
        .map_err(|_| DialError::Denied("the token has characters no header may have".to_owned()))?;
    bearer.set_sensitive(true);
    let tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(&to.ca_pem));
    let channel = connect_any(to, &tls).await?;
    let (tx, outgoing) = mpsc::channel(SESSION_QUEUE);
    let (incoming, rx) = mpsc::channel(SESSION_QUEUE);
    let mut request = Request::new(ReceiverStream::new(outgoing));
    request.metadata_mut().insert("authorization", bearer);
    let mut stream = RallyClient::new(channel)
        .max_decoding_message_size(MESSAGE_BYTES_MAX)
        .max_encoding_message_size(MESSAGE_BYTES_MAX)
        .session(request)
        .await
        .map_err(|status| match status.code() {
            tonic::Code::Unauthenticated | tonic::Code::PermissionDenied => {
                DialError::Denied(status.message().to_owned())
            }
            _ => DialError::Unreachable(status.to_string()),
        })?
        .into_inner();
    tokio::spawn(async move {
        loop {
            let message = tokio::select! {
                () = incoming.closed() => break,
                message = stream.message() => message,
            };
            match message {
                Ok(Some(message)) => {
                    if incoming.send(message).await.is_err() {
                        break;
                    }
                }
                Ok(None) => break,
                Err(status) => {
                    tracing::debug!(%status, "session broke");
                    break;
                }
            }
        }
    });
    Ok(AgentEnd { tx, rx })
}

/// A connection to the first endpoint that takes one.
async fn connect_any(to: &GrpcDialer, tls: &ClientTlsConfig) -> Result<Channel, DialError> {
    let GrpcDialer { endpoints, service_domain, .. } = to;
    let mut failed = Vec::new();
    for (position, endpoint) in endpoints.iter().enumerate() {
        let is_last = position + 1 == endpoints.len();
        let timeout = if is_last { CONNECT_TIMEOUT } else { CONNECT_TIMEOUT_FIRST };
        match connect(endpoint, service_domain.as_deref(), tls.clone(), timeout).await {
            Ok(channel) => return Ok(channel),
            Err(why) => failed.push(format!("{endpoint}: {why}")),
        }
    }
    Err(DialError::Unreachable(failed.join("; ")))
}

async fn connect(
    to: &str,
    service_domain: Option<&str>,
    tls: ClientTlsConfig,
    timeout: Duration,
) -> Result<Channel, String> {
    let Some(authority) = to.strip_prefix("https://") else { return Err("not https".to_owned()) };
    let (host, port) = authority.rsplit_once(':').unwrap_or((authority, "443"));
    let whole = dns::whole_name(host, service_domain);
    // The certificate is for the name as it was given.
    let tls = tls.domain_name(host);
    Endpoint::from_shared(format!("https://{whole}:{port}"))
        .and_then(|endpoint| endpoint.tls_config(tls))
        .map_err(|error| telemetry::chain(&error))?
        .connect_timeout(timeout)
        .tcp_nodelay(true)
        .http2_keep_alive_interval(PING_INTERVAL)
        .keep_alive_timeout(PING_TIMEOUT)
        .keep_alive_while_idle(true)
        .connect()
        .await
        .map_err(|error| telemetry::chain(&error))
}
