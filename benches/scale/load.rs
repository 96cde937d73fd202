//! What the agents measure: k6's own metrics of an HTTP test, and as many of the script's.

use std::{borrow::Cow, cell::RefCell};

use weir::core::{
    ledger::{
        ledger::Ledger,
        threshold::{RuleOptions, Rules, ThresholdSpec, Thresholds},
        view::{Contains, Kind},
    },
    samples::decode::{Definition, Pairs, Point},
};

/// Values of each trend before the load begins, so that sketches are as large as they are after a minute of load.
const TREND_VALUES: u32 = 1000;
/// Samples of each metric in a second.
const SAMPLES_PER_SECOND: u32 = 2;

/// The metrics: 40, half of them trends.
const METRICS: [(Kind, &[&str]); 4] = [
    (
        Kind::Trend,
        &[
            "http_req_duration",
            "http_req_blocked",
            "http_req_connecting",
            "http_req_tls_handshaking",
            "http_req_sending",
            "http_req_waiting",
            "http_req_receiving",
            "iteration_duration",
            "group_duration",
            "login_time",
            "search_time",
            "cart_time",
            "checkout_time",
            "payment_time",
            "render_time",
            "queue_time",
            "parse_time",
            "first_byte_time",
            "item_count",
            "page_weight",
        ],
    ),
    (
        Kind::Counter,
        &[
            "http_reqs",
            "iterations",
            "data_sent",
            "data_received",
            "orders",
            "logins",
            "searches",
            "retries",
            "timeouts",
            "cache_hits",
            "cache_misses",
        ],
    ),
    (
        Kind::Rate,
        &["http_req_failed", "checks", "order_success", "login_success", "payment_success"],
    ),
    (Kind::Gauge, &["vus", "vus_max", "queue_length", "stock"]),
];

/// The thresholds: ten, half of them on percentiles.
const THRESHOLDS: [(&str, &str, bool); 10] = [
    ("http_req_duration", "p(95)<2000", false),
    ("http_req_duration", "p(99.9)<9000", true),
    ("http_req_duration{status:200}", "p(95)<2000", false),
    ("iteration_duration", "med<1500", false),
    ("checkout_time", "p(90)<1500", false),
    ("http_req_failed", "rate<0.2", true),
    ("checks", "rate>0.5", false),
    ("http_reqs", "count>100", false),
    ("http_req_waiting", "avg<1000", false),
    ("payment_time", "max<60000", false),
];

/// Numbers without a pattern.
#[derive(Clone, Debug)]
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u32) -> Self {
        Self(u64::from(seed).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// From 0 to 1.
    pub(crate) fn share(&mut self) -> f64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        f64::from(u32::try_from(self.0 >> 32).unwrap_or(0)) / f64::from(u32::MAX)
    }

    /// A time as services have them: most near 120 ms, a few many times as long.
    fn time(&mut self) -> f64 {
        let normal = (0..6).map(|_| self.share()).sum::<f64>() - 3.0;
        120.0 * (normal * 0.9).exp()
    }
}

fn rules() -> Rules {
    let mut script = Thresholds::new();
    for (metric, source, abort_on_fail) in THRESHOLDS {
        let spec = ThresholdSpec {
            source: source.to_owned(),
            abort_on_fail,
            delay_abort_eval: String::new(),
        };
        script.entry(metric.to_owned()).or_default().push(spec);
    }
    Rules::new(&script, &Thresholds::new(), RuleOptions::default()).expect("the rules are k6's")
}

fn metrics() -> impl Iterator<Item = (Kind, &'static str)> {
    METRICS.into_iter().flat_map(|(kind, names)| names.iter().map(move |name| (kind, *name)))
}

fn points() -> Vec<(Kind, Point<'static>)> {
    let tags = [
        ("expected_response", "true"),
        ("group", ""),
        ("method", "GET"),
        ("name", "http://host/cart"),
        ("proto", "HTTP/1.1"),
        ("scenario", "default"),
        ("status", "200"),
        ("url", "http://host/cart"),
    ];
    let tags = tags.map(|(name, value)| (Cow::Borrowed(name), Cow::Borrowed(value))).to_vec();
    let point = |name| Point {
        metric: Cow::Borrowed(name),
        time_ns: 1_800_000_000_000_000_000,
        value: 0.0,
        tags: Pairs(tags.clone()),
        metadata: Pairs::default(),
    };
    metrics().map(|(kind, name)| (kind, point(name))).collect()
}

thread_local! {
    static POINTS: RefCell<Vec<(Kind, Point<'static>)>> = RefCell::new(points());
}

fn add(ledger: &mut Ledger, dice: &mut Dice, only: Option<Kind>, times: u32) {
    POINTS.with_borrow_mut(|points| {
        for (kind, point) in points.iter_mut().filter(|(kind, _)| only.is_none_or(|o| o == *kind)) {
            for _ in 0..times {
                point.value = match *kind {
                    Kind::Trend => dice.time(),
                    Kind::Counter => 1.0,
                    Kind::Rate => f64::from(u8::from(dice.share() < 0.1)),
                    Kind::Gauge => 10.0,
                };
                if point.metric == "checks" {
                    point.value = 1.0 - point.value;
                }
                ledger.add(point);
            }
        }
    });
}

/// A ledger with something in it.
pub(crate) fn ledger(dice: &mut Dice) -> Ledger {
    let mut ledger = Ledger::new(&rules(), false);
    for (kind, name) in metrics() {
        let contains = if kind == Kind::Trend { Contains::Time } else { Contains::Default };
        ledger.define(&Definition { name: name.into(), kind: Some(kind), contains });
    }
    add(&mut ledger, dice, Some(Kind::Trend), TREND_VALUES);
    ledger
}

/// One more second of load.
pub(crate) fn second(ledger: &mut Ledger, dice: &mut Dice) {
    add(ledger, dice, None, SAMPLES_PER_SECOND);
}
