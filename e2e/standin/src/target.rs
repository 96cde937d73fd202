//! A small HTTP load target for tests and the demo: fixed answers, delays, statuses, counters.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hyper::body::{Bytes, Incoming};
use hyper::{Method, Request, Response};
use serde_json::json;

use crate::serve::{self, Answer, Listen, Reply};

const BODY_BYTES_MAX: usize = 1024 * 1024;
const DELAY_MS_MAX: u64 = 60_000;
const COUNTERS_MAX: usize = 10_000;
const NAME_BYTES_MAX: usize = 100;

/// Named counters.
type Counts = Arc<Mutex<BTreeMap<String, u64>>>;

/// Runs the target until it is told to end.
pub(crate) async fn run(listen: Listen) -> io::Result<()> {
    let counts = Counts::default();
    serve::serve(listen, move |request| route(Arc::clone(&counts), request)).await
}

async fn route(counts: Counts, request: Request<Incoming>) -> Reply {
    let (head, body) = request.into_parts();
    let path = head.uri.path();
    let mut parts = path.trim_start_matches('/').splitn(2, '/');
    let (first, rest) = (parts.next().unwrap_or_default(), parts.next());
    // Bodies are read even where they mean nothing, so that the connection can be kept.
    let Some(body) = serve::body(body, BODY_BYTES_MAX).await else {
        return Ok(serve::plain(413, "the body is too large, or broke off\n"));
    };
    Ok(match (&head.method, first, rest) {
        (&Method::GET | &Method::HEAD, "", None) => serve::plain(200, "weir\n"),
        (&Method::GET, "healthz", None) => serve::plain(200, "ok\n"),
        (_, "status", Some(status)) => match status.parse() {
            Ok(status @ 200..=599) => serve::plain(status, format!("{status}\n")),
            Ok(_) | Err(_) => serve::plain(400, "a status lies between 200 and 599\n"),
        },
        (&Method::GET, "delay", Some(ms)) => delay(ms).await,
        (&Method::POST, "echo", None) => echo(&head.headers, body),
        (&Method::POST, "count", Some(name)) => count(&counts, name),
        (&Method::GET, "counts", None) => {
            serve::json(200, &json!(*counts.lock().unwrap_or_else(PoisonError::into_inner)))
        }
        (&Method::DELETE, "counts", None) => {
            counts.lock().unwrap_or_else(PoisonError::into_inner).clear();
            serve::json(200, &json!({}))
        }
        _ => serve::plain(404, "not found\n"),
    })
}

async fn delay(ms: &str) -> Response<Answer> {
    match ms.parse::<u64>() {
        Ok(ms) if ms <= DELAY_MS_MAX => {
            tokio::time::sleep(Duration::from_millis(ms)).await;
            serve::plain(200, format!("{ms}\n"))
        }
        Ok(_) | Err(_) => serve::plain(400, "a delay is at most 60000 milliseconds\n"),
    }
}

fn echo(headers: &hyper::HeaderMap, body: Bytes) -> Response<Answer> {
    let mut response = serve::text(200, "application/octet-stream", body);
    if let Some(kind) = headers.get("content-type") {
        response.headers_mut().insert("content-type", kind.clone());
    }
    response
}

fn count(counts: &Counts, name: &str) -> Response<Answer> {
    let mut counts = counts.lock().unwrap_or_else(PoisonError::into_inner);
    let is_new = !counts.contains_key(name);
    if name.is_empty() || name.len() > NAME_BYTES_MAX || (is_new && counts.len() >= COUNTERS_MAX) {
        return serve::plain(
            400,
            "a counter needs a name of 1 to 100 bytes; at most 10000 exist\n",
        );
    }
    let value = counts.entry(name.to_owned()).or_default();
    *value += 1;
    serve::plain(200, format!("{value}\n"))
}
