//! The ledger: all that thresholds and the summary need of the samples of one instance, or of all of them together.
//!
//! Belongs here: sinks, thresholds, their merging and their encoding, and the view that the summary is written from.
//! May not: who sends a ledger when (`core/rally`, `core/agent`), how a summary looks (`core/summary`).

pub mod builtin;
pub mod cell;
pub mod codec;
pub mod expression;
pub mod ledger;
pub mod merged;
pub mod name;
pub mod number;
pub mod routes;
mod show;
pub mod sink;
pub mod sketch;
pub mod stats;
pub mod threshold;
pub mod verdict;
pub mod view;

#[cfg(test)]
mod tests;
