//! From k6's lines to frames: decode, identity, frames, and the spool that keeps frames until they are acknowledged.
//! Pure: lines come in as text, time as an argument. May not hold: files, threads, sessions.

pub mod decode;
pub mod frame;
pub mod framer;
pub mod lines;
pub mod nudge;
pub mod rollup;
pub mod series;
pub mod spool;
pub mod time;
