//! How a batch becomes a request.

use aws_sdk_timestreamwrite::{
    error::BuildError,
    types::{Dimension, MeasureValue, MeasureValueType, Record, TimeUnit},
};

use crate::core::pipeline::{
    batch::{self, Batch},
    rolled::{self, Rolled},
    row::value_text,
};

/// The records of a call and what they have in common.
#[derive(Clone, Debug, PartialEq)]
pub struct WriteRequest {
    /// What every record has: type, unit, the dimensions all share, and the measure where it is one.
    pub common: Record,
    /// The records, in the batch's order.
    pub records: Vec<Record>,
}

/// The request that writes `batch`.
///
/// # Errors
/// When the SDK refuses a dimension.
pub fn build(batch: &Batch) -> Result<WriteRequest, BuildError> {
    let is_rolled = batch.records.iter().any(|record| record.rolled.is_some());
    let kind = if is_rolled { MeasureValueType::Multi } else { MeasureValueType::Double };
    let time_ns = batch.common_time_ns();
    let common = Record::builder()
        .measure_value_type(kind)
        .time_unit(TimeUnit::Nanoseconds)
        .set_time(time_ns.map(|time_ns| time_ns.to_string()))
        .set_dimensions(dimensions(batch.common.iter())?)
        .set_measure_name(batch.measure.as_deref().map(Into::into))
        .build();
    let mut records = Vec::with_capacity(batch.records.len());
    for record in &batch.records {
        let own_time = time_ns.is_none().then(|| record.time_ns.to_string());
        let built = Record::builder()
            .set_dimensions(dimensions(batch.own_dimensions(record))?)
            .set_measure_name(own_measure(batch, record))
            .set_time(own_time);
        let built = match &record.rolled {
            Some(rolled) => built.set_measure_values(Some(columns(record.value, rolled)?)),
            None => built.measure_value(value_text(record.value)),
        };
        records.push(built.build());
    }
    Ok(WriteRequest { common, records })
}

/// The columns of a row of a second.
fn columns(sum: f64, rolled: &Rolled) -> Result<Vec<MeasureValue>, BuildError> {
    let column = |name: &str, kind: MeasureValueType, value: String| {
        MeasureValue::builder().name(name).r#type(kind).value(value).build()
    };
    let double = |name: &str, value: f64| column(name, MeasureValueType::Double, value_text(value));
    let mut columns = vec![
        column(rolled::COUNT, MeasureValueType::Bigint, rolled.count.to_string())?,
        double(rolled::SUM, sum)?,
        double(rolled::MIN, rolled.min)?,
        double(rolled::MAX, rolled.max)?,
    ];
    if let Some(last) = rolled.last {
        columns.push(double(rolled::LAST, last)?);
    }
    if !rolled.histogram.is_empty() {
        let text = rolled.histogram.to_string();
        columns.push(column(rolled::HISTOGRAM, MeasureValueType::Varchar, text)?);
    }
    Ok(columns)
}

fn own_measure(batch: &Batch, record: &batch::Record) -> Option<String> {
    batch.measure.is_none().then(|| record.row.measure.to_string())
}

fn dimensions<'a>(
    pairs: impl Iterator<Item = &'a (std::sync::Arc<str>, std::sync::Arc<str>)>,
) -> Result<Option<Vec<Dimension>>, BuildError> {
    let built: Result<Vec<Dimension>, BuildError> = pairs
        .map(|(name, value)| Dimension::builder().name(&**name).value(&**value).build())
        .collect();
    built.map(|list| (!list.is_empty()).then_some(list))
}
