//! The only place that says which differences between k6 and Weir are none, and why. All else must be equal.

use crate::case::Head;

/// A difference that is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Tolerated {
    Time,
    Free,
    Percentile,
    Rounding,
    Duration,
    VusMissing,
    Maybe,
    Told,
    Share,
    Order,
    Deprecated,
}

impl Tolerated {
    /// Why.
    pub(crate) const fn reason(self) -> &'static str {
        match self {
            Self::Time => {
                "values of k6's own timings, and counts per second: two runs of k6 differ in them too"
            }
            Self::Free => "values and logs that the head of the script names as not fixed by it",
            Self::Percentile => {
                "percentiles that are shown: Weir promises them within 0.1 %, their thresholds exactly"
            }
            Self::Rounding => {
                "last bits of averages and sums: floating-point numbers added in another order"
            }
            Self::Duration => "the test's duration: within 3 s of k6's",
            Self::VusMissing => {
                "vus and vus_max in a test of about a second: k6 takes them once a second, or not at all"
            }
            Self::Maybe => {
                "metrics that are there in one run alone, which the head of the script says may be"
            }
            Self::Told => {
                "exceptions in setup(), teardown(), handleSummary() and the init context, which k6 logs in words of \
                 its own: Weir tells them in other words, but with the exception"
            }
            Self::Share => {
                "warnings that an executor has no more VUs: each instance logs it of its own share of them"
            }
            Self::Deprecated => {
                "k6 1 says on standard output that --no-summary is deprecated: Weir takes the flag without a word"
            }
            Self::Order => {
                "order of metrics in the export of --new-machine-readable-summary: two runs of k6 differ in it too"
            }
        }
    }
}

/// k6's own timings.
const TIMINGS: &[&str] = &[
    "group_duration",
    "grpc_req_duration",
    "http_req_blocked",
    "http_req_connecting",
    "http_req_duration",
    "http_req_receiving",
    "http_req_sending",
    "http_req_tls_handshaking",
    "http_req_waiting",
    "iteration_duration",
    "ws_connecting",
    "ws_ping",
    "ws_session_duration",
];

/// How two numbers are compared.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum How {
    /// Equal.
    Exact,
    /// Equal but for a relative error.
    Near(f64, Tolerated),
    /// Both are numbers, no more.
    Any(Tolerated),
}

/// How the value `key` of a metric or submetric is compared.
pub(crate) fn how(head: &Head, metric: &str, key: &str, is_counter: bool) -> How {
    let base = metric.split('{').next().unwrap_or(metric);
    if TIMINGS.contains(&base) || (is_counter && key == "rate") {
        return How::Any(Tolerated::Time);
    }
    if head.free.iter().any(|free| free == base || free == metric) {
        return How::Any(Tolerated::Free);
    }
    match key {
        "med" => How::Near(1e-3, Tolerated::Percentile),
        _ if key.starts_with("p(") => How::Near(1e-3, Tolerated::Percentile),
        _ => How::Near(1e-9, Tolerated::Rounding),
    }
}

/// Why a metric may be missing in one of two tests whose durations in milliseconds, where they are known, are these.
pub(crate) fn may_lack(head: &Head, metric: &str, durations_ms: &[f64]) -> Option<Tolerated> {
    if head.maybe.iter().any(|maybe| maybe == metric) {
        Some(Tolerated::Maybe)
    } else {
        let is_vus = ["vus", "vus_max"].contains(&metric);
        (is_vus && may_lack_vus(durations_ms)).then_some(Tolerated::VusMissing)
    }
}

/// Whether of two tests the one may have come to the first look at the number of VUs and the other not: durations in
/// milliseconds, where they are known.
fn may_lack_vus(durations_ms: &[f64]) -> bool {
    let is_short = durations_ms.iter().any(|ms| *ms < 1500.0);
    let is_long = durations_ms.iter().any(|ms| *ms > 700.0);
    is_short && is_long
}

/// What k6 1 prints of a flag.
pub(crate) const DEPRECATED: &str = "Flag --no-summary has been deprecated";

/// What an executor logs when it wants more VUs than its instance has.
pub(crate) const WANTS_VUS: &str = "Insufficient VUs, ";

/// Farthest that the durations of two tests may lie apart, in milliseconds.
pub(crate) const DURATION_APART_MS: f64 = 3000.0;
