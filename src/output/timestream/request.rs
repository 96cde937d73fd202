//! How a batch becomes a request.

use aws_sdk_timestreamwrite::{
    error::BuildError,
    types::{Dimension, MeasureValueType, Record, TimeUnit},
};

use crate::core::pipeline::{batch::Batch, row::value_text};

/// The records of a call and what they have in common.
#[derive(Clone, Debug, PartialEq)]
pub struct WriteRequest {
    /// What every record has: type, unit, and the dimensions all share.
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
        .build();
    let mut records = Vec::with_capacity(batch.records.len());
    for record in &batch.records {
        records.push(
            Record::builder()
                .set_dimensions(dimensions(batch.own_dimensions(record))?)
                .measure_name(&*record.row.measure)
                .measure_value(value_text(record.value))
                .time(record.time_ns.to_string())
                .build(),
        );
    }
    Ok(WriteRequest { common, records })
}

fn dimensions<'a>(
    pairs: impl Iterator<Item = &'a (std::sync::Arc<str>, std::sync::Arc<str>)>,
) -> Result<Option<Vec<Dimension>>, BuildError> {
    let built: Result<Vec<Dimension>, BuildError> = pairs
        .map(|(name, value)| Dimension::builder().name(&**name).value(&**value).build())
        .collect();
    built.map(|list| (!list.is_empty()).then_some(list))
}
