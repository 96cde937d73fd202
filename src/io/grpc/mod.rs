//! The link over the network: gRPC on TLS, one stream for each agent.
//!
//! Belongs here: dialling, accepting, keepalive, bounds, and the proof of identity. May not: what is said in a session.

pub mod dial;
pub mod serve;

use std::time::Duration;

/// How often the other side is asked for a sign of life.
const PING_INTERVAL: Duration = Duration::from_secs(4);
/// How long that sign may take; then the connection counts as dead. Sides that have no processor to themselves for some
/// seconds are not: thousands that dial anew would be the last thing they need.
const PING_TIMEOUT: Duration = Duration::from_secs(10);
