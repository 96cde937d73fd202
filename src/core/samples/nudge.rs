//! Identity. A row of Timestream is known by its series and its time: of two samples that share both, one would be
//! lost. The later of them is moved by a nanosecond. The series is that of the row: outputs that leave out different
//! dimensions know one sample by different series, and its time must be free in each.

use foldhash::fast::FixedState;
use hashbrown::HashTable;
use std::hash::BuildHasher;

/// Identities remembered in one generation. Two generations are kept: samples of one identity come from k6 within
/// one flush of 200 ms, so that even at 100,000 samples a second they meet here.
pub const GENERATION: usize = 1 << 16;

/// Remembers identities, a bounded number of them, and finds a free one for each sample.
#[derive(Debug, Default)]
pub struct Nudge {
    young: Generation,
    old: Generation,
    nudged: u64,
}

/// A series and a time.
type Identity = (u64, i64);

#[derive(Debug, Default)]
struct Generation(HashTable<Identity>);

impl Nudge {
    /// The time at which a sample is written that is of each of these `series`: its own, or the next nanosecond after it
    /// that is free in all of them.
    pub fn place(&mut self, series: &[u64], time_ns: i64) -> i64 {
        let mut at = time_ns;
        while series.iter().any(|series| self.is_taken((*series, at))) {
            at = at.saturating_add(1);
            if at == i64::MAX {
                break;
            }
        }
        if at != time_ns {
            self.nudged += 1;
        }
        if self.young.0.len() >= GENERATION {
            // The memory of the one that goes is used again.
            std::mem::swap(&mut self.old, &mut self.young);
            self.young.0.clear();
        }
        for series in series {
            self.young.insert((*series, at));
        }
        at
    }

    fn is_taken(&self, identity: Identity) -> bool {
        let hash = hash(identity);
        self.young.has(hash, identity) || self.old.has(hash, identity)
    }

    /// Samples that were moved.
    pub const fn nudged(&self) -> u64 {
        self.nudged
    }
}

impl Generation {
    fn has(&self, hash: u64, identity: Identity) -> bool {
        self.0.find(hash, |other| *other == identity).is_some()
    }

    fn insert(&mut self, identity: Identity) {
        self.0.insert_unique(hash(identity), identity, |other| hash(*other));
    }
}

fn hash(identity: Identity) -> u64 {
    FixedState::default().hash_one(identity)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_later_of_two_equal_samples_moves_by_a_nanosecond() {
        let mut nudge = Nudge::default();
        assert_eq!([nudge.place(&[1], 5), nudge.place(&[1], 5), nudge.place(&[1], 5)], [5, 6, 7]);
        assert_eq!(nudge.place(&[2], 5), 5, "another series is another row");
        assert_eq!(nudge.place(&[1], 6), 8, "a place once taken stays taken");
        assert_eq!(nudge.nudged(), 3);
    }

    #[test]
    fn a_sample_of_two_series_finds_a_time_that_is_free_in_both() {
        let mut nudge = Nudge::default();
        assert_eq!([nudge.place(&[1], 5), nudge.place(&[2], 6)], [5, 6]);
        assert_eq!(nudge.place(&[1, 2], 5), 7);
        assert_eq!([nudge.place(&[1], 7), nudge.place(&[2], 7)], [8, 8]);
    }

    #[test]
    fn memory_is_bounded_and_the_last_generation_is_never_forgotten() {
        let mut nudge = Nudge::default();
        let generation = i64::try_from(GENERATION).unwrap();
        let all = 3 * generation;
        for time_ns in 0..all {
            assert_eq!(nudge.place(&[1], time_ns), time_ns);
        }
        assert!(nudge.young.0.len() + nudge.old.0.len() <= 2 * GENERATION);
        let last = all - generation;
        assert_eq!(nudge.place(&[1], last), all, "the whole last generation is remembered");
    }

    proptest! {
        #[test]
        fn no_two_samples_share_an_identity(
            samples in prop::collection::vec((0_u64..3, 0_i64..20), 0..200),
        ) {
            let mut nudge = Nudge::default();
            let mut seen = BTreeSet::new();
            for (series, time_ns) in samples {
                let at = nudge.place(&[series], time_ns);
                prop_assert!(at >= time_ns);
                prop_assert!(seen.insert((series, at)), "{series} at {at} twice");
            }
        }
    }
}
