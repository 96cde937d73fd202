//! The whole aggregator against servers that are not ours to bend: the strict stand-in (environment `WEIR_STANDIN`:
//! its binary) and moto (`WEIR_MOTO`: the stand-in's `checks/moto_server`). Both want any AWS keys in the environment.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says by panicking what went wrong"
)]

mod agent;
mod dimensions;
mod rows;
mod runs;
mod seconds;
#[path = "../server.rs"]
mod server;
mod tables;
mod whole;

pub(crate) const INSTANCES: u32 = 4;
pub(crate) const FRAMES: u64 = 6;
pub(crate) const SAMPLES: u32 = 420;
