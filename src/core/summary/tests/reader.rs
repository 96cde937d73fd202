//! Views of the samples that k6 wrote with `--out json`. In the simple one, only what a single k6 knows and the samples do not say is
//! taken from elsewhere: whether thresholds held, and how long the test took.

use std::collections::BTreeMap;

use serde_json::{Value, value::RawValue};

use crate::core::{
    ledger::{
        codec::Detail,
        ledger::Ledger,
        merged::Merged,
        threshold::{self, RuleOptions, Rules, Thresholds},
        view::{Check, Contains, Group, Judged, Kind, Metric, Scenario, Trend, Values, View},
    },
    samples::decode::{self, Line},
    summary::number::{SECOND, duration},
};

/// The view that a ledger gives of the same samples: all of it our own.
pub(super) fn ledger_view(samples: &str, options: &Value, full: bool, duration_ns: i64) -> View {
    let thresholds = RawValue::from_string(options["thresholds"].to_string()).unwrap();
    let thresholds = threshold::of_options(&thresholds).unwrap();
    let rules = Rules::new(&thresholds, &Thresholds::new(), RuleOptions::default()).unwrap();
    let mut ledger = Ledger::new(&rules, full);
    for line in samples.lines() {
        match decode::decode(line.as_bytes()).unwrap() {
            Line::Metric(definition) => ledger.define(&definition),
            Line::Point(point) => ledger.add(&point),
        }
    }
    let mut merged = Merged::default();
    for part in ledger.snapshot(Detail::Summary, true) {
        merged.take(1, 1, part).unwrap();
    }
    merged.view(duration_ns)
}

type Tags = BTreeMap<String, String>;

/// The view; `options` are what `k6 inspect` prints, `data` what `handleSummary` gets.
pub(super) fn view(samples: &str, options: &Value, data: &Value, duration_ns: i64) -> View {
    let mut view = View { duration_ns, ..View::default() };
    let mut known: BTreeMap<String, (Kind, Contains)> = BTreeMap::new();
    let mut points = Vec::new();
    for line in samples.lines() {
        let line: Value = serde_json::from_str(line).unwrap();
        let name = line["metric"].as_str().unwrap().to_owned();
        if line["type"] == "Metric" {
            known.insert(name, (kind(&line["data"]["type"]), contains(&line["data"]["contains"])));
        } else {
            let tags = serde_json::from_value::<Option<Tags>>(line["data"]["tags"].clone());
            points.push((
                name,
                line["data"]["value"].as_f64().unwrap(),
                tags.unwrap().unwrap_or_default(),
            ));
        }
    }
    let judged = options["thresholds"].as_object().cloned().unwrap_or_default();
    let always = "http_req_duration{expected_response:true}".to_owned();
    let submetrics: Vec<(String, String, Tags)> = judged
        .keys()
        .cloned()
        .chain([always])
        .filter_map(|name| {
            let (parent, tags) = name.strip_suffix('}')?.split_once('{')?;
            let pairs = tags.split(',').map(|pair| pair.split_once(':').unwrap());
            let pairs = pairs.map(|(k, v)| (k.trim().to_owned(), v.trim().to_owned()));
            Some((parent.to_owned(), name.clone(), pairs.collect()))
        })
        .collect();
    for name in judged.keys() {
        let parent = name.split('{').next().unwrap();
        let fallback = || {
            let listed = data["results"]["metrics"].as_array().into_iter().flatten();
            let metric = listed.into_iter().find(|metric| metric["name"] == name.as_str());
            let metric = metric.unwrap_or(&data["metrics"][name]);
            (kind(&metric["type"]), contains(&metric["contains"]))
        };
        let what = known.get(parent).copied().unwrap_or_else(fallback);
        for name in [name.as_str(), parent] {
            view.metrics.entry(name.to_owned()).or_insert_with(|| empty(what));
        }
    }
    for (name, value, tags) in &points {
        let what = known[name];
        add(&mut view.metrics, name, what, *value);
        for (parent, submetric, wanted) in &submetrics {
            if parent == name && wanted.iter().all(|(k, v)| tags.get(k) == Some(v)) {
                add(&mut view.metrics, submetric, what, *value);
            }
        }
        sort_in(&mut view, name, what, *value, tags);
    }
    for (name, thresholds) in &judged {
        let oks = &data["metrics"][name]["thresholds"];
        let thresholds = thresholds.as_array().unwrap().iter().map(|threshold| {
            let source = threshold.as_str().or_else(|| threshold["threshold"].as_str()).unwrap();
            Judged {
                source: source.to_owned(),
                passed: oks[source]["ok"] == true,
                value: None,
                abort_on_fail: false,
                delay_abort_eval: String::new(),
            }
        });
        view.metrics.get_mut(name).unwrap().thresholds = thresholds.collect();
    }
    let seconds = duration(duration_ns, SECOND);
    finish(&mut view.metrics, seconds);
    view.by_group.values_mut().for_each(|metrics| finish(metrics, seconds));
    for scenario in view.by_scenario.values_mut() {
        finish(&mut scenario.metrics, seconds);
        scenario.by_group.values_mut().for_each(|metrics| finish(metrics, seconds));
    }
    view
}

/// Takes a sample into its group and its scenario.
fn sort_in(view: &mut View, name: &str, what: (Kind, Contains), value: f64, tags: &Tags) {
    let group = tags.get("group").map(String::as_str).unwrap_or_default();
    let lifecycle = ["::setup", "::teardown"].contains(&group);
    let check = tags.get("check").filter(|_| name == "checks");
    let groups = |groups: &mut Vec<Group>| {
        let checks = &mut at(
            groups,
            |known| known.path == group,
            || Group { path: group.to_owned(), ..Group::default() },
        )
        .checks;
        if let Some(check) = check {
            count(checks, check, value);
        }
    };
    groups(&mut view.groups);
    if let Some(check) = check {
        count(&mut view.checks, check, value);
    }
    let scenario = tags.get("scenario");
    if let Some(scenario) = scenario.filter(|scenario| *scenario != "default") {
        let scenario: &mut Scenario = view.by_scenario.entry(scenario.clone()).or_default();
        add(&mut scenario.metrics, name, what, value);
        groups(&mut scenario.groups);
        if let Some(check) = check {
            count(&mut scenario.checks, check, value);
        }
        if !group.is_empty() && !lifecycle {
            add(scenario.by_group.entry(group.to_owned()).or_default(), name, what, value);
        }
    }
    if scenario.is_none_or(|scenario| scenario == "default") && !group.is_empty() && !lifecycle {
        groups(&mut view.default_groups);
        add(view.by_group.entry(group.to_owned()).or_default(), name, what, value);
    }
}

fn at<T>(list: &mut Vec<T>, is: impl Fn(&T) -> bool, new: impl FnOnce() -> T) -> &mut T {
    let found = list.iter().position(is).unwrap_or_else(|| {
        list.push(new());
        list.len() - 1
    });
    &mut list[found]
}

fn count(checks: &mut Vec<Check>, name: &str, value: f64) {
    let new = || Check { name: name.to_owned(), ..Check::default() };
    let check = at(checks, |known| known.name == name, new);
    if value == 0.0 {
        check.fails += 1;
    } else {
        check.passes += 1;
    }
}

fn empty((kind, contains): (Kind, Contains)) -> Metric {
    let values = match kind {
        Kind::Counter => Values::Counter { count: 0.0, rate: 0.0 },
        Kind::Gauge => Values::Gauge { value: 0.0, min: f64::NAN, max: f64::NAN },
        Kind::Rate => Values::Rate { trues: 0, total: 0 },
        Kind::Trend => Values::Trend(Trend::default()),
    };
    Metric { kind, contains, values, thresholds: Vec::new(), parent: None }
}

fn add(metrics: &mut BTreeMap<String, Metric>, name: &str, what: (Kind, Contains), added: f64) {
    let metric = metrics.entry(name.to_owned()).or_insert_with(|| empty(what));
    match &mut metric.values {
        Values::Counter { count, .. } => *count += added,
        Values::Gauge { value, min, max } => {
            *value = added;
            *min = min.min(added);
            *max = max.max(added);
        }
        Values::Rate { trues, total } => {
            *total += 1;
            *trues += u64::from(added != 0.0);
        }
        Values::Trend(trend) => trend.add(added),
    }
}

/// What can be said only at the end.
fn finish(metrics: &mut BTreeMap<String, Metric>, seconds: f64) {
    for metric in metrics.values_mut() {
        match &mut metric.values {
            Values::Counter { count, rate } if seconds > 0.0 => *rate = *count / seconds,
            Values::Gauge { min, max, .. } if min.is_nan() => (*min, *max) = (0.0, 0.0),
            _ => {}
        }
    }
}

fn kind(word: &Value) -> Kind {
    match word.as_str().unwrap() {
        "counter" => Kind::Counter,
        "gauge" => Kind::Gauge,
        "rate" => Kind::Rate,
        _ => Kind::Trend,
    }
}

fn contains(word: &Value) -> Contains {
    match word.as_str().unwrap() {
        "time" => Contains::Time,
        "data" => Contains::Data,
        _ => Contains::Default,
    }
}
