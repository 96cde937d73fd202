//! The Kubernetes API that users see: the kinds `LoadTest` and `LoadTestRun` and every name beside them.
//!
//! Belongs here: types with serde and schemars derives, their CEL rules and printer columns, and the
//! labels and reasons users may rely on. May not: anything of ours from another folder, any decision, any IO.
//! Field comments become the descriptions that `kubectl explain` prints, so they speak to users.

pub mod labels;
pub mod v1alpha1;
