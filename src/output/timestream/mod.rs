//! Amazon Timestream for LiveAnalytics.
//!
//! Belongs here: the SDK's client and its settings, the call that writes, how a batch becomes its body, and what each
//! answer means.
//! What a row is stands in `core::pipeline::row`.

pub mod body;
mod call;
pub mod client;
pub mod config;
mod credentials;
pub mod outcome;
pub mod probe;
mod signature;
