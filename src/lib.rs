//! Weir: distributed k6 load tests with one verdict.
//!
//! Arrows go one way; a folder may import only from itself and from folders to its right:
//! `main → cli → {operator, aggregator, agent, run} → output → io → core → {wire, api}`
//! (`run` may also use `aggregator` and `agent`). `crate::tests::tidy` keeps them.

pub mod agent;
pub mod aggregator;
pub mod api;
pub mod cli;
pub mod core;
pub mod io;
pub mod operator;
pub mod output;
pub mod run;
pub mod wire;

#[cfg(test)]
mod tests;
