//! End-to-end tests on a real cluster: any that `KUBECONFIG` points to, with Weir installed (`make deploy`) and the
//! images of `harness/mod.rs` present. Each file's tests say why only a cluster can show them.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::needless_pass_by_value,
    reason = "tests"
)]

mod bad_input;
mod dashboards;
mod faults;
mod happy_path;
mod harness;
mod influx_cluster;
mod lossless_cluster;
mod scope;
mod sources;
mod verdict;
