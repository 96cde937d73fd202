//! What a sample becomes: a single-measure row, named so that Timestream takes it.
//!
//! The rule for names and values that Timestream cannot take, in full:
//! - A tag with an empty value is no dimension, nor is one that the output leaves out. A series without the tag
//!   `instance_id` gets the runner's.
//! - A dimension name that Timestream reserves (`time`, `measure_value…`, `measure_name…`, `ts_…`) is prefixed: `k6_time`.
//! - A dimension name that holds `:`, or is longer than 60 bytes with or without that prefix, becomes `k6_`, as much of
//!   the name as fits (`:` as `_`), `_` and eight hex digits of the name's hash. The hash also goes to a prefixed name
//!   whose plain form is taken by another tag of the same series.
//! - A metric name longer than 256 bytes is cut the same way, without prefix.
//! - While dimensions, metric, time and value exceed 2 KB, the longest dimension value is cut to what fits (at least 32
//!   bytes of it stay), `~` and sixteen hex digits of the whole value's hash, so that equal values stay equal and
//!   different ones different.
//! - What still cannot be written is refused with a [`Refusal`]: more than 128 dimensions, a record over 2 KB, a value
//!   that is not finite, a time before 1970.

use std::{collections::BTreeSet, sync::Arc};

use super::rolled::{COLUMNS, HISTOGRAM};
use crate::core::{dimensions::Kept, samples::rollup::histogram::TEXT_BYTES_MAX};

/// Longest name of a dimension in bytes.
pub const DIMENSION_NAME_BYTES_MAX: usize = 60;
/// Longest name of a measure in bytes.
pub const MEASURE_NAME_BYTES_MAX: usize = 256;
/// Most dimensions of a record.
pub const DIMENSIONS_MAX: usize = 128;
/// Largest record in bytes.
pub const RECORD_BYTES_MAX: usize = 2048;
/// What time and value take of a record at most: 8 bytes and the longest text of a double.
const TIME_VALUE_BYTES: usize = 8 + 24;
/// What stays of a dimension value that is cut.
const VALUE_KEPT_BYTES_MIN: usize = 32;
const PREFIX: &str = "k6_";

/// Why a sample is refused for good, by an output or before one is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Refusal {
    /// The value is NaN or infinite.
    NotFinite,
    /// The time lies before 1970.
    InvalidTime,
    /// The frame's indices make no sense for this sample.
    Malformed,
    /// More dimensions than a record may have.
    TooManyDimensions,
    /// Larger than a record may be.
    TooLarge,
    /// Another value is stored under the same dimensions, measure and time.
    VersionConflict,
    /// Older than the table takes.
    TooOld,
    /// Further in the future than the table takes.
    TooFarInFuture,
    /// The output calls the record invalid.
    Invalid,
    /// The output gave another reason.
    Other,
    /// The output cannot be written to any more.
    OutputFailed,
}

impl Refusal {
    /// The word under which the refusal is counted.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NotFinite => "NotFinite",
            Self::InvalidTime => "InvalidTime",
            Self::Malformed => "Malformed",
            Self::TooManyDimensions => "TooManyDimensions",
            Self::TooLarge => "TooLarge",
            Self::VersionConflict => "VersionConflict",
            Self::TooOld => "TooOld",
            Self::TooFarInFuture => "TooFarInFuture",
            Self::Invalid => "Invalid",
            Self::Other => "Other",
            Self::OutputFailed => "OutputFailed",
        }
    }
}

/// A metric with its tags, as the runner sent them.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Series {
    /// Name of the metric.
    pub metric: Arc<str>,
    /// Names and values, sorted by name, each name once, no value empty.
    pub dimensions: Vec<(Arc<str>, Arc<str>)>,
}

/// A series as rows carry it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Row {
    /// Names and values, sorted by name. First, so that in the order of rows those come together that share most.
    pub dimensions: Vec<(Arc<str>, Arc<str>)>,
    /// Name of the measure.
    pub measure: Arc<str>,
    /// Whether a value had to be cut.
    pub shortened: bool,
}

/// Maps a series to the row that carries it, with the dimensions that are `kept`, or tells why none can.
///
/// # Errors
/// When no rule makes the series fit.
pub fn samples_row(series: &Series, kept: &Kept) -> Result<Row, Refusal> {
    let wanted = kept.of_series(&series.dimensions);
    if wanted.len() > DIMENSIONS_MAX {
        return Err(Refusal::TooManyDimensions);
    }
    let measure = measure_name(&series.metric);
    let mut dimensions = columns(wanted, &is_plain);
    dimensions.sort();
    let fixed = measure.len() + TIME_VALUE_BYTES;
    let shortened = shorten(&mut dimensions, RECORD_BYTES_MAX.saturating_sub(fixed))?;
    Ok(Row { dimensions, measure, shortened })
}

/// What the columns of a row of a second take at most besides its dimensions: numbers as text, names, the histogram.
const COLUMNS_BYTES_MAX: usize = 8 + 5 * (24 + 5) + HISTOGRAM.len() + TEXT_BYTES_MAX;

/// The same for rows of a second; their dimensions are those that the output keeps.
///
/// # Errors
/// When no rule makes the series fit.
pub fn rollup_row(series: &Series) -> Result<Row, Refusal> {
    if series.dimensions.len() > DIMENSIONS_MAX {
        return Err(Refusal::TooManyDimensions);
    }
    let measure = measure_name(&series.metric);
    let mut dimensions = rollup_columns(series.dimensions.clone());
    dimensions.sort();
    let fixed = measure.len() + COLUMNS_BYTES_MAX;
    let shortened = shorten(&mut dimensions, RECORD_BYTES_MAX.saturating_sub(fixed))?;
    Ok(Row { dimensions, measure, shortened })
}

/// Dimensions of rows of a second under the names of their columns.
pub fn rollup_columns(dimensions: Vec<(Arc<str>, Arc<str>)>) -> Vec<(Arc<str>, Arc<str>)> {
    columns(dimensions, &|name| is_plain(name) && !COLUMNS.contains(&name))
}

/// A name as it is, if it may be one that another tag gets for want of its own (`time` becomes `k6_time`): equal for the
/// two. Others share it as well, so it tells what may be one column and not what is.
pub fn perhaps_column(name: &str) -> &str {
    name.strip_prefix(PREFIX).unwrap_or(name)
}

/// The shortest text that reads back as the same finite number. Very large and very small numbers are written with an
/// exponent.
pub fn value_text(value: f64, buffer: &mut zmij::Buffer) -> &str {
    let text = buffer.format_finite(value);
    text.strip_suffix(".0").unwrap_or(text)
}

fn measure_name(metric: &Arc<str>) -> Arc<str> {
    if metric.len() <= MEASURE_NAME_BYTES_MAX {
        return metric.clone();
    }
    let kept = cut(metric, MEASURE_NAME_BYTES_MAX - 9);
    format!("{kept}_{}", short_hash(metric)).into()
}

/// The dimensions under the names that their columns have.
fn columns(
    dimensions: Vec<(Arc<str>, Arc<str>)>,
    is_plain: &dyn Fn(&str) -> bool,
) -> Vec<(Arc<str>, Arc<str>)> {
    renamed(dimensions, is_plain, &|name| dimension_name(name, is_plain), hashed_name)
}

/// The dimensions with other names for those that are not plain; the hashed one where another has the better name.
pub(super) fn renamed(
    dimensions: Vec<(Arc<str>, Arc<str>)>,
    is_plain: &dyn Fn(&str) -> bool,
    better: &dyn Fn(&Arc<str>) -> Arc<str>,
    hashed: fn(&str) -> Arc<str>,
) -> Vec<(Arc<str>, Arc<str>)> {
    if dimensions.iter().all(|(name, _)| is_plain(name)) {
        return dimensions;
    }
    let mut taken: BTreeSet<Arc<str>> =
        dimensions.iter().map(|(name, _)| name.clone()).filter(|n| is_plain(n)).collect();
    let mut renamed = Vec::with_capacity(dimensions.len());
    for (name, value) in dimensions {
        let mut column = better(&name);
        if !is_plain(&name) && !taken.insert(column.clone()) {
            column = hashed(&name);
            taken.insert(column.clone());
        }
        renamed.push((column, value));
    }
    renamed
}

fn is_plain(name: &str) -> bool {
    !is_reserved(name) && fits(name)
}

fn is_reserved(name: &str) -> bool {
    name == "time"
        || name.starts_with("ts_")
        || name.starts_with("measure_name")
        || name.starts_with("measure_value")
}

fn fits(name: &str) -> bool {
    !name.is_empty() && name.len() <= DIMENSION_NAME_BYTES_MAX && !name.contains(':')
}

fn dimension_name(name: &Arc<str>, is_plain: &dyn Fn(&str) -> bool) -> Arc<str> {
    if is_plain(name) {
        return name.clone();
    }
    if fits(name) && name.len() + PREFIX.len() <= DIMENSION_NAME_BYTES_MAX {
        return format!("{PREFIX}{name}").into();
    }
    hashed_name(name)
}

fn hashed_name(name: &str) -> Arc<str> {
    let kept = cut(name, DIMENSION_NAME_BYTES_MAX - PREFIX.len() - 9).replace(':', "_");
    format!("{PREFIX}{kept}_{}", short_hash(name)).into()
}

/// Cuts values, the longest first, until names and values take no more than `bytes_max`.
pub(super) fn shorten(
    dimensions: &mut [(Arc<str>, Arc<str>)],
    bytes_max: usize,
) -> Result<bool, Refusal> {
    const MARK_BYTES: usize = 1 + 16;
    let mut bytes: usize = dimensions.iter().map(|(name, value)| name.len() + value.len()).sum();
    if bytes <= bytes_max {
        return Ok(false);
    }
    let mut order: Vec<usize> = (0..dimensions.len()).collect();
    order.sort_by_key(|at| std::cmp::Reverse(dimensions.get(*at).map_or(0, |(_, v)| v.len())));
    for at in order {
        let Some((_, value)) = dimensions.get_mut(at) else { continue };
        if value.len() <= VALUE_KEPT_BYTES_MIN + MARK_BYTES {
            break;
        }
        let excess = bytes - bytes_max;
        let target = value.len().saturating_sub(excess).max(VALUE_KEPT_BYTES_MIN + MARK_BYTES);
        let kept = cut(value, target - MARK_BYTES);
        let short: Arc<str> = format!("{kept}~{:016x}", hash(value)).into();
        bytes = bytes - value.len() + short.len();
        *value = short;
        if bytes <= bytes_max {
            return Ok(true);
        }
    }
    Err(Refusal::TooLarge)
}

/// The longest prefix of at most `bytes_max` bytes that ends between characters.
fn cut(text: &str, bytes_max: usize) -> &str {
    let mut end = text.len().min(bytes_max);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or_default()
}

pub(super) fn short_hash(text: &str) -> String {
    let hash = hash(text);
    format!("{:08x}", (hash >> 32) ^ (hash & 0xffff_ffff))
}

/// FNV-1a: stable over versions and machines, which a name in a table must be.
pub(super) fn hash(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests;
