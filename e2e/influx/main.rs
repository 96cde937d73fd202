//! Real k6 through `weir run` into a real server that takes InfluxDB's line protocol, VictoriaMetrics, with a proxy before it
//! that throttles, fails and cuts: every sample that k6 emitted is there in the end, with its tags, or is counted.
//! V3 is asked by TLS. Environment: `WEIR_BIN`, `WEIR_K6`, `WEIR_VICTORIA_METRICS` (the binaries).
//!
//! VictoriaMetrics keeps milliseconds, and keeps what is written twice twice. So each sample of the script has a series of
//! its own (the tags `vu` and `iter`), and what is counted there are distinct samples; the proxy counts points as InfluxDB
//! would, by tags and nanosecond.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a test says by panicking what went wrong, and its figures are for people"
)]

#[path = "../embedded.rs"]
mod embedded;
mod export;
mod proxy;
mod victoria;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    process::ExitStatus,
    thread,
    time::Duration,
};

use embedded::Embedded;
use export::{Labels, distinct, may_coincide};
use proxy::{Faults, POISON, Proxy, TOKEN};
use serde_json::{Value, json};
use victoria::Victoria;

/// Iterations of the script that begin in a second, over all instances.
const RATE: u32 = 60;
/// Samples of `noise` in each iteration.
const NOISE: u32 = 20;
const INSTANCES: u32 = 3;
/// A tag's value with all that the protocol escapes, and one that it cannot carry.
const ODD: &str = r"a b,c=d\e, ü";
const NO_LINE: &str = "two\nlines";

fn v2() -> Value {
    json!({"api": "V2", "org": "load tests", "bucket": "k6"})
}

fn v3() -> Value {
    json!({"api": "V3", "database": "k6"})
}

/// Each iteration says its number, which no other iteration of the whole test has; a few emit a sample that is refused.
fn script(seconds: u32) -> String {
    let iterations = RATE * seconds;
    let (odd, no_line) = (json!(ODD), json!(NO_LINE));
    format!(
        "import exec from 'k6/execution';
import {{ Counter, Trend }} from 'k6/metrics';
import {{ sleep }} from 'k6';
const seen = new Trend('seen'), noise = new Counter('noise'), poison = new Counter('{POISON}');
export const options = {{
  systemTags: ['scenario', 'group', 'vu', 'iter'],
  scenarios: {{ load: {{
    executor: 'shared-iterations', vus: {RATE}, iterations: {iterations}, maxDuration: '10m' }} }} }};
export default function () {{
  if (__ENV.WEIR_INFLUXDB_TOKEN || __ENV.WEIR_INFLUXDB_TOKEN_0) exec.test.abort('the token shows');
  const number = exec.scenario.iterationInTest;
  seen.add(number, {{ odd: {odd}, time: {no_line} }});
  for (let i = 0; i < {NOISE}; i++) noise.add(1, {{ at: String(i) }});
  if (__ENV.POISON && number % 50 == 7) poison.add(1);
  sleep(1);
}}
"
    )
}

/// A run under way, and what it writes to.
struct Run {
    server: Victoria,
    proxy: Proxy,
    embedded: Embedded,
    /// What it prints, and the proxy's certificate.
    folder: tempfile::TempDir,
    seconds: u32,
}

/// How a run ended.
struct Ended {
    status: ExitStatus,
    text: String,
    result: Value,
}

impl Ended {
    fn count(&self, field: &str) -> u64 {
        self.result["outputs"][0][field].as_u64().unwrap()
    }

    fn rejected(&self) -> BTreeMap<String, u64> {
        let rejected = self.result["outputs"][0]["rejected"].clone();
        serde_json::from_value(rejected).unwrap_or_default()
    }

    fn reason(&self) -> &str {
        self.result["outcome"]["reason"].as_str().unwrap()
    }

    fn message(&self) -> &str {
        self.result["outcome"]["message"].as_str().unwrap()
    }
}

impl Run {
    fn start(output: Value, faults: Faults, seconds: u32, env: &[(&str, &str)]) -> Self {
        Self::start_with(output, faults, seconds, env, 60)
    }

    fn start_with(
        output: Value,
        faults: Faults,
        seconds: u32,
        env: &[(&str, &str)],
        drain_seconds: u32,
    ) -> Self {
        let server = Victoria::start();
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str| folder.path().join(name);
        let certificate = file("certificate.pem");
        let is_tls = output["api"] == "V3";
        let proxy = Proxy::start(server.port(), faults, is_tls.then_some(&*certificate));
        let mut output = output;
        output["url"] = json!(proxy.url());
        output["tokenSecret"] = json!({"name": "influxdb", "key": "token"});
        output["lingerMilliseconds"] = json!(200);
        let spec = json!({
            "parallelism": INSTANCES,
            "deadlines": {"readySeconds": 60, "drainSeconds": drain_seconds},
            "outputs": [{"influxdb": output}],
        });
        let embedded = Embedded::start(&script(seconds), spec, |weir| {
            weir.envs(env.iter().copied())
                .env("SSL_CERT_FILE", certificate)
                .stdout(fs::File::create(file("stdout")).unwrap())
                .stderr(fs::File::create(file("stderr")).unwrap());
        });
        Self { server, proxy, embedded, folder, seconds }
    }

    /// Waits until the first lines are there: the load is on.
    fn await_lines(&self) {
        self.embedded.until("a line", || !self.proxy.seen().points.is_empty());
    }

    fn end(&mut self) -> Ended {
        let (status, result) = self.embedded.end();
        let read = |name: &str| fs::read_to_string(self.folder.path().join(name)).unwrap();
        let text = format!("{}{}{result}", read("stdout"), read("stderr"));
        Ended { status, text, result }
    }

    /// Ends the run and holds the account against what the server and the proxy have.
    fn verify(mut self, name: &str) -> (Ended, Self) {
        let ended = self.end();
        let seen = self.proxy.seen();
        let samples = self.server.samples(seen.points.len());
        let held = distinct(&samples);
        eprintln!(
            "{name}: {:.0} s, {}: {} emitted = {} stored + {:?} rejected + {} in flight; {} points went through, {} \
             of them again; the server holds {} samples, {} distinct; calls {}, of at most {} lines, {} bytes for {} of \
             lines, throttled {}, failed {}, cut after the write {}, while dead {}, with a refused line {}",
            self.embedded.elapsed().as_secs_f64(),
            ended.reason(),
            ended.count("emitted"),
            ended.count("stored"),
            ended.rejected(),
            ended.count("inFlight"),
            seen.points.len(),
            seen.again,
            samples.len(),
            held.len(),
            seen.calls,
            seen.longest_call_lines,
            seen.bytes,
            seen.line_bytes,
            seen.throttled,
            seen.failed,
            seen.cut,
            seen.refused_down,
            seen.poisoned_calls,
        );
        assert_eq!(ended.reason(), "ThresholdsMet", "{}", ended.message());
        assert_eq!(ended.status.code(), Some(0));
        assert_eq!(seen.wrong, Vec::<String>::new());
        let rejected: u64 = ended.rejected().values().sum();
        assert_eq!(ended.count("emitted"), ended.count("stored") + rejected);
        assert_eq!(ended.count("inFlight"), 0);
        assert_eq!(seen.points.len() as u64, ended.count("stored"), "as InfluxDB knows points");
        let mut went = BTreeMap::new();
        for ((labels, time_ns), value) in &seen.points {
            let other = went.insert((labels.clone(), time_ns / 1_000_000), *value);
            assert!(other.is_none() || may_coincide(labels), "{labels:?} twice at {time_ns}");
        }
        let keys = |samples: &BTreeMap<(Labels, i64), f64>| {
            samples.keys().cloned().collect::<BTreeSet<_>>()
        };
        assert!(keys(&held) == keys(&went), "the server has every tag and time, and no other");
        for (key, value) in &went {
            // It keeps 15 digits.
            assert!((held[key] - value).abs() <= value.abs() * 1e-12, "{key:?}: {value}");
        }
        self.verify_script(&held);
        assert!(!ended.text.contains(TOKEN), "the token shows");
        drop(seen);
        (ended, self)
    }

    /// Every sample of every iteration is there, with the tags it was given.
    fn verify_script(&self, held: &BTreeMap<(Labels, i64), f64>) {
        let iterations = u64::from(RATE * self.seconds);
        let of = |name: &'static str| {
            held.iter().filter(move |((labels, _), _)| labels["__name__"] == name)
        };
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "counts")]
        let numbers: BTreeSet<u64> = of("seen_value").map(|(_, value)| *value as u64).collect();
        assert_eq!(numbers, (0..iterations).collect());
        assert_eq!(of("noise_value").count() as u64, iterations * u64::from(NOISE));
        assert_eq!(of("iterations_value").count() as u64, iterations);
        for ((labels, _), _) in of("seen_value") {
            assert_eq!(labels["odd"], ODD);
            assert!(labels["k6_time"].starts_with("two_lines~"), "{labels:?}");
        }
        let instances: BTreeSet<&str> =
            of("seen_value").map(|((labels, _), _)| labels["instance_id"].as_str()).collect();
        assert_eq!(instances.len(), INSTANCES as usize);
    }
}

#[test]
fn a_server_in_every_kind_of_trouble_at_once_gets_every_sample() {
    let faults = Faults { throttled: 30, failed: 10, cut: 5 };
    let run = Run::start(v2(), faults, 20, &[("WEIR_INFLUXDB_TOKEN", TOKEN)]);
    run.await_lines();
    run.proxy.set_down(true);
    thread::sleep(Duration::from_secs(8));
    run.proxy.set_down(false);
    let (ended, run) =
        run.verify("V2, 30 % throttled, 10 % failed, 5 % cut after the write, dead for 8 s");
    assert_eq!(ended.rejected(), BTreeMap::new());
    let seen = run.proxy.seen();
    for (fault, count) in [
        ("throttled", seen.throttled),
        ("failed", seen.failed),
        ("cut", seen.cut),
        ("written again", seen.again),
        ("down", seen.refused_down),
    ] {
        assert!(count > 0, "{fault} must happen to be tested");
    }
}

#[test]
fn compressed_lines_are_the_same_samples_to_the_server() {
    let mut output = v2();
    output["compression"] = json!("Gzip");
    let faults = Faults { throttled: 10, failed: 10, cut: 10 };
    let run = Run::start(output, faults, 6, &[("WEIR_INFLUXDB_TOKEN", TOKEN)]);
    let (ended, run) = run.verify("V2, compressed");
    assert_eq!(ended.rejected(), BTreeMap::new());
    let seen = run.proxy.seen();
    assert!(
        seen.calls > 0 && seen.compressed == seen.calls,
        "{} of {}",
        seen.compressed,
        seen.calls
    );
    assert!(seen.bytes * 5 < seen.line_bytes, "{} of {}", seen.bytes, seen.line_bytes);
}

#[test]
fn lines_that_version_3_refuses_are_counted_and_cost_no_other() {
    let env = [("WEIR_INFLUXDB_TOKEN_0", TOKEN), ("POISON", "1")];
    let run = Run::start(v3(), Faults { throttled: 10, failed: 10, cut: 10 }, 6, &env);
    let (ended, run) = run.verify("V3, lines refused by their numbers");
    let refused = u64::from(RATE * run.seconds).div_ceil(50);
    assert_eq!(ended.rejected(), BTreeMap::from([("Invalid".to_owned(), refused)]));
    assert!(run.proxy.seen().poisoned_calls > 0);
}

#[test]
fn lines_for_which_version_2_refuses_a_call_are_found_and_cost_no_other() {
    let env = [("WEIR_INFLUXDB_TOKEN_0", TOKEN), ("POISON", "1")];
    let run = Run::start(v2(), Faults { throttled: 10, failed: 10, cut: 0 }, 6, &env);
    let (ended, run) = run.verify("V2, calls refused for a line");
    let refused = u64::from(RATE * run.seconds).div_ceil(50);
    assert_eq!(ended.rejected(), BTreeMap::from([("Invalid".to_owned(), refused)]));
    assert!(run.proxy.seen().poisoned_calls > refused, "each is looked for by halves");
}

#[test]
fn what_a_server_that_stays_dead_never_got_is_counted_and_its_place_is_named() {
    let env = [("WEIR_INFLUXDB_TOKEN", TOKEN)];
    let mut run = Run::start_with(v2(), Faults::default(), 8, &env, 6);
    run.await_lines();
    run.proxy.set_down(true);
    let ended = run.end();
    eprintln!("dead for good: {}", ended.message());
    assert_eq!(ended.reason(), "OutputFailed", "{}", ended.message());
    let (emitted, stored) = (ended.count("emitted"), ended.count("stored"));
    let in_flight = ended.count("inFlight");
    assert_eq!(ended.rejected(), BTreeMap::new());
    assert_eq!(emitted, stored + in_flight, "{}", ended.message());
    let (count, places) = ended.message().split_once(" samples are not stored, of ").unwrap();
    assert_eq!(count.parse(), Ok(in_flight), "{}", ended.message());
    assert!(places.contains(" in the aggregator's memory"), "{}", ended.message());
    let seen = run.proxy.seen();
    assert_eq!(seen.wrong, Vec::<String>::new());
    assert_eq!(seen.points.len() as u64, stored, "what went through is stored, and nothing else");
    assert!(seen.refused_down > 0 && stored > 0 && in_flight > 0);
}

#[test]
fn a_token_that_does_not_open_the_server_ends_the_run_before_the_load() {
    let wrong = "a-wrong-token-that-nobody-may-see";
    let mut run = Run::start(v2(), Faults::default(), 6, &[("WEIR_INFLUXDB_TOKEN", wrong)]);
    let ended = run.end();
    assert_eq!(ended.reason(), "OutputFailed", "{}", ended.message());
    assert_ne!(ended.status.code(), Some(0));
    assert!(ended.message().contains("tokenSecret"), "{}", ended.message());
    assert!(
        ended.message().contains("bucket k6 of organization load tests"),
        "{}",
        ended.message()
    );
    assert!(!ended.text.contains(wrong), "the token shows");
    let seen = run.proxy.seen();
    assert!(seen.unauthorized > 0);
    assert_eq!((seen.calls, seen.points.len()), (0, 0), "no line is sent");
}
