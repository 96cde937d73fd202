//! Samples as InfluxDB's line protocol.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Dimensions;

/// A server that takes InfluxDB's line protocol: InfluxDB 2 and 3, Amazon Timestream for InfluxDB, VictoriaMetrics and
/// others. A sample is a line: the metric is the measurement, each tag a tag, the value the field `value`, the time in
/// nanoseconds.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("self.api != 'V2' || (has(self.org) && has(self.bucket) && !has(self.database))").message("influxdb: api V2 needs org and bucket, and takes no database"))]
#[x_kube(validation = Rule::new("self.api != 'V3' || (has(self.database) && !has(self.org) && !has(self.bucket))").message("influxdb: api V3 needs database, and takes neither org nor bucket"))]
pub struct InfluxDb {
    /// Address of the server, such as `https://influxdb.example.com:8086`; a path stands before the API's own. Without
    /// user, password, query and fragment: a token is given by `tokenSecret`.
    #[schemars(length(max = 2048), regex(pattern = r"^https?://[^/?#@\s]+(/[^?#\s]*)?$"))]
    pub url: String,
    /// How the server is asked. `V2`: `/api/v2/write`. `V3`: `/api/v3/write_lp`.
    #[serde(default)]
    pub api: InfluxDbApi,
    /// Organization (V2).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256))]
    pub org: Option<String>,
    /// Bucket (V2).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256))]
    pub bucket: Option<String>,
    /// Database (V3).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256))]
    pub database: Option<String>,
    /// Where the token is: a key of a Secret in the run's namespace. The aggregator alone gets it, and needs the right to
    /// write, no more. Left out: calls carry no token. `weir run` takes it from the environment, under
    /// `WEIR_INFLUXDB_TOKEN_0` for the first of `spec.outputs` and so on, or else under `WEIR_INFLUXDB_TOKEN`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_secret: Option<SecretKey>,
    /// How lines go out. `None`: as they are. `Gzip`: in a tenth of the bytes or less (of a sample of an HTTP request some 15
    /// bytes in place of 220), for 0.2 to 0.3 µs of the aggregator's processor time a sample: where the network is slow or is
    /// paid for by the byte. InfluxDB 2 and 3, Amazon Timestream for InfluxDB and VictoriaMetrics take both.
    #[serde(default)]
    pub compression: InfluxDbCompression,
    /// Which tags a line has. Left out: all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("!(has(self.include) && has(self.exclude))").message("dimensions: set include or exclude, not both"))]
    #[x_kube(validation = Rule::new("!has(self.exclude) || self.exclude.all(name, !(name in ['instance_id', 'testid']))").message("dimensions.exclude: instance_id and testid tell the lines of instances and runs apart and stay"))]
    pub dimensions: Option<Dimensions>,
    /// Writes under way at once, for each aggregator.
    #[serde(default = "default_concurrency")]
    #[schemars(range(min = 1, max = 256))]
    pub max_concurrent_writes: u32,
    /// Longest time in milliseconds that a sample waits in the aggregator for others to share its write.
    #[serde(default = "default_linger")]
    #[schemars(range(min = 10, max = 2000))]
    pub linger_milliseconds: u32,
}

/// How a server that takes the line protocol is asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum InfluxDbApi {
    /// `POST /api/v2/write` with organization and bucket: InfluxDB 2, and most others.
    #[default]
    V2,
    /// `POST /api/v3/write_lp` with a database: InfluxDB 3.
    V3,
}

/// How lines go out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum InfluxDbCompression {
    /// As they are.
    #[default]
    None,
    /// Compressed, with `Content-Encoding: gzip`.
    Gzip,
}

/// One key of a Secret.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SecretKey {
    /// Name of the Secret, in the run's namespace.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// The key whose value it is.
    #[schemars(length(min = 1, max = 253))]
    pub key: String,
}

fn default_concurrency() -> u32 {
    16
}
fn default_linger() -> u32 {
    1000
}
