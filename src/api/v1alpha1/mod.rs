//! Version `v1alpha1` of the API.

mod conditions;
mod influxdb;
mod load_test;
mod load_test_run;
mod output;
mod progress;
mod script;
mod status;

pub use conditions::{ConditionType, Phase, Reason, StopRequest};
pub use influxdb::{InfluxDb, InfluxDbApi, InfluxDbCompression, SecretKey};
pub use load_test::{
    Aggregator, Deadlines, K6, LoadTest, LoadTestSpec, LoadTestStatus, LossPolicy, OnFull,
    RunnerLoss, SpoolSpec, TestSpec, Threshold,
};
pub use load_test_run::{LoadTestRun, LoadTestRunSpec, LoadTestRunStatus};
pub use output::{Dimensions, Output, Timestream, TimestreamCreate, TimestreamMode};
pub use progress::Progress;
pub use script::{ConfigMapScript, FileScript, Script, VolumeClaimScript};
pub use status::{LostRunner, OutputStatus, RunnersStatus, ThresholdStatus};
