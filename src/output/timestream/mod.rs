//! Amazon Timestream for LiveAnalytics, mode `Samples`.
//!
//! Belongs here: the SDK's client and its settings, how a batch becomes a request, and what each answer means.
//! What a row is stands in `core::pipeline::row`.

pub mod body;
pub mod client;
pub mod config;
pub mod outcome;
pub mod probe;
