//! The output itself: one pool of connections to one server.

use futures::future::{BoxFuture, FutureExt};
use http_body_util::Full;
use hyper::{
    Request,
    header::{self, HeaderValue},
};
use prost::bytes::Bytes;

use super::{
    gzip::gzip,
    outcome::{self, Answer},
    probe,
    target::Target,
};
use crate::{
    api::v1alpha1::{InfluxDb, InfluxDbCompression},
    core::pipeline::{batch::Batch, line, retry::Written},
    io::clock,
    output::{
        http::{Answered, Http},
        output::{Output, Probe},
    },
};

/// Writes lines to one server.
#[derive(Debug)]
pub struct InfluxDbOutput {
    /// What every call needs, or why none can be made.
    base: Result<Base, String>,
}

#[derive(Debug)]
struct Base {
    target: Target,
    compression: InfluxDbCompression,
    http: Http,
}

/// What of an answer tells what came of the call.
pub(super) fn answer(answered: &Answered) -> Answer<'_> {
    Answer {
        status: answered.status,
        retry_after: answered.header(header::RETRY_AFTER),
        location: answered.header(header::LOCATION),
        body: &answered.body,
    }
}

impl InfluxDbOutput {
    /// An output to the server of `spec`; nothing is connected yet. `token` is what stands in the environment under the
    /// name `variable`.
    pub fn new(spec: &InfluxDb, variable: &str, token: Option<&str>) -> Self {
        let idle_max = usize::try_from(spec.max_concurrent_writes).unwrap_or(1);
        let base = Target::new(spec, variable, token).map_err(|error| error.to_string()).and_then(
            |target| {
                let is_tls = target.uri.scheme_str() == Some("https");
                let http = Http::new(is_tls, idle_max)?;
                Ok(Base { target, compression: spec.compression, http })
            },
        );
        Self { base }
    }

    /// The bucket or database, for messages.
    pub(super) fn place(&self) -> &str {
        self.base.as_ref().map_or("", |base| &base.target.place)
    }

    /// Whether lines go out compressed.
    pub(super) fn is_compressed(&self) -> bool {
        self.base.as_ref().is_ok_and(|base| base.compression == InfluxDbCompression::Gzip)
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
        let bytes = if self.is_compressed() {
            request = request.header(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
            compressed(lines).await?
        } else {
            lines.into_bytes()
        };
        let request = request
            .body(Full::new(Bytes::from(bytes)))
            .map_err(|error| Written::Fatal(error.to_string()))?;
        base.http.call(request).await
    }

    async fn write_batch(&self, batch: &Batch) -> Written {
        match self.post(line::body(&batch.records)).await {
            Ok(answered) => {
                let lines = batch.records.len();
                outcome::of_answer(answer(&answered), lines, self.place(), clock::unix_ms())
            }
            Err(written) => written,
        }
    }
}

/// The lines compressed, on a thread of its own: a full call takes milliseconds, in which the others of this process shall
/// not wait.
async fn compressed(lines: String) -> Result<Vec<u8>, Written> {
    let done = tokio::task::spawn_blocking(move || gzip(lines.as_bytes())).await;
    done.map_err(|error| error.to_string())
        .and_then(|bytes| bytes.map_err(|error| error.to_string()))
        .map_err(|why| Written::Fatal(format!("lines cannot be compressed: {why}")))
}

impl Output for InfluxDbOutput {
    fn probe(&self) -> BoxFuture<'_, Probe> {
        probe::probe(self).boxed()
    }

    fn write<'a>(&'a self, batch: &'a Batch) -> BoxFuture<'a, Written> {
        self.write_batch(batch).boxed()
    }
}

#[cfg(test)]
mod tests;
