//! What an answer of Timestream means for the records it is about.

use aws_sdk_timestreamwrite::{
    error::{ProvideErrorMetadata, SdkError},
    operation::write_records::WriteRecordsError,
    types::RejectedRecord,
};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;

use crate::{
    core::pipeline::{
        batch::Record,
        retry::{Failure, Written},
        row::Refusal,
    },
    io::telemetry,
};

/// What a call was about, for its message.
#[derive(Clone, Copy, Debug)]
pub struct Target<'a> {
    /// Name of the database.
    pub database: &'a str,
    /// Name of the table.
    pub table: &'a str,
}

/// What became of the call that should have written `records` and failed with `error`.
pub fn of_error(
    error: &SdkError<WriteRecordsError, HttpResponse>,
    records: &[Record],
    target: Target<'_>,
) -> Written {
    match error {
        SdkError::ServiceError(service) => {
            of_service_error(service.err(), service.raw().status().as_u16(), records, target)
        }
        SdkError::TimeoutError(_) => Written::Failed(Failure::Timeout, text(error)),
        SdkError::DispatchFailure(failure) if failure.is_timeout() => {
            Written::Failed(Failure::Timeout, text(error))
        }
        // Among them an answer that could not be read: the records may be stored.
        _ => Written::Failed(Failure::Connection, text(error)),
    }
}

fn of_service_error(
    error: &WriteRecordsError,
    status: u16,
    records: &[Record],
    target: Target<'_>,
) -> Written {
    let said = said(error, status);
    match error {
        WriteRecordsError::RejectedRecordsException(rejected) => {
            of_rejected(rejected.rejected_records(), records, said)
        }
        WriteRecordsError::ThrottlingException(_) => Written::Failed(Failure::Throttled, said),
        WriteRecordsError::InternalServerException(_) => Written::Failed(Failure::Server, said),
        WriteRecordsError::InvalidEndpointException(_) => Written::Failed(Failure::Endpoint, said),
        WriteRecordsError::ValidationException(_) => Written::Invalid(said),
        WriteRecordsError::AccessDeniedException(_) => Written::Fatal(denied(&said, target)),
        WriteRecordsError::ResourceNotFoundException(_) => Written::Fatal(missing(&said, target)),
        other => of_unknown(other.code().unwrap_or_default(), status, said, target),
    }
}

/// Errors outside the service's model: of the front end, of the signature, of a proxy.
fn of_unknown(code: &str, status: u16, said: String, target: Target<'_>) -> Written {
    match (code, status) {
        // Temporary credentials are fetched anew by the chain.
        ("ExpiredTokenException" | "RequestExpired", _) => Written::Failed(Failure::Server, said),
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

fn of_rejected(rejected: &[RejectedRecord], records: &[Record], said: String) -> Written {
    let mut refused = Vec::with_capacity(rejected.len());
    for record in rejected {
        let at = usize::try_from(record.record_index()).unwrap_or(usize::MAX);
        match records.get(at) {
            Some(written) => refused.push((at, refusal(record, written.time_ns))),
            // An index that points nowhere: find the record ourselves.
            None => return Written::Invalid(said),
        }
    }
    if refused.is_empty() { Written::Invalid(said) } else { Written::Partly(refused) }
}

/// The class of a rejection, by what stands in its text: Timestream has no code for it.
fn refusal(record: &RejectedRecord, time_ns: i64) -> Refusal {
    let text = record.reason().unwrap_or_default();
    let reason = text.to_lowercase();
    let says = |words: &[&str]| words.iter().any(|word| reason.contains(word));
    if record.existing_version().is_some() || says(&["version"]) {
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

fn said(error: &WriteRecordsError, status: u16) -> String {
    match (error.code(), error.message()) {
        (Some(code), Some(message)) => format!("{code}: {message}"),
        (Some(code), None) => format!("{code} (HTTP {status})"),
        (None, Some(message)) => format!("HTTP {status}: {message}"),
        (None, None) => format!("HTTP {status}"),
    }
}

fn text(error: &SdkError<WriteRecordsError, HttpResponse>) -> String {
    telemetry::chain(error)
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
