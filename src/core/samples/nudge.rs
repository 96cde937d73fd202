//! Identity. A row of Timestream is known by its series and its time: of two samples that share both, one would be
//! lost. The later of them is moved by a nanosecond. The series is that of the row: outputs that leave out different
//! dimensions know one sample by different series, and its time must be free in each.

use std::hash::BuildHasher;

use foldhash::fast::FixedState;
use hashbrown::HashTable;

/// Identities remembered in one generation. Two generations are kept: samples of one identity come from k6 within
/// one flush of 200 ms, so that even at 100,000 samples a second they meet here.
pub const GENERATION: usize = 1 << 15;
/// Series whose latest time is remembered.
const LATEST: usize = 1 << 12;

/// Identities in the order in which they were taken. They are looked for only where a sample does not come in order: to
/// write them down one after the other costs next to nothing, to give each its place in a table a look at memory that no
/// processor has at hand.
#[derive(Debug, Default)]
struct Generation {
    taken: Vec<u64>,
    /// The first of them, as far as somebody has looked.
    table: HashTable<u64>,
}

impl Generation {
    fn has(&mut self, identity: u64) -> bool {
        for taken in self.taken.get(self.table.len()..).unwrap_or_default() {
            self.table.insert_unique(*taken, *taken, |other| *other);
        }
        self.table.find(identity, |other| *other == identity).is_some()
    }

    fn clear(&mut self) {
        self.taken.clear();
        self.table.clear();
    }
}

/// Remembers identities, a bounded number of them, and finds a free one for each sample.
///
/// An identity is remembered by 64 bits of hash. Two that share them, which no test will live to see, cost one sample a
/// nanosecond that it need not have moved.
#[derive(Debug, Default)]
pub struct Nudge {
    young: Generation,
    old: Generation,
    /// For a series, a time behind which nothing of it is taken: most samples come in order, and need no look at the
    /// identities, which are spread over more memory than a processor has at hand.
    latest: HashTable<(u64, i64)>,
    /// The same for all series.
    latest_of_all_ns: Option<i64>,
    nudged: u64,
}

impl Nudge {
    /// The time at which a sample is written that is of each of these `series`: its own, or the next nanosecond after it
    /// that is free in all of them.
    pub fn place(&mut self, series: &[u64], time_ns: i64) -> i64 {
        let mut at = time_ns;
        // Asks all, not only up to the first that is not.
        let in_order = series.iter().filter(|series| self.passes(**series, at)).count();
        if in_order < series.len() {
            while series.iter().any(|series| self.is_taken(identity(*series, at))) {
                at = at.saturating_add(1);
                if at == i64::MAX {
                    break;
                }
            }
            for series in series {
                self.note(*series, at);
            }
        }
        if at != time_ns {
            self.nudged += 1;
        }
        if self.young.taken.len() >= GENERATION {
            // The memory of the one that goes is used again.
            std::mem::swap(&mut self.old, &mut self.young);
            self.young.clear();
        }
        for series in series {
            self.young.taken.push(identity(*series, at));
        }
        let latest_ns = self.latest_of_all_ns.map_or(at, |latest_ns| latest_ns.max(at));
        self.latest_of_all_ns = Some(latest_ns);
        at
    }

    /// Whether nothing of the series is taken at this time or later, as far as that is known; from now on it may be.
    fn passes(&mut self, series: u64, at: i64) -> bool {
        match self.latest.find_mut(series, |other| other.0 == series) {
            Some((_, latest_ns)) if at > *latest_ns => {
                *latest_ns = at;
                true
            }
            _ => false,
        }
    }

    fn note(&mut self, series: u64, at: i64) {
        if let Some((_, latest_ns)) = self.latest.find_mut(series, |other| other.0 == series) {
            *latest_ns = at.max(*latest_ns);
            return;
        }
        if self.latest.len() >= LATEST {
            self.latest.clear();
        }
        // It may have been here before, with any time that there has been.
        let latest_ns = self.latest_of_all_ns.map_or(at, |latest_ns| latest_ns.max(at));
        self.latest.insert_unique(series, (series, latest_ns), |other| other.0);
    }

    fn is_taken(&mut self, identity: u64) -> bool {
        self.young.has(identity) || self.old.has(identity)
    }

    /// Samples that were moved.
    pub const fn nudged(&self) -> u64 {
        self.nudged
    }
}

/// A series and a time.
fn identity(series: u64, time_ns: i64) -> u64 {
    FixedState::default().hash_one((series, time_ns))
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
        assert!(nudge.young.taken.len() + nudge.old.taken.len() <= 2 * GENERATION);
        let last = all - generation;
        assert_eq!(nudge.place(&[1], last), all, "the whole last generation is remembered");
    }

    #[test]
    fn a_series_whose_latest_time_was_forgotten_is_looked_at_again() {
        let mut nudge = Nudge::default();
        assert_eq!(nudge.place(&[0], 100), 100);
        for series in 1..=LATEST as u64 {
            nudge.place(&[series], 1);
        }
        assert_eq!(nudge.place(&[0], 50), 50);
        assert_eq!(nudge.place(&[0], 100), 101);
        assert!(nudge.latest.len() <= LATEST);
    }

    proptest! {
        #[test]
        fn no_two_samples_share_an_identity(
            samples in prop::collection::vec(
                (prop::collection::btree_set(0_u64..3, 1..3), 0_i64..20),
                0..200,
            ),
        ) {
            let mut nudge = Nudge::default();
            let mut seen = BTreeSet::new();
            for (series, time_ns) in samples {
                let series: Vec<u64> = series.into_iter().collect();
                let at = nudge.place(&series, time_ns);
                let free = |at| series.iter().all(|series| !seen.contains(&(*series, at)));
                prop_assert!(free(at), "{series:?} at {at} twice");
                prop_assert_eq!((time_ns..=at).find(|at| free(*at)), Some(at), "not the next free");
                seen.extend(series.iter().map(|series| (*series, at)));
            }
        }
    }
}
