//! Where samples are written.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::InfluxDb;

/// One destination of samples. Exactly one of the fields must be set.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Output {
    /// Name of this output in the status. Defaults to its kind, such as `timestream`; must be unique in the list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub name: Option<String>,
    /// Amazon Timestream for LiveAnalytics.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timestream: Option<Timestream>,
    /// InfluxDB, and what else takes its line protocol.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub influxdb: Option<InfluxDb>,
}

impl Output {
    /// The name shown in the status: the given one, or the kind.
    pub fn display_name(&self) -> &str {
        let kind = if self.influxdb.is_some() { "influxdb" } else { "timestream" };
        self.name.as_deref().unwrap_or(kind)
    }

    /// Which tags its rows have.
    pub fn dimensions(&self) -> Option<&Dimensions> {
        let timestream = self.timestream.as_ref().and_then(|kind| kind.dimensions.as_ref());
        timestream.or_else(|| self.influxdb.as_ref()?.dimensions.as_ref())
    }
}

/// Amazon Timestream for LiveAnalytics. Credentials come from the default AWS chain of the aggregator pod
/// (IRSA, EKS Pod Identity, environment); the identity needs `timestream:WriteRecords` and
/// `timestream:DescribeEndpoints`.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Timestream {
    /// AWS region. Defaults to the region of the AWS chain (`AWS_REGION`, profile).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// Name of the database.
    #[schemars(length(min = 3, max = 256), regex(pattern = "^[a-zA-Z0-9_.-]+$"))]
    pub database_name: String,
    /// Name of the table.
    #[schemars(length(min = 3, max = 256), regex(pattern = "^[a-zA-Z0-9_.-]+$"))]
    pub table_name: String,
    /// What a row is. `Samples`: one row for each sample, as xk6-output-timestream writes it. `Rollup`: one row for each
    /// series and second, at a hundredth of the price; a table of its own is best.
    #[serde(default)]
    pub mode: TimestreamMode,
    /// Which tags become dimensions. Not said: in mode Samples all of them, in mode Rollup all but `error`, `group`, `ip`,
    /// `iter`, `method`, `name`, `trace_id`, `url`, `vu`. What is left out of the rows costs nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("!(has(self.include) && has(self.exclude))").message("dimensions: set include or exclude, not both"))]
    #[x_kube(validation = Rule::new("!has(self.exclude) || self.exclude.all(name, !(name in ['instance_id', 'testid']))").message("dimensions.exclude: instance_id and testid tell the rows of instances and runs apart and stay"))]
    pub dimensions: Option<Dimensions>,
    /// Endpoint of one's own (a VPC endpoint, a stand-in): scheme, host, and a port where it has one of its own. Endpoint
    /// discovery is off when it is set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = "^https?://[^/?#]+/?$"))]
    pub endpoint_url: Option<String>,
    /// Create database and table before the start when they are missing (needs the rights to do so).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub create: Option<TimestreamCreate>,
    /// Writes under way at once, of each replica of the aggregator.
    #[serde(default = "default_concurrency")]
    #[schemars(range(min = 1, max = 256))]
    pub max_concurrent_writes: u32,
    /// Longest time in milliseconds that a sample waits in the aggregator for others to share its write, which makes it
    /// cheaper. More than a second only where fewer than 100 wait.
    #[serde(default = "default_linger")]
    #[schemars(range(min = 10, max = 60_000))]
    pub linger_milliseconds: u32,
}

/// Which tags and metadata of a sample become dimensions of its row, by their names as k6 has them. `instance_id` and
/// `testid` always do. At most one of the fields may be set.
#[derive(
    Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "camelCase")]
pub struct Dimensions {
    /// Only these.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128), inner(length(min = 1, max = 256)))]
    pub include: Option<Vec<String>>,
    /// All but these, such as `url`, `vu`, `iter`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128), inner(length(min = 1, max = 256)))]
    pub exclude: Option<Vec<String>>,
}

/// Retention of a table that Weir creates.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TimestreamCreate {
    /// Retention of the memory store in hours.
    #[serde(default = "default_memory_hours")]
    #[schemars(range(min = 1, max = 8766))]
    pub memory_retention_hours: u32,
    /// Retention of the magnetic store in days.
    #[serde(default = "default_magnetic_days")]
    #[schemars(range(min = 1, max = 73_000))]
    pub magnetic_retention_days: u32,
}

/// What a Timestream row is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum TimestreamMode {
    /// One single-measure row for each sample: every non-empty tag and metadata is a dimension, the measure is
    /// the metric, the value a DOUBLE, the time in nanoseconds.
    #[default]
    Samples,
    /// One multi-measure row for each metric, second and set of dimensions: `count`, `sum`, `min`, `max`, of a gauge also
    /// `last`, of a trend also `histogram` (a text from which SQL computes percentiles to within 1 %). The measure is the
    /// metric, the time the beginning of the second.
    Rollup,
}

fn default_concurrency() -> u32 {
    16
}
fn default_linger() -> u32 {
    1000
}
fn default_memory_hours() -> u32 {
    24
}
fn default_magnetic_days() -> u32 {
    365
}
