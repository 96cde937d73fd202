use super::*;
use crate::core::{
    ledger::{
        codec::{Detail, decode as decode_ledger},
        ledger,
        threshold::{RuleOptions, Rules, ThresholdSpec, Thresholds},
    },
    samples::decode::{Line, decode},
    summary::stat,
};

/// A run of which each instance measured these lines of k6.
fn verdict(thresholds: &[(&str, &str, bool)], instances: &[&[&str]]) -> Verdict {
    let mut rules = Thresholds::new();
    for (metric, source, abort_on_fail) in thresholds {
        rules.entry((*metric).to_owned()).or_default().push(ThresholdSpec {
            source: (*source).to_owned(),
            abort_on_fail: *abort_on_fail,
            ..ThresholdSpec::default()
        });
    }
    let rules = Rules::new(&rules, &Thresholds::new(), RuleOptions::default()).unwrap();
    let mut verdict = Verdict::default();
    for (id, values) in (1..).zip(instances) {
        let mut own = ledger::Ledger::new(&rules, false);
        for line in *values {
            match decode(line.as_bytes()).unwrap() {
                Line::Metric(definition) => own.define(&definition),
                Line::Point(point) => own.add(&point),
            }
        }
        for part in own.snapshot(Detail::Summary, true) {
            assert!(verdict.take(id, 1, decode_ledger(part).unwrap()).unwrap());
        }
    }
    verdict
}

const TREND: &str =
    r#"{"type":"Metric","data":{"name":"took","type":"trend","contains":"time"},"metric":"took"}"#;

fn took(value: u32) -> String {
    format!(
        r#"{{"metric":"took","type":"Point","data":{{"time":"2026-11-22T07:28:28Z","value":{value},"tags":null}}}}"#
    )
}

fn terms(summary: &str, handles_summary: bool) -> Terms {
    Terms { summary: summary.to_owned().into(), handles_summary, ..Terms::default() }
}

/// What an agent would say of a script and arguments.
fn settings(change: impl FnOnce(&mut Settings)) -> String {
    let mut settings = Settings { trend_stats: stat::defaults(), ..Settings::default() };
    change(&mut settings);
    serde_json::to_string(&settings).unwrap()
}

fn around() -> Surroundings<'static> {
    Surroundings {
        duration_ns: 2_000_000_000,
        setup_data: Some(b"{\"n\":1}"),
        vus_max: 8,
        now: "now",
    }
}

fn two_instances(thresholds: &[(&str, &str, bool)]) -> Verdict {
    let (low, high) = (took(1), took(3));
    verdict(thresholds, &[&[TREND, &low, &low], &[TREND, &high, &high]])
}

#[test]
fn the_whole_is_judged_and_not_its_parts() {
    // Each instance alone has a median of 1 or of 3.
    let mut verdict = two_instances(&[("took", "med==2", false), ("took", "avg>2", false)]);
    let judgement = verdict.judge(&around(), true);
    let crossed = "thresholds on metrics 'took' have been crossed";
    assert_eq!(judgement.crossed.as_deref(), Some(crossed));
    let passed: Vec<_> = verdict.thresholds().iter().map(|one| (one.passed, one.value)).collect();
    assert_eq!(passed, [(true, Some(2.0)), (false, Some(2.0))]);
    assert_eq!(judgement.invalid, None);
}

#[test]
fn a_threshold_that_aborts_is_seen_at_the_next_look_and_only_while_there_is_a_load() {
    let mut verdict = two_instances(&[("took", "max<2", true), ("took", "min>2", false)]);
    assert_eq!(verdict.look(None, 0), None);
    assert_eq!(verdict.look_due_ms(), None);
    assert_eq!(verdict.look(Some(0), 1000), None, "the first look is 2 s after the start");
    assert_eq!(verdict.look_due_ms(), Some(3000));
    assert_eq!(verdict.look(Some(1999), 2999), None);
    let why = verdict.look(Some(2000), 3000).unwrap();
    assert!(why.contains("'took'") && why.contains("abortOnFail"), "{why}");
    assert_eq!(verdict.look(Some(2001), 3001), None, "the next look is 2 s later");
    let mut calm = two_instances(&[("took", "max<2", false)]);
    calm.look(Some(0), 0);
    assert_eq!(calm.look(Some(9000), 9000), None);
}

#[test]
fn a_script_that_never_ran_is_not_judged() {
    let mut verdict = verdict(&[("took", "max>1", false)], &[&[]]);
    verdict.learn(terms(&settings(|_| {}), true));
    assert_eq!(verdict.judge(&around(), false), Judgement::default());
    assert_eq!(verdict.sum_up(&around(), None), Artifacts::default());
}

#[test]
fn what_cannot_be_judged_and_what_was_never_measured_is_named() {
    let mut verdict = two_instances(&[("took", "count>1", false), ("tok", "p(95)<1", false)]);
    let judgement = verdict.judge(&around(), true);
    assert!(judgement.invalid.unwrap().contains("took"));
    assert!(judgement.note.unwrap().contains("'tok'"));
}

#[test]
fn without_a_handler_the_text_goes_to_standard_output_and_the_export_to_its_file() {
    let mut verdict = two_instances(&[]);
    verdict.learn(terms(&settings(|own| own.export = Some("e.json".to_owned())), false));
    assert_eq!(verdict.judge(&around(), true).data, None);
    let artifacts = verdict.sum_up(&around(), None);
    let names: Vec<_> = artifacts.files.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["stdout", "e.json"]);
    assert!(artifacts.text.contains("TOTAL RESULTS"), "{}", artifacts.text);
    let export: Value = serde_json::from_slice(&artifacts.files[1].1).unwrap();
    assert_eq!(export["metrics"]["took"]["max"], 3);
    assert_eq!(export["setup_data"]["n"], 1);
    assert_eq!(artifacts.error, None);
}

#[test]
fn what_a_handler_returns_takes_the_place_of_the_text() {
    let mut verdict = two_instances(&[]);
    verdict.learn(terms(&settings(|_| {}), true));
    let data = verdict.judge(&around(), true).data.unwrap();
    let data: Value = serde_json::from_slice(&data).unwrap();
    assert_eq!(data["metrics"]["took"]["values"]["max"], 3);
    let answer = |written: &str| Outcome {
        ok: true,
        data: Some(written.to_owned().into()),
        ..Outcome::default()
    };
    let files = answer(r#"{"kind":"files","files":[["stdout",{"text":"mine"}]]}"#);
    let artifacts = verdict.sum_up(&around(), Some(&files));
    assert_eq!(artifacts.files, [("stdout".to_owned(), Bytes::from("mine"))]);
    assert!(artifacts.text.contains("TOTAL RESULTS"), "k6's own text is kept beside it");

    let threw = answer(r#"{"kind":"threw","message":"no"}"#);
    let artifacts = verdict.sum_up(&around(), Some(&threw));
    assert_eq!(artifacts.error.as_deref(), Some("no"));
    assert!(artifacts.files[0].1.starts_with(b"\n"), "k6 falls back to its own text");

    let invalid = answer(r#"{"kind":"invalid","message":"no map"}"#);
    assert!(verdict.sum_up(&around(), Some(&invalid)).files.is_empty());
    let broken = answer("nonsense");
    assert!(verdict.sum_up(&around(), Some(&broken)).error.is_some());
}

#[test]
fn a_disabled_summary_is_none() {
    let mut verdict = two_instances(&[("took", "max>5", false)]);
    verdict.learn(terms(&settings(|own| own.mode = Mode::Disabled), true));
    let judgement = verdict.judge(&around(), true);
    assert!(judgement.crossed.is_some(), "thresholds are judged all the same");
    assert_eq!(judgement.data, None);
    assert_eq!(verdict.sum_up(&around(), None), Artifacts::default());
}

#[test]
fn the_first_terms_stay() {
    let mut verdict = two_instances(&[]);
    verdict.learn(terms(&settings(|own| own.mode = Mode::Disabled), true));
    verdict.learn(terms(&settings(|_| {}), true));
    verdict.judge(&around(), true);
    assert_eq!(verdict.sum_up(&around(), None), Artifacts::default());
}

#[test]
fn the_vus_of_an_instance_that_k6_had_no_time_to_look_at_are_not_forgotten() {
    let vus_max = r#"{"type":"Metric","data":{"name":"vus_max","type":"gauge","contains":"default"},"metric":"vus_max"}"#;
    let four = r#"{"metric":"vus_max","type":"Point","data":{"time":"2026-11-22T07:28:28Z","value":4,"tags":null}}"#;
    let mut verdict = verdict(&[], &[&[vus_max, four], &[]]);
    verdict.learn(terms(&settings(|_| {}), false));
    verdict.judge(&around(), true);
    let values = &verdict.metrics().unwrap()["vus_max"]["values"];
    assert_eq!(values, &serde_json::json!({"value": 8, "min": 8, "max": 8}));
}
