use proptest::prelude::*;

use super::*;
use crate::core::ledger::expression::Aggregation;

fn options(json: &str) -> Thresholds {
    of_options(&RawValue::from_string(json.to_owned()).unwrap()).unwrap()
}

fn spec(source: &str) -> ThresholdSpec {
    ThresholdSpec { source: source.to_owned(), ..ThresholdSpec::default() }
}

fn thresholds(list: &[(&str, &str)]) -> Thresholds {
    let mut thresholds = Thresholds::new();
    for (metric, source) in list {
        thresholds.entry((*metric).to_owned()).or_default().push(spec(source));
    }
    thresholds
}

fn rules(script: &[(&str, &str)], spec: &[(&str, &str)]) -> Result<Rules, ThresholdError> {
    Rules::new(&thresholds(script), &thresholds(spec), RuleOptions::default())
}

fn shown(rules: &Rules) -> Vec<(String, Vec<String>, bool)> {
    let one = |rule: &Rule| {
        let sources = rule.thresholds.iter().map(|threshold| threshold.spec.source.clone());
        (rule.name.shown(), sources.collect(), rule.observed)
    };
    rules.list().map(one).collect()
}

/// An error and all its sources, as a person sees it.
fn line(error: &ThresholdError) -> String {
    let sources =
        std::iter::successors(Some(error as &dyn std::error::Error), |error| error.source());
    sources.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

#[test]
fn thresholds_are_strings_or_objects() {
    let read = options(
        r#"{"a": ["avg<1", {"threshold": "max<2", "abortOnFail": true, "delayAbortEval": "10s"}],
            "b": [{"threshold": "min>1", "abortOnFail": true, "delayAbortEval": null}], "c": null, "d": []}"#,
    );
    let long = |source: &str, delay: &str| ThresholdSpec {
        source: source.to_owned(),
        abort_on_fail: true,
        delay_abort_eval: delay.to_owned(),
    };
    assert_eq!(read["a"], [spec("avg<1"), long("max<2", "10s")]);
    assert_eq!(read["b"], [long("min>1", "")]);
    assert!(read["c"].is_empty() && read["d"].is_empty());
    assert!(options("null").is_empty() && options("{}").is_empty());
}

#[test]
fn anything_but_an_object_of_lists_is_an_error() {
    for json in ["1", "[]", r#"{"a": "avg<1"}"#, r#"{"a": [1]}"#] {
        let raw = RawValue::from_string(json.to_owned()).unwrap();
        assert!(of_options(&raw).is_err(), "{json}");
    }
}

#[test]
fn the_thresholds_of_a_load_test_follow_those_of_the_script() {
    let rules = rules(
        &[("m", "avg<1"), ("m{a:1}", "avg<2")],
        &[("m", "avg<3"), (r#"m{ a : "1" }"#, "avg<4"), ("n{b:1}", "avg<5")],
    );
    let strings = |list: &[&str]| list.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
    assert_eq!(
        shown(&rules.unwrap()),
        [
            ("http_req_duration{expected_response:true}".to_owned(), strings(&[]), false),
            ("m".to_owned(), strings(&["avg<1", "avg<3"]), true),
            ("m{a:1}".to_owned(), strings(&["avg<2", "avg<4"]), true),
            ("n".to_owned(), strings(&[]), true),
            ("n{b:1}".to_owned(), strings(&["avg<5"]), true),
        ]
    );
}

#[test]
fn without_thresholds_the_submetrics_of_the_script_stay() {
    let options = RuleOptions { no_thresholds: true, expected_response: false };
    let script = thresholds(&[("m", "nonsense"), ("m{a:1}", "avg<2"), ("m{", "avg<2")]);
    let rules = Rules::new(&script, &thresholds(&[("n", "avg<1")]), options).unwrap();
    assert_eq!(
        shown(&rules),
        [("m{a:1}".to_owned(), vec![], false), ("n".to_owned(), vec!["avg<1".to_owned()], true),]
    );
}

#[test]
fn expected_responses_are_kept_apart_once() {
    let rules = rules(&[(r#"http_req_duration{expected_response:"true"}"#, "avg<1")], &[]).unwrap();
    let names: Vec<_> = rules.list().map(|rule| rule.name.shown()).collect();
    assert_eq!(names, ["http_req_duration", r#"http_req_duration{expected_response:"true"}"#]);
}

#[test]
fn an_error_names_metric_and_expression_in_one_line() {
    for (metric, source, wanted) in [
        (
            "m",
            "foo<1",
            r#"threshold "foo<1" on metric "m": what is compared must be one of count, rate, value, avg, min, med, max or p(N)"#,
        ),
        (
            "m{a}",
            "avg<1",
            r#"threshold on metric "m{a}": each tag of a submetric must be of the form TAG:VALUE"#,
        ),
        (
            "http_reqs{a:1}",
            "p(95)<1",
            r#"threshold "p(95)<1" on metric "http_reqs{a:1}": a counter has no such value"#,
        ),
    ] {
        assert_eq!(line(&rules(&[(metric, source)], &[]).unwrap_err()), wanted);
        assert_eq!(line(&rules(&[], &[(metric, source)]).unwrap_err()), wanted);
    }
    let delayed = ThresholdSpec { delay_abort_eval: "soon".to_owned(), ..spec("avg<1") };
    let error = Threshold::new("m", "m", &delayed).unwrap_err();
    assert_eq!(
        line(&error),
        r#"threshold "avg<1" on metric "m": delayAbortEval "soon" is no duration"#
    );
}

#[test]
fn a_crossed_threshold_stops_the_run_after_its_delay() {
    let read = |abort_on_fail, delay: &str| {
        let spec =
            ThresholdSpec { abort_on_fail, delay_abort_eval: delay.to_owned(), ..spec("avg<1") };
        Threshold::new("m", "m", &spec).unwrap()
    };
    assert!(!read(false, "").aborts(i64::MAX));
    assert!(read(true, "").aborts(0));
    assert!(!read(true, "10s").aborts(10_000_000_000));
    assert!(read(true, "10s").aborts(10_000_000_001));
    assert!(!read(true, "0s").aborts(0));
    assert!(read(true, "-1s").aborts(0));
    assert!(!read(true, "2500").aborts(2_500_000_000));
    assert!(read(true, "2500").aborts(2_500_000_001));
    assert!(!read(true, "1d").aborts(86_400_000_000_000));
    assert!(read(true, "1m0.5s").aborts(60_500_000_001));
}

#[test]
fn the_delay_of_a_load_test_is_in_seconds() {
    let given = BTreeMap::from([(
        "m".to_owned(),
        vec![v1alpha1::Threshold {
            threshold: "avg<1".to_owned(),
            abort_on_fail: true,
            delay_abort_eval_seconds: 10,
        }],
    )]);
    let read = Rules::new(&Thresholds::new(), &of_spec(&given), RuleOptions::default()).unwrap();
    let threshold = &read.list().last().unwrap().thresholds[0];
    assert_eq!(threshold.delay_ns, Some(10_000_000_000));
    assert_eq!(threshold.expression.aggregation, Aggregation::Avg);
}

proptest! {
    #[test]
    fn any_thresholds_are_read_without_panic(
        metric in "\\PC{0,12}", source in "\\PC{0,12}", delay in "\\PC{0,8}",
    ) {
        let spec = ThresholdSpec { source, delay_abort_eval: delay, abort_on_fail: true };
        let script = Thresholds::from([(metric, vec![spec])]);
        if let Err(error) = Rules::new(&script, &Thresholds::new(), RuleOptions::default()) {
            prop_assert!(!line(&error).contains('\n'));
        }
    }
}
