//! What k6 gives at the end of a test, written from a [`View`](crate::core::ledger::view::View): the object that a
//! script's `handleSummary` gets, the file of `--summary-export`, the text on standard output, and the archive with
//! which stock k6 runs the script's own `handleSummary` on merged data.
//!
//! Belongs here: k6's shapes, layout, units and order. May not: how a metric is measured or merged (`core/ledger`), or
//! who starts k6 and where a summary goes.

pub mod archive;
pub mod data;
pub mod export;
pub mod keeping;
pub mod kinds;
pub mod machine;
mod number;
mod section;
pub mod settings;
pub mod stat;
pub mod text;
mod tree;
pub mod wrapper;

#[cfg(test)]
mod tests;
