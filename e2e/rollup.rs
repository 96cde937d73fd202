//! Rows of a second by real k6 through `weir run` into the strict stand-in, while calls are throttled, fail and break:
//! every sample that k6 emitted is in one row, and the rows are those that its samples make. Environment: `WEIR_BIN`,
//! `WEIR_K6`, `WEIR_STANDIN` (the binaries), and any AWS keys.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a test says by panicking what went wrong, and its figures are for people"
)]

#[expect(dead_code, reason = "nothing here waits for anything but the end")]
mod embedded;
mod server;

use std::{
    collections::{BTreeMap, BTreeSet},
    env,
    io::Write,
    path::Path,
    process::Command,
};

use embedded::Embedded;
use serde_json::{Value, json};
use server::Server;

/// What the stand-in does to calls.
const FAULTS: [&str; 8] = [
    "--throttle-percent",
    "30",
    "--fail-percent",
    "10",
    "--cut-after-apply-percent",
    "5",
    "--seed",
    "7",
];
const INSTANCES: u32 = 2;
const SECONDS: u32 = 8;
/// Samples of `noise` in each iteration.
const NOISE: u32 = 20;

/// Metrics of all kinds, with values whose sums have no rest, and requests.
fn script(url: &str) -> String {
    format!(
        "import http from 'k6/http';
import {{ check, sleep }} from 'k6';
import {{ Counter, Gauge, Rate, Trend }} from 'k6/metrics';
const noise = new Counter('noise'), level = new Gauge('level'), even = new Rate('even');
const size = new Trend('size');
export const options = {{ scenarios: {{ load: {{
  executor: 'constant-vus', vus: 10, duration: '{SECONDS}s' }} }} }};
export default function () {{
  const answer = http.get('{url}/', {{ tags: {{ name: 'front' }} }});
  http.get('{url}/status/500');
  check(answer, {{ 'is ok': (a) => a.status === 200 }});
  for (let i = 0; i < {NOISE}; i++) noise.add(1, {{ at: String(i % 4) }});
  level.add(__ITER % 7);
  even.add(__ITER % 2 === 0);
  for (let i = 0; i < 8; i++) size.add(Math.pow(2, (__ITER + i) % 20) - 512);
  sleep(0.1);
}}
"
    )
}

/// Runs the script with these outputs, and answers what became of each.
fn run(server: &Server, outputs: &[Value]) -> Vec<Value> {
    let target = Server::start("WEIR_STANDIN", &["target"]);
    let output = |output: &Value| {
        let mut output = output.clone();
        for (name, value) in [
            ("region", json!("eu-west-1")),
            ("databaseName", json!("loadtests")),
            ("endpointUrl", json!(server.endpoint())),
        ] {
            output["timestream"][name] = value;
        }
        output
    };
    let spec = json!({
        "parallelism": INSTANCES,
        "outputs": outputs.iter().map(output).collect::<Vec<_>>(),
    });
    let (ended, result) = Embedded::start(&script(&target.endpoint()), spec, |_| {}).end();
    assert!(ended.success(), "{}", result["outcome"]);
    let accounts = result["outputs"].as_array().unwrap().clone();
    for account in &accounts {
        eprintln!("{account}");
        assert!(account["emitted"].as_u64() > Some(1000), "{account}");
        assert_eq!(account["stored"], account["emitted"], "{account}");
        assert_eq!(account["inFlight"], 0, "{account}");
    }
    let stats: Value = serde_json::from_str(&server.ask("GET", "/stats", "")).unwrap();
    assert_eq!(stats["records_rejected"], 0, "{stats}");
    for fault in ["throttled", "failed", "cut_after_apply", "records_repeated"] {
        assert!(stats[fault].as_u64() > Some(0), "{fault} must happen to be tested: {stats}");
    }
    accounts
}

/// What rows or samples of a series and a second add up to.
#[derive(Clone, Debug, PartialEq)]
struct Sums {
    count: u64,
    sum: f64,
    min: f64,
    max: f64,
}

/// Measure, second, dimensions.
type Key = (String, i64, BTreeMap<String, String>);

/// The rows of a table, by what a row of a second with these dimensions left out stands for.
fn sums(text: &str, left_out: &[&str]) -> BTreeMap<Key, Sums> {
    let mut all: BTreeMap<Key, Sums> = BTreeMap::new();
    for line in text.lines() {
        let row: Value = serde_json::from_str(line).unwrap();
        let mut dimensions: BTreeMap<String, String> =
            serde_json::from_value(row["dimensions"].clone()).unwrap();
        dimensions.retain(|name, _| !left_out.contains(&name.as_str()));
        let second = row["time_ns"].as_i64().unwrap() / 1_000_000_000;
        let key = (row["measure_name"].as_str().unwrap().to_owned(), second, dimensions);
        let one = if row["type"] == "MULTI" {
            let column = |name: &str| row["value"][name]["value"].as_f64().unwrap();
            let count = row["value"]["count"]["value"].as_u64().unwrap();
            Sums { count, sum: column("sum"), min: column("min"), max: column("max") }
        } else {
            let value = row["value"].as_f64().unwrap();
            Sums { count: 1, sum: value, min: value, max: value }
        };
        all.entry(key)
            .and_modify(|sums| {
                sums.count += one.count;
                sums.sum += one.sum;
                sums.min = sums.min.min(one.min);
                sums.max = sums.max.max(one.max);
            })
            .or_insert(one);
    }
    all
}

fn rows(server: &Server, table: &str) -> String {
    server.ask("GET", &format!("/rows?table=loadtests.{table}"), "")
}

/// Samples that a table's rows stand for.
fn count(rows: &str) -> u64 {
    sums(rows, &[]).values().map(|sums| sums.count).sum()
}

fn emitted(account: &Value) -> u64 {
    account["emitted"].as_u64().unwrap()
}

/// Left out of the rows unless the spec says otherwise.
const DEFAULT: [&str; 9] =
    ["error", "group", "ip", "iter", "method", "name", "trace_id", "url", "vu"];

#[test]
fn samples_and_rows_of_one_run_say_the_same() {
    let tables = ["samples", "rows", "named"].map(|name| format!("loadtests.{name}"));
    let tables = tables.iter().flat_map(|table| ["--table", table.as_str()]);
    let server = Server::standin(&[tables.collect::<Vec<_>>(), FAULTS.to_vec()].concat());
    let named = ["name", "status", "scenario"];
    let accounts = run(
        &server,
        &[
            json!({"timestream": {"tableName": "samples"}}),
            json!({"name": "rows", "timestream": {"tableName": "rows", "mode": "Rollup"}}),
            json!({"name": "named", "timestream": {"tableName": "named", "mode": "Rollup",
                "dimensions": {"include": named}}}),
        ],
    );
    let samples = rows(&server, "samples");
    assert_eq!(samples.lines().count() as u64, emitted(&accounts[0]));
    let mut others: BTreeSet<String> = BTreeSet::new();
    for line in samples.lines() {
        let row: Value = serde_json::from_str(line).unwrap();
        let own = row["dimensions"].as_object().unwrap().keys().cloned();
        others.extend(own.filter(|name| {
            ![&named[..], &["instance_id", "testid"]].concat().contains(&name.as_str())
        }));
    }
    let others: Vec<&str> = others.iter().map(String::as_str).collect();
    for (table, left_out, account) in
        [("rows", &DEFAULT[..], &accounts[1]), ("named", &others[..], &accounts[2])]
    {
        let text = rows(&server, table);
        assert_eq!(count(&text), emitted(account));
        let (got, want) = (sums(&text, &[]), sums(&samples, left_out));
        assert_eq!(got.keys().collect::<Vec<_>>(), want.keys().collect::<Vec<_>>());
        for (key, sums) in got {
            let want = &want[&key];
            let off = (sums.sum - want.sum).abs();
            assert!(off <= want.sum.abs() * 1e-9, "{key:?}: {sums:?} instead of {want:?}");
            assert_eq!(Sums { sum: want.sum, ..sums }, *want, "{key:?}");
        }
        eprintln!("{table}: {} rows of {} samples", text.lines().count(), emitted(account));
    }
    ask_dashboards(&rows(&server, "rows"), Some(&samples));
}

#[test]
fn rows_alone_hold_every_sample_once() {
    let server = Server::standin(&[&["--table", "loadtests.rows"], &FAULTS[..]].concat());
    let accounts = run(&server, &[json!({"timestream": {"tableName": "rows", "mode": "Rollup"}})]);
    let text = rows(&server, "rows");
    assert_eq!(count(&text), emitted(&accounts[0]));
    let noise = |line: &&str| line.contains(r#""measure_name":"noise""#);
    let series = text.lines().filter(noise).count() as u64;
    // Four tags in each instance and second; the first and the last are not whole, and few samples come late.
    let most = u64::from(INSTANCES * 4 * (SECONDS + 2)) * 2;
    assert!(series <= most, "{series} rows of noise");
    eprintln!("{} rows of {} samples", text.lines().count(), emitted(&accounts[0]));
    ask_dashboards(&text, None);
}

/// The queries of the dashboard for rows of a second, against what plain Python makes of the rows, and of the samples
/// where these are there too.
fn ask_dashboards(rows: &str, samples: Option<&str>) {
    let file = |text: &str| {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        file
    };
    let rows = file(rows);
    let samples = samples.map(file);
    let checks = Path::new(env!("CARGO_MANIFEST_DIR")).join("e2e/standin/checks");
    let python = Command::new(checks.join("venv")).output().unwrap();
    assert!(python.status.success(), "{python:?}");
    let mut ask = Command::new(String::from_utf8(python.stdout).unwrap().trim());
    ask.arg(checks.join("rollup_dashboard.py")).arg("--rows").arg(rows.path());
    for measure in ["vus", "http_reqs", "http_req_failed", "data_received", "http_req_duration"] {
        ask.args(["--demand", measure]);
    }
    if let Some(samples) = &samples {
        ask.arg("--samples").arg(samples.path());
    }
    let answer = ask.output().unwrap();
    let printed = String::from_utf8_lossy(&answer.stdout);
    eprintln!("{}", printed.lines().last().unwrap_or_default());
    assert!(answer.status.success(), "{printed}\n{}", String::from_utf8_lossy(&answer.stderr));
}
