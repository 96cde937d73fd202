//! What VictoriaMetrics holds, as it exports it.
//!
//! It shows what it has been given with a delay, and what was written again may show before what was written once: who
//! wants to know all asks until as many distinct samples are there as should be.

use std::collections::BTreeMap;

use serde_json::Value;

/// Where it is asked to show what it has.
pub(crate) const FLUSH: &str = "/internal/force_flush";
/// Where it exports all that it holds.
pub(crate) const EXPORT: &str = "/api/v1/export?match[]=%7B__name__!%3D%22%22%7D";

/// Name and tags of a series: a sample of measurement `m` and field `value` is one of `m_value`.
pub(crate) type Labels = BTreeMap<String, String>;
/// Its series, its time in milliseconds, its value.
pub(crate) type Sample = (Labels, i64, f64);

/// The samples of an export, each as often as it is there.
pub(crate) fn samples(text: &str) -> Vec<Sample> {
    text.lines().flat_map(of_series).collect()
}

/// Each sample once.
pub(crate) fn distinct(samples: &[Sample]) -> BTreeMap<(Labels, i64), f64> {
    let keyed = samples.iter().cloned();
    keyed.map(|(labels, time_ms, value)| ((labels, time_ms), value)).collect()
}

/// Whether samples of this series may share a millisecond: k6 counts VUs by a clock, and does so twice in a row where the
/// machine stood still. All others have a series of their own in these tests' scripts.
pub(crate) fn may_coincide(labels: &Labels) -> bool {
    ["vus_value", "vus_max_value"].contains(&labels["__name__"].as_str())
}

fn of_series(line: &str) -> Vec<Sample> {
    let series: Value = serde_json::from_str(line).unwrap();
    let labels: Labels = serde_json::from_value(series["metric"].clone()).unwrap();
    let times = series["timestamps"].as_array().unwrap().iter().map(|time| time.as_i64().unwrap());
    let values = series["values"].as_array().unwrap().iter().map(|value| value.as_f64().unwrap());
    times.zip(values).map(|(time, value)| (labels.clone(), time, value)).collect()
}
