//! What became of a write, and how long to wait before the next try.

use super::row::Refusal;

/// What became of one write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Written {
    /// Every record is stored.
    Stored,
    /// These records (by their place in the batch) are refused for good, all others are stored.
    Partly(Vec<(usize, Refusal)>),
    /// The call was refused as a whole, for one or more of its records.
    Invalid(String),
    /// Nothing is known to be stored; the same call may pass later.
    Failed(Failure, String),
    /// No call to this output can pass; the text says what a person can do.
    Fatal(String),
}

/// Why a write may pass later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The output asks for patience.
    Throttled,
    /// The output failed inside.
    Server,
    /// No answer in time.
    Timeout,
    /// No connection, or it broke.
    Connection,
    /// The address is no longer the right one.
    Endpoint,
}

impl Failure {
    /// Whether the records may have been stored all the same.
    pub const fn is_ambiguous(self) -> bool {
        match self {
            Self::Server | Self::Timeout | Self::Connection => true,
            Self::Throttled | Self::Endpoint => false,
        }
    }
}

/// Milliseconds to wait before the next try, `tries` having failed: anything from nothing to a limit that doubles
/// (full jitter), drawn by `random`.
///
/// The limit stays low while an output throttles: Timestream makes room only for clients that keep offering load.
pub fn delay_ms(failure: Failure, tries: u32, random: u64) -> i64 {
    let (first_ms, limit_ms): (u64, u64) = match failure {
        Failure::Throttled => (50, 1000),
        Failure::Server | Failure::Timeout | Failure::Connection | Failure::Endpoint => (100, 5000),
    };
    let ceiling = first_ms.saturating_mul(1 << tries.saturating_sub(1).min(16)).min(limit_ms);
    i64::try_from(random % (ceiling + 1)).unwrap_or(0)
}

#[cfg(test)]
mod tests;
