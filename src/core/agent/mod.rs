//! The agent's mind: a sans-IO state machine that takes what happened (k6, its REST API, the session, signals, time)
//! and answers what is to be done. May not hold: processes, sockets, clocks.

pub mod bundling;
mod calls;
pub mod config;
pub mod courier;
mod departure;
pub mod events;
pub mod failure;
pub mod machine;
pub mod outbox;
mod progress;
pub mod report;
pub mod stopping;
