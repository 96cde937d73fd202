//! The HTTP server under the subcommands: bounded connections, bounded bodies, a graceful end.

use std::convert::Infallible;
use std::future::Future;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

/// The body of an answer.
pub(crate) type Answer = UnsyncBoxBody<Bytes, Infallible>;

/// How long open requests may take once the end was asked for.
const GRACE: Duration = Duration::from_secs(3);
/// How long a client may take for its request's head.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a client may take for its request's body.
const BODY_TIMEOUT: Duration = Duration::from_mins(1);

/// Where to listen.
#[derive(Args, Clone, Debug)]
pub(crate) struct Listen {
    /// Address and port; port 0 takes a free one
    #[arg(long, default_value = "127.0.0.1:0")]
    pub(crate) listen: SocketAddr,
    /// Write the port to this file once it is open
    #[arg(long)]
    pub(crate) port_file: Option<PathBuf>,
    /// Most connections at a time; further ones wait
    #[arg(long, default_value_t = 4096)]
    pub(crate) connections_max: usize,
}

/// The connection is to be closed without an answer.
#[derive(Debug)]
pub(crate) struct Cut;

impl std::fmt::Display for Cut {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the connection is cut on purpose")
    }
}

impl std::error::Error for Cut {}

/// What a handler gives back.
pub(crate) type Reply = Result<Response<Answer>, Cut>;

/// Serves `handler` until SIGTERM or SIGINT.
pub(crate) async fn serve<H, F>(listen: Listen, handler: H) -> io::Result<()>
where
    H: Fn(Request<Incoming>) -> F + Clone + Send + 'static,
    F: Future<Output = Reply> + Send + 'static,
{
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let listener = TcpListener::bind(listen.listen).await?;
    announce(listener.local_addr()?, listen.port_file.as_deref())?;
    let free = Arc::new(Semaphore::new(listen.connections_max.max(1)));
    let (stop, stopped) = watch::channel(());
    let mut open = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = accept(&listener, &free) => accepted,
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
        };
        while open.try_join_next().is_some() {}
        let Some((stream, permit)) = accepted else {
            continue;
        };
        let (handler, stopped) = (handler.clone(), stopped.clone());
        open.spawn(async move {
            connection(stream, handler, stopped).await;
            drop(permit);
        });
    }
    drop(listener);
    drop(stop);
    let drained = async { while open.join_next().await.is_some() {} };
    if tokio::time::timeout(GRACE, drained).await.is_err() {
        open.abort_all();
    }
    Ok(())
}

/// An answer with a body that is at hand.
pub(crate) fn text(status: u16, kind: &'static str, body: impl Into<Bytes>) -> Response<Answer> {
    let mut response = Response::new(Full::new(body.into()).boxed_unsync());
    *response.status_mut() =
        StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

/// A JSON answer.
pub(crate) fn json(status: u16, body: &serde_json::Value) -> Response<Answer> {
    text(status, "application/json", format!("{body}\n"))
}

/// A short answer for a person.
pub(crate) fn plain(status: u16, body: impl Into<Bytes>) -> Response<Answer> {
    text(status, "text/plain; charset=utf-8", body)
}

/// Reads a body of at most `bytes_max`; `None` if it is longer, breaks off, or takes too long.
pub(crate) async fn body(incoming: Incoming, bytes_max: usize) -> Option<Bytes> {
    let collected = Limited::new(incoming, bytes_max).collect();
    let collected = tokio::time::timeout(BODY_TIMEOUT, collected).await.ok()?;
    collected.ok().map(http_body_util::Collected::to_bytes)
}

/// The value of a query parameter, percent-decoded.
pub(crate) fn query(request: &hyper::Uri, name: &str) -> Option<String> {
    let mut pairs = request.query()?.split('&').filter_map(|pair| pair.split_once('='));
    pairs.find(|(key, _)| *key == name).map(|(_, value)| percent_decode(value))
}

fn percent_decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let digits = tail.get(..2).and_then(|digits| std::str::from_utf8(digits).ok());
        match digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) if *first == b'%' => {
                bytes.push(byte);
                rest = &tail[2..];
            }
            Some(_) | None => {
                bytes.push(if *first == b'+' { b' ' } else { *first });
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

async fn accept(
    listener: &TcpListener,
    free: &Arc<Semaphore>,
) -> Option<(TcpStream, tokio::sync::OwnedSemaphorePermit)> {
    let permit = Arc::clone(free).acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, _)) => Some((stream, permit)),
        Err(_) => {
            // Out of file descriptors, most likely: give others time to close.
            tokio::time::sleep(Duration::from_millis(50)).await;
            None
        }
    }
}

async fn connection<H, F>(stream: TcpStream, handler: H, mut stopped: watch::Receiver<()>)
where
    H: Fn(Request<Incoming>) -> F,
    F: Future<Output = Reply>,
{
    // Without it small answers wait for the client's delayed acknowledgement.
    let _ignored = stream.set_nodelay(true);
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT);
    let served = builder.serve_connection(TokioIo::new(stream), service_fn(handler));
    let mut served = pin!(served);
    // An error here is the client's, or a cut: the connection is closed either way.
    tokio::select! {
        _ = served.as_mut() => {}
        _ = stopped.changed() => {
            served.as_mut().graceful_shutdown();
            let _ignored = served.await;
        }
    }
}

/// Says where the server listens: on standard output, and in the port file if asked.
fn announce(address: SocketAddr, port_file: Option<&Path>) -> io::Result<()> {
    if let Some(path) = port_file {
        // Renamed into place, so that a reader never sees half a number.
        let part = path.with_extension("part");
        std::fs::write(&part, format!("{}\n", address.port()))?;
        std::fs::rename(&part, path)?;
    }
    let mut out = io::stdout().lock();
    writeln!(out, "listening on http://{address}")?;
    out.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn query_values_are_decoded() {
        let uri: hyper::Uri = "/rows?table=a.b&measure=x%20y+z%2&since=7".parse().expect("a URI");
        assert_eq!(query(&uri, "table").as_deref(), Some("a.b"));
        assert_eq!(query(&uri, "measure").as_deref(), Some("x y z%2"));
        assert_eq!(query(&uri, "none"), None);
    }
}
