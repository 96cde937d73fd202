use super::*;
use crate::core::ledger::{
    tests::samples::{definition, merged, point, rules},
    view::{Check, Group, Values, View},
};

const S: i64 = 1_000_000_000;

fn view(ledger: Ledger) -> View {
    merged(&mut [ledger]).view(S)
}

fn count(view: &View, name: &str) -> u64 {
    match &view.metrics[name].values {
        Values::Trend(trend) => trend.count(),
        Values::Rate { total, .. } => *total,
        other => panic!("{name} has {other:?}"),
    }
}

fn check(name: &str, passes: u64, fails: u64) -> Check {
    Check { name: name.to_owned(), passes, fails }
}

fn group(path: &str, checks: &[Check]) -> Group {
    Group { path: path.to_owned(), checks: checks.to_vec() }
}

#[test]
fn a_sample_is_folded_into_its_metric_and_each_submetric_whose_tags_it_has() {
    let rules = rules(&[
        ("http_req_duration{status:200}", ""),
        ("http_req_duration{status:200,method:GET}", ""),
        ("http_req_duration{group:''}", ""),
        ("http_req_duration{absent:''}", ""),
    ]);
    let mut ledger = Ledger::new(&rules, false);
    for (status, method) in [("200", "GET"), ("200", "POST"), ("500", "GET"), ("200", "GET")] {
        let tags =
            [("group", ""), ("method", method), ("status", status), ("expected_response", "true")];
        ledger.add(&point("http_req_duration", 1, 2.0, &tags));
    }
    ledger.add(&point("http_req_waiting", 1, 2.0, &[("status", "200")]));
    let view = view(ledger);
    assert_eq!(count(&view, "http_req_duration"), 4);
    assert_eq!(count(&view, "http_req_duration{status:200}"), 3);
    assert_eq!(count(&view, "http_req_duration{status:200,method:GET}"), 2);
    assert_eq!(count(&view, "http_req_duration{group:''}"), 4);
    assert_eq!(count(&view, "http_req_duration{absent:''}"), 0);
    assert_eq!(count(&view, "http_req_duration{expected_response:true}"), 4);
    assert_eq!(count(&view, "http_req_waiting"), 1);
    let parent = view.metrics["http_req_duration{status:200}"].parent.clone().unwrap();
    assert_eq!((parent.0.as_str(), parent.1["status"].as_str()), ("http_req_duration", "200"));
}

#[test]
fn what_has_no_samples_is_shown_only_if_a_threshold_names_it() {
    let ledger = Ledger::new(&rules(&[("http_reqs{a:1}", "count>0")]), false);
    let names: Vec<_> = view(ledger).metrics.into_keys().collect();
    assert_eq!(names, ["http_reqs", "http_reqs{a:1}"]);
}

#[test]
fn samples_that_come_before_the_definition_of_their_metric_are_not_lost() {
    for (kind, late) in [Kind::Counter, Kind::Gauge, Kind::Rate, Kind::Trend]
        .into_iter()
        .flat_map(|kind| [(kind, false), (kind, true)])
    {
        let mut ledger = Ledger::new(&rules(&[]), false);
        if !late {
            ledger.define(&definition("mine", kind));
        }
        for (time_ns, value) in [(1, 4.0), (3, 0.0), (2, 2.0)] {
            ledger.add(&point("mine", time_ns, value, &[]));
        }
        ledger.define(&definition("mine", kind));
        let view = view(ledger);
        match &view.metrics["mine"].values {
            Values::Counter { count, rate } => assert_eq!((*count, *rate), (6.0, 6.0)),
            Values::Gauge { value, min, max } => assert_eq!((*value, *min, *max), (0.0, 0.0, 4.0)),
            Values::Rate { trues, total } => assert_eq!((*trues, *total), (2, 3)),
            Values::Trend(trend) => {
                assert_eq!((trend.count(), trend.min(), trend.max()), (3, 0.0, 4.0));
                assert!((trend.percentile(0.5) - 2.0).abs() < 0.002);
            }
        }
        assert_eq!(view.metrics["mine"].kind, kind);
    }
}

#[test]
fn checks_are_counted_by_group_and_by_name_in_the_order_of_their_first_samples() {
    let mut ledger = Ledger::new(&rules(&[]), false);
    let mut sample = |metric, time_ns, value, tags: &[(&'static str, &'static str)]| {
        ledger.add(&point(metric, time_ns, value, tags));
    };
    // One call of check() gives all its checks one time.
    sample("checks", 20, 1.0, &[("check", "z"), ("group", "")]);
    sample("checks", 20, 0.0, &[("check", "a"), ("group", "")]);
    sample("checks", 30, 1.0, &[("check", "a"), ("group", "::out::in")]);
    sample("checks", 10, 1.0, &[("check", "first"), ("group", "::setup")]);
    sample("checks", 40, 0.0, &[("check", "z"), ("group", "")]);
    sample("checks", 50, 1.0, &[("check", "lost")]);
    sample("group_duration", 35, 9.0, &[("group", "::out")]);
    sample("http_reqs", 1, 1.0, &[("group", "::unseen")]);
    let view = view(ledger);
    assert_eq!(
        view.groups,
        [
            group("", &[check("z", 1, 1), check("a", 0, 1)]),
            group("::setup", &[check("first", 1, 0)]),
            group("::out::in", &[check("a", 1, 0)]),
            group("::out", &[]),
        ]
    );
    assert_eq!(
        view.checks,
        [check("first", 1, 0), check("z", 1, 1), check("a", 1, 1), check("lost", 1, 0)]
    );
    assert!(
        view.by_group.is_empty() && view.by_scenario.is_empty() && view.default_groups.is_empty()
    );
}

#[test]
fn the_full_summary_is_kept_by_group_and_by_scenario_as_k6_does() {
    let mut ledger = Ledger::new(&rules(&[]), true);
    let mut sample = |tags: &[(&'static str, &'static str)]| {
        ledger.add(&point("iteration_duration", 5, 1.0, tags));
        let check = [("check", "ok"), ("scenario", ""), ("group", "")];
        let check = check.map(|(name, value)| {
            (name, tags.iter().find(|(tag, _)| *tag == name).map_or(value, |(_, value)| value))
        });
        ledger.add(&point("checks", 6, 1.0, &check));
    };
    sample(&[("scenario", "default"), ("group", "")]);
    sample(&[("scenario", "default"), ("group", "::g")]);
    sample(&[("group", "::setup")]);
    sample(&[("group", "::setup::deep")]);
    sample(&[("scenario", "s"), ("group", "::g::h")]);
    sample(&[("scenario", "s"), ("group", "::teardown")]);
    sample(&[("scenario", "s"), ("group", "plain")]);
    let view = view(ledger);
    let of = |metrics: &BTreeMap<String, crate::core::ledger::view::Metric>| {
        let Values::Trend(trend) = &metrics["iteration_duration"].values else { panic!("a trend") };
        trend.count()
    };
    assert_eq!(of(&view.metrics), 7);
    let groups: Vec<_> =
        view.by_group.iter().map(|(path, metrics)| (path.as_str(), of(metrics))).collect();
    assert_eq!(groups, [("::g", 1), ("::setup::deep", 1)]);
    assert_eq!(
        view.default_groups,
        [group("::g", &[check("ok", 1, 0)]), group("::setup::deep", &[check("ok", 1, 0)])]
    );
    assert_eq!(view.by_scenario.keys().collect::<Vec<_>>(), ["s"]);
    let scenario = &view.by_scenario["s"];
    assert_eq!(of(&scenario.metrics), 3);
    assert_eq!(scenario.checks, [check("ok", 3, 0)]);
    let groups: Vec<_> =
        scenario.by_group.iter().map(|(path, metrics)| (path.as_str(), of(metrics))).collect();
    assert_eq!(groups, [("::g::h", 1), ("::plain", 1)]);
    assert_eq!(
        scenario.groups,
        [group("::g::h", &[check("ok", 1, 0)]), group("::plain", &[check("ok", 1, 0)])]
    );
    assert_eq!(view.checks, [check("ok", 7, 0)]);
}

#[test]
fn tags_that_no_rule_asks_for_take_no_memory() {
    let mut ledger = Ledger::new(&rules(&[("http_reqs{status:200}", "count>0")]), false);
    for n in 0..20_000 {
        let url = format!("http://host/{n}");
        let status = if n % 2 == 0 { "200" } else { "404" };
        ledger.add(&point("http_reqs", n, 1.0, &[("url", &url), ("status", status)]));
    }
    assert_eq!((ledger.samples(), ledger.displaced(), ledger.overflowed()), (20_000, 0, 0));
    let counter = |name: &str| match view_of(&mut ledger).metrics[name].values {
        Values::Counter { count, .. } => count,
        ref other => panic!("{other:?}"),
    };
    let mut counter = counter;
    assert_eq!(counter("http_reqs"), 20_000.0);
    assert_eq!(counter("http_reqs{status:200}"), 10_000.0);
}

fn view_of(ledger: &mut Ledger) -> View {
    merged(std::slice::from_mut(ledger)).view(S)
}

#[test]
fn series_without_room_in_the_cache_are_counted_all_the_same() {
    let mut ledger = Ledger::new(&rules(&[("http_reqs{name:n7}", "count>0")]), false);
    for round in 0..3 {
        for n in 0..10_000 {
            ledger.add(&point("http_reqs", round, 1.0, &[("name", &format!("n{n}"))]));
        }
    }
    assert!(ledger.displaced() > 10_000);
    let view = view_of(&mut ledger);
    let Values::Counter { count, .. } = view.metrics["http_reqs{name:n7}"].values else {
        panic!("a counter")
    };
    assert_eq!(count, 3.0);
    let Values::Counter { count, .. } = view.metrics["http_reqs"].values else {
        panic!("a counter")
    };
    assert_eq!(count, 30_000.0);
}

#[test]
fn groups_without_number_overflow_a_bound_and_not_memory() {
    let mut ledger = Ledger::new(&rules(&[]), true);
    for n in 0..SINKS_MAX + 100 {
        ledger.add(&point("http_reqs", 1, 1.0, &[("group", &format!("::{n}"))]));
    }
    assert!(ledger.overflowed() >= 100);
    assert!(ledger.sinks.len() <= SINKS_MAX);
    let Values::Counter { count, .. } = view_of(&mut ledger).metrics["http_reqs"].values else {
        panic!("a counter")
    };
    assert_eq!(count, 8292.0, "none of the samples is missing in the whole");
    ledger.add(&point(&"m".repeat(NAME_BYTES_MAX + 1), 1, 1.0, &[]));
    assert!(!view_of(&mut ledger).metrics.keys().any(|name| name.starts_with('m')));
}

#[test]
fn a_value_that_is_no_number_is_refused_and_counted() {
    let mut ledger = Ledger::new(&rules(&[]), false);
    for value in [f64::NAN, f64::INFINITY, 1.0] {
        ledger.add(&point("http_req_waiting", 1, value, &[]));
    }
    assert_eq!((ledger.samples(), ledger.refused()), (3, 2));
    assert_eq!(count(&view(ledger), "http_req_waiting"), 1);
}
