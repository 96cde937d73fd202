//! What one record must satisfy before the table is asked: names, sizes, types and times.
//!
//! Sources, all of the Timestream developer guide: "Quotas" (`ts-limits`: sizes, counts, and the
//! naming rules), `API_WriteRecords`, `API_Record`, `API_Dimension`, `API_RejectedRecord`,
//! "Writes" (no NaN or infinity, common attributes, versions).
//!
//! The guide says that records beyond a limit or outside the retention are rejected one by one, and
//! that a malformed record fails the whole call (`ValidationException`). For names and values that
//! cannot be read it leaves open which of both it is; the stand-in fails the call, as that is what
//! clients have reported and what is harder for them; `--invalid-rejects-record` turns it round.

use crate::model::{MeasureValue, Record, text};
use crate::value::Value;

/// Most records of a call ("Quotas").
pub(crate) const RECORDS_MAX: usize = 100;
/// Largest record, and largest sum of dimension names and values, in bytes ("Quotas": 2 KB).
pub(crate) const RECORD_BYTES_MAX: usize = 2048;
/// Most dimensions of a record, and of a table over its life ("Quotas").
pub(crate) const DIMENSIONS_MAX: usize = 128;
/// Longest dimension name in bytes ("Quotas").
pub(crate) const DIMENSION_NAME_BYTES_MAX: usize = 60;
/// Longest measure name in bytes ("Quotas").
pub(crate) const MEASURE_NAME_BYTES_MAX: usize = 256;
/// Longest value of a dimension or of a measure, in characters (`API_Dimension`, `API_Record`).
pub(crate) const VALUE_CHARS_MAX: usize = 2048;
/// Most measures of a multi-measure record ("Quotas").
pub(crate) const MULTI_MEASURES_MAX: usize = 256;
/// How far in the future a record may lie ("Quotas": future ingestion period).
pub(crate) const FUTURE_NS_MAX: i64 = 15 * 60 * 1_000_000_000;

/// Why a record is rejected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Reason {
    Duplicate,
    LowerVersion,
    TooOld,
    TooNew,
    RecordTooLarge,
    DimensionsTooLarge,
    DimensionNameTooLong,
    MeasureNameTooLong,
    TooManyMeasures,
    TableDimensions,
    TableMeasures,
    TableColumns,
    ColumnConflict,
    Invalid,
}

impl Reason {
    /// The key under which `/stats` counts it.
    pub(crate) fn key(self) -> &'static str {
        match self {
            Self::Duplicate => "duplicate",
            Self::LowerVersion => "lower_version",
            Self::TooOld => "too_old",
            Self::TooNew => "too_new",
            Self::RecordTooLarge => "record_too_large",
            Self::DimensionsTooLarge => "dimensions_too_large",
            Self::DimensionNameTooLong => "dimension_name_too_long",
            Self::MeasureNameTooLong => "measure_name_too_long",
            Self::TooManyMeasures => "too_many_measures",
            Self::TableDimensions => "table_dimensions",
            Self::TableMeasures => "table_measures",
            Self::TableColumns => "table_columns",
            Self::ColumnConflict => "column_conflict",
            Self::Invalid => "invalid",
        }
    }
}

/// One rejected record: the reason, its text for the client, the version that stands in the way.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Reject {
    pub(crate) reason: Reason,
    pub(crate) text: String,
    pub(crate) existing_version: Option<i64>,
}

impl Reject {
    pub(crate) fn new(reason: Reason, text: impl Into<String>) -> Self {
        Self { reason, text: text.into(), existing_version: None }
    }
}

/// What is wrong with a record.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Fault {
    /// The record is malformed: the call fails.
    Malformed(String),
    /// A name or a value cannot be taken: the call fails, or the record, as configured.
    Invalid(String),
    /// The record is beyond a limit: it is rejected, the others are stored.
    Rejected(Reject),
}

/// A record that may be offered to its table.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Checked<'a> {
    /// Sorted by name.
    pub(crate) dimensions: Vec<(&'a str, &'a str)>,
    pub(crate) measure_name: &'a str,
    pub(crate) value: Value,
    pub(crate) time_ns: i64,
    pub(crate) version: i64,
}

/// Checks one record, with the call's common attributes merged in.
pub(crate) fn check<'a>(
    record: &'a Record<'_>,
    common: &'a Record<'_>,
) -> Result<Checked<'a>, Fault> {
    let dimensions = merge_dimensions(record, common)?;
    let measure_name = text(&record.measure_name).or(text(&common.measure_name));
    let Some(measure_name) = measure_name.filter(|name| !name.is_empty()) else {
        return Err(malformed("A measure name is required for a record."));
    };
    let time = text(&record.time).or(text(&common.time));
    let unit = text(&record.time_unit).or(text(&common.time_unit));
    let time_ns = time_ns(time, unit)?;
    let version = record.version.or(common.version).unwrap_or(1);
    if version < 1 {
        return Err(malformed("Invalid version for record: it must be 1 or more."));
    }
    let kind = text(&record.measure_value_type).or(text(&common.measure_value_type));
    let single = text(&record.measure_value).or(text(&common.measure_value));
    let columns = record.measure_values.as_ref().or(common.measure_values.as_ref());
    let columns = columns.map_or(&[][..], Vec::as_slice);
    let value = value(kind.unwrap_or("DOUBLE"), single, columns)?;
    let checked = Checked { dimensions, measure_name, value, time_ns, version };
    sizes(&checked).map_err(Fault::Rejected)?;
    Ok(checked)
}

/// Name plus value bytes of all dimensions.
pub(crate) fn dimension_bytes(dimensions: &[(&str, &str)]) -> usize {
    dimensions.iter().map(|(name, value)| name.len() + value.len()).sum()
}

fn malformed(text: impl Into<String>) -> Fault {
    Fault::Malformed(text.into())
}

/// The record's dimensions with the common ones, sorted. None may be in both (`API_WriteRecords`),
/// and there must be one at least ("At least one dimension is required for a record.").
fn merge_dimensions<'a>(
    record: &'a Record<'_>,
    common: &'a Record<'_>,
) -> Result<Vec<(&'a str, &'a str)>, Fault> {
    let lists = [record, common].into_iter().filter_map(|from| from.dimensions.as_ref());
    let mut merged = Vec::with_capacity(lists.clone().map(Vec::len).sum());
    for dimension in lists.flatten() {
        if text(&dimension.dimension_value_type).is_some_and(|kind| kind != "VARCHAR") {
            return Err(malformed("Dimension values can only be of type VARCHAR."));
        }
        let name = text(&dimension.name).unwrap_or_default();
        let value = text(&dimension.value).unwrap_or_default();
        if name.is_empty() || value.is_empty() {
            return Err(malformed("A dimension's name and value must not be empty."));
        }
        if value.len() > VALUE_CHARS_MAX && value.chars().count() > VALUE_CHARS_MAX {
            return Err(malformed("A dimension's value must have 2048 characters or fewer."));
        }
        column_name(name)?;
        if name.starts_with("measure_value") || name.contains(':') {
            let text = format!("The dimension name {name} is not allowed.");
            return Err(Fault::Invalid(text));
        }
        merged.push((name, value));
    }
    if merged.is_empty() {
        return Err(malformed("At least one dimension is required for a record."));
    }
    if merged.len() > DIMENSIONS_MAX {
        return Err(malformed("A record must have 128 dimensions or fewer."));
    }
    merged.sort_unstable();
    match merged.windows(2).find(|pair| pair[0].0 == pair[1].0) {
        Some(pair) => Err(malformed(format!("Duplicate dimension name: {}", pair[0].0))),
        None => Ok(merged),
    }
}

/// Names that no column may have: system identifiers ("Quotas", naming constraints).
fn column_name(name: &str) -> Result<(), Fault> {
    let is_reserved = ["measure_value", "ts_non_existent_col", "time"].contains(&name);
    if is_reserved || name.starts_with("ts_") || name.starts_with("measure_name") {
        return Err(Fault::Invalid(format!("The name {name} is a reserved system identifier.")));
    }
    Ok(())
}

/// The time in nanoseconds (`API_Record`: a string, in milliseconds unless a unit is given).
fn time_ns(time: Option<&str>, unit: Option<&str>) -> Result<i64, Fault> {
    let scale = match unit.unwrap_or("MILLISECONDS") {
        "SECONDS" => 1_000_000_000,
        "MILLISECONDS" => 1_000_000,
        "MICROSECONDS" => 1000,
        "NANOSECONDS" => 1,
        other => return Err(malformed(format!("Invalid time unit for record: {other}"))),
    };
    let number = time.filter(|text| text.len() <= 256).and_then(|text| text.parse::<i64>().ok());
    match number.and_then(|number| number.checked_mul(scale)) {
        Some(time_ns) if time_ns >= 0 => Ok(time_ns),
        Some(_) | None => Err(malformed("Invalid time for record.")),
    }
}

/// The measure value: a single one, or the columns of a `MULTI` record.
fn value(kind: &str, text: Option<&str>, columns: &[MeasureValue]) -> Result<Value, Fault> {
    if kind == "MULTI" {
        if text.is_some() || columns.is_empty() {
            return Err(malformed("A MULTI record has MeasureValues and no MeasureValue."));
        }
        return multi(columns);
    }
    if !columns.is_empty() {
        return Err(malformed("MeasureValues are only for records of type MULTI."));
    }
    if kind == "TIMESTAMP" {
        return Err(malformed("TIMESTAMP is only supported in multi-measure records."));
    }
    single(kind, text)
}

fn single(kind: &str, text: Option<&str>) -> Result<Value, Fault> {
    let Some(text) = text.filter(|text| !text.is_empty()) else {
        return Err(malformed("A measure value is required for a record."));
    };
    if text.chars().count() > VALUE_CHARS_MAX {
        return Err(malformed("A measure value must have 2048 characters or fewer."));
    }
    Value::parse(kind, text).map_err(Fault::Invalid)
}

fn multi(columns: &[MeasureValue]) -> Result<Value, Fault> {
    let mut parsed = Vec::with_capacity(columns.len());
    for column in columns {
        let name = text(&column.name).unwrap_or_default();
        if name.is_empty() {
            return Err(malformed("A measure's name must not be empty."));
        }
        column_name(name)?;
        let Some(kind) = text(&column.kind) else {
            return Err(malformed("A measure's type is required in a multi-measure record."));
        };
        parsed.push((name.to_owned(), single(kind, text(&column.value))?));
    }
    let value = Value::multi(parsed);
    match value.columns().windows(2).find(|pair| pair[0].0 == pair[1].0) {
        Some(pair) => Err(malformed(format!("Duplicate measure name: {}", pair[0].0))),
        None => Ok(value),
    }
}

/// The limits on sizes, which reject the record only.
fn sizes(record: &Checked) -> Result<(), Reject> {
    let too_long = |(name, _): &&(&str, &str)| name.len() > DIMENSION_NAME_BYTES_MAX;
    if let Some((name, _)) = record.dimensions.iter().find(too_long) {
        let text = format!("The dimension name {name} exceeds the limit of 60 bytes.");
        return Err(Reject::new(Reason::DimensionNameTooLong, text));
    }
    let columns = record.value.columns();
    let names = columns.iter().map(|(name, _)| name.as_str()).chain([record.measure_name]);
    if names.into_iter().any(|name| name.len() > MEASURE_NAME_BYTES_MAX) {
        let text = "The measure name exceeds the limit of 256 bytes.";
        return Err(Reject::new(Reason::MeasureNameTooLong, text));
    }
    if columns.len() > MULTI_MEASURES_MAX {
        let text = "The record exceeds the limit of 256 measures.";
        return Err(Reject::new(Reason::TooManyMeasures, text));
    }
    if dimension_bytes(&record.dimensions) > RECORD_BYTES_MAX {
        let text = "The dimension names and values exceed the limit of 2 KB.";
        return Err(Reject::new(Reason::DimensionsTooLarge, text));
    }
    if record_bytes(record) > RECORD_BYTES_MAX {
        return Err(Reject::new(Reason::RecordTooLarge, "The record exceeds the limit of 2 KB."));
    }
    Ok(())
}

/// The size of a merged record, counted as it is metered.
pub(crate) fn record_bytes(record: &Checked) -> usize {
    8 + dimension_bytes(&record.dimensions) + record.measure_name.len() + record.value.size()
}

#[cfg(test)]
mod tests;
