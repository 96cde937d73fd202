//! The object that k6 hands to `handleSummary(data)`.

use md5::{Digest, Md5};
use serde_json::{Map, Value, json};

use super::{
    number::{MS, duration, number, share},
    settings::Settings,
    stat::Stat,
    tree::{self, Node},
};
use crate::core::ledger::view::{Check, Contains, Group, Metric, Values, View};

/// The object, with what `setup()` returned; no key says that where it returned nothing.
pub fn write(view: &View, settings: &Settings, setup_data: Option<&Value>) -> Value {
    let stats: Vec<&str> = settings.trend_stats.iter().map(|stat| stat.name.as_str()).collect();
    let metrics: Map<String, Value> = view
        .metrics
        .iter()
        .map(|(name, metric)| (name.clone(), metric_value(metric, &settings.trend_stats)))
        .collect();
    let mut data = json!({
        "root_group": group(&root(&view.groups)),
        "options": {
            "summaryTrendStats": stats,
            "summaryTimeUnit": settings.time_unit,
            "noColor": settings.no_color,
        },
        "state": {
            "isStdOutTTY": settings.stdout_tty,
            "isStdErrTTY": settings.stderr_tty,
            "testRunDurationMs": number(duration(view.duration_ns, MS)),
        },
        "metrics": metrics,
    });
    if let (Some(object), Some(setup_data)) = (data.as_object_mut(), setup_data) {
        object.insert("setup_data".to_owned(), setup_data.clone());
    }
    data
}

/// The tree of groups; that of `setup()` or `teardown()` is in it only for its checks and groups.
pub(super) fn root(groups: &[Group]) -> Node<'_> {
    let shown = |group: &&Group| !(tree::is_lifecycle(&group.path) && group.checks.is_empty());
    tree::tree(groups.iter().filter(shown))
}

/// k6's word for what the values of a metric are.
pub(super) fn contains(contains: Contains) -> &'static str {
    match contains {
        Contains::Default => "default",
        Contains::Time => "time",
        Contains::Data => "data",
    }
}

fn metric_value(metric: &Metric, stats: &[Stat]) -> Value {
    let mut value = json!({
        "type": metric.kind.word(),
        "contains": contains(metric.contains),
        "values": values(&metric.values, stats),
    });
    if let (Some(object), false) = (value.as_object_mut(), metric.thresholds.is_empty()) {
        let judged = metric.thresholds.iter();
        let thresholds: Map<String, Value> =
            judged.map(|t| (t.source.clone(), json!({ "ok": t.passed }))).collect();
        object.insert("thresholds".to_owned(), Value::Object(thresholds));
    }
    value
}

fn values(values: &Values, stats: &[Stat]) -> Value {
    match values {
        Values::Counter { count, rate } => json!({"count": number(*count), "rate": number(*rate)}),
        Values::Gauge { value, min, max } => {
            json!({"value": number(*value), "min": number(*min), "max": number(*max)})
        }
        Values::Rate { trues, total } => json!({
            "rate": number(share(*trues, *total)),
            "passes": trues,
            "fails": total.saturating_sub(*trues),
        }),
        Values::Trend(trend) => {
            stats.iter().map(|stat| (stat.name.clone(), number(stat.of(trend)))).collect()
        }
    }
}

fn group(node: &Node<'_>) -> Value {
    let checks: Vec<Value> = node.checks.iter().map(|made| check(node.path, made)).collect();
    let groups: Vec<Value> = node.groups.iter().map(group).collect();
    json!({
        "name": node.name,
        "path": node.path,
        "id": id(node.path),
        "groups": groups,
        "checks": checks,
    })
}

fn check(group_path: &str, check: &Check) -> Value {
    let path = format!("{group_path}::{}", check.name);
    json!({
        "name": check.name,
        "id": id(&path),
        "path": path,
        "passes": check.passes,
        "fails": check.fails,
    })
}

/// k6 names groups and checks by the hash of their path.
fn id(path: &str) -> String {
    let mut id = String::new();
    for byte in Md5::digest(path.as_bytes()) {
        for digit in [byte >> 4, byte & 15] {
            id.extend(char::from_digit(u32::from(digit), 16));
        }
    }
    id
}
