//! Measure values: how the service reads them from their strings.
//!
//! Source: "Data types" and "Writes" of the Timestream developer guide: DOUBLE, BIGINT, VARCHAR,
//! BOOLEAN, and in multi-measure records TIMESTAMP; NaN and infinities cannot be written.

use serde_json::{Value as Json, json};

/// A stored measure value. Kept at 16 bytes, as millions of rows hold one each.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    Double(f64),
    BigInt(i64),
    Boolean(bool),
    Timestamp(i64),
    Long(Box<LongValue>),
}

/// The kinds of value that need an allocation.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum LongValue {
    Varchar(String),
    Multi(Vec<(String, Value)>),
}

impl Value {
    /// Reads `text` as the named type; the error says what is wrong with it.
    pub(crate) fn parse(kind: &str, text: &str) -> Result<Self, String> {
        match kind {
            "DOUBLE" => double(text).map(Self::Double),
            "BIGINT" => integer(text).map(Self::BigInt),
            "TIMESTAMP" => integer(text).map(Self::Timestamp),
            "BOOLEAN" => boolean(text).map(Self::Boolean),
            "VARCHAR" => Ok(Self::Long(Box::new(LongValue::Varchar(text.to_owned())))),
            other => Err(format!("Invalid measure value type: {other}")),
        }
    }

    /// A multi-measure value; its columns in a fixed order, so that equality is by content.
    pub(crate) fn multi(mut columns: Vec<(String, Value)>) -> Self {
        columns.sort_by(|a, b| a.0.cmp(&b.0));
        Self::Long(Box::new(LongValue::Multi(columns)))
    }

    /// The columns of a multi-measure value, none for a single measure.
    pub(crate) fn columns(&self) -> &[(String, Value)] {
        match self {
            Self::Long(long) => match &**long {
                LongValue::Multi(columns) => columns,
                LongValue::Varchar(_) => &[],
            },
            Self::Double(_) | Self::BigInt(_) | Self::Boolean(_) | Self::Timestamp(_) => &[],
        }
    }

    /// The type's name on the wire.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Double(_) => "DOUBLE",
            Self::BigInt(_) => "BIGINT",
            Self::Boolean(_) => "BOOLEAN",
            Self::Timestamp(_) => "TIMESTAMP",
            Self::Long(long) => match **long {
                LongValue::Varchar(_) => "VARCHAR",
                LongValue::Multi(_) => "MULTI",
            },
        }
    }

    /// Metered size in bytes. Source: "Metering and pricing, writes": 8 for numbers, 1 for
    /// booleans, the UTF-8 length for strings; a multi-measure record also pays its column names.
    pub(crate) fn size(&self) -> usize {
        match self {
            Self::Double(_) | Self::BigInt(_) | Self::Timestamp(_) => 8,
            Self::Boolean(_) => 1,
            Self::Long(long) => match &**long {
                LongValue::Varchar(text) => text.len(),
                LongValue::Multi(columns) => {
                    columns.iter().map(|(name, value)| name.len() + value.size()).sum()
                }
            },
        }
    }

    /// The value as JSON, for the read side.
    pub(crate) fn json(&self) -> Json {
        match self {
            Self::Double(number) => json!(number),
            Self::BigInt(number) | Self::Timestamp(number) => json!(number),
            Self::Boolean(flag) => json!(flag),
            Self::Long(long) => match &**long {
                LongValue::Varchar(text) => json!(text),
                LongValue::Multi(columns) => columns
                    .iter()
                    .map(|(name, value)| {
                        (name.clone(), json!({"type": value.kind(), "value": value.json()}))
                    })
                    .collect::<serde_json::Map<_, _>>()
                    .into(),
            },
        }
    }
}

fn double(text: &str) -> Result<f64, String> {
    let numeric = text.bytes().all(|b| b.is_ascii_digit() || b"+-.eE".contains(&b));
    match text.parse::<f64>() {
        Ok(number) if numeric && number.is_finite() => Ok(number),
        Ok(_) | Err(_) => Err(format!("The measure value is not a valid DOUBLE: {}", short(text))),
    }
}

fn integer(text: &str) -> Result<i64, String> {
    text.parse().map_err(|_| format!("The measure value is not a valid integer: {}", short(text)))
}

fn boolean(text: &str) -> Result<bool, String> {
    if text.eq_ignore_ascii_case("true") {
        Ok(true)
    } else if text.eq_ignore_ascii_case("false") {
        Ok(false)
    } else {
        Err(format!("The measure value is not a valid BOOLEAN: {}", short(text)))
    }
}

/// At most 40 characters of a value, for messages.
fn short(text: &str) -> String {
    text.chars().take(40).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_parse_by_type() {
        let cases = [
            ("DOUBLE", "1.5", true),
            ("DOUBLE", "-0.000001", true),
            ("DOUBLE", "1e300", true),
            ("DOUBLE", "1e400", false),
            ("DOUBLE", "NaN", false),
            ("DOUBLE", "nan", false),
            ("DOUBLE", "Infinity", false),
            ("DOUBLE", "inf", false),
            ("DOUBLE", "-Infinity", false),
            ("DOUBLE", "", false),
            ("DOUBLE", "1,5", false),
            ("BIGINT", "9223372036854775807", true),
            ("BIGINT", "9223372036854775808", false),
            ("BIGINT", "1.0", false),
            ("BOOLEAN", "true", true),
            ("BOOLEAN", "FALSE", true),
            ("BOOLEAN", "1", false),
            ("TIMESTAMP", "1700000000000", true),
            ("TIMESTAMP", "now", false),
            ("VARCHAR", "anything", true),
            ("MULTI", "1", false),
            ("FLOAT", "1", false),
        ];
        for (kind, text, good) in cases {
            assert_eq!(Value::parse(kind, text).is_ok(), good, "{kind} {text}");
        }
    }

    #[test]
    fn a_value_is_small_and_multi_equality_ignores_the_order() {
        assert_eq!(size_of::<Value>(), 16);
        let a = ("a".to_owned(), Value::BigInt(1));
        let b = ("b".to_owned(), Value::Boolean(true));
        assert_eq!(Value::multi(vec![a.clone(), b.clone()]), Value::multi(vec![b, a]));
    }
}
