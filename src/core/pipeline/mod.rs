//! From a runner's frame to acknowledged rows: frames are opened, mapped to rows, cut into batches for each output,
//! retried, bisected, counted, and acknowledged once every output has stored or finally refused all of a frame.
//!
//! Belongs here: that flow as data and one sans-IO state machine ([`pipeline::Pipeline`]). May not: clients, clocks,
//! randomness (a number is passed in), or anything about who waits for whom (that is the rally's).

pub mod batch;
pub mod frame;
pub mod lane;
pub mod line;
#[expect(clippy::module_inception, reason = "the module's main type bears the module's name")]
pub mod pipeline;
pub mod retry;
pub mod rolled;
pub mod row;
pub mod shape;

mod fifo;
mod queue;
mod retries;
