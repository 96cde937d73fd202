//! Small shells that everyone may use: the clock, telemetry, names of Services, HTTP for probes and metrics, shutdown, and the link
//! between agents and aggregator. May not hold: a decision, or anything that only one process needs.

pub mod clock;
pub mod crypto;
pub mod dns;
pub mod grpc;
pub mod http;
pub mod link;
pub mod runtime;
pub mod shutdown;
pub mod telemetry;
pub mod uplink;
