//! What the core's tests share, and the tests of several of its folders together.
//! May not hold: tests of one folder, which stand beside the code they test.

pub(crate) mod changes;
mod data_path;
mod decoders;
pub(in crate::core) mod dice;
pub(in crate::core) mod disk;
pub(crate) mod k6;
mod replicas;
