//! Tests of the spool: cases by hand, and whole lives on a disk that fails.

mod cases;
mod simulation;
