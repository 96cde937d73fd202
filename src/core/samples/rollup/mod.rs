//! Rows of a second each: what the output mode `Rollup` writes instead of samples.
//!
//! Samples of one metric, one second and equal kept dimensions become one row: how many, their sum, lowest and highest, of a
//! gauge the last, of a trend a [`histogram`]. The agent folds, so that what travels and what is billed does not grow with
//! the load. A row carries `instance_id` and its agent alone makes it: a frame that is written again gives the same rows.
//!
//! A row that was sent never changes. Samples that come after their second was closed make another row of that second, and
//! so do a histogram's parts where it is too long for one: their times lie nanoseconds behind the second's beginning, the
//! counts add up over any span of whole seconds.

pub mod fold;
pub mod histogram;
pub mod spec;
mod weight;

pub use weight::{memory_bytes, samples_in};
