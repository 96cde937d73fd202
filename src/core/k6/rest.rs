//! The words of k6's REST API: bodies of requests and answers.

use std::collections::BTreeMap;

use prost::bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;

/// Path of the test's status.
pub const STATUS: &str = "/v1/status";
/// Path of setup() and its data.
pub const SETUP: &str = "/v1/setup";
/// Path of teardown().
pub const TEARDOWN: &str = "/v1/teardown";
/// Body that starts a paused test.
pub const RESUME_BODY: &str =
    r#"{"data":{"type":"status","id":"default","attributes":{"paused":false}}}"#;
/// Body that stops a test.
pub const STOP_BODY: &str =
    r#"{"data":{"type":"status","id":"default","attributes":{"stopped":true}}}"#;

/// Where a test stands in its own life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// VUs and executors are being initialised.
    Initialising,
    /// All VUs are initialised, and the test waits to be resumed.
    Paused,
    /// Iterations run.
    Running,
    /// The load is over, as planned.
    Ended,
    /// The load is over, cut short: stopped, aborted by the script, or failed.
    Interrupted,
    /// The load is over, and the script marked the test as failed.
    MarkedAsFailed,
}

/// An answer to `GET /v1/status`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status {
    /// Where the test stands.
    pub stage: Stage,
    /// VUs that are active now.
    pub vus: u64,
    /// VUs that are initialised.
    pub vus_max: u64,
}

/// Why an answer cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum AnswerError {
    /// Not the JSON that k6 answers.
    #[error("k6's REST API answered something else than expected")]
    Json(#[source] serde_json::Error),
}

#[derive(Deserialize)]
struct Envelope<T> {
    data: Resource<T>,
}

#[derive(Deserialize)]
struct Resource<T> {
    attributes: T,
}

#[derive(Deserialize)]
struct StatusAttributes {
    status: u32,
    #[serde(default)]
    vus: Option<u64>,
    #[serde(default, rename = "vus-max")]
    vus_max: Option<u64>,
}

#[derive(Deserialize)]
struct RawEnvelope<'a> {
    #[serde(borrow)]
    data: RawResource<'a>,
}

#[derive(Deserialize)]
struct RawResource<'a> {
    // By key, not into an optional field: a JSON null is data, a missing key is `undefined`.
    #[serde(borrow)]
    attributes: BTreeMap<&'a str, &'a RawValue>,
}

#[derive(Deserialize)]
struct Refusals {
    errors: Vec<Refusal>,
}

#[derive(Deserialize)]
struct Refusal {
    #[serde(default)]
    title: String,
    #[serde(default)]
    detail: String,
}

/// Reads the answer to `GET` or `PATCH /v1/status`.
///
/// # Errors
/// When it is not what k6 answers.
pub fn status(body: &[u8]) -> Result<Status, AnswerError> {
    let answer: Envelope<StatusAttributes> =
        serde_json::from_slice(body).map_err(AnswerError::Json)?;
    let attributes = answer.data.attributes;
    let stage = match attributes.status {
        0..=3 => Stage::Initialising,
        4 => Stage::Paused,
        5..=8 => Stage::Running,
        9 => Stage::Ended,
        11 => Stage::MarkedAsFailed,
        _ => Stage::Interrupted,
    };
    let (vus, vus_max) = (attributes.vus.unwrap_or(0), attributes.vus_max.unwrap_or(0));
    Ok(Status { stage, vus, vus_max })
}

/// Reads the answer to `POST /v1/setup`: the JSON that setup() returned; none for `undefined`.
///
/// # Errors
/// When it is not what k6 answers.
pub fn setup_data(body: &[u8]) -> Result<Option<Bytes>, AnswerError> {
    let answer: RawEnvelope<'_> = serde_json::from_slice(body).map_err(AnswerError::Json)?;
    let data = answer.data.attributes.get("data");
    Ok(data.map(|data| Bytes::copy_from_slice(data.get().as_bytes())))
}

/// The text of an answer that tells of an error; the body itself when it is of another form.
pub fn refusal(body: &[u8]) -> String {
    match serde_json::from_slice::<Refusals>(body) {
        Ok(refusals) => {
            let texts = refusals.errors.into_iter().map(|error| {
                let Refusal { title, detail } = error;
                if detail.is_empty() { title } else { detail }
            });
            texts.collect::<Vec<_>>().join("; ")
        }
        Err(_) => String::from_utf8_lossy(body).trim().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u32) -> String {
        format!(
            r#"{{"data":{{"type":"status","id":"default","attributes":{{"status":{status},
            "paused":true,"vus":3,"vus-max":4,"stopped":false,"running":false,"tainted":false}}}}}}"#
        )
    }

    #[test]
    fn each_status_number_has_its_stage() {
        let stages = (0..=12).map(|n| status(answer(n).as_bytes()).unwrap().stage);
        let stages = stages.collect::<Vec<_>>();
        assert!(stages[..4].iter().all(|stage| *stage == Stage::Initialising));
        assert_eq!(stages[4], Stage::Paused);
        assert!(stages[5..9].iter().all(|stage| *stage == Stage::Running));
        assert_eq!(
            stages[9..],
            [Stage::Ended, Stage::Interrupted, Stage::MarkedAsFailed, Stage::Interrupted,]
        );
        assert_eq!(status(answer(7).as_bytes()).unwrap().vus, 3);
    }

    #[test]
    fn setup_data_is_kept_to_the_byte() {
        let body = br#"{"data":{"type":"setupData","id":"default","attributes":{"data":{"b":1.0,"a":[null]}}}}"#;
        assert_eq!(setup_data(body).unwrap().unwrap(), r#"{"b":1.0,"a":[null]}"#);
    }

    #[test]
    fn null_is_data_and_undefined_is_none() {
        let null = br#"{"data":{"type":"setupData","attributes":{"data":null}}}"#;
        assert_eq!(setup_data(null).unwrap().unwrap(), "null");
        let undefined = br#"{"data":{"type":"setupData","attributes":{}}}"#;
        assert_eq!(setup_data(undefined).unwrap(), None);
    }

    #[test]
    fn an_errors_detail_is_its_text() {
        let body = br#"{"errors":[{"status":"500","title":"Error executing setup","detail":"Error: boom"}]}"#;
        assert_eq!(refusal(body), "Error: boom");
        assert_eq!(refusal(b" plain\n"), "plain");
    }
}
