//! What may go wrong in a run, and how often.

use proptest::prelude::*;

/// What may go wrong. Chances are in percent of the occasions, the others of all in a thousand turns.
#[derive(Clone, Debug, Default)]
pub(super) struct Weather {
    pub(super) agents_die: u64,
    pub(super) writers_die: u64,
    pub(super) leader_dies: u64,
    pub(super) breaks: u64,
    /// Messages of frames and acknowledgements that come late, so that others overtake them.
    pub(super) overtakes: u64,
    pub(super) repeats: u64,
    pub(super) throttles: u64,
    pub(super) fails: u64,
    pub(super) loses_answers: u64,
    pub(super) disk_fails: u64,
    pub(super) spool_fills: bool,
    /// A spool that is full fails the run.
    pub(super) full_fails: bool,
    /// Disks on which what was written changes.
    pub(super) rots: u64,
    /// An output is dead from and to, in milliseconds.
    pub(super) dead: (i64, i64),
    /// The first output says that no try will help, from and to.
    pub(super) refuses: (i64, i64),
}

/// All goes wrong now and then, but what loses samples for good.
pub(super) fn rough() -> Weather {
    Weather {
        agents_die: 40,
        writers_die: 40,
        leader_dies: 20,
        breaks: 4,
        overtakes: 10,
        repeats: 10,
        throttles: 20,
        fails: 15,
        loses_answers: 15,
        disk_fails: 8,
        dead: (3_000, 6_000),
        ..Weather::default()
    }
}

pub(super) fn weather() -> impl Strategy<Value = Weather> {
    let deaths = (0..70u64, 0..60u64, 0..40u64, 0..8u64);
    let calls = (0..40u64, 0..30u64, 0..30u64);
    let ways = (0..15u64, 0..15u64, 0..20u64, any::<bool>(), 0..10_000i64, 0..15_000i64);
    // Most runs are not to end early.
    let refuses = (0..10_000i64, prop_oneof![Just(i64::MAX), 0..5_000i64])
        .prop_map(|(from_ms, for_ms)| (from_ms, for_ms.saturating_add(from_ms)));
    let losses = (
        prop_oneof![3 => Just(0), 1 => 0..150u64],
        prop::bool::weighted(0.2),
        prop_oneof![3 => Just((0, 0)), 1 => refuses],
    );
    (deaths, calls, ways, losses).prop_map(|(deaths, calls, ways, losses)| Weather {
        agents_die: deaths.0,
        writers_die: deaths.1,
        leader_dies: deaths.2,
        breaks: deaths.3,
        overtakes: ways.0,
        repeats: ways.1,
        throttles: calls.0,
        fails: calls.1,
        loses_answers: calls.2,
        disk_fails: ways.2,
        spool_fills: ways.3,
        full_fails: losses.1,
        rots: losses.0,
        dead: (ways.4, ways.4 + ways.5 - 5_000),
        refuses: losses.2,
    })
}
