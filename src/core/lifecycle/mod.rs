//! The operator's mind: what of a run should exist now, and what its status says.
//!
//! ```text
//! LoadTest ─ series::decide ─▶ LoadTestRun ─ validate ─▶ ValidTest ┐
//!                  pods, Jobs, result document ─ reduce ─▶ Seen ───┴─ decide(now) ─▶ Plan
//! ```
//!
//! Belongs here: validation, the reduction of Kubernetes objects to plain facts, the decision, the builders of child
//! objects, the checker of plans. May not hold: state between two decisions. A plan leaves no choice to its executor.

mod args;
pub mod build;
pub mod decide;
mod dimensions;
mod ended;
pub mod fingerprint;
mod influxdb;
mod loss;
mod overlay;
pub mod plan;
pub mod reduce;
pub mod seen;
pub mod series;
mod status;
mod tables;
mod template;
mod trouble;
pub mod valid;

#[cfg(test)]
pub(crate) mod check;
#[cfg(test)]
mod tests;
