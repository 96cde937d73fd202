//! Every decision Weir makes, as pure functions and sans-IO state machines.
//!
//! May not hold: async, clocks, randomness, files, network, environment, clients. Time comes in as an argument,
//! randomness as a number, decisions go out as data. Ordered maps only, so that the same input gives the same bytes.
//! Types of Kubernetes objects are data and allowed.

pub mod agent;
pub mod bundle;
pub mod dimensions;
pub mod error;
pub mod k6;
pub mod lease;
pub mod ledger;
pub mod lifecycle;
pub mod pipeline;
pub mod plan;
pub mod rally;
pub mod replicas;
pub mod respawn;
pub mod samples;
pub mod summary;
pub mod verdict;

#[cfg(test)]
pub(crate) mod tests;
