//! One line of k6's JSON output.

use std::{borrow::Cow, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor},
};

use super::time;
use crate::core::ledger::view::{Contains, Kind};

/// One line of k6's JSON output.
#[derive(Clone, Debug, PartialEq)]
pub enum Line<'a> {
    /// A sample.
    Point(Point<'a>),
    /// The definition of a metric, once for each.
    Metric(Definition<'a>),
}

/// What a metric is, as k6 wrote it before the metric's first sample.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Definition<'a> {
    /// Its name.
    pub name: Cow<'a, str>,
    /// Its kind; none where the word is not one of k6's.
    pub kind: Option<Kind>,
    /// What its values are.
    pub contains: Contains,
}

/// One sample as k6 wrote it.
#[derive(Clone, Debug, PartialEq)]
pub struct Point<'a> {
    /// Name of the metric.
    pub metric: Cow<'a, str>,
    /// Unix time in nanoseconds.
    pub time_ns: i64,
    /// The measured value.
    pub value: f64,
    /// Names and values, in k6's order.
    pub tags: Pairs<'a>,
    /// Names and values of what k6 does not count as part of the series.
    pub metadata: Pairs<'a>,
}

/// Names and values.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Pairs<'a>(pub Vec<(Cow<'a, str>, Cow<'a, str>)>);

impl<'a> Pairs<'a> {
    /// Adds those whose names are missing, in their places by name, as k6 would have written them.
    pub fn add(&mut self, added: &'a [(String, String)]) {
        for (name, value) in added {
            let at = self.0.iter().position(|(other, _)| other.as_ref() >= name.as_str());
            let at = at.unwrap_or(self.0.len());
            if self.0.iter().all(|(other, _)| other != name) {
                self.0.insert(at, (Cow::Borrowed(name), Cow::Borrowed(value)));
            }
        }
    }
}

/// A line that is neither a sample nor a metric.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// Not JSON of k6's form.
    #[error("not a line of k6's JSON output")]
    Json(#[source] serde_json::Error),
    /// A type that k6 does not write.
    #[error("a line of type {0:?}")]
    Type(String),
    /// A line without its metric, or a sample without its time or value, or with a time that is none.
    #[error("a line without {0}")]
    Incomplete(&'static str),
}

#[derive(Deserialize)]
struct RawLine<'a> {
    #[serde(rename = "type", borrow)]
    kind: Cow<'a, str>,
    #[serde(borrow, default)]
    metric: Option<Text<'a>>,
    #[serde(borrow)]
    data: RawData<'a>,
}

#[derive(Deserialize)]
struct RawData<'a> {
    #[serde(borrow, default)]
    name: Option<Text<'a>>,
    #[serde(rename = "type", borrow, default)]
    kind: Option<Text<'a>>,
    #[serde(borrow, default)]
    contains: Option<Text<'a>>,
    #[serde(borrow, default)]
    time: Option<Text<'a>>,
    #[serde(default)]
    value: Option<f64>,
    #[serde(borrow, default)]
    tags: Option<Pairs<'a>>,
    #[serde(borrow, default)]
    metadata: Option<Pairs<'a>>,
}

/// Reads one line, without its line feed.
///
/// # Errors
/// When the line is neither a sample nor a metric.
pub fn decode(line: &[u8]) -> Result<Line<'_>, DecodeError> {
    let raw: RawLine<'_> = serde_json::from_slice(line).map_err(DecodeError::Json)?;
    match raw.kind.as_ref() {
        "Point" => {}
        "Metric" => return definition(raw).map(Line::Metric),
        _ => return Err(DecodeError::Type(raw.kind.into_owned())),
    }
    let time = raw.data.time.and_then(|Text(text)| time::parse_unix_ns(&text));
    let metric = raw.metric.map(|Text(name)| name);
    Ok(Line::Point(Point {
        metric: metric.ok_or(DecodeError::Incomplete("a metric"))?,
        time_ns: time.ok_or(DecodeError::Incomplete("a time"))?,
        value: raw.data.value.ok_or(DecodeError::Incomplete("a value"))?,
        tags: raw.data.tags.unwrap_or_default(),
        metadata: raw.data.metadata.unwrap_or_default(),
    }))
}

fn definition(raw: RawLine<'_>) -> Result<Definition<'_>, DecodeError> {
    let name = raw.data.name.or(raw.metric).ok_or(DecodeError::Incomplete("a metric"))?;
    let contains = raw.data.contains.and_then(|Text(word)| Contains::of_word(&word));
    Ok(Definition {
        name: name.0,
        kind: raw.data.kind.and_then(|Text(word)| Kind::of_word(&word)),
        contains: contains.unwrap_or_default(),
    })
}

impl<'de: 'a, 'a> Deserialize<'de> for Pairs<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(PairsVisitor)
    }
}

/// A string that borrows from the line where no escape stands in it.
#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

struct PairsVisitor;

impl<'de> Visitor<'de> for PairsVisitor {
    type Value = Pairs<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of strings")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut pairs = Vec::with_capacity(map.size_hint().unwrap_or(16));
        while let Some(Text(name)) = map.next_key()? {
            let Text(value) = map.next_value()?;
            pairs.push((name, value));
        }
        Ok(Pairs(pairs))
    }
}

#[cfg(test)]
mod tests;
