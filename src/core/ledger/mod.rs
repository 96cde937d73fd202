//! The ledger: all that thresholds and the summary need of the samples of one instance, or of all of them together.
//!
//! Belongs here: sinks, thresholds, their merging and their encoding, and the view that the summary is written from.
//! May not: who sends a ledger when (`core/rally`, `core/agent`), how a summary looks (`core/summary`).

pub mod view;
