//! Ledgers as a whole: against plain values, over the wire, and against the real k6.

mod k6;
pub(in crate::core::ledger) mod plain;
pub(in crate::core::ledger) mod samples;
mod simulation;
mod wire;
