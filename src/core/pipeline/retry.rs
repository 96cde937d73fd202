//! What became of a write, whether it may be tried again, and how long to wait before.

use super::row::Refusal;

/// Tries of failed writes before others must have succeeded, for each write that may be under way.
const BURST_PER_WRITE: usize = 8;
/// Failed writes that are tried again whatever happens, each after its pause.
const FLOOR: usize = 4;
/// Longest time in milliseconds for which an output that asks for patience is left alone: a drain has a deadline.
pub const PATIENCE_MS_MAX: i64 = 30_000;

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
    /// The output asks not to be called with this before so many milliseconds have passed.
    ThrottledFor(u32),
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
    /// Whether another try is paid for out of the [`Budget`]. Not where the output asks for patience: that costs it
    /// little, it says that the output lives, and Timestream makes room only for clients that keep offering load.
    pub const fn costs(self) -> bool {
        match self {
            Self::Server | Self::Timeout | Self::Connection | Self::Endpoint => true,
            Self::Throttled | Self::ThrottledFor(_) => false,
        }
    }

    /// Whether the output asks for patience.
    pub const fn is_throttle(self) -> bool {
        matches!(self, Self::Throttled | Self::ThrottledFor(_))
    }

    /// Whether the records may have been stored all the same.
    pub const fn is_ambiguous(self) -> bool {
        match self {
            Self::Server | Self::Timeout | Self::Connection => true,
            Self::Throttled | Self::ThrottledFor(_) | Self::Endpoint => false,
        }
    }
}

/// What the failed writes of one output may cost it. A try takes a token, and a write that is answered brings one: an
/// output that answers at least every other call is tried without end, one that only fails is left alone but for a few
/// writes, the floor, which find out when it is back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    tokens: usize,
    tokens_max: usize,
    floor: usize,
    floor_max: usize,
}

/// How a failed write may go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leave {
    /// For a token.
    Token,
    /// As one of the floor, until it is answered.
    Floor,
}

impl Budget {
    /// The budget of an output with so many writes at once.
    pub fn new(writes_max: usize) -> Self {
        let tokens_max = writes_max.saturating_mul(BURST_PER_WRITE);
        Self { tokens: tokens_max, tokens_max, floor: 0, floor_max: FLOOR.min(writes_max).max(1) }
    }

    /// Leave for another try; none when it has to wait until others are answered.
    pub fn take(&mut self) -> Option<Leave> {
        if self.tokens > 0 {
            self.tokens -= 1;
            return Some(Leave::Token);
        }
        let is_free = self.floor < self.floor_max;
        self.floor += usize::from(is_free);
        is_free.then_some(Leave::Floor)
    }

    /// A write was answered.
    pub fn answered(&mut self, was_on_floor: bool) {
        self.floor -= usize::from(was_on_floor).min(self.floor);
        self.tokens = (self.tokens + 1).min(self.tokens_max);
    }
}

/// Milliseconds to wait before the next try, `tries` having failed: anything from nothing to a limit that doubles
/// (full jitter), drawn by `random`.
///
/// The limit stays low while an output throttles: Timestream makes room only for clients that keep offering load. One that
/// says how long is not called before, up to [`PATIENCE_MS_MAX`].
pub fn delay_ms(failure: Failure, tries: u32, random: u64) -> i64 {
    let (first_ms, limit_ms): (u64, u64) = match failure {
        Failure::Throttled | Failure::ThrottledFor(_) => (50, 1000),
        Failure::Server | Failure::Timeout | Failure::Connection | Failure::Endpoint => (100, 5000),
    };
    let ceiling = first_ms.saturating_mul(1 << tries.saturating_sub(1).min(16)).min(limit_ms);
    let asked_ms = match failure {
        Failure::ThrottledFor(ms) => i64::from(ms).min(PATIENCE_MS_MAX),
        _ => 0,
    };
    asked_ms + i64::try_from(random % (ceiling + 1)).unwrap_or(0)
}

#[cfg(test)]
mod tests;
