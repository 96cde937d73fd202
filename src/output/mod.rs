//! Where samples go: one folder for each kind of output, behind one small trait.
//!
//! Belongs here: clients, requests, and what an answer means. May not: queues, retries, counts (those are the
//! pipeline's, so that every output has the same), nor anything of the rally.

pub mod http;
pub mod influxdb;
#[expect(clippy::module_inception, reason = "the folder's trait bears the folder's name")]
pub mod output;
pub mod timestream;
