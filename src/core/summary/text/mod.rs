//! k6's end-of-test text. Belongs here: its sections, marks, units, alignment and colours. May not: what is measured,
//! or which terminal it goes to.

mod document;
mod full;
mod legacy;
mod metrics;
mod number;
mod order;
mod paint;
mod results;
mod thresholds;
mod unit;

pub use document::write;
