//! The ledger: all that thresholds and the summary need of the samples of one instance, or of all of them together.
//!
//! Belongs here: sinks, thresholds, their merging and their encoding, and the view that the summary is written from.
//! May not: who sends a ledger when (`core/rally`, `core/agent`), how a summary looks (`core/summary`).

pub mod builtin;
pub mod cell;
pub mod codec;
pub mod expression;
pub mod keep;
#[expect(clippy::module_inception, reason = "the module's main type bears the module's name")]
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
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    clippy::float_cmp,
    reason = "plain arithmetic on small numbers is what the ledger is held against"
)]
mod tests;
