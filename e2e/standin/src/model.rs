//! The request shapes of Amazon Timestream's write API that the stand-in reads.
//!
//! Source: the API reference pages `API_WriteRecords`, `API_Record`, `API_Dimension`,
//! `API_MeasureValue`, `API_CreateTable`, `API_UpdateTable` of the Timestream developer guide.
//! Every field is optional here, so that a missing one gets the service's own kind of answer.

use std::borrow::Cow;

use serde::Deserialize;

/// A string of a request, borrowed from its body where it has no escapes: a call holds thousands.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

/// The text of an optional field.
#[expect(clippy::ref_option, reason = "every caller has the field of a request")]
pub(crate) fn text<'a>(field: &'a Option<Text<'_>>) -> Option<&'a str> {
    field.as_ref().map(|text| &*text.0)
}

/// `WriteRecords`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct WriteRecords<'a> {
    #[serde(borrow)]
    pub(crate) database_name: Option<Text<'a>>,
    #[serde(borrow)]
    pub(crate) table_name: Option<Text<'a>>,
    #[serde(borrow)]
    pub(crate) common_attributes: Option<Record<'a>>,
    #[serde(borrow)]
    pub(crate) records: Option<Vec<Record<'a>>>,
}

/// `Record`: a record of the call, or its common attributes.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Record<'a> {
    #[serde(borrow)]
    pub(crate) dimensions: Option<Vec<Dimension<'a>>>,
    #[serde(borrow)]
    pub(crate) measure_name: Option<Text<'a>>,
    #[serde(borrow)]
    pub(crate) measure_value: Option<Text<'a>>,
    #[serde(borrow)]
    pub(crate) measure_value_type: Option<Text<'a>>,
    #[serde(borrow)]
    pub(crate) measure_values: Option<Vec<MeasureValue<'a>>>,
    #[serde(borrow)]
    pub(crate) time: Option<Text<'a>>,
    #[serde(borrow)]
    pub(crate) time_unit: Option<Text<'a>>,
    pub(crate) version: Option<i64>,
}

/// `Dimension`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Dimension<'a> {
    #[serde(borrow)]
    pub(crate) name: Option<Text<'a>>,
    #[serde(borrow)]
    pub(crate) value: Option<Text<'a>>,
    #[serde(borrow)]
    pub(crate) dimension_value_type: Option<Text<'a>>,
}

/// `MeasureValue`: one column of a `MULTI` record.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct MeasureValue<'a> {
    #[serde(borrow)]
    pub(crate) name: Option<Text<'a>>,
    #[serde(borrow)]
    pub(crate) value: Option<Text<'a>>,
    #[serde(borrow, rename = "Type")]
    pub(crate) kind: Option<Text<'a>>,
}

/// What the calls about databases and tables have in common.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct ResourceCall {
    pub(crate) database_name: Option<String>,
    pub(crate) table_name: Option<String>,
    pub(crate) retention_properties: Option<RetentionProperties>,
    pub(crate) magnetic_store_write_properties: Option<MagneticStoreWriteProperties>,
    pub(crate) max_results: Option<usize>,
    pub(crate) next_token: Option<String>,
}

/// `RetentionProperties`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct RetentionProperties {
    pub(crate) memory_store_retention_period_in_hours: Option<i64>,
    pub(crate) magnetic_store_retention_period_in_days: Option<i64>,
}

/// `MagneticStoreWriteProperties`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct MagneticStoreWriteProperties {
    pub(crate) enable_magnetic_store_writes: Option<bool>,
}
