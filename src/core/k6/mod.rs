//! What Weir knows of k6: its command line, its exit codes, its options as `k6 inspect` prints them, the texts it
//! writes, the words of its REST API. May not hold: a decision about a run, or anything that talks to a process.

pub mod args;
pub mod argv;
pub mod duration;
pub mod environment;
pub mod exit;
pub mod flags;
pub mod log;
pub mod options;
pub mod outlet;
pub mod rest;
pub mod segment;
pub mod tags;
pub mod version;
