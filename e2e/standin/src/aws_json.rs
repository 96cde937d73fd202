//! The AWS JSON 1.0 protocol: which operation a request names, and how errors are answered.
//!
//! Source: the protocol page `aws-json-1_0` of the Smithy documentation, and the error sections of
//! `API_WriteRecords` with the statuses that clients have reported (419, 421, 429 among them).

use std::sync::atomic::{AtomicU64, Ordering};

use hyper::{HeaderMap, Response};
use serde_json::{Value as Json, json};

use crate::limits::Reject;
use crate::serve::{self, Answer};

const TARGET_PREFIX: &str = "Timestream_20181101.";
const CONTENT_TYPE: &str = "application/x-amz-json-1.0";

/// An error as the service sends it.
#[derive(Debug)]
pub(crate) struct ApiError {
    pub(crate) status: u16,
    pub(crate) code: &'static str,
    pub(crate) message: String,
    /// The rejected records with their places in the call.
    pub(crate) rejected: Vec<(usize, Reject)>,
}

impl ApiError {
    fn new(status: u16, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into(), rejected: Vec::new() }
    }

    pub(crate) fn validation(message: impl Into<String>) -> Self {
        Self::new(400, "ValidationException", message)
    }

    pub(crate) fn serialization(message: impl Into<String>) -> Self {
        Self::new(400, "SerializationException", message)
    }

    pub(crate) fn not_found(message: impl Into<String>) -> Self {
        Self::new(404, "ResourceNotFoundException", message)
    }

    pub(crate) fn conflict(message: impl Into<String>) -> Self {
        Self::new(409, "ConflictException", message)
    }

    pub(crate) fn unknown_operation() -> Self {
        Self::new(404, "UnknownOperationException", "")
    }

    pub(crate) fn access_denied() -> Self {
        let message = "The caller is not authorized to perform this timestream action.";
        Self::new(403, "AccessDeniedException", message)
    }

    pub(crate) fn signature(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(403, code, message)
    }

    pub(crate) fn invalid_endpoint() -> Self {
        let message = "The endpoint is not valid for this account; discover it again.";
        Self::new(421, "InvalidEndpointException", message)
    }

    pub(crate) fn throttled() -> Self {
        Self::new(429, "ThrottlingException", "The request was throttled; try it again.")
    }

    pub(crate) fn internal(message: impl Into<String>) -> Self {
        Self::new(500, "InternalServerException", message)
    }

    pub(crate) fn rejected(rejected: Vec<(usize, Reject)>) -> Self {
        let message = "One or more records have been rejected. See RejectedRecords for details.";
        Self { rejected, ..Self::new(419, "RejectedRecordsException", message) }
    }

    /// The error's response.
    pub(crate) fn answer(&self) -> Response<Answer> {
        let kind = format!("com.amazonaws.timestream.v20181101#{}", self.code);
        let mut body = json!({"__type": kind, "Message": self.message});
        if !self.rejected.is_empty() {
            body["RejectedRecords"] = self.rejected.iter().map(rejected_json).collect();
        }
        let mut response = respond(self.status, &body);
        if let Ok(code) = self.code.parse() {
            response.headers_mut().insert("x-amzn-errortype", code);
        }
        response
    }
}

/// The operation that a request names.
pub(crate) fn operation(headers: &HeaderMap) -> Result<&str, ApiError> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    if text("content-type") != Some(CONTENT_TYPE) {
        return Err(ApiError::unknown_operation());
    }
    let target = text("x-amz-target").and_then(|target| target.strip_prefix(TARGET_PREFIX));
    target.ok_or_else(ApiError::unknown_operation)
}

/// Reads a request's body as `T`.
pub(crate) fn parse<'a, T: serde::Deserialize<'a>>(body: &'a [u8]) -> Result<T, ApiError> {
    serde_json::from_slice(body).map_err(|error| ApiError::serialization(error.to_string()))
}

/// An answer of the API.
pub(crate) fn respond(status: u16, body: &Json) -> Response<Answer> {
    static REQUESTS: AtomicU64 = AtomicU64::new(1);
    let mut response = serve::text(status, CONTENT_TYPE, body.to_string());
    let id = format!("STANDIN{:019}", REQUESTS.fetch_add(1, Ordering::Relaxed));
    if let Ok(id) = id.parse() {
        response.headers_mut().insert("x-amzn-requestid", id);
    }
    response
}

fn rejected_json((index, reject): &(usize, Reject)) -> Json {
    let mut json = json!({"RecordIndex": index, "Reason": reject.text});
    if let Some(version) = reject.existing_version {
        json["ExistingVersion"] = version.into();
    }
    json
}
