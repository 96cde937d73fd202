//! How a batch becomes a request.

use aws_sdk_timestreamwrite::{
    error::BuildError,
    types::{Dimension, MeasureValueType, Record, TimeUnit},
};

use crate::core::pipeline::{
    batch::{self, Batch},
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
    let common = Record::builder()
        .measure_value_type(MeasureValueType::Double)
        .time_unit(TimeUnit::Nanoseconds)
        .set_dimensions(dimensions(batch.common.iter())?)
        .set_measure_name(batch.measure.as_deref().map(Into::into))
        .build();
    let mut records = Vec::with_capacity(batch.records.len());
    for record in &batch.records {
        records.push(
            Record::builder()
                .set_dimensions(dimensions(batch.own_dimensions(record))?)
                .set_measure_name(own_measure(batch, record))
                .measure_value(value_text(record.value))
                .time(record.time_ns.to_string())
                .build(),
        );
    }
    Ok(WriteRequest { common, records })
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
