//! What an answer to a write means for its lines.
//!
//! InfluxDB 2 refuses a call as a whole for one line that it cannot read (400), and stores all but those that clash with
//! what it has (422, which says how many, not which). InfluxDB 3 tells the refused lines by their numbers. Lines that are
//! written again are the same lines to both.

use serde::Deserialize;

use crate::core::pipeline::{
    retry::{Failure, PATIENCE_MS_MAX, Written},
    row::Refusal,
};

/// What InfluxDB 3 says of a call of which it has stored all lines but those that it names.
const PARTIAL: &str = "partial write of line protocol occurred";
/// Longest part of an answer that is shown.
const SAID_CHARS_MAX: usize = 400;

/// An answer.
#[derive(Clone, Copy, Debug)]
pub struct Answer<'a> {
    /// Its status.
    pub status: u16,
    /// The header `retry-after`.
    pub retry_after: Option<&'a str>,
    /// The header `location`.
    pub location: Option<&'a str>,
    /// Its body, or as much of it as was read.
    pub body: &'a [u8],
}

/// What became of a call with so many `lines` into `place`.
pub fn of_answer(answer: Answer<'_>, lines: usize, place: &str, now_unix_ms: i64) -> Written {
    let said = said(answer);
    match answer.status {
        204 => Written::Stored,
        200 if answer.body.is_empty() => Written::Stored,
        400 | 422 => of_refused(answer.body, lines, said),
        413 if lines <= 1 => all(lines, Refusal::TooLarge),
        413 => Written::Invalid(said),
        429 | 503 => match answer.retry_after.and_then(|text| retry_after_ms(text, now_unix_ms)) {
            Some(ms) => Written::Failed(Failure::ThrottledFor(ms), said),
            None if answer.status == 429 => Written::Failed(Failure::Throttled, said),
            None => Written::Failed(Failure::Server, said),
        },
        408 => Written::Failed(Failure::Timeout, said),
        // Of proxies: the connection to the server behind broke, or came too early.
        425 | 499 => Written::Failed(Failure::Connection, said),
        500..=599 => Written::Failed(Failure::Server, said),
        _ => Written::Fatal(hopeless(answer, place)),
    }
}

/// What a person can do about an answer that no later call will get better.
pub fn hopeless(answer: Answer<'_>, place: &str) -> String {
    let said = said(answer);
    match answer.status {
        401 => format!(
            "the server does not know the token for {place}; give a valid one by spec.outputs[].influxdb.tokenSecret: {said}"
        ),
        403 => format!(
            "the server denies writes to {place}; give a token that may write there by \
             spec.outputs[].influxdb.tokenSecret: {said}"
        ),
        404 => format!(
            "the server has no {place}, or no such API; create it, or correct url, api and names in \
             spec.outputs[].influxdb: {said}"
        ),
        415 => format!(
            "the server does not take lines in this form; set spec.outputs[].influxdb.compression to None, where it is \
             Gzip: {said}"
        ),
        300..=399 => format!(
            "the server sends writes elsewhere, to {}; set spec.outputs[].influxdb.url to where its API is: {said}",
            answer.location.unwrap_or("a place that it does not name")
        ),
        _ => format!(
            "this is no answer of InfluxDB's API for {place}; check spec.outputs[].influxdb.url and api: {said}"
        ),
    }
}

/// The status and what stands in the body.
pub fn said(answer: Answer<'_>) -> String {
    let text = message(answer.body);
    if text.is_empty() {
        format!("HTTP {}", answer.status)
    } else {
        format!("HTTP {}: {text}", answer.status)
    }
}

/// How long to wait, in milliseconds: seconds, or a date.
pub fn retry_after_ms(text: &str, now_unix_ms: i64) -> Option<u32> {
    let text = text.trim();
    let ms = if let Ok(seconds) = text.parse::<u32>() {
        i64::from(seconds) * 1000
    } else {
        let date = jiff::fmt::rfc2822::parse(text).ok()?;
        date.timestamp().as_millisecond().saturating_sub(now_unix_ms)
    };
    u32::try_from(ms.clamp(0, PATIENCE_MS_MAX)).ok()
}

/// A body as both versions have it.
#[derive(Debug, Default, Deserialize)]
struct Body {
    /// Version 2.
    #[serde(default)]
    message: Option<String>,
    /// Version 3.
    #[serde(default)]
    error: Option<String>,
    #[serde(default)]
    data: Option<serde_json::Value>,
}

/// One line that InfluxDB 3 refuses.
#[derive(Debug, Deserialize)]
struct Line {
    /// From 1.
    line_number: usize,
    error_message: String,
}

fn of_refused(body: &[u8], lines: usize, said: String) -> Written {
    let read: Body = serde_json::from_slice(body).unwrap_or_default();
    if read.error.as_deref() == Some(PARTIAL)
        && let Some(refused) = named(read.data, lines)
    {
        return Written::Partly(refused);
    }
    let text = read.message.unwrap_or_else(|| said.clone());
    if lines <= 1 || dropped(&text) == Some(lines) {
        return all(lines, refusal(&text));
    }
    Written::Invalid(said)
}

/// The refused lines by their places; none where the list cannot be right, and they must be found by halves.
fn named(data: Option<serde_json::Value>, lines: usize) -> Option<Vec<(usize, Refusal)>> {
    let listed: Vec<Line> = serde_json::from_value(data?).ok()?;
    let places = listed.iter().map(|line| {
        let at = line.line_number.checked_sub(1).filter(|at| *at < lines)?;
        Some((at, refusal(&line.error_message)))
    });
    let places: Vec<_> = places.collect::<Option<_>>()?;
    (!places.is_empty()).then_some(places)
}

fn all(lines: usize, refusal: Refusal) -> Written {
    Written::Partly((0..lines).map(|at| (at, refusal)).collect())
}

/// How many lines InfluxDB 2 says it has dropped.
fn dropped(text: &str) -> Option<usize> {
    let (_, rest) = text.rsplit_once("dropped=")?;
    let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    rest.get(..end)?.parse().ok()
}

/// The class of a refusal, by what stands in its text.
fn refusal(text: &str) -> Refusal {
    let text = text.to_lowercase();
    let says = |words: &[&str]| words.iter().any(|word| text.contains(word));
    if says(&["retention", "too old"]) {
        Refusal::TooOld
    } else if says(&["columns", "tag columns", "number of tags"]) {
        Refusal::TooManyDimensions
    } else if says(&["max key length", "too large", "too long"]) {
        Refusal::TooLarge
    } else {
        Refusal::Invalid
    }
}

/// What a body says: its message, or the beginning of whatever it is, on one line.
fn message(body: &[u8]) -> String {
    let read: Body = serde_json::from_slice(body).unwrap_or_default();
    let first_line = |data: Option<serde_json::Value>| {
        let lines: Vec<Line> = serde_json::from_value(data?).ok()?;
        lines
            .into_iter()
            .next()
            .map(|line| format!(": line {}: {}", line.line_number, line.error_message))
    };
    let text = match (read.message, read.error) {
        (Some(message), _) => message,
        (None, Some(error)) => error + &first_line(read.data).unwrap_or_default(),
        (None, None) => String::from_utf8_lossy(body).into_owned(),
    };
    let plain = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    plain.take(SAID_CHARS_MAX).collect::<String>().trim().to_owned()
}

#[cfg(test)]
mod tests;
