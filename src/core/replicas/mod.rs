//! Several replicas of a run's aggregator. Replica 0 is the aggregator: rally, ledgers, verdict, and the samples of its
//! share of the instances. The others are writers, which have samples and outputs and nothing else:
//!
//! ```text
//! agent ─reports, ledgers─▶ replica 0 ◀─tallies, state of outputs─ writer ◀─frames─ agent
//!       ◀─start, stop, …──            ──────finish, goodbye──────▶        ──acks──▶
//! ```
//!
//! A writer holds nothing that a restart cannot rebuild: agents keep what is not acknowledged, and bring the count of the
//! rest along when they dial.
//!
//! Belongs here: who writes whose samples ([`share`]), what a writer knows of those that dial it ([`writer`]), what replica
//! 0 knows of the writers ([`writers`]). May not: what becomes of a sample, which the pipeline decides, or of the run.

pub mod share;
pub mod writer;
pub mod writers;
