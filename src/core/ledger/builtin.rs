//! The metrics that k6 has whatever the script does.

use super::view::{Contains, Kind};

/// Kind and content of a metric of k6's own; none where the name is a script's.
pub fn builtin(name: &str) -> Option<(Kind, Contains)> {
    Some(match name {
        "vus" | "vus_max" => (Kind::Gauge, Contains::Default),
        "iterations" | "dropped_iterations" | "http_reqs" | "ws_sessions" | "ws_msgs_sent"
        | "ws_msgs_received" => (Kind::Counter, Contains::Default),
        "data_sent" | "data_received" => (Kind::Counter, Contains::Data),
        "checks" | "http_req_failed" => (Kind::Rate, Contains::Default),
        "iteration_duration"
        | "group_duration"
        | "http_req_duration"
        | "http_req_blocked"
        | "http_req_connecting"
        | "http_req_tls_handshaking"
        | "http_req_sending"
        | "http_req_waiting"
        | "http_req_receiving"
        | "ws_ping"
        | "ws_session_duration"
        | "ws_connecting"
        | "grpc_req_duration" => (Kind::Trend, Contains::Time),
        _ => return None,
    })
}

/// Whether the instances' values of a gauge are parts of one: of all VUs, each instance runs its own.
pub fn adds_up(name: &str) -> bool {
    matches!(name, "vus" | "vus_max")
}
