//! What an answer of Timestream means for the records it is about.

use serde_json::Value;

use crate::core::pipeline::{
    batch::Record,
    retry::{Failure, Written},
    row::Refusal,
};

/// Longest part of an answer that is none of the service's to be shown.
const SAID_CHARS_MAX: usize = 400;

/// An answer to `WriteRecords`.
#[derive(Clone, Debug)]
pub struct Answer<'a> {
    status: u16,
    kind: Option<&'a str>,
    body: &'a [u8],
    /// What stands in the body; null where it is no JSON.
    json: Value,
}

impl<'a> Answer<'a> {
    /// An answer with this status, the header that names the error, and this body in AWS JSON 1.0.
    pub fn new(status: u16, kind: Option<&'a str>, body: &'a [u8]) -> Self {
        Self { status, kind, body, json: serde_json::from_slice(body).unwrap_or_default() }
    }

    const fn is_success(&self) -> bool {
        matches!(self.status, 200..300)
    }

    /// Whether the credentials of the call were too old.
    pub fn is_expired(&self) -> bool {
        !self.is_success() && is_expired(self.code())
    }

    /// The name of an error: `namespace#Name:url` in the header or the body, of which all but the name may be left out
    /// (AWS JSON 1.0 protocol, "Operation error serialization").
    fn code(&self) -> &str {
        let text = |name: &str| self.json.get(name).and_then(Value::as_str);
        let full = self.kind.or_else(|| text("__type")).or_else(|| text("code"));
        let name = full.unwrap_or_default().split(':').next().unwrap_or_default();
        name.rsplit('#').next().unwrap_or_default().trim()
    }

    fn said(&self) -> String {
        let message = ["message", "Message", "errorMessage"]
            .into_iter()
            .find_map(|name| self.json.get(name).and_then(Value::as_str));
        let status = self.status;
        match (self.code(), message) {
            ("", Some(message)) => format!("HTTP {status}: {message}"),
            ("", None) if self.json.is_null() && !self.body.is_empty() => {
                let text = String::from_utf8_lossy(self.body);
                let text: String = text.trim().chars().take(SAID_CHARS_MAX).collect();
                format!("HTTP {status}: {text}")
            }
            ("", None) => format!("HTTP {status}"),
            (code, Some(message)) => format!("{code}: {message}"),
            (code, None) => format!("{code} (HTTP {status})"),
        }
    }
}

fn is_expired(code: &str) -> bool {
    matches!(code, "ExpiredTokenException" | "RequestExpired")
}

/// What a call was about, for its message.
#[derive(Clone, Copy, Debug)]
pub struct Target<'a> {
    /// Name of the database.
    pub database: &'a str,
    /// Name of the table.
    pub table: &'a str,
}

/// What became of the call that should have written `records`.
pub fn of_answer(answer: &Answer<'_>, records: &[Record], target: Target<'_>) -> Written {
    if answer.is_success() {
        return if answer.json.is_object() || answer.body.is_empty() {
            Written::Stored
        } else {
            // Of something between: the records may be stored.
            Written::Failed(Failure::Connection, answer.said())
        };
    }
    let said = answer.said();
    match answer.code() {
        "RejectedRecordsException" => of_rejected(&answer.json, records, said),
        "InternalServerException" => Written::Failed(Failure::Server, said),
        "InvalidEndpointException" => Written::Failed(Failure::Endpoint, said),
        "ValidationException" => Written::Invalid(said),
        "AccessDeniedException" => Written::Fatal(denied(&said, target)),
        "ResourceNotFoundException" => Written::Fatal(missing(&said, target)),
        code => of_unknown(code, answer.status, said, target),
    }
}

/// Errors outside the service's model: of the front end, of the signature, of a proxy.
fn of_unknown(code: &str, status: u16, said: String, target: Target<'_>) -> Written {
    match (code, status) {
        // Temporary credentials are fetched anew.
        (code, _) if is_expired(code) => Written::Failed(Failure::Server, said),
        // The regional host answers so to calls that belong to a cell.
        ("UnknownOperationException", _) | (_, 421) => Written::Failed(Failure::Endpoint, said),
        ("ThrottlingException" | "TooManyRequestsException", _) | (_, 429) => {
            Written::Failed(Failure::Throttled, said)
        }
        (_, 408) => Written::Failed(Failure::Timeout, said),
        (_, 401 | 403) | ("UnrecognizedClientException" | "InvalidSignatureException", _) => {
            Written::Fatal(denied(&said, target))
        }
        (_, 400..=499) => Written::Invalid(said),
        _ => Written::Failed(Failure::Server, said),
    }
}

fn of_rejected(body: &Value, records: &[Record], said: String) -> Written {
    let rejected = body.get("RejectedRecords").and_then(Value::as_array);
    let mut refused = Vec::new();
    for record in rejected.into_iter().flatten() {
        let at = record.get("RecordIndex").and_then(Value::as_u64);
        let at = at.and_then(|at| usize::try_from(at).ok()).unwrap_or(usize::MAX);
        match records.get(at) {
            Some(written) => refused.push((at, refusal(record, written.time_ns))),
            // An index that points nowhere: find the record ourselves.
            None => return Written::Invalid(said),
        }
    }
    if refused.is_empty() { Written::Invalid(said) } else { Written::Partly(refused) }
}

/// The class of a rejection, by what stands in its text: Timestream has no code for it.
fn refusal(record: &Value, time_ns: i64) -> Refusal {
    let text = record.get("Reason").and_then(Value::as_str).unwrap_or_default();
    let reason = text.to_lowercase();
    let says = |words: &[&str]| words.iter().any(|word| reason.contains(word));
    if record.get("ExistingVersion").is_some_and(|version| !version.is_null()) || says(&["version"])
    {
        Refusal::VersionConflict
    } else if says(&["future", "ahead of", "too new"]) || is_past_range(text, time_ns) {
        Refusal::TooFarInFuture
    } else if says(&["retention", "time range", "too old", "older"]) {
        Refusal::TooOld
    } else if says(&["dimensions per", "number of dimensions", "too many dimensions"]) {
        Refusal::TooManyDimensions
    } else if says(&["exceed", "too large", "limit", "size"]) {
        Refusal::TooLarge
    } else {
        Refusal::Other
    }
}

/// Whether the time lies at or past the end of the range that the text names as `[from, to)`.
fn is_past_range(text: &str, time_ns: i64) -> bool {
    let range = text.split_once('[').and_then(|(_, rest)| rest.split_once(')'));
    let end = range.and_then(|(range, _)| range.split_once(',')).map(|(_, end)| end.trim());
    let end: Option<jiff::Timestamp> = end.and_then(|end| end.parse().ok());
    end.is_some_and(|end| i128::from(time_ns) >= end.as_nanosecond())
}

/// What a person can do who is told that a call is not allowed.
pub fn denied(said: &str, Target { database, table }: Target<'_>) -> String {
    format!(
        "Timestream denies access to table {table} of database {database}; allow timestream:WriteRecords and \
         timestream:DescribeEndpoints to the aggregator's identity (spec.aggregator.serviceAccountName): {said}"
    )
}

/// What a person can do who is told that the table is not there.
pub fn missing(said: &str, Target { database, table }: Target<'_>) -> String {
    format!(
        "Timestream has no table {table} in database {database}; create it, or set \
         spec.outputs[].timestream.create: {said}"
    )
}
