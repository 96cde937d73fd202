//! What the two sides of a session say to each other. Each piece of an input is a message.

use std::collections::BTreeMap;

use weir::{
    core::{
        agent::config::Config,
        k6::{args::UserArgs, environment::Environment},
        plan::RunRef,
    },
    wire::session::AgentPhase,
};

use crate::{checks, pieces};

/// How far agents may have come when an input begins.
const PHASES: [AgentPhase; 5] = [
    AgentPhase::Preparing,
    AgentPhase::Ready,
    AgentPhase::Running,
    AgentPhase::Ended,
    AgentPhase::Finished,
];

/// What agents and writers say to an aggregator. The first piece tells how far the agents have come; of each message the
/// first byte is the session.
pub fn to_aggregator(bytes: &[u8]) {
    let mut pieces = pieces::split(bytes);
    let phase = pieces.next().and_then(<[u8]>::first).copied().unwrap_or(0);
    let said = pieces.filter_map(|piece| {
        let (session, message) = piece.split_first()?;
        Some((u64::from(session % 4), message.to_vec()))
    });
    checks::agents_say(PHASES[usize::from(phase) % PHASES.len()], said);
}

/// What an aggregator says to an agent; the first byte tells which of two it is.
pub fn to_agent(bytes: &[u8]) {
    let Some((which, bytes)) = bytes.split_first() else { return };
    let config = Config {
        run: RunRef { namespace: "ns".into(), name: "run".into(), uid: "uid".into() },
        instances: 2,
        instance_id: 1 + u32::from(which % 2),
        incarnation: "i".to_owned(),
        born_unix_ns: 1,
        user: UserArgs::default(),
        environment: Environment::new(),
        thresholds: BTreeMap::new(),
        tags: BTreeMap::new(),
        orphan_ms: 60_000,
        grace_ms: 10_000,
    };
    checks::the_aggregator_says(config, pieces::split(bytes).map(<[u8]>::to_vec));
}
