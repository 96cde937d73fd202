//! The section of thresholds.

use std::collections::BTreeMap;

use super::{
    document::{Page, Style},
    metrics::Table,
    order::metric_key,
    unit,
};
use crate::core::{
    ledger::view::{Judged, Metric, Values},
    summary::stat::Stat,
};

/// Writes the thresholds of each metric that has some, a submetric's below those of its metric.
pub(super) fn write(metrics: &BTreeMap<String, Metric>, style: &Style<'_>, page: &mut Page) {
    let mut judged: Vec<(&str, &Metric)> = metrics
        .iter()
        .filter(|(_, metric)| !metric.thresholds.is_empty())
        .map(|(name, metric)| (name.as_str(), metric))
        .collect();
    judged.sort_by_cached_key(|(name, _)| metric_key(name));
    let table = style.table(judged.iter().copied());
    for (name, metric) in &judged {
        let (parent, tags) = name.split_at(name.find('{').unwrap_or(name.len()));
        let below = !tags.is_empty() && judged.iter().any(|(name, _)| *name == parent);
        let level = if below { 3 } else { 2 };
        page.line(level, if below { tags } else { name });
        for threshold in &metric.thresholds {
            page.line(level, &line(name, metric, threshold, &table, style));
        }
        page.gap();
    }
}

fn line(
    name: &str,
    metric: &Metric,
    threshold: &Judged,
    table: &Table<'_>,
    style: &Style<'_>,
) -> String {
    let paint = style.paint;
    let mark = if threshold.passed { paint.good("✓") } else { paint.bad("✗") };
    let source = threshold.source.trim();
    let aggregation = aggregation(source);
    let value = value(name, metric, aggregation, table, style).unwrap_or_default();
    let source = paint.words(&format!("'{source}'"));
    format!("{mark} {source} {}={}", paint.words(aggregation), paint.value(&value))
}

/// What stands before the operator; of `!=`, k6 takes the first character along.
fn aggregation(source: &str) -> &str {
    source.split(['=', '>', '<']).next().unwrap_or(source).trim()
}

/// The value that k6 shows for an aggregation. There is none for a statistic that is neither a percentile nor one of
/// `summaryTrendStats`.
fn value(
    name: &str,
    metric: &Metric,
    aggregation: &str,
    table: &Table<'_>,
    style: &Style<'_>,
) -> Option<String> {
    let Values::Trend(trend) = &metric.values else {
        let (value, beside) = table.value(name);
        let is_rate = matches!(metric.values, Values::Counter { .. }) && aggregation != "count";
        return if is_rate { beside } else { value }.map(str::to_owned);
    };
    let stat = Stat::parse(aggregation)?;
    let listed = style.settings.trend_stats.iter().any(|known| known.name == stat.name);
    if !listed && !stat.is_percentile() {
        return None;
    }
    let value = stat.of(trend);
    Some(unit::value(value, metric.contains, &style.settings.time_unit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_before_the_operator_names_the_value() {
        assert_eq!(aggregation("p(95) < 500"), "p(95)");
        assert_eq!(aggregation("rate>=0.9"), "rate");
        assert_eq!(aggregation("count===3"), "count");
    }
}
