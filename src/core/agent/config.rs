//! What an agent knows when it starts.

use std::collections::BTreeMap;

use crate::core::{
    k6::{args::UserArgs, environment::Environment},
    ledger::threshold::Thresholds,
    plan::RunRef,
};

/// What an agent knows when it starts.
#[derive(Clone, Debug)]
pub struct Config {
    /// The run.
    pub run: RunRef,
    /// Number of k6 instances.
    pub instances: u32,
    /// This instance, from 1.
    pub instance_id: u32,
    /// Tells this agent process from another of the same instance.
    pub incarnation: String,
    /// When this agent process began, Unix time in nanoseconds.
    pub born_unix_ns: i64,
    /// The user's arguments for `k6 run`.
    pub user: UserArgs,
    /// The environment that k6 will see.
    pub environment: Environment,
    /// `spec.thresholds`.
    pub thresholds: Thresholds,
    /// `spec.tags`.
    pub tags: BTreeMap<String, String>,
    /// Time without a session after which the agent gives up.
    pub orphan_ms: i64,
    /// Time from the order to stop (SIGTERM) until the process must be gone.
    pub grace_ms: i64,
}

#[cfg(test)]
impl Config {
    /// Of a run that asks for nothing special.
    pub(in crate::core) fn plain(instance_id: u32, instances: u32) -> Self {
        Self {
            run: RunRef { namespace: "ns".into(), name: "r-1".into(), uid: "u".into() },
            instances,
            instance_id,
            incarnation: "i".to_owned(),
            born_unix_ns: 1,
            user: UserArgs::default(),
            environment: Environment::new(),
            thresholds: BTreeMap::new(),
            tags: BTreeMap::new(),
            orphan_ms: 60_000,
            grace_ms: 10_000,
        }
    }
}
