//! The agent around vanilla k6: starts it, drives it over its REST API, reads its samples, and speaks to the
//! aggregator. Shells only: what is to be done, [`crate::core::agent`] says. May not hold: a decision about the run.

mod acting;
mod child;
mod intake;
mod memory;
mod passing;
mod port;
mod process;
mod reader;
pub mod reaper;
mod rest;
mod sender;
pub mod settings;
mod spool;

pub use process::run;
pub use settings::{Exit, Settings};

#[cfg(test)]
mod tests;
