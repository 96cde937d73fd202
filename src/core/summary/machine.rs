//! The object that `handleSummary` gets, and `--summary-export` writes, with `--new-machine-readable-summary`.

use serde_json::{Map, Value, json};

use super::{
    data::contains,
    number::{SECOND, duration, number, share},
    section,
    settings::Settings,
    stat::Stat,
};
use crate::core::ledger::view::{Check, Metric, Values, View};

/// Version of the shape.
const SCHEMA: &str = "1.0.0";
/// The statistics of a trend that the shape has room for, as the user names them and as the shape does.
const STATS: &[(&str, &str)] = &[
    ("avg", "avg"),
    ("max", "max"),
    ("med", "med"),
    ("min", "min"),
    ("p(90)", "p90"),
    ("p(95)", "p95"),
];

/// What the object says of the run besides what was measured.
#[derive(Clone, Copy, Debug, Default)]
pub struct Origin<'a> {
    /// Text of the script's main file.
    pub script: &'a str,
    /// As the binary prints it, such as `v2.2.0`.
    pub k6_version: &'a str,
    /// Now, as RFC 3339 writes it.
    pub generated_at: &'a str,
    /// One of the outputs is k6's cloud.
    pub cloud: bool,
}

/// The object.
pub fn write(view: &View, settings: &Settings, origin: &Origin<'_>) -> Value {
    let mut metrics: Vec<_> = view
        .metrics
        .iter()
        .filter_map(|(name, metric)| Some((section::of(name, settings.mode)?, name, metric)))
        .collect();
    metrics.sort_by_key(|(section, ..)| *section);
    let stats = &settings.trend_stats;
    let metrics: Vec<Value> =
        metrics.into_iter().map(|(_, name, metric)| metric_value(name, metric, stats)).collect();
    json!({
        "config": {
            "duration": number(duration(view.duration_ns, SECOND)),
            "execution": if origin.cloud { "cloud" } else { "local" },
            "script": origin.script,
        },
        "metadata": {
            "generated_at": origin.generated_at,
            "k6_version": origin.k6_version.trim_start_matches('v'),
        },
        "results": { "checks": checks(view), "metrics": metrics },
        "version": SCHEMA,
    })
}

fn checks(view: &View) -> Value {
    let Some(Values::Rate { trues, total }) = view.metrics.get("checks").map(|m| &m.values) else {
        return json!({ "metrics": [], "results": [] });
    };
    let rate = |name: &str, matches: u64| {
        let values = json!({
            "matches": matches,
            "total": total,
            "rate": number(share(matches, *total)),
        });
        json!({"name": name, "type": "rate", "contains": "default", "values": values})
    };
    let results = view.checks.iter().map(
        |Check { name, passes, fails }| json!({"name": name, "passes": passes, "fails": fails}),
    );
    json!({
        "metrics": [
            {
                "name": "checks_total",
                "type": "counter",
                "contains": "default",
                "values": { "count": total },
            },
            rate("checks_failed", total.saturating_sub(*trues)),
            rate("checks_succeeded", *trues),
        ],
        "results": results.collect::<Vec<_>>(),
    })
}

fn metric_value(name: &str, metric: &Metric, stats: &[Stat]) -> Value {
    json!({
        "name": name,
        "type": metric.kind.word(),
        "contains": contains(metric.contains),
        "values": values(&metric.values, stats),
    })
}

fn values(values: &Values, stats: &[Stat]) -> Value {
    match values {
        Values::Counter { count, .. } => json!({ "count": number(*count) }),
        Values::Gauge { value, min, max } => {
            json!({"value": number(*value), "min": number(*min), "max": number(*max)})
        }
        Values::Rate { trues, total } => {
            json!({"matches": trues, "total": total, "rate": number(share(*trues, *total))})
        }
        Values::Trend(trend) => {
            let value = |given: &str| {
                let stat = stats.iter().find(|stat| stat.name == given);
                stat.map_or(Value::Null, |stat| number(stat.of(trend)))
            };
            let values = STATS.iter().map(|(given, shown)| ((*shown).to_owned(), value(given)));
            Value::Object(values.collect::<Map<_, _>>())
        }
    }
}
