//! Tests of the code base itself: the arrows between folders, the purity of the core, generated files.
//! May not hold: tests of behaviour, which stand beside the code they test.

mod charts;
mod generated;
mod samples;
mod tidy;
