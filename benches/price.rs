//! What Timestream bills for the samples of a million HTTP requests, by the published formula, as xk6-output-timestream
//! writes them and as Weir does: the same samples go through Weir's own frames, pipeline and requests, in simulated
//! time. Prints the figures beside what is to be reached; judges nothing.
//!
//! `PRICE_REQUESTS` (or the first number among the arguments) tells how many requests, `PRICE_RATE` (or the second) how
//! many come in a second; without it, several rates are shown, the middle one the reference.
//!
//! Source of the formula: Timestream developer guide, "Metering and pricing, writes": of each record 8 bytes of time,
//! names and values of its dimensions, the name of the measure, 8 bytes for a number, the length of a text, of each column of
//! a multi-measure record its name besides; what stands in the common
//! attributes counts once; each call is rounded up to whole KiB, and each KiB is one write. The guide also says that
//! repeated dimensions are found and charged once, while its own example charges them wherever they are not in the common
//! attributes. How far that goes only a bill can tell, so the last column shows it taken at its word: within a call, each
//! pair of name and value once.
#![expect(clippy::expect_used, reason = "a benchmark that cannot be set up has nothing to say")]
#![expect(clippy::print_stdout, reason = "the table is what it is for")]

#[path = "common/http.rs"]
mod http;

use std::{borrow::Cow, collections::BTreeSet, env};

use http::REQUEST_METRICS;
use serde::Deserialize;
use serde_json::json;
use weir::{
    api::v1alpha1::Output,
    core::{
        dimensions::{Kept, of_outputs},
        ledger::view::{Contains, Kind},
        pipeline::{
            batch::BATCH_RECORDS_MAX,
            lane::LaneConfig,
            pipeline::{FrameKey, Pipeline},
            retry::Written,
        },
        samples::{
            decode::{Definition, Pairs, Point},
            frame::{Closed, Limits},
            framer::Framer,
            rollup::spec::Wanted,
        },
    },
    output::{output, timestream::body},
};

// As in the binary.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Dollars for a million writes of 1 KiB (us-east-1, aws.amazon.com/timestream/pricing).
const DOLLARS: f64 = 0.50;
const UNIT_BYTES: usize = 1024;
const TIME_BYTES: usize = 8;
const VALUE_BYTES: usize = 8;
const INSTANCES: u32 = 4;
/// Requests of all instances in a second.
const RATES: [u32; 3] = [100, 1_000, 10_000];
/// Requests of an iteration.
const ITERATION_REQUESTS: u32 = 5;
/// And of each iteration.
const ITERATION_METRICS: [&str; 4] =
    ["data_sent", "data_received", "iteration_duration", "iterations"];
/// And of each instance in a second.
const GAUGES: [&str; 2] = ["vus", "vus_max"];
/// The script's requests: method, path, group.
const PATHS: [(&str, &str, &str); 20] = [
    ("GET", "/", ""),
    ("GET", "/health", ""),
    ("GET", "/api/v1/products", "::browse"),
    ("GET", "/api/v1/products?page=2", "::browse"),
    ("GET", "/api/v1/products/1042", "::browse"),
    ("GET", "/api/v1/products/1042/reviews", "::browse"),
    ("GET", "/api/v1/categories", "::browse"),
    ("GET", "/api/v1/search?q=garden+chair&sort=price", "::search"),
    ("GET", "/api/v1/search/suggestions?q=gar", "::search"),
    ("POST", "/api/v1/login", "::login"),
    ("GET", "/api/v1/account", "::login"),
    ("GET", "/api/v1/account/orders", "::login"),
    ("POST", "/api/v1/cart", "::cart"),
    ("GET", "/api/v1/cart", "::cart"),
    ("PUT", "/api/v1/cart/items/1042", "::cart"),
    ("DELETE", "/api/v1/cart/items/1043", "::cart"),
    ("POST", "/api/v1/checkout", "::checkout"),
    ("GET", "/api/v1/checkout/shipping-options", "::checkout"),
    ("POST", "/api/v1/checkout/payment", "::checkout"),
    ("GET", "/static/app.3f9c1d.js", ""),
];

fn main() {
    let mut given = env::args().skip(1).filter_map(|text| text.parse::<u32>().ok());
    let mut number = |name: &str| {
        let told = || env::var(name).ok()?.parse().ok();
        given.next().or_else(told).map(|number: u32| number.max(1))
    };
    let requests = number("PRICE_REQUESTS").unwrap_or(1_000_000);
    let rates = number("PRICE_RATE").map_or_else(|| RATES.to_vec(), |rate| vec![rate]);
    println!("{requests} HTTP requests of {INSTANCES} instances and what else k6 measures then");
    for rate in rates {
        let xk6 = xk6(requests, rate);
        println!();
        println!("{rate} requests a second");
        head();
        row("xk6-output-timestream", &xk6, &xk6, "");
        row("Samples", &samples(requests, rate, &json!({})), &xk6, "at most 1/4");
        let without = json!({"dimensions": {"exclude": ["url"]}});
        row("Samples, without url", &samples(requests, rate, &without), &xk6, "");
        let rollup = json!({"mode": "Rollup"});
        row("Rollup", &samples(requests, rate, &rollup), &xk6, "at most 1/100");
        let by_name = json!({"mode": "Rollup", "dimensions": {"exclude": ["url"]}});
        row("Rollup, without url", &samples(requests, rate, &by_name), &xk6, "");
    }
}

/// What a way of writing costs.
#[derive(Debug, Default)]
struct Bill {
    records: usize,
    calls: usize,
    bytes: usize,
    units: usize,
    /// Where repeated dimensions are charged once.
    units_once: usize,
}

impl Bill {
    fn add(&mut self, records: usize, bytes: usize, bytes_once: usize) {
        self.records += records;
        self.calls += 1;
        self.bytes += bytes;
        self.units += bytes.div_ceil(UNIT_BYTES);
        self.units_once += bytes_once.div_ceil(UNIT_BYTES);
    }

    /// Meters a call as it is sent.
    fn add_call(&mut self, call: &Sent<'_>) {
        let size = |pair: &Dimension<'_>| pair.name.len() + pair.value.len();
        let fixed = |record: &Record<'_>| {
            let of = |text: Option<&str>, bytes: usize| text.map_or(0, |_| bytes);
            let columns = record.measure_values.iter().map(|column| {
                let value_bytes =
                    if column.kind == "VARCHAR" { column.value.len() } else { VALUE_BYTES };
                column.name.len() + value_bytes
            });
            of(record.time, TIME_BYTES)
                + of(record.measure_value, VALUE_BYTES)
                + columns.sum::<usize>()
                + record.measure_name.map_or(0, str::len)
        };
        let (mut bytes, mut once) = (0, 0);
        let mut seen = BTreeSet::new();
        for record in call.records.iter().chain([&call.common]) {
            bytes += fixed(record);
            once += fixed(record);
            for dimension in &record.dimensions {
                bytes += size(dimension);
                if seen.insert((&dimension.name, &dimension.value)) {
                    once += size(dimension);
                }
            }
        }
        self.add(call.records.len(), bytes, once);
    }
}

/// What Timestream reads of a call.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Sent<'a> {
    #[serde(borrow, rename = "CommonAttributes")]
    common: Record<'a>,
    #[serde(borrow)]
    records: Vec<Record<'a>>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Record<'a> {
    time: Option<&'a str>,
    measure_name: Option<&'a str>,
    measure_value: Option<&'a str>,
    #[serde(borrow)]
    measure_values: Vec<Column<'a>>,
    #[serde(borrow)]
    dimensions: Vec<Dimension<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Column<'a> {
    name: &'a str,
    #[serde(rename = "Type")]
    kind: &'a str,
    value: &'a str,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Dimension<'a> {
    name: &'a str,
    value: &'a str,
}

/// One record for each sample with all its dimensions, a hundred in the order of their coming to a call.
fn xk6(requests: u32, rate: u32) -> Bill {
    let mut bill = Bill::default();
    let mut open: Vec<Call> = (0..INSTANCES).map(|_| Call::default()).collect();
    let mut close = |call: &mut Call| {
        let Call { records, bytes, bytes_once, .. } = std::mem::take(call);
        bill.add(records, bytes, bytes_once);
    };
    load(requests, rate, &mut |event| {
        let Event::Sample(instance, metric, tags, ..) = event else { return };
        let Some(call) = open.get_mut(instance) else { return };
        call.take(metric, tags, instance);
        if call.records == BATCH_RECORDS_MAX {
            close(call);
        }
    });
    open.iter_mut().filter(|call| call.records > 0).for_each(close);
    bill
}

/// A call that fills.
#[derive(Debug, Default)]
struct Call {
    records: usize,
    bytes: usize,
    bytes_once: usize,
    seen: BTreeSet<(&'static str, &'static str)>,
    last: Vec<(&'static str, &'static str)>,
}

impl Call {
    fn take(&mut self, metric: &str, tags: &[(&'static str, &'static str)], instance: usize) {
        let fixed = TIME_BYTES + VALUE_BYTES + metric.len();
        self.records += 1;
        self.bytes += fixed;
        self.bytes_once += fixed;
        let all = instance_tag(instance);
        let size = |(name, value): &(&str, &str)| name.len() + value.len();
        self.bytes += all.iter().chain(tags).map(size).sum::<usize>();
        if self.last == tags && self.records > 1 {
            return;
        }
        for pair in all.iter().chain(tags).filter(|pair| self.seen.insert(**pair)) {
            self.bytes_once += size(pair);
        }
        self.last = tags.to_vec();
    }
}

fn instance_tag(instance: usize) -> [(&'static str, &'static str); 1] {
    [("instance_id", ["1", "2", "3", "4"].get(instance).copied().unwrap_or("5"))]
}

/// Through the agents' frames and the aggregator's pipeline, with the defaults of the spec and `more`.
fn samples(requests: u32, rate: u32, more: &serde_json::Value) -> Bill {
    let mut spec = json!({"timestream": {"databaseName": "k6-db", "tableName": "samples"}});
    for (name, value) in more.as_object().into_iter().flatten() {
        spec["timestream"][name] = value.clone();
    }
    let outputs: [Output; 1] = [serde_json::from_value(spec).expect("the spec is valid")];
    let lane = output::open(&outputs).remove(0).lane;
    let mut way = Way::new(&outputs, lane);
    let mut emitted = 0;
    load(requests, rate, &mut |event| match event {
        Event::Sample(instance, metric, tags, time_ns, value) => {
            emitted += 1;
            way.push(instance, metric, tags, time_ns, value);
        }
        Event::Tick(now_ms) => way.tick(now_ms),
    });
    way.end();
    assert_eq!(way.stored, emitted, "every sample is stored");
    way.bill
}

/// Weir's way from a sample to a request, without the waiting.
struct Way {
    builders: Vec<Framer>,
    pipeline: Pipeline,
    now_ms: i64,
    stored: usize,
    bill: Bill,
}

impl Way {
    fn new(outputs: &[Output], lane: LaneConfig) -> Self {
        let kept: Vec<Kept> =
            of_outputs(outputs).iter().map(|spec| Kept::of(spec.as_ref())).collect();
        let wanted = Wanted::of_outputs(outputs);
        let builder = |id| {
            let mut framer = Framer::new(id, Limits::default(), kept.clone(), &wanted);
            definitions().for_each(|definition| framer.define(&definition));
            framer
        };
        Self {
            builders: (1..=INSTANCES).map(builder).collect(),
            pipeline: Pipeline::new(vec![lane]),
            now_ms: 0,
            stored: 0,
            bill: Bill::default(),
        }
    }

    fn push(
        &mut self,
        instance: usize,
        metric: &str,
        tags: &[(&'static str, &'static str)],
        time_ns: i64,
        value: f64,
    ) {
        let tags = tags.iter().map(|(name, value)| (Cow::Borrowed(*name), Cow::Borrowed(*value)));
        let point = Point {
            metric: Cow::Borrowed(metric),
            time_ns,
            value,
            tags: Pairs(tags.collect()),
            metadata: Pairs::default(),
        };
        let Some(builder) = self.builders.get_mut(instance) else { return };
        let closed = builder.push(&point, self.now_ms);
        self.send(instance, closed);
    }

    fn tick(&mut self, now_ms: i64) {
        self.now_ms = now_ms;
        for instance in 0..self.builders.len() {
            let closed = self.builders.get_mut(instance).and_then(|builder| builder.poll(now_ms));
            self.send(instance, closed);
        }
        self.write();
    }

    fn end(&mut self) {
        for instance in 0..self.builders.len() {
            let closed = self.builders.get_mut(instance).and_then(Framer::close);
            self.send(instance, closed);
        }
        self.pipeline.set_hurry(true);
        self.write();
    }

    fn send(&mut self, instance: usize, closed: Option<Closed>) {
        let Some(Closed { frame, .. }) = closed else { return };
        let instance_id = u32::try_from(instance).unwrap_or(u32::MAX) + 1;
        let key = FrameKey { instance_id, incarnation: "i".into(), seq: frame.seq };
        self.pipeline.accept(key, &frame, self.now_ms);
    }

    fn write(&mut self) {
        while let Some(write) = self.pipeline.poll_write(self.now_ms) {
            let body = body::write(&write.batch, "k6-db", "samples");
            let call = serde_json::from_slice(&body).expect("the batch is a request");
            self.bill.add_call(&call);
            self.pipeline.finish(write.lane, write.batch.id, Written::Stored, self.now_ms, 0);
        }
        while let Some(acked) = self.pipeline.poll_ack() {
            let stored = acked.outputs.iter().map(|counts| counts.stored).sum::<u64>();
            self.stored += usize::try_from(stored).unwrap_or(usize::MAX);
        }
    }
}

/// What happens in a run.
enum Event<'a> {
    /// An instance measured this: metric, tags but its own, time, value.
    Sample(usize, &'static str, &'a [(&'static str, &'static str)], i64, f64),
    /// A millisecond has passed.
    Tick(i64),
}

/// What each metric is, as k6 says before its first sample.
fn definitions() -> impl Iterator<Item = Definition<'static>> {
    let all = REQUEST_METRICS.into_iter().chain(ITERATION_METRICS).chain(GAUGES).chain(["checks"]);
    all.map(|name| Definition {
        name: Cow::Borrowed(name),
        kind: Some(match name {
            "http_reqs" | "iterations" | "data_sent" | "data_received" => Kind::Counter,
            "http_req_failed" | "checks" => Kind::Rate,
            "vus" | "vus_max" => Kind::Gauge,
            _ => Kind::Trend,
        }),
        contains: Contains::default(),
    })
}

/// The times of a request in milliseconds, as those of a service whose paths take 5 to 100 ms, half of all between two
/// thirds and one and a half times as long. A hundredth of the requests open a connection.
struct Took {
    blocked: f64,
    connecting: f64,
    tls: f64,
    sending: f64,
    waiting: f64,
    receiving: f64,
}

impl Took {
    fn of(path: usize, dice: &mut u64) -> Self {
        let mut about = |median: f64, sigma: f64| median * (sigma * normal(dice)).exp();
        let waiting = about(5.0 * (1.0 + count(path)), 0.6);
        let (sending, receiving) = (about(0.03, 0.5), about(0.1, 0.7));
        let reused = about(0.004, 0.5);
        let (connecting, tls) = (about(1.0, 0.3), about(4.0, 0.3));
        if roll(dice) < 0.01 {
            return Self {
                blocked: connecting + tls,
                connecting,
                tls,
                sending,
                waiting,
                receiving,
            };
        }
        Self { blocked: reused, connecting: 0.0, tls: 0.0, sending, waiting, receiving }
    }

    fn value(&self, metric: &str, status: &str) -> f64 {
        match metric {
            "http_req_duration" => self.sending + self.waiting + self.receiving,
            "http_req_blocked" => self.blocked,
            "http_req_connecting" => self.connecting,
            "http_req_tls_handshaking" => self.tls,
            "http_req_sending" => self.sending,
            "http_req_waiting" => self.waiting,
            "http_req_receiving" => self.receiving,
            "http_req_failed" if status == "200" => 0.0,
            // Of five requests, and of a pause.
            "iteration_duration" => 1000.0 + 5.0 * self.waiting,
            "data_sent" | "data_received" => 4096.0,
            _ => 1.0,
        }
    }
}

fn roll(dice: &mut u64) -> f64 {
    *dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    f64::from(u32::try_from(*dice >> 32).unwrap_or(0)) / f64::from(u32::MAX)
}

/// Of the normal distribution, by the sum of twelve rolls.
fn normal(dice: &mut u64) -> f64 {
    (0..12).map(|_| roll(dice)).sum::<f64>() - 6.0
}

/// A run: requests come evenly, to paths and with answers as the dice say.
fn load(requests: u32, rate: u32, tell: &mut dyn FnMut(Event<'_>)) {
    const BASE_NS: i64 = 1_800_000_000_000_000_000;
    let base = [("scenario", "default"), ("testid", "checkout-1")];
    let urls: Vec<&'static str> = PATHS
        .iter()
        .map(|(_, path, _)| &*format!("https://shop.example.com{path}").leak())
        .collect();
    let mut dice = 0x9e37_79b9_7f4a_7c15_u64;
    let (mut now_ms, mut second) = (0, -1);
    for request in 0..requests {
        dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let roll = usize::try_from(dice >> 40).unwrap_or(0);
        let instance = usize::try_from(request % INSTANCES).unwrap_or(0);
        let at_ns = i64::from(request) * 1_000_000_000 / i64::from(rate);
        let time_ns = BASE_NS + at_ns;
        while now_ms <= at_ns / 1_000_000 {
            tell(Event::Tick(now_ms));
            now_ms += 1;
        }
        if second < at_ns / 1_000_000_000 {
            second = at_ns / 1_000_000_000;
            for instance in 0..usize::try_from(INSTANCES).unwrap_or(0) {
                for metric in GAUGES {
                    tell(Event::Sample(instance, metric, &base[1..], time_ns, 50.0));
                }
            }
        }
        let at = roll % PATHS.len();
        let (Some((method, _, group)), Some(url)) = (PATHS.get(at), urls.get(at)) else { continue };
        // Of a hundred answers one is not found, and two are errors.
        let status = match roll / PATHS.len() % 100 {
            0 => "404",
            1 | 2 => "503",
            _ => "200",
        };
        let mut tags = base.to_vec();
        tags.extend([
            ("expected_response", if status == "200" { "true" } else { "false" }),
            ("group", *group),
            ("method", *method),
            ("name", *url),
            ("proto", "HTTP/2.0"),
            ("status", status),
            ("tls_version", "tls1.3"),
            ("url", *url),
        ]);
        match status {
            "404" => tags.push(("error_code", "1404")),
            "503" => tags.push(("error_code", "1503")),
            _ => {}
        }
        // As k6 does it: what is empty is no tag.
        tags.retain(|(_, value)| !value.is_empty());
        let took = Took::of(at, &mut dice);
        for metric in REQUEST_METRICS {
            let value = took.value(metric, status);
            tell(Event::Sample(instance, metric, &tags, time_ns, value));
        }
        let check = [base[0], base[1], ("check", "status is 200"), ("group", *group)];
        let check = check.get(..if group.is_empty() { 3 } else { 4 }).unwrap_or_default();
        let passed = if status == "200" { 1.0 } else { 0.0 };
        tell(Event::Sample(instance, "checks", check, time_ns, passed));
        if request / INSTANCES % ITERATION_REQUESTS == ITERATION_REQUESTS - 1 {
            for metric in ITERATION_METRICS {
                tell(Event::Sample(instance, metric, &base, time_ns, took.value(metric, status)));
            }
        }
    }
}

fn head() {
    println!(
        "{:<24} {:>11} {:>9} {:>15} {:>10} {:>9} {:>8}  {:<13} {:>15}",
        "layout",
        "records",
        "calls",
        "bytes",
        "writes",
        "dollars",
        "of xk6",
        "to reach",
        "dims once"
    );
}

fn row(name: &str, bill: &Bill, xk6: &Bill, target: &str) {
    let share = |a: usize, b: usize| format!("{:.2} %", 100.0 * count(a) / count(b));
    println!(
        "{name:<24} {:>11} {:>9} {:>15} {:>10} {:>9.4} {:>8}  {target:<13} {:>15}",
        bill.records,
        bill.calls,
        bill.bytes,
        bill.units,
        DOLLARS * count(bill.units) / 1e6,
        share(bill.units, xk6.units),
        share(bill.units_once, xk6.units_once),
    );
}

fn count(number: usize) -> f64 {
    f64::from(u32::try_from(number).unwrap_or(u32::MAX))
}
