//! The operator: watches → [`index`] → `core::lifecycle` decides → [`effect`].
//!
//! ```text
//! watch ──Change──▶ engine ──snapshot──▶ reconcile: observe ▶ decide ▶ effect ──▶ apiserver
//!                     ▲  └─ index, queue      │
//! lease ──leads?──────┘◀──────── Done ────────┘
//! ```
//!
//! Belongs here: everything that talks to the apiserver on behalf of tests and runs, and the order in which it is done.
//! May not hold: a decision about a run, which `core::lifecycle` makes; state that a restart could not rebuild.

mod effect;
mod engine;
mod error;
mod facts;
mod index;
mod lease;
mod metrics;
mod observe;
mod queue;
mod reconcile;
mod secret;
pub mod serve;
mod watch;

#[cfg(test)]
mod tests;
