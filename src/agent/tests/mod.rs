//! The agent with the real k6, against a scripted aggregator in memory. k6 is `WEIR_K6`, or `k6` on PATH.

mod endings;
mod harness;
mod intake;
mod spooling;
mod whole;
mod writers;
