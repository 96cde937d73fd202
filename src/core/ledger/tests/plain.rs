//! k6's percentile on plain values.

use crate::core::ledger::stats::count_f64;

/// k6's percentile of sorted values.
pub(in crate::core::ledger) fn percentile(sorted: &[f64], share: f64) -> f64 {
    match sorted {
        [] => 0.0,
        [only] => *only,
        _ => {
            let at = share * (count_f64(sorted.len() as u64) - 1.0);
            let of = |at: f64| sorted[at as usize];
            let (low, high) = (of(at.floor()), of(at.ceil()));
            low + (high - low) * (at - at.floor())
        }
    }
}
