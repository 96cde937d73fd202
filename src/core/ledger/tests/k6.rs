//! The ledger against k6's own summary of the same run. k6 is `WEIR_K6`, or `k6` on PATH.

use std::{collections::BTreeMap, path::Path, process::Command};

use serde_json::{Value, value::RawValue};

use crate::core::{
    ledger::{
        codec::Detail,
        ledger::{Ledger, Memo},
        merged::Merged,
        stats::count_f64,
        threshold::{self, RuleOptions, Rules, Thresholds},
        view::{Group, Metric, Values, View},
    },
    samples::{
        decode::Line,
        lines::{Lines, Read},
    },
    tests::dice::Dice,
    tests::k6::k6,
};

const SCRIPT: &str = r#"
import { check, group } from 'k6';
import { Counter, Gauge, Rate, Trend } from 'k6/metrics';
const counter = new Counter('my_counter'), bytes = new Counter('my_other_counter', true);
const gauge = new Gauge('my_gauge'), rate = new Rate('my_rate'), trend = new Trend('my_trend', true);
new Trend('my_empty_trend'); new Counter('my_empty_counter'); new Rate('my_empty_rate'); new Gauge('my_empty_gauge');
export const options = {
  scenarios: {
    shared: { executor: 'shared-iterations', vus: 4, iterations: 300 },
    default: { executor: 'shared-iterations', vus: 1, iterations: 20, tags: { kind: 'tagged' } },
  },
  thresholds: {
    my_counter: ['count>10', 'count<10', 'rate<0.001', { threshold: 'count!=0', abortOnFail: true, delayAbortEval: '1h' }],
    my_gauge: ['value<7', 'value==7'],
    my_rate: ['rate>0.5', 'rate<0.1', 'rate>=0'],
    my_trend: ['p(95)<500', 'p(95)<50', 'med<1', 'p(99.9) > 1', 'avg<10', 'min<0', 'max==99', 'p(100)===99', 'p<1', 'max!=0'],
    'my_trend{kind:even}': ['max<99', 'p(100)===98', ' p(50) >= 0.5 '],
    'my_trend{ kind : "odd", scenario:"shared" }': ['min>=1', 'p(0)<1'],
    'my_trend{kind:nobody}': ['avg==0', 'p(95)>1'],
    my_empty_trend: ['avg==0', 'p(95)>1'],
    my_empty_counter: ['count>0', 'rate>0', 'count==0'],
    my_empty_rate: ['rate>0'],
    my_empty_gauge: ['value==0', 'value>0'],
    http_req_duration: ['p(95)<1', 'p(95)>1'],
    http_reqs: ['count==0'],
    'checks{group:::outer::inner}': ['rate==1', 'rate<1'],
    iterations: ['count==320', 'count>=321'],
    'iteration_duration{scenario:shared}': ['max<60000'],
  },
};
export function setup() { counter.add(3); check(1, { 'in setup': (v) => v === 1 }); }
export default function () {
  const i = (__ITER * 7 + __VU * 13) % 100;
  counter.add(0.1); bytes.add(i); gauge.add(7); rate.add(i % 3 === 0);
  trend.add(i, { kind: i % 2 === 0 ? 'even' : 'odd' });
  trend.add(Math.pow(1.1, i) - 5);
  check(i, { low: (v) => v < 40, even: (v) => v % 2 === 0 });
  group('outer', () => {
    check(i, { low: (v) => v < 20 });
    trend.add(i / 3);
    group('inner', () => { check(i, { deep: true, 'deep down': i > 3 }); });
  });
}
export function teardown() { group('down', () => { counter.add(1); }); }
"#;

/// k6's standard output and its exit code.
fn run(dir: &Path, args: &[&str]) -> (Vec<u8>, Option<i32>) {
    let mut command = Command::new(k6());
    let output = command.args(args).current_dir(dir).output().unwrap();
    (output.stdout, output.status.code())
}

fn script_rules(dir: &Path) -> Rules {
    let (printed, code) = run(dir, &["inspect", "--execution-requirements", "test.js"]);
    assert_eq!(code, Some(0));
    let options: BTreeMap<String, Box<RawValue>> = serde_json::from_slice(&printed).unwrap();
    let script = threshold::of_options(&options["thresholds"]).unwrap();
    Rules::new(&script, &Thresholds::new(), RuleOptions::default()).unwrap()
}

/// The lines of the output, each folded into one of so many ledgers.
fn sharded(lines: &str, rules: &Rules, shards: usize, dice: &mut Dice) -> Merged {
    let mut ledgers: Vec<_> = (0..shards).map(|_| Ledger::new(rules, true)).collect();
    let mut readers: Vec<_> = (0..shards).map(|_| Lines::<Memo>::default()).collect();
    for line in lines.lines() {
        let shard = dice.below(shards);
        match readers[shard].read(line.as_bytes(), &[]).unwrap() {
            // Each k6 defines its metrics itself.
            Read::Line(Line::Metric(definition)) => {
                for ledger in &mut ledgers {
                    ledger.define(&definition);
                }
            }
            Read::Line(Line::Point(point)) => ledgers[shard].add(&point),
            Read::Known(known) => ledgers[shard].add_again(&known.point, &mut known.memo),
        }
    }
    let mut merged = Merged::default();
    for (instance_id, ledger) in (1..).zip(&mut ledgers) {
        for message in ledger.snapshot(Detail::Summary, true) {
            merged.take(instance_id, 1, message).unwrap();
        }
    }
    merged
}

fn near(found: f64, wanted: f64, error: f64) -> bool {
    (found - wanted).abs() <= wanted.abs() * error
}

fn compare_metric(name: &str, metric: &Metric, wanted: &Value, instances: usize) {
    let number = |key: &str| wanted[key].as_f64().unwrap_or_else(|| panic!("{name} has no {key}"));
    let exactly = |found: f64, key: &str| {
        assert!(near(found, number(key), 1e-9), "{name} {key}: {found} for {wanted}");
    };
    match &metric.values {
        Values::Counter { count, .. } => exactly(*count, "count"),
        // Of shards of one output the VUs are not parts.
        Values::Gauge { .. } if name.starts_with("vus") && instances > 1 => {}
        Values::Gauge { value, min, max } => {
            exactly(*value, "value");
            exactly(*min, "min");
            exactly(*max, "max");
        }
        Values::Rate { trues, total } => {
            exactly(count_f64(*trues), "passes");
            exactly(count_f64(total - trues), "fails");
        }
        Values::Trend(trend) => {
            exactly(trend.min(), "min");
            exactly(trend.max(), "max");
            exactly(trend.avg(), "avg");
            for (key, share) in [("med", 0.5), ("p(90)", 0.9), ("p(95)", 0.95)] {
                let found = trend.percentile(share);
                assert!(near(found, number(key), 0.001), "{name} {key}: {found} for {wanted}");
            }
        }
    }
    let judged = metric.thresholds.iter().map(|judged| (judged.source.as_str(), !judged.passed));
    let judged: BTreeMap<_, _> = judged.collect();
    let thresholds = wanted["thresholds"].as_object();
    let crossed = thresholds.into_iter().flatten();
    let crossed = crossed.map(|(source, crossed)| (source.as_str(), crossed.as_bool().unwrap()));
    assert_eq!(judged, crossed.collect(), "{name}");
}

/// Paths of all groups with their checks, as k6 exports them.
fn flatten(group: &Value, into: &mut BTreeMap<String, BTreeMap<String, (u64, u64)>>) {
    let checks = group["checks"].as_object().unwrap().iter();
    let counts =
        |check: &Value| (check["passes"].as_u64().unwrap(), check["fails"].as_u64().unwrap());
    let checks = checks.map(|(name, check)| (name.clone(), counts(check))).collect();
    into.insert(group["path"].as_str().unwrap().to_owned(), checks);
    group["groups"].as_object().unwrap().values().for_each(|group| flatten(group, into));
}

fn compare(view: &View, exported: &Value, instances: usize) {
    let wanted = exported["metrics"].as_object().unwrap();
    let names: Vec<_> = view.metrics.keys().collect();
    let mut wanted_names: Vec<_> = wanted.keys().collect();
    wanted_names.sort();
    assert_eq!(names, wanted_names);
    for (name, metric) in &view.metrics {
        compare_metric(name, metric, &wanted[name], instances);
    }
    let mut groups = BTreeMap::new();
    flatten(&exported["root_group"], &mut groups);
    let checks = |group: &Group| {
        let checks = group.checks.iter();
        checks.map(|check| (check.name.clone(), (check.passes, check.fails))).collect()
    };
    let found: BTreeMap<_, BTreeMap<_, _>> =
        view.groups.iter().map(|group| (group.path.clone(), checks(group))).collect();
    // k6 exports a group between two others even if nothing was measured in it.
    groups.retain(|path, checks| !checks.is_empty() || found.contains_key(path));
    assert_eq!(found, groups);
}

#[test]
fn ledgers_of_a_real_run_say_what_k6_says_of_it() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("test.js"), SCRIPT).unwrap();
    let (printed, code) = run(
        dir.path(),
        &[
            "run",
            "--quiet",
            "--no-usage-report",
            "--out",
            "json=samples.json",
            "--summary-export",
            "summary.json",
            "test.js",
        ],
    );
    assert_eq!(code, Some(99), "{}", String::from_utf8_lossy(&printed));
    let exported = std::fs::read(dir.path().join("summary.json")).unwrap();
    let exported: Value = serde_json::from_slice(&exported).unwrap();
    let lines = std::fs::read_to_string(dir.path().join("samples.json")).unwrap();
    assert!(lines.lines().count() > 3_000, "{} lines", lines.lines().count());
    let rules = script_rules(dir.path());
    let mut dice = Dice(5);
    for shards in 1..=5 {
        let merged = sharded(&lines, &rules, shards, &mut dice);
        let seconds = exported["metrics"]["iterations"]["count"].as_f64().unwrap()
            / exported["metrics"]["iterations"]["rate"].as_f64().unwrap();
        let view = merged.view((seconds * 1e9) as i64);
        compare(&view, &exported, shards);
        assert!(merged.faults().is_empty());
        assert_eq!(view.by_scenario.keys().collect::<Vec<_>>(), ["shared"]);
        assert_eq!(
            view.by_group.keys().collect::<Vec<_>>(),
            ["::outer", "::outer::inner", "::teardown::down"]
        );
        let Values::Counter { count, .. } = view.by_scenario["shared"].metrics["iterations"].values
        else {
            panic!("a counter")
        };
        assert!(near(count, 300.0, 0.0));
    }
}

#[test]
fn k6_refuses_the_thresholds_that_we_refuse() {
    let dir = tempfile::tempdir().unwrap();
    for (metric, source, taken) in [
        ("http_req_duration", "p(95)<500", true),
        ("http_req_duration", " p(0x5fp0)<1_0 ", true),
        ("http_req_duration", "p<+Inf", true),
        ("http_req_duration{a: }", "med!=NaN", true),
        ("http_req_duration", "count<1", false),
        ("http_req_duration", "avg<1ms", false),
        ("http_req_duration", "avg=1", false),
        ("http_req_duration{a}", "avg<1", false),
        ("http_req_duration{}", "avg<1", false),
        ("vus", "max<1", false),
        ("checks", "rate<1e999", false),
    ] {
        let thresholds = serde_json::json!({ metric: [source] });
        let script = format!(
            "export const options = {{thresholds: {thresholds}}};\nexport default function () {{}}\n"
        );
        std::fs::write(dir.path().join("test.js"), script).unwrap();
        let (_, code) = run(dir.path(), &["inspect", "--execution-requirements", "test.js"]);
        assert_eq!(code, Some(if taken { 0 } else { 104 }), "k6 on {metric} {source}");
        let raw = RawValue::from_string(thresholds.to_string()).unwrap();
        let script = threshold::of_options(&raw).unwrap();
        let rules = Rules::new(&script, &Thresholds::new(), RuleOptions::default());
        assert_eq!(rules.is_ok(), taken, "{metric} {source}: {rules:?}");
    }
}
