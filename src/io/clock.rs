//! The only reader of the wall clock.

use std::time::{SystemTime, UNIX_EPOCH};

/// Unix time in nanoseconds; 0 on a machine whose clock stands before 1970.
pub fn unix_ns() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| i64::try_from(since.as_nanos()).unwrap_or(i64::MAX))
}

/// Unix time in milliseconds; 0 on a machine whose clock stands before 1970.
pub fn unix_ms() -> i64 {
    unix_ns() / 1_000_000
}

/// A Unix time in milliseconds as RFC 3339 writes it; that of 1970 for one that no calendar has.
pub fn rfc3339(unix_ms: i64) -> String {
    jiff::Timestamp::from_millisecond(unix_ms).unwrap_or_default().to_string()
}
