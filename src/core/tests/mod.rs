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
