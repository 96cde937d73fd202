//! Under which heading k6 shows a metric.

use super::settings::Mode;

/// A heading, in k6's order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Section {
    Http,
    Execution,
    Network,
    Browser,
    WebVitals,
    Grpc,
    Websocket,
    /// The script's own metrics, and those of extensions.
    Custom,
}

/// Shown with the checks, or nowhere.
const APART: &[&str] = &["checks", "group_duration"];
/// Parts of `http_req_duration`, shown by `--summary-mode=full`.
const DETAILS: &[&str] = &[
    "http_req_blocked",
    "http_req_connecting",
    "http_req_receiving",
    "http_req_sending",
    "http_req_tls_handshaking",
    "http_req_waiting",
];
const HTTP: &[&str] = &["http_reqs", "http_req_failed", "http_req_duration"];
const EXECUTION: &[&str] = &["vus", "iterations", "iteration_duration", "dropped_iterations"];
const NETWORK: &[&str] = &["data_sent", "data_received"];

impl Section {
    /// Its title.
    pub(super) fn title(self) -> &'static str {
        match self {
            Self::Http => "HTTP",
            Self::Execution => "EXECUTION",
            Self::Network => "NETWORK",
            Self::Browser => "BROWSER",
            Self::WebVitals => "WEB_VITALS",
            Self::Grpc => "GRPC",
            Self::Websocket => "WEBSOCKET",
            Self::Custom => "CUSTOM",
        }
    }
}

/// The heading of a metric, if it is shown at all. k6 goes by how a name begins: a metric `vus_of_mine` counts as one
/// of execution.
pub(super) fn of(name: &str, mode: Mode) -> Option<Section> {
    let is = |names: &[&str]| names.iter().any(|start| name.starts_with(start));
    if is(APART) || (mode == Mode::Compact && is(DETAILS)) {
        return None;
    }
    Some(if is(HTTP) || is(DETAILS) {
        Section::Http
    } else if is(EXECUTION) {
        Section::Execution
    } else if is(NETWORK) {
        Section::Network
    } else if name.starts_with("browser_web_vital_") {
        Section::WebVitals
    } else if name.starts_with("browser_") {
        Section::Browser
    } else if name.starts_with("grpc_") {
        Section::Grpc
    } else if name.starts_with("ws_") {
        Section::Websocket
    } else {
        Section::Custom
    })
}
