//! The request shapes of Amazon Timestream's write API that the stand-in reads.
//!
//! Source: the API reference pages `API_WriteRecords`, `API_Record`, `API_Dimension`,
//! `API_MeasureValue`, `API_CreateTable`, `API_UpdateTable` of the Timestream developer guide.
//! Every field is optional here, so that a missing one gets the service's own kind of answer.

use serde::Deserialize;

/// `WriteRecords`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct WriteRecords {
    pub(crate) database_name: Option<String>,
    pub(crate) table_name: Option<String>,
    pub(crate) common_attributes: Option<Record>,
    pub(crate) records: Option<Vec<Record>>,
}

/// `Record`: a record of the call, or its common attributes.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Record {
    pub(crate) dimensions: Option<Vec<Dimension>>,
    pub(crate) measure_name: Option<String>,
    pub(crate) measure_value: Option<String>,
    pub(crate) measure_value_type: Option<String>,
    pub(crate) measure_values: Option<Vec<MeasureValue>>,
    pub(crate) time: Option<String>,
    pub(crate) time_unit: Option<String>,
    pub(crate) version: Option<i64>,
}

/// `Dimension`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Dimension {
    pub(crate) name: Option<String>,
    pub(crate) value: Option<String>,
    pub(crate) dimension_value_type: Option<String>,
}

/// `MeasureValue`: one column of a `MULTI` record.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct MeasureValue {
    pub(crate) name: Option<String>,
    pub(crate) value: Option<String>,
    #[serde(rename = "Type")]
    pub(crate) kind: Option<String>,
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
