//! Real k6 through `weir run` into the strict stand-in, which does its worst: every sample that k6 emitted is a row in
//! the end, or is counted. Environment: `WEIR_BIN`, `WEIR_K6`, `WEIR_STANDIN` (the binaries), and any AWS keys.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a test says by panicking what went wrong, and its figures are for people"
)]

mod embedded;
mod server;

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::ExitStatus,
    thread,
    time::{Duration, Instant},
};

use embedded::Embedded;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::{Value, json};
use server::Server;

/// Iterations of the script that begin in a second, over all instances.
const RATE: u32 = 60;
/// Samples of `noise` in each iteration.
const NOISE: u32 = 20;
const INSTANCES: u32 = 3;

/// Each iteration says its number, which no other iteration of the whole test has.
fn script(seconds: u32) -> String {
    let iterations = RATE * seconds;
    format!(
        "import exec from 'k6/execution';
import {{ Counter, Trend }} from 'k6/metrics';
import {{ sleep }} from 'k6';
const seen = new Trend('seen'), noise = new Counter('noise');
export const options = {{ scenarios: {{ load: {{
  executor: 'shared-iterations', vus: {RATE}, iterations: {iterations}, maxDuration: '10m' }} }} }};
export default function () {{
  seen.add(exec.scenario.iterationInTest);
  for (let i = 0; i < {NOISE}; i++) noise.add(1, {{ at: String(i % 4) }});
  sleep(1);
}}
"
    )
}

/// A run under way, and the server that it writes to.
struct Run {
    server: Server,
    embedded: Embedded,
}

impl Run {
    fn start(seconds: u32, faults: &[&str]) -> Self {
        Self::start_with(seconds, faults, 300)
    }

    fn start_with(seconds: u32, faults: &[&str], drain_seconds: u32) -> Self {
        let server = Server::standin(&[&["--table", "loadtests.samples"], faults].concat());
        let spec = json!({
            "parallelism": INSTANCES,
            // The second instance's samples go another way than those of the others.
            "aggregator": {"replicas": 2},
            "deadlines": {"drainSeconds": drain_seconds},
            "outputs": [{"timestream": {
                "region": "eu-west-1",
                "databaseName": "loadtests",
                "tableName": "samples",
                "endpointUrl": server.endpoint(),
            }}],
        });
        let embedded = Embedded::start(&script(seconds), spec, |_| {});
        Self { server, embedded }
    }

    fn stats(&self) -> Value {
        serde_json::from_str(&self.server.ask("GET", "/stats", "")).unwrap()
    }

    /// Waits until the first rows are there: the load is on.
    fn await_rows(&self) {
        self.embedded.until("a row", || self.stats()["stored_rows"] != 0);
    }

    /// Bytes of the agents' segments on disk.
    fn spooled_bytes(&self) -> u64 {
        let mut folders = vec![self.embedded.file("tmp")];
        let mut bytes = 0;
        while let Some(folder) = folders.pop() {
            // Files and folders come and go meanwhile.
            for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
                let path: PathBuf = entry.path();
                if path.is_dir() {
                    folders.push(path);
                } else if path.extension().is_some_and(|extension| extension == "segment") {
                    bytes += entry.metadata().map_or(0, |metadata| metadata.len());
                }
            }
        }
        bytes
    }

    fn end(mut self, name: &str) -> Ended {
        let (status, result) = self.embedded.end();
        let output = result["outputs"][0].clone();
        let count = |value: &Value| value.as_u64().unwrap();
        let rejected = output["rejected"].as_object().into_iter().flatten();
        let ended = Ended {
            status,
            reason: result["outcome"]["reason"].as_str().unwrap().to_owned(),
            message: result["outcome"]["message"].as_str().unwrap().to_owned(),
            emitted: count(&output["emitted"]),
            stored: count(&output["stored"]),
            rejected: rejected.map(|(_, value)| count(value)).sum(),
            in_flight: count(&output["inFlight"]),
            rows: self.server.ask("GET", "/rows", "").lines().map(read).collect(),
            stats: self.stats(),
        };
        eprintln!(
            "{name}: {:.0} s, {}: {} emitted = {} stored + {} rejected + {} in flight; {} rows; \
             calls {}, throttled {}, failed {}, cut {}, cut after the write {}, while dead {}, records written again {}",
            self.embedded.elapsed().as_secs_f64(),
            ended.reason,
            ended.emitted,
            ended.stored,
            ended.rejected,
            ended.in_flight,
            ended.rows.len(),
            ended.stats["calls_total"],
            ended.stats["throttled"],
            ended.stats["failed"],
            ended.stats["cut"],
            ended.stats["cut_after_apply"],
            ended.stats["refused_down"],
            ended.stats["records_repeated"],
        );
        ended
    }
}

/// Measure and value of a row.
fn read(line: &str) -> (String, f64) {
    let row: Value = serde_json::from_str(line).unwrap();
    (row["measure_name"].as_str().unwrap().to_owned(), row["value"].as_f64().unwrap())
}

struct Ended {
    status: ExitStatus,
    reason: String,
    message: String,
    emitted: u64,
    stored: u64,
    rejected: u64,
    in_flight: u64,
    rows: Vec<(String, f64)>,
    stats: Value,
}

impl Ended {
    fn numbers(&self) -> Vec<u64> {
        let seen = self.rows.iter().filter(|(measure, _)| measure == "seen");
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "counts")]
        seen.map(|(_, value)| *value as u64).collect()
    }

    fn count(&self, measure: &str) -> u64 {
        self.rows.iter().filter(|(name, _)| name == measure).count() as u64
    }

    /// The account closes, and the table has what it says.
    fn verify_books(&self) {
        assert_eq!(self.emitted, self.stored + self.rejected + self.in_flight, "{}", self.message);
        assert_eq!(self.rows.len() as u64, self.stored, "{}", self.message);
        assert_eq!(self.stats["records_rejected"], 0, "no two samples share an identity");
        let numbers = self.numbers();
        let distinct: BTreeSet<u64> = numbers.iter().copied().collect();
        assert_eq!(distinct.len(), numbers.len(), "no iteration is stored twice");
    }

    /// Every sample of every iteration is there.
    fn verify_whole(&self, seconds: u32) {
        assert_eq!(self.reason, "ThresholdsMet", "{}", self.message);
        assert_eq!(self.status.code(), Some(0));
        assert_eq!((self.rejected, self.in_flight), (0, 0));
        self.verify_books();
        let iterations = u64::from(RATE * seconds);
        let numbers: BTreeSet<u64> = self.numbers().into_iter().collect();
        assert_eq!(numbers, (0..iterations).collect());
        assert_eq!(self.count("iterations"), iterations);
        assert_eq!(self.count("noise"), iterations * u64::from(NOISE));
    }
}

#[test]
fn a_server_in_every_kind_of_trouble_at_once_gets_every_sample_once() {
    let seconds = 20;
    let run = Run::start(
        seconds,
        &[
            "--throttle-percent",
            "30",
            "--fail-percent",
            "10",
            "--cut-after-apply-percent",
            "5",
            "--seed",
            "7",
        ],
    );
    let ended = run.end("30 % throttled, 10 % failed, 5 % cut after the write");
    ended.verify_whole(seconds);
    for fault in ["throttled", "failed", "cut_after_apply", "records_repeated"] {
        assert!(ended.stats[fault].as_u64() > Some(0), "{fault} must happen to be tested");
    }
}

#[test]
fn a_server_that_is_dead_for_a_minute_in_mid_run_gets_every_sample_from_the_spool() {
    let seconds = 70;
    let run = Run::start(seconds, &[]);
    run.await_rows();
    run.server.ask("PUT", "/control/faults", r#"{"down_ms": 60000}"#);
    let (dead, mut spooled_bytes) = (Instant::now(), 0);
    while dead.elapsed() < Duration::from_secs(58) {
        spooled_bytes = spooled_bytes.max(run.spooled_bytes());
        thread::sleep(Duration::from_millis(500));
    }
    let ended = run.end("dead for 60 s");
    eprintln!("dead for 60 s: {spooled_bytes} bytes were in the agents' segments");
    ended.verify_whole(seconds);
    // An agent's memory holds 16 frames of 200 ms: 3 of the 60 seconds.
    assert!(spooled_bytes > 512 << 10, "the spool must hold what memory does not: {spooled_bytes}");
    assert!(ended.stats["refused_down"].as_u64() > Some(10));
}

#[test]
fn a_k6_that_is_killed_loses_no_sample_that_it_had_emitted() {
    let run = Run::start(20, &["--throttle-percent", "30"]);
    run.await_rows();
    thread::sleep(Duration::from_secs(3));
    let victim = *children(run.embedded.weir.id()).first().expect("a k6 runs");
    kill(Pid::from_raw(victim), Signal::SIGKILL).unwrap();
    let ended = run.end("a k6 killed");
    ended.verify_books();
    assert_eq!(ended.reason, "RunnersLost", "{}", ended.message);
    assert_eq!((ended.rejected, ended.in_flight), (0, 0), "{}", ended.message);
    assert!(ended.stored > 1000);
}

#[test]
fn what_a_server_that_stays_dead_never_got_is_counted_and_its_place_is_named() {
    let run = Run::start_with(30, &[], 8);
    run.await_rows();
    run.server.ask("PUT", "/control/faults", r#"{"down_ms": 600000}"#);
    let ended = run.end("dead for good");
    eprintln!("dead for good: {}", ended.message);
    ended.verify_books();
    assert_eq!(ended.reason, "OutputFailed", "{}", ended.message);
    assert_eq!(ended.rejected, 0);
    let (count, places) = ended.message.split_once(" samples are not stored, of ").unwrap();
    assert_eq!(count.parse(), Ok(ended.in_flight), "{}", ended.message);
    let (_, places) = places.split_once("): ").unwrap();
    let parts = [" in the aggregator's memory", " in the agent's spool"].map(|place| {
        let before = places.split_once(place).map_or("0", |(before, _)| before);
        let number = before.rsplit(' ').next().unwrap();
        number.parse::<u64>().unwrap()
    });
    assert_eq!(parts.iter().sum::<u64>(), ended.in_flight, "{}", ended.message);
    assert!(parts.iter().all(|part| *part > 0), "both places must be in use: {parts:?}");
}

/// The processes that have this one as their parent.
fn children(parent: u32) -> Vec<i32> {
    let is_child = |folder: &Path| {
        let status = fs::read_to_string(folder.join("status")).unwrap_or_default();
        status.lines().any(|line| {
            line.strip_prefix("PPid:").is_some_and(|id| id.trim() == parent.to_string())
        })
    };
    let folders = fs::read_dir("/proc").unwrap().flatten().map(|entry| entry.path());
    let own = folders.filter(|folder| is_child(folder));
    own.filter_map(|folder| folder.file_name()?.to_str()?.parse().ok()).collect()
}
