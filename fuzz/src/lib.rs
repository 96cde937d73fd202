//! What libFuzzer holds Weir's decoders against, one module for each target.
//!
//! Valid bytes, and what must hold of all bytes, stand with the core's tests and are read from there. The names of Weir's
//! folders at the root let them find themselves here as there.

#[path = "../../src/core/tests/decoders/bounded.rs"]
pub mod bounded;
#[path = "../../src/core/tests/decoders/checks.rs"]
pub mod checks;
#[path = "../../src/core/tests/decoders/field.rs"]
pub mod field;
#[path = "../../src/core/tests/decoders/valid.rs"]
pub mod valid;

pub mod answers;
pub mod documents;
pub mod frames;
pub mod k6_lines;
pub mod ledgers;
pub mod messages;
pub mod pieces;
pub mod seeds;
pub mod spool;

use weir::{api, core, wire};
