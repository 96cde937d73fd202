//! What the core's tests share, and the tests of several of its folders together.
//! May not hold: tests of one folder, which stand beside the code they test.

pub(crate) mod changes;
mod data_path;
mod decoders;
pub(in crate::core) mod dice;
pub(in crate::core) mod disk;
mod emitted;
pub(crate) mod k6;
mod replicas;
mod table;

/// Seeds of a simulation: so many, or as many as `PROPTEST_CASES` says, where that is more.
pub(in crate::core) fn seeds(count: u64) -> std::ops::Range<u64> {
    let told = std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok());
    0..count.max(told.unwrap_or(0))
}

/// What goes wrong in each of the simulations, besides deaths: that it did is looked for, by these words.
const FAULTS: [&str; 17] = [
    "torn write",
    "full disk",
    "failed read",
    "a bit flipped",
    "a piece is another",
    "a file was cut",
    "a file is gone",
    "delay",
    "duplicate",
    "duplicate of what is settled",
    "reorder",
    "throttle",
    "not written",
    "written in part",
    "partial reject",
    "answer lost after the write",
    "refused for good",
];
