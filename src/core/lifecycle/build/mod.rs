//! The child objects of a run, one kind a file: spec and identity of the run → the object as it is applied.
//!
//! Belongs here: what an object looks like. May not hold: whether it should exist, which `decide` says.

pub mod access;
pub mod aggregator;
pub mod meta;
mod pod;
pub mod result;
pub mod run;
pub mod runner;
pub mod script;
pub mod secret;
pub mod service;
pub mod writer;
