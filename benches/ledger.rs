//! The ledger: what a sample costs in the agent, and what a verdict over 5,000 instances costs in the aggregator.
#![expect(missing_docs, reason = "the macro's functions have none")]
#![expect(clippy::expect_used, reason = "a benchmark that cannot be set up has nothing to say")]

use std::hint::black_box;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use weir::core::{
    ledger::{
        codec::Detail,
        ledger::Ledger,
        merged::Merged,
        threshold::{RuleOptions, Rules, ThresholdSpec, Thresholds},
        view::{Contains, Kind},
    },
    samples::decode::{Definition, Line, Point, decode},
};

const INSTANCES: u32 = 5_000;
const METRICS: usize = 40;

/// Ten thresholds, some on submetrics.
fn rules() -> Rules {
    let mut script = Thresholds::new();
    let mut add = |metric: String, source: &str| {
        let spec = ThresholdSpec { source: source.to_owned(), ..ThresholdSpec::default() };
        script.entry(metric).or_default().push(spec);
    };
    for n in 0..6 {
        add(format!("metric_{n}"), "p(95)<500");
    }
    add("metric_0".to_owned(), "med<100");
    add("metric_1{status:200}".to_owned(), "p(99)<800");
    add("metric_2{status:200,method:GET}".to_owned(), "avg<200");
    add("metric_3".to_owned(), "max<10000");
    Rules::new(&script, &Thresholds::new(), RuleOptions::default()).expect("the rules are k6's")
}

fn lines() -> Vec<String> {
    let line = |n: usize| {
        let (metric, value) = (n % METRICS, (n * 7919) % 1000);
        let (status, url) = (if n.is_multiple_of(3) { 404 } else { 200 }, n % 97);
        format!(
            r#"{{"metric":"metric_{metric}","type":"Point","data":{{"time":"2026-11-22T07:28:28.250116571Z","value":{value}.25,"tags":{{"expected_response":"true","group":"::shop","method":"GET","name":"http://host/{url}","proto":"HTTP/1.1","scenario":"default","status":"{status}","url":"http://host/{url}"}}}}}}"#
        )
    };
    (0..4_000).map(line).collect()
}

fn points(lines: &[String]) -> Vec<Point<'_>> {
    let decoded = lines.iter().filter_map(|line| decode(line.as_bytes()).ok());
    let point = |line| match line {
        Line::Point(point) => Some(point),
        Line::Metric(_) => None,
    };
    decoded.filter_map(point).collect()
}

fn ledger(full: bool) -> Ledger {
    let mut ledger = Ledger::new(&rules(), full);
    for n in 0..METRICS {
        let name = format!("metric_{n}").into();
        ledger.define(&Definition { name, kind: Some(Kind::Trend), contains: Contains::Time });
    }
    ledger
}

fn samples(criterion: &mut Criterion) {
    let lines = lines();
    let points = points(&lines);
    let mut group = criterion.benchmark_group("ledger");
    group.throughput(Throughput::Elements(u64::try_from(points.len()).expect("a small number")));
    for (name, full) in [("add, compact summary", false), ("add, full summary", true)] {
        let mut ledger = ledger(full);
        group.bench_function(name, |bencher| {
            bencher.iter(|| points.iter().for_each(|point| ledger.add(black_box(point))));
        });
    }
    let mut ledger = ledger(false);
    for point in &points {
        ledger.add(point);
    }
    for (name, detail) in
        [("snapshot, verdict", Detail::Verdict), ("snapshot, summary", Detail::Summary)]
    {
        group.bench_function(name, |bencher| bencher.iter(|| ledger.snapshot(detail, false)));
    }
    group.finish();
}

fn verdicts(criterion: &mut Criterion) {
    let lines = lines();
    let points = points(&lines);
    let mut ledger = ledger(false);
    for point in &points {
        ledger.add(point);
    }
    let mut merged = Merged::default();
    for instance_id in 1..=INSTANCES {
        for message in ledger.snapshot(Detail::Summary, false) {
            merged.take(instance_id, 1, message).expect("the ledger is one");
        }
    }
    let mut group = criterion.benchmark_group("merged");
    group.sample_size(20);
    group.bench_function("evaluate 5,000 ledgers", |bencher| {
        bencher.iter(|| black_box(&merged).evaluate(1_000_000_000, false));
    });
    group.bench_function("view 5,000 ledgers", |bencher| {
        bencher.iter(|| black_box(&merged).view(1_000_000_000));
    });
    group.bench_function("take one verdict snapshot of each of 5,000", |bencher| {
        bencher.iter_batched(
            || ledger.snapshot(Detail::Verdict, false),
            |messages| {
                for instance_id in 1..=INSTANCES {
                    for message in &messages {
                        merged.take(instance_id, 1, message.clone()).expect("the ledger is one");
                    }
                }
            },
            BatchSize::SmallInput,
        );
    });
    group.finish();
}

criterion_group!(benches, samples, verdicts);
criterion_main!(benches);
