use super::*;
use crate::core::{
    ledger::{
        codec::Detail,
        ledger::Ledger,
        tests::samples::{definition, point, rules},
        threshold::{RuleOptions, Rules, ThresholdError, Thresholds},
        verdict::Evaluated,
        view::Values,
    },
    samples::decode::Point,
};

const S: i64 = 1_000_000_000;

fn filled(rules: &Rules, points: &[Point<'_>]) -> Ledger {
    let mut ledger = Ledger::new(rules, false);
    for point in points {
        ledger.add(point);
    }
    ledger
}

fn taken(ledgers: &mut [Ledger]) -> Merged {
    crate::core::ledger::tests::samples::merged(ledgers)
}

fn judged(merged: &Merged, elapsed_ns: i64, last: bool) -> Vec<(String, bool, Option<f64>)> {
    let one = |Evaluated { metric, threshold, passed, value, .. }| {
        (format!("{metric} {threshold}"), passed, value)
    };
    merged.evaluate(elapsed_ns, last).into_iter().map(one).collect()
}

fn found(list: &[(&str, bool, Option<f64>)]) -> Vec<(String, bool, Option<f64>)> {
    list.iter().map(|(name, passed, value)| ((*name).to_owned(), *passed, *value)).collect()
}

#[test]
fn empty_metrics_are_judged_only_at_the_end_as_k6_does() {
    let rules = rules(&[
        ("checks", "rate>0.9"),
        ("http_req_duration", "avg>0"),
        ("http_req_duration", "p(95)>1"),
        ("http_reqs", "count>0"),
        ("http_reqs", "rate>0"),
        ("vus", "value>0"),
    ]);
    let merged = taken(&mut [Ledger::new(&rules, false)]);
    assert!(judged(&merged, S, false).iter().all(|(_, passed, value)| *passed && value.is_none()));
    assert_eq!(
        judged(&merged, S, true),
        found(&[
            ("checks rate>0.9", true, None),
            ("http_req_duration avg>0", false, Some(0.0)),
            ("http_req_duration p(95)>1", false, Some(0.0)),
            ("http_reqs count>0", false, Some(0.0)),
            ("http_reqs rate>0", false, Some(0.0)),
            ("vus value>0", false, Some(0.0)),
        ])
    );
    let rates: Vec<_> = judged(&merged, 0, true)
        .into_iter()
        .filter(|(name, ..)| name == "http_reqs rate>0")
        .collect();
    assert_eq!(rates, found(&[("http_reqs rate>0", true, None)]), "no rate at no time");
}

#[test]
fn a_metric_that_nobody_has_seen_is_of_the_kind_that_its_thresholds_need() {
    let rules = rules(&[
        ("a", "rate>0"),
        ("b", "rate>0"),
        ("b{x:1}", "count==0"),
        ("c", "value==0"),
        ("d", "med>0"),
    ]);
    let merged = taken(&mut [Ledger::new(&rules, false)]);
    assert_eq!(
        judged(&merged, S, true),
        found(&[
            ("a rate>0", true, None),
            ("b rate>0", false, Some(0.0)),
            ("b{x:1} count==0", true, Some(0.0)),
            ("c value==0", true, Some(0.0)),
            ("d med>0", false, Some(0.0)),
        ])
    );
    assert_eq!(merged.unseen().into_iter().collect::<Vec<_>>(), ["a", "b", "c", "d"]);
    let kinds: Vec<_> = merged.view(S).metrics.values().map(|metric| metric.kind).collect();
    assert_eq!(kinds, [Kind::Rate, Kind::Counter, Kind::Counter, Kind::Gauge, Kind::Trend]);
}

#[test]
fn a_threshold_on_what_its_metric_has_not_is_a_fault() {
    let mut ledger = Ledger::new(&rules(&[("mine", "count>0"), ("mine{a:1}", "p(95)<1")]), false);
    ledger.define(&definition("mine", Kind::Trend));
    ledger.add(&point("mine", 1, 1.0, &[]));
    let merged = taken(&mut [ledger]);
    let faults: Vec<_> = merged.faults().iter().map(ToString::to_string).collect();
    assert_eq!(faults, [r#"threshold "count>0" on metric "mine": a trend has no such value"#]);
    assert!(matches!(merged.faults()[0], ThresholdError::Aggregation { .. }));
    assert!(merged.unseen().is_empty());
}

#[test]
fn thresholds_are_judged_over_all_instances() {
    let rules = rules(&[
        ("http_req_duration", "p(50)==3"),
        ("http_req_duration", "avg<=3"),
        ("http_req_duration", "max<5"),
        ("http_req_duration{a:1}", "min>=1"),
        ("http_reqs", "count==4"),
        ("http_reqs", "rate<2"),
        ("checks", "rate>0.6"),
        ("vus", "value==30"),
    ]);
    let instance = |n: i64, values: &[f64], vus| {
        let mut points: Vec<_> = values
            .iter()
            .map(|value| point("http_req_duration", n, *value, &[("a", "1")]))
            .collect();
        points.push(point("http_reqs", n, 2.0, &[]));
        points.push(point("checks", n, values[0], &[]));
        points.push(point("checks", n, 1.0, &[]));
        points.push(point("vus", n, vus, &[]));
        filled(&rules, &points)
    };
    let merged = taken(&mut [
        instance(1, &[1.0, 5.0], 10.0),
        instance(2, &[0.0, 2.0, 4.0], 20.0),
        instance(3, &[6.0], 0.0),
    ]);
    let wanted = [
        ("checks rate>0.6", true, Some(5.0 / 6.0)),
        ("http_req_duration p(50)==3", true, Some(3.0)),
        ("http_req_duration avg<=3", true, Some(3.0)),
        ("http_req_duration max<5", false, Some(6.0)),
        ("http_req_duration{a:1} min>=1", false, Some(0.0)),
        ("http_reqs count==4", false, Some(6.0)),
        ("http_reqs rate<2", false, Some(3.0)),
        ("vus value==30", true, Some(30.0)),
    ];
    // 2 and 4 are the neighbours of the median, but no value is 3: between them lies exactly 3.
    assert_eq!(judged(&merged, 2 * S, true), found(&wanted));
    assert_eq!(judged(&merged, 2 * S, false), found(&wanted));
}

#[test]
fn a_run_is_stopped_only_while_it_runs_and_after_the_delay() {
    let spec = |source: &str, abort_on_fail, delay: &str| ThresholdSpec {
        source: source.to_owned(),
        abort_on_fail,
        delay_abort_eval: delay.to_owned(),
    };
    let list = vec![
        spec("count<1", false, ""),
        spec("count<2", true, ""),
        spec("count<3", true, "10s"),
        spec("count<99", true, ""),
    ];
    let script = Thresholds::from([("http_reqs".to_owned(), list)]);
    let rules = Rules::new(&script, &Thresholds::new(), RuleOptions::default()).unwrap();
    let merged = taken(&mut [filled(&rules, &[point("http_reqs", 1, 5.0, &[])])]);
    let aborts = |elapsed_ns, last| -> Vec<_> {
        merged.evaluate(elapsed_ns, last).into_iter().map(|evaluated| evaluated.abort).collect()
    };
    assert_eq!(aborts(10 * S, false), [false, true, false, false]);
    assert_eq!(aborts(10 * S + 1, false), [false, true, true, false]);
    assert_eq!(aborts(10 * S + 1, true), [false; 4]);
    let view = merged.view(S);
    let shown: Vec<_> = view.metrics["http_reqs"]
        .thresholds
        .iter()
        .map(|judged| (judged.passed, judged.abort_on_fail, judged.delay_abort_eval.as_str()))
        .collect();
    assert_eq!(
        shown,
        [(false, false, ""), (false, true, ""), (false, true, "10s"), (true, true, "")]
    );
}

#[test]
fn the_percentile_shown_is_on_the_side_of_its_target_that_the_verdict_says() {
    let rules = rules(&[("http_req_duration", "p(50)<100"), ("http_req_duration", "p(90)<=100.0")]);
    // All in one class of the sketch.
    let points: Vec<_> = [99.99, 99.999, 100.0, 100.001, 100.01]
        .map(|value| point("http_req_duration", 1, value, &[]))
        .into();
    let merged = taken(&mut [filled(&rules, &points)]);
    let evaluated = merged.evaluate(S, true);
    assert_eq!((evaluated[0].passed, evaluated[0].value), (false, Some(100.0)));
    assert!(!evaluated[1].passed && evaluated[1].value.unwrap() > 100.0);
    let view = merged.view(S);
    let Values::Trend(trend) = &view.metrics["http_req_duration"].values else { panic!("a trend") };
    assert_eq!(Some(trend.percentile(0.5)), evaluated[0].value);
    assert_eq!(Some(trend.percentile(0.9)), evaluated[1].value);
}

#[test]
fn a_sketch_stays_when_a_later_snapshot_comes_without() {
    let rules = rules(&[]);
    let mut ledger = filled(
        &rules,
        &[point("http_req_duration", 1, 10.0, &[]), point("http_req_duration", 1, 30.0, &[])],
    );
    let mut merged = Merged::default();
    let take = |merged: &mut Merged, messages: Vec<session::Ledger>| {
        for message in messages {
            merged.take(1, 1, message).unwrap();
        }
    };
    let median = |merged: &Merged| match &merged.view(S).metrics["http_req_duration"].values {
        Values::Trend(trend) => (trend.count(), trend.percentile(0.5)),
        other => panic!("{other:?}"),
    };
    take(&mut merged, ledger.snapshot(Detail::Verdict, false));
    assert_eq!(median(&merged), (2, 20.0), "without any sketch the mean stands in");
    take(&mut merged, ledger.snapshot(Detail::Summary, false));
    ledger.add(&point("http_req_duration", 2, 5.0, &[]));
    ledger.add(&point("http_req_duration", 2, 6.0, &[]));
    take(&mut merged, ledger.snapshot(Detail::Verdict, false));
    let (count, found) = median(&merged);
    assert!(count == 4 && found > 15.0, "{count} {found}");
    take(&mut merged, ledger.snapshot(Detail::Summary, false));
    let (_, found) = median(&merged);
    assert!((found - 8.0).abs() < 0.01, "{found}");
}

#[test]
fn a_later_incarnation_replaces_an_instance_whole_and_an_earlier_one_changes_nothing() {
    let rules = rules(&[("http_reqs", "count>0"), ("http_req_waiting", "p(95)<1")]);
    let mut first =
        filled(&rules, &[point("http_reqs", 1, 7.0, &[]), point("http_req_waiting", 1, 7.0, &[])]);
    let mut second = filled(&rules, &[point("http_reqs", 1, 1.0, &[])]);
    let (old, new) =
        (first.snapshot(Detail::Summary, true), second.snapshot(Detail::Summary, false));
    for order in [[1, 2], [2, 1]] {
        let mut merged = Merged::default();
        for born in order {
            let messages = if born == 1 { &old } else { &new };
            for message in messages {
                merged.take(1, born, message.clone()).unwrap();
            }
        }
        let view = merged.view(S);
        let Values::Counter { count, .. } = view.metrics["http_reqs"].values else {
            panic!("a counter")
        };
        assert_eq!(count, 1.0);
        let Values::Trend(trend) = &view.metrics["http_req_waiting"].values else {
            panic!("a trend")
        };
        assert_eq!((trend.count(), trend.percentile(0.5)), (0, 0.0));
        assert!(!merged.is_complete(1));
    }
}

#[test]
fn a_last_snapshot_is_complete_when_all_its_messages_are_there() {
    let mut ledger = Ledger::new(&rules(&[]), false);
    let names: Vec<_> = (0..2000).map(|n| format!("{n:01000}")).collect();
    for name in &names {
        ledger.add(&point("checks", 1, 1.0, &[("check", name)]));
    }
    let messages = ledger.snapshot(Detail::Summary, true);
    assert!(messages.len() > 1, "{} messages", messages.len());
    for message in &messages {
        assert!(prost::Message::encoded_len(message) < crate::wire::MESSAGE_BYTES_MAX / 2);
    }
    let mut merged = Merged::default();
    for message in ledger.snapshot(Detail::Summary, false).iter().chain(&messages[1..]) {
        merged.take(1, 1, message.clone()).unwrap();
        merged.take(1, 1, message.clone()).unwrap();
        assert!(!merged.is_complete(1));
    }
    merged.take(1, 1, messages[0].clone()).unwrap();
    assert!(merged.is_complete(1) && !merged.is_complete(2));
    assert_eq!(merged.view(S).checks.len(), names.len());
}
