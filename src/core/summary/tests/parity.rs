//! The corpus, through k6 and through us.

use serde_json::Value;

use super::{
    likeness::{differences, first_difference},
    rig::{Given, K6, run},
};
use crate::core::summary::{
    data, export,
    machine::{self, Origin},
    text,
};

const KINDS: &str = include_str!("corpus/kinds.js");
const GROUPS: &str = include_str!("corpus/groups.js");
const SCENARIOS: &str = include_str!("corpus/scenarios.js");
const HTTP: &str = include_str!("corpus/http.js");
const NUMBERS: &str = include_str!("corpus/numbers.js");
const SIZES: &str = include_str!("corpus/sizes.js");
const SECTIONS: &str = include_str!("corpus/sections.js");
const BARE: &str = include_str!("corpus/bare.js");

/// What setup() of a script of the corpus returned, as the exported file says it.
fn setup_data(given: &Given) -> Option<&Value> {
    given.data.get("setup_data")
}

fn assert_same(what: &str, ours: &Value, theirs: &Value) {
    let mut found = Vec::new();
    differences(ours, theirs, what, &mut found);
    assert!(found.is_empty(), "{}", found.join("\n"));
}

fn assert_parity(k6: K6, script: &str, args: &[&str]) {
    let given = run(k6, script, args);
    // Of a trend, all but percentiles are exact.
    let exact = ["avg", "min", "max", "count"];
    let stats = &given.settings.trend_stats;
    let equal = stats.iter().all(|stat| exact.contains(&stat.name.as_str()));
    for view in [&given.view, &given.ledger_view] {
        assert_eq!(view.duration_ns, given.duration_ns);
        let ours = data::write(view, &given.settings, setup_data(&given));
        assert_same("data", &ours, &given.data);
        let file: Value = serde_json::from_str(&export::write(&ours)).unwrap();
        assert_same("export", &file, &given.export);
        let text = text::write(view, &given.settings);
        let found = first_difference(&text, &given.text, equal);
        assert_eq!(found, None, "ours:{text}k6's:{}", given.text);
    }
}

#[test]
fn each_kind_of_metric_and_threshold() {
    assert_parity(K6::V2, KINDS, &[]);
    assert_parity(K6::V2, KINDS, &["--summary-mode=full", "--summary-trend-stats=p(90),max,med"]);
}

#[test]
fn checks_in_nested_groups() {
    assert_parity(K6::V2, GROUPS, &[]);
    assert_parity(K6::V2, GROUPS, &["--summary-mode=full"]);
}

#[test]
fn several_scenarios() {
    assert_parity(K6::V2, SCENARIOS, &[]);
    assert_parity(K6::V2, SCENARIOS, &["--summary-mode=full"]);
}

#[test]
fn requests() {
    assert_parity(K6::V2, HTTP, &["--summary-time-unit=ms"]);
    assert_parity(K6::V2, HTTP, &["--summary-mode=full"]);
}

#[test]
fn numbers_of_all_magnitudes_and_names_in_all_orders() {
    assert_parity(K6::V2, NUMBERS, &[]);
    assert_parity(K6::V2, NUMBERS, &["--summary-time-unit=us"]);
    assert_parity(K6::V2, NUMBERS, &["--summary-time-unit=s"]);
    assert_parity(K6::V2, SIZES, &[]);
}

#[test]
fn metrics_of_every_section() {
    assert_parity(K6::V2, SECTIONS, &[]);
    assert_parity(K6::V2, SECTIONS, &["--summary-mode=full"]);
    assert_parity(K6::V1, SECTIONS, &[]);
}

#[test]
fn a_script_that_does_nothing() {
    assert_parity(K6::V2, BARE, &[]);
    assert_parity(K6::V2, BARE, &["--summary-mode=full"]);
}

#[test]
fn the_last_k6_before_2() {
    for script in [KINDS, GROUPS, SCENARIOS, HTTP, BARE] {
        assert_parity(K6::V1, script, &["--summary-mode=full"]);
    }
    assert_parity(K6::V1, KINDS, &[]);
}

#[test]
fn the_legacy_text_of_k6_before_2() {
    for script in [KINDS, GROUPS, SCENARIOS, HTTP, BARE] {
        assert_parity(K6::V1, script, &["--summary-mode=legacy"]);
    }
}

#[test]
fn the_machine_readable_summary() {
    for (k6, script, mode) in [
        (K6::V2, KINDS, "compact"),
        (K6::V2, HTTP, "compact"),
        (K6::V2, HTTP, "full"),
        (K6::V2, BARE, "compact"),
        (K6::V1, GROUPS, "full"),
    ] {
        let args = [&format!("--summary-mode={mode}"), "--new-machine-readable-summary"];
        let given = run(k6, script, &args);
        let mut theirs = given.data.clone();
        let origin = Origin {
            script: &given.script,
            k6_version: &k6.version().text,
            generated_at: theirs["metadata"]["generated_at"].as_str().unwrap(),
            cloud: false,
        };
        let mut ours = machine::write(&given.view, &given.settings, &origin);
        // k6 gives the metrics of each section in no order.
        for summary in [&mut ours, &mut theirs] {
            let metrics = summary["results"]["metrics"].as_array_mut().unwrap();
            metrics.sort_by_key(|metric| metric["name"].to_string());
        }
        assert_same("data", &ours, &theirs);
        let file: Value = serde_json::from_str(&export::write_machine(&given.data)).unwrap();
        assert_same("export", &file, &given.export);
    }
}
