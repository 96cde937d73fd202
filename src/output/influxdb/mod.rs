//! InfluxDB 2 and 3, Amazon Timestream for InfluxDB, and what else takes InfluxDB's line protocol over HTTP.
//!
//! Belongs here: the client, where and as whom it calls, how lines are compressed, and what each answer means. What a line is stands in
//! `core::pipeline::line`. The token may not appear in a message.

pub mod client;
pub mod gzip;
pub mod outcome;
pub mod target;

mod probe;
