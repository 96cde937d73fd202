//! Random numbers, and k6's percentile on plain values.

use crate::core::ledger::stats::count_f64;

/// Random numbers that are the same in every run.
pub(in crate::core::ledger) struct Dice(pub(in crate::core::ledger) u64);

impl Dice {
    pub(in crate::core::ledger) fn next(&mut self) -> u64 {
        // SplitMix64.
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    pub(in crate::core::ledger) fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(bound).unwrap()).unwrap()
    }

    pub(in crate::core::ledger) fn unit(&mut self) -> f64 {
        count_f64(self.next() >> 11) / count_f64(1 << 53)
    }

    pub(in crate::core::ledger) fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }
}

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
