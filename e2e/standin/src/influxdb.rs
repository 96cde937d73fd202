//! What stands before a server that takes InfluxDB's line protocol: it asks for the token, which VictoriaMetrics does not
//! do, and plays faults. Lines are the business of the server behind it. Reads need no token: tests make them through the
//! proxy of an apiserver, which takes `Authorization` for its own.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use clap::Args;
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE};
use hyper::http::request::Parts;
use hyper::{Method, Request, Response};
use serde::Serialize;
use serde_json::json;

use crate::client;
use crate::faults::{Faults, Faulty, Plan};
use crate::serve::{self, Answer, Cut, Listen, Reply};
use crate::timestream::now_ms;

/// Largest body of a call.
const BODY_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Settings of the front.
#[derive(Args, Clone, Debug)]
pub(crate) struct Settings {
    #[command(flatten)]
    listen: Listen,
    /// Address and port of the server behind
    #[arg(long)]
    upstream: SocketAddr,
    /// The token that opens it, as InfluxDB 2 (`Token …`) and 3 (`Bearer …`) are given it
    #[arg(long)]
    token: String,
    #[command(flatten)]
    faults: Faults,
}

/// What has happened so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
struct Stats {
    /// Calls with lines.
    calls: u64,
    /// Those of them that are compressed.
    compressed: u64,
    bytes_received: u64,
    /// Calls without a line.
    probes: u64,
    unauthorized: u64,
    refused_down: u64,
    cut: u64,
    denied: u64,
    throttled: u64,
    failed: u64,
    cut_after_apply: u64,
}

/// The state that all connections share.
#[derive(Debug)]
struct Front {
    upstream: String,
    token: String,
    faults: Mutex<Faulty>,
    stats: Mutex<Stats>,
}

/// Runs the front until it is told to end.
pub(crate) async fn run(settings: Settings) -> io::Result<()> {
    let listen = settings.listen.clone();
    let front = Arc::new(Front::new(settings)?);
    serve::serve(listen, move |request| route(Arc::clone(&front), request)).await
}

async fn route(front: Arc<Front>, request: Request<Incoming>) -> Reply {
    let (head, body) = request.into_parts();
    match (&head.method, head.uri.path()) {
        (&Method::GET, "/healthz") => Ok(front.read("/health").await),
        (&Method::GET, "/stats") => Ok(serve::json(200, &json!(*front.stats()))),
        (&Method::GET, _) => Ok(front.read(&head.uri.to_string()).await),
        (&Method::POST, _) => match serve::body(body, BODY_BYTES_MAX).await {
            Some(body) => front.call(&head, body).await,
            None => Ok(serve::plain(413, "the body is too large, or broke off\n")),
        },
        _ => Ok(serve::plain(404, "there is nothing here; see the README of weir-standin\n")),
    }
}

impl Front {
    fn new(settings: Settings) -> io::Result<Self> {
        if settings.faults.invalid_endpoint {
            return Err(io::Error::other("--invalid-endpoint is a fault of Timestream alone"));
        }
        let mut faults = Faulty::default();
        faults.set(settings.faults, now_ms()).map_err(io::Error::other)?;
        Ok(Self {
            upstream: settings.upstream.to_string(),
            token: settings.token,
            faults: Mutex::new(faults),
            stats: Mutex::default(),
        })
    }

    /// What the server behind answers to a GET.
    async fn read(&self, path: &str) -> Response<Answer> {
        let request = Request::get(path).body(Full::default()).map_err(io::Error::other);
        match request.map(|request| client::send(&self.upstream, request)) {
            Ok(answer) => answer.await.map_or_else(bad_gateway, relayed),
            Err(error) => bad_gateway(error),
        }
    }

    /// One call of the API. A probe, which has no lines, meets no fault, so that those of a seed are always the same writes'.
    async fn call(&self, head: &Parts, body: Bytes) -> Reply {
        let plan = if body.is_empty() { Plan::default() } else { self.faults().plan(now_ms()) };
        tokio::time::sleep(Duration::from_millis(plan.latency_ms)).await;
        if let Some(refused) = self.refusal(head, &body, plan) {
            return refused;
        }
        let answer = client::send(&self.upstream, forwarded(head, body)).await;
        if plan.is_cut_after_apply {
            self.stats().cut_after_apply += 1;
            return Err(Cut);
        }
        Ok(answer.map_or_else(bad_gateway, relayed))
    }

    /// What is done to a call in place of passing it on.
    fn refusal(&self, head: &Parts, body: &Bytes, plan: Plan) -> Option<Reply> {
        let mut stats = self.stats();
        stats.bytes_received += body.len() as u64;
        if plan.is_down || plan.is_cut {
            stats.refused_down += u64::from(plan.is_down);
            stats.cut += u64::from(!plan.is_down);
            return Some(Err(Cut));
        }
        let given = head.headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
        let token = given.and_then(|given| given.split_once(' '));
        if !token.is_some_and(|(scheme, token)| {
            ["Token", "Bearer"].contains(&scheme) && token == self.token
        }) {
            stats.unauthorized += 1;
            return Some(Ok(refused(401, "unauthorized", "unauthorized access")));
        }
        if body.is_empty() {
            stats.probes += 1;
            return None;
        }
        stats.calls += 1;
        stats.compressed += u64::from(head.headers.contains_key(CONTENT_ENCODING));
        let (count, answer) = if plan.is_denied {
            (&mut stats.denied, refused(403, "forbidden", "insufficient permissions for write"))
        } else if plan.is_throttled {
            (&mut stats.throttled, refused(429, "too many requests", "the rate is exceeded"))
        } else if plan.is_failed {
            (&mut stats.failed, refused(500, "internal error", "the server met a fault"))
        } else {
            return None;
        };
        *count += 1;
        Some(Ok(answer))
    }

    fn faults(&self) -> MutexGuard<'_, Faulty> {
        self.faults.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn stats(&self) -> MutexGuard<'_, Stats> {
        self.stats.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An error as InfluxDB 2 tells it.
fn refused(status: u16, code: &str, message: &str) -> Response<Answer> {
    serve::json(status, &json!({"code": code, "message": message}))
}

/// The call as the server behind gets it: all that it needs, without the token.
fn forwarded(head: &Parts, body: Bytes) -> Request<Full<Bytes>> {
    let mut request = Request::new(Full::new(body));
    *request.method_mut() = head.method.clone();
    *request.uri_mut() = head.uri.clone();
    for name in [CONTENT_TYPE, CONTENT_ENCODING] {
        if let Some(value) = head.headers.get(&name) {
            request.headers_mut().insert(name, value.clone());
        }
    }
    request
}

fn relayed(answer: Response<Bytes>) -> Response<Answer> {
    let status = answer.status().as_u16();
    serve::plain(status, answer.into_body())
}

#[expect(clippy::needless_pass_by_value, reason = "it ends a chain of results")]
fn bad_gateway(error: io::Error) -> Response<Answer> {
    refused(502, "bad gateway", &format!("the server behind does not answer: {error}"))
}

#[cfg(test)]
mod tests;
