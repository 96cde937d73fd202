//! The aggregator's side.

use std::{
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use futures::{Stream, StreamExt, TryStreamExt, future::ready};
use subtle::ConstantTimeEq;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore, mpsc},
};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::{
    Request, Response, Status, Streaming,
    metadata::MetadataMap,
    transport::{Identity, Server, ServerTlsConfig, server::Connected},
};

use super::{PING_INTERVAL, PING_TIMEOUT};
use crate::{
    io::link::{AggregatorEnd, FromAgent, SESSION_QUEUE},
    wire::{
        MESSAGE_BYTES_MAX,
        session::{
            ToAgent, ToAggregator,
            rally_server::{Rally, RallyServer},
        },
    },
};

/// Streams one connection may carry: an agent needs one.
const STREAMS_MAX: u32 = 4;
/// Bytes that one agent may have on their way here before they are read: memory for each of thousands of agents.
const WINDOW_BYTES: u32 = 256 << 10;
/// Pause after a connection could not be accepted, for example for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What proves the aggregator to agents, and agents to the aggregator.
#[derive(Clone)]
pub struct Credentials {
    /// PEM of the certificate.
    pub cert_pem: String,
    /// PEM of its key.
    pub key_pem: String,
    /// Token that agents of the run know.
    pub token: String,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credentials").finish_non_exhaustive()
    }
}

/// Why the server ended.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// Certificate or key cannot be used, or the server broke.
    #[error("the session server cannot go on")]
    Transport(#[from] tonic::transport::Error),
}

/// Accepts sessions until `shutdown`, at most `connections_max` at once, and hands each to `sessions`.
///
/// # Errors
/// When certificate or key cannot be used.
pub async fn serve(
    listener: TcpListener,
    credentials: Credentials,
    connections_max: usize,
    sessions: mpsc::Sender<AggregatorEnd>,
    shutdown: CancellationToken,
) -> Result<(), ServeError> {
    let tls = ServerTlsConfig::new()
        .identity(Identity::from_pem(&credentials.cert_pem, &credentials.key_pem));
    let service = RallyServer::new(Service { token: credentials.token, sessions })
        .max_decoding_message_size(MESSAGE_BYTES_MAX)
        .max_encoding_message_size(MESSAGE_BYTES_MAX);
    let server = Server::builder()
        .tls_config(tls)?
        .http2_keepalive_interval(Some(PING_INTERVAL))
        .http2_keepalive_timeout(Some(PING_TIMEOUT))
        .max_concurrent_streams(STREAMS_MAX)
        .initial_stream_window_size(WINDOW_BYTES)
        .initial_connection_window_size(WINDOW_BYTES)
        .add_service(service)
        .serve_with_incoming(accept(listener, Arc::new(Semaphore::new(connections_max))));
    // Sessions are long-lived: whoever shuts down has ended those that matter.
    tokio::select! {
        () = shutdown.cancelled() => Ok(()),
        ended = server => Ok(ended?),
    }
}

struct Service {
    token: String,
    sessions: mpsc::Sender<AggregatorEnd>,
}

impl Service {
    fn check(&self, metadata: &MetadataMap) -> Result<(), Status> {
        let given = metadata
            .get("authorization")
            .and_then(|value| value.to_str().ok())
            .and_then(|value| value.strip_prefix("Bearer "))
            .unwrap_or_default();
        let is_right: bool = given.as_bytes().ct_eq(self.token.as_bytes()).into();
        // A run without a token has no agents.
        if is_right && !self.token.is_empty() {
            Ok(())
        } else {
            Err(Status::unauthenticated("the token is not the run's"))
        }
    }
}

#[tonic::async_trait]
impl Rally for Service {
    type SessionStream = Pin<Box<dyn Stream<Item = Result<ToAgent, Status>> + Send>>;

    async fn session(
        &self,
        request: Request<Streaming<ToAggregator>>,
    ) -> Result<Response<Self::SessionStream>, Status> {
        self.check(request.metadata())?;
        let (tx, outgoing) = mpsc::channel(SESSION_QUEUE);
        let rx = FromAgent::new(until_broken(request.into_inner()));
        self.sessions
            .send(AggregatorEnd { tx, rx })
            .await
            .map_err(|_| Status::unavailable("the run is over"))?;
        Ok(Response::new(ReceiverStream::new(outgoing).map(Ok).boxed()))
    }
}

/// The messages of a session, until it ends or breaks.
fn until_broken(
    messages: Streaming<ToAggregator>,
) -> impl Stream<Item = ToAggregator> + Send + 'static {
    let told = |status: &Status| tracing::debug!(%status, "session broke");
    let messages = messages.inspect_err(told).into_stream();
    messages.take_while(|message| ready(message.is_ok())).filter_map(|message| ready(message.ok()))
}

fn accept(
    listener: TcpListener,
    places: Arc<Semaphore>,
) -> impl Stream<Item = std::io::Result<Connection>> {
    futures::stream::unfold((listener, places), |(listener, places)| async move {
        let place = places.clone().acquire_owned().await.ok()?;
        loop {
            match listener.accept().await {
                Ok((stream, _)) => {
                    let connection =
                        stream.set_nodelay(true).map(|()| Connection { stream, _place: place });
                    return Some((connection, (listener, places)));
                }
                Err(error) => {
                    tracing::warn!(%error, "connection not accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    })
}

/// A connection that gives its place back when it is gone.
#[derive(Debug)]
struct Connection {
    stream: TcpStream,
    _place: OwnedSemaphorePermit,
}

impl Connected for Connection {
    type ConnectInfo = Option<SocketAddr>;

    fn connect_info(&self) -> Self::ConnectInfo {
        self.stream.peer_addr().ok()
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(cx, buf)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[std::io::IoSlice<'_>],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
mod tests;
