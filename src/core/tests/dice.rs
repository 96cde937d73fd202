//! Random numbers for tests, the same in every run of a seed.

use crate::core::ledger::stats::count_f64;

/// SplitMix64: small, and the same everywhere.
#[derive(Clone, Debug)]
pub(in crate::core) struct Dice(pub(in crate::core) u64);

impl Dice {
    pub(in crate::core) fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Less than `limit`; 0 where that is 0.
    pub(in crate::core) fn below<N>(&mut self, limit: N) -> N
    where
        N: TryInto<u64> + TryFrom<u64>,
    {
        let limit = limit.try_into().ok().expect("a limit is not negative");
        N::try_from(self.roll() % limit.max(1)).ok().expect("it is below a number of this type")
    }

    pub(in crate::core) fn ms(&mut self, limit: u64) -> i64 {
        i64::try_from(self.below(limit)).unwrap()
    }

    pub(in crate::core) fn percent(&mut self, chance: u64) -> bool {
        self.below(100_u64) < chance
    }

    pub(in crate::core) fn unit(&mut self) -> f64 {
        count_f64(self.roll() >> 11) / count_f64(1 << 53)
    }

    pub(in crate::core) fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }
}
