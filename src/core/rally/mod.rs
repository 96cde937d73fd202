//! The rally: how the instances of one run gather, start together, end, and hand over; and what the run's outcome is.
//!
//! Belongs here: the sans-IO state machine ([`rally::Rally`]) and the data it goes in and out by. May not: anything about
//! samples, outputs' protocols, sessions' transport, or Kubernetes.

mod bundle;
pub mod cause;
pub mod input;
#[expect(clippy::module_inception, reason = "the module's main type bears the module's name")]
pub mod rally;
pub mod roster;
pub mod runner;
pub mod settled;
mod told;

mod missing;
mod outcome;
mod progress;
mod reports;
mod sessions;
mod steps;
mod verdict;
