//! `weir run`: a LoadTest on this machine. n k6 processes, each with the agent of the runner pods, and one aggregator,
//! all in this process and over the same messages as in a cluster.
//!
//! Belongs here: reading the file a person names, wiring agents to the aggregator, the progress line. May not: a second
//! way to do what agent, aggregator or core do.

pub mod input;
pub mod local;
mod progress;
#[cfg(test)]
mod tests;
