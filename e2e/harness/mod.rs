//! What every end-to-end test stands on: a namespace of its own, the stand-in, waiting with a deadline, and a dump of
//! everything when a test fails. May not hold: an expectation about Weir.

#[path = "../influx/export.rs"]
mod export;
mod hand;
mod influxdb;
mod standin;
mod wait;
mod world;

pub(crate) use export::{distinct, may_coincide};
pub(crate) use influxdb::INFLUXDB;
pub(crate) use standin::{Row, dimension};
pub(crate) use wait::eventually;
pub(crate) use world::{
    STANDIN, World, assert_failed, assert_passed, condition, in_world, records_stored,
};

/// Image of k6 in the test cluster.
pub(crate) const K6_IMAGE: &str = "docker.io/grafana/k6:2.2.0";
/// Image of the stand-in in the test cluster.
pub(crate) const STANDIN_IMAGE: &str = "docker.io/library/weir-standin:dev";
/// Image with a shell in the test cluster.
pub(crate) const BUSYBOX_IMAGE: &str = "docker.io/library/busybox:1.36";
/// Image of VictoriaMetrics in the test cluster.
pub(crate) const VICTORIA_IMAGE: &str = "docker.io/victoriametrics/victoria-metrics:v1.151.0";
