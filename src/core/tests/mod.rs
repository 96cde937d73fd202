//! What the core's tests share, and the tests of several of its folders together.
//! May not hold: tests of one folder, which stand beside the code they test.

mod data_path;
pub(in crate::core) mod dice;
pub(in crate::core) mod disk;
