//! The aggregator of one run: sessions and writes around the rally and the pipeline.
//!
//! Belongs here: the loop that feeds `core::rally` and `core::pipeline` and does what they say, and the aggregator's
//! dealings with Kubernetes. May not: a decision about the run or a sample. `weir run` uses [`engine::run`] as it is.

pub mod engine;
pub mod keeper;
pub mod kubernetes;
pub mod meters;
pub mod settings;
pub mod supervisor;
pub mod writer;

mod data_path;
mod probes;
mod session;
