//! What a sample becomes for outputs that take InfluxDB's line protocol:
//! `measurement,tag=value,tag=value value=1.5 1700000000000000000`. The measurement is the metric, the one field is called
//! `value`, the time is in nanoseconds, tags are sorted. So k6's own output writes it, but that it makes fields of `vu`,
//! `iter` and `url`, by which points could no longer be told apart.
//!
//! A comma, a space, and in tags a sign of equality are escaped by a backslash. There is no escape for a backslash itself:
//! servers disagree about `\\`, and none can take one that stands at the end or before a character that is escaped. The
//! rule for what the protocol cannot carry, in full:
//! - A tag with an empty value is no tag, nor is one that the output leaves out. A series without the tag `instance_id`
//!   gets the runner's.
//! - A control character (a line ends at one), and a backslash at the end or before a comma, a space, a sign of equality
//!   or another backslash, becomes `_`. A value so changed gets `~` and sixteen hex digits of the whole value's hash
//!   behind it, a name `_` and eight, so that different ones stay different. A metric whose name begins with `#`, as
//!   comments do, is written as `k6_#…` with the hash.
//! - A tag that servers reserve (`time`, names that begin with `_`) or that would have the field's name (`value`) is
//!   prefixed: `k6_time`. The hash also goes to a prefixed name whose plain form is taken by another tag of the series.
//! - While measurement and tags exceed 24 KiB, the longest value is cut as for Timestream ([`row`](super::row)): with what
//!   escapes add to it, a series stays below the 64 KiB that InfluxDB takes.
//! - What still cannot be written is refused with a [`Refusal`]: names that take more than that, a value that is not
//!   finite, a time before 1970.

use std::{collections::BTreeMap, sync::Arc};

use super::{
    batch::Record,
    row::{Refusal, Row, Series, hash, renamed, short_hash, shorten, value_text},
};
use crate::core::dimensions::Kept;

/// Name of the field.
pub const FIELD: &str = "value";
/// Most bytes of measurement, names and values of a line, without escapes.
pub const SERIES_BYTES_MAX: usize = 24 << 10;

/// What time and value of a line take at most, with what stands around them.
const TIME_VALUE_BYTES: usize = 64;
const PREFIX: &str = "k6_";

/// Maps a series to the row whose lines carry it, with the tags that are `kept`, or tells why none can.
///
/// # Errors
/// When no rule makes the series fit.
pub fn line_row(series: &Series, kept: &Kept) -> Result<Row, Refusal> {
    let measure = match carried(&series.metric) {
        _ if series.metric.starts_with('#') => hashed_name(&series.metric),
        Some(name) => format!("{name}_{}", short_hash(&series.metric)).into(),
        None => series.metric.clone(),
    };
    let mut dimensions =
        renamed(kept.of_series(&series.dimensions), &is_plain, &tag_name, hashed_name);
    for (_, value) in &mut dimensions {
        if let Some(text) = carried(value) {
            *value = format!("{text}~{:016x}", hash(value)).into();
        }
    }
    dimensions.sort();
    // A comma and a sign of equality stand at each tag.
    let fixed = measure.len() + 2 * dimensions.len();
    let bytes_max = SERIES_BYTES_MAX.checked_sub(fixed).ok_or(Refusal::TooLarge)?;
    let shortened = shorten(&mut dimensions, bytes_max)?;
    Ok(Row { dimensions, measure, shortened })
}

/// The lines of `records`, in their order, each with its end.
pub fn body(records: &[Record]) -> String {
    let mut heads: BTreeMap<*const Row, String> = BTreeMap::new();
    let mut text = String::new();
    for record in records {
        let head = heads.entry(Arc::as_ptr(&record.row)).or_insert_with(|| head(&record.row));
        text.push_str(head);
        text.push_str(value_text(record.value, &mut zmij::Buffer::new()));
        text.push(' ');
        text.push_str(itoa::Buffer::new().format(record.time_ns));
        text.push('\n');
    }
    text
}

/// How many bytes a line of this row takes at most.
pub fn bytes_max(row: &Row) -> usize {
    head(row).len() + TIME_VALUE_BYTES
}

/// What all lines of a row begin with, up to the value.
fn head(row: &Row) -> String {
    let mut head = String::new();
    escape(&row.measure, &[',', ' '], &mut head);
    for (name, value) in &row.dimensions {
        head.push(',');
        escape(name, &[',', ' ', '='], &mut head);
        head.push('=');
        escape(value, &[',', ' ', '='], &mut head);
    }
    head.extend([" ", FIELD, "="]);
    head
}

fn escape(text: &str, escaped: &[char], to: &mut String) {
    for c in text.chars() {
        if escaped.contains(&c) {
            to.push('\\');
        }
        to.push(c);
    }
}

fn is_plain(name: &str) -> bool {
    !is_reserved(name) && !name.is_empty() && carried(name).is_none()
}

fn is_reserved(name: &str) -> bool {
    name == "time" || name == FIELD || name.starts_with('_')
}

fn tag_name(name: &Arc<str>) -> Arc<str> {
    if is_plain(name) {
        return name.clone();
    }
    if !name.is_empty() && carried(name).is_none() {
        return format!("{PREFIX}{name}").into();
    }
    hashed_name(name)
}

fn hashed_name(name: &str) -> Arc<str> {
    let kept = carried(name).unwrap_or_else(|| name.to_owned());
    format!("{PREFIX}{kept}_{}", short_hash(name)).into()
}

/// The text with `_` for what the protocol cannot carry; none where there is nothing of it.
fn carried(text: &str) -> Option<String> {
    // Nearly every text ends here: this is done for each tag of each series of a frame.
    if !text.contains(|c: char| c == '\\' || c.is_control()) {
        return None;
    }
    let after = text.chars().skip(1).map(Some).chain([None]);
    let kept = text.chars().zip(after).map(|(c, next)| match c {
        '\\' if next.is_none_or(|next| matches!(next, ',' | ' ' | '=' | '\\')) => '_',
        _ if c.is_control() => '_',
        _ => c,
    });
    let kept: String = kept.collect();
    (kept != text).then_some(kept)
}

#[cfg(test)]
mod tests;
