//! The text of `--summary-mode=legacy`, which k6 1.x still has.

use super::{document::Style, metrics::tags, order::metric_key, results::share_line};
use crate::core::{
    ledger::view::{Metric, View},
    summary::{data, tree::Node},
};

/// Where groups and checks begin.
const GROUPS: &str = "     ";
/// Where the marks of metrics begin.
const METRICS: &str = "   ";

/// All groups with their checks, then all metrics.
pub(super) fn write(view: &View, style: &Style<'_>) -> String {
    let mut lines = Vec::new();
    group(&data::root(&view.groups), GROUPS, style, &mut lines);
    let mut names: Vec<&str> = view.metrics.keys().map(String::as_str).collect();
    names.sort_by_cached_key(|name| metric_key(name));
    let table = style.table(view.metrics.iter().map(|(name, metric)| (name.as_str(), metric)));
    for name in names {
        let mark = view.metrics.get(name).map_or_else(String::new, |metric| mark(metric, style));
        let (indent, shown) = match tags(name) {
            Some(tags) => ("  ", format!("{{ {tags} }}")),
            None => ("", name.to_owned()),
        };
        lines.push(format!("{METRICS}{indent}{mark} {shown}{}", table.rest(name, style.paint)));
    }
    lines.join("\n")
}

fn group(node: &Node<'_>, indent: &str, style: &Style<'_>, lines: &mut Vec<String>) {
    let mut indent = indent.to_owned();
    if !node.name.is_empty() {
        lines.push(format!("{indent}█ {}\n", node.name));
        indent += "  ";
    }
    for check in node.checks {
        lines.push(if check.fails == 0 {
            style.paint.good(&format!("{indent}✓ {}", check.name))
        } else {
            let failed = format!("{indent}✗ {}\n{indent} {}", check.name, share_line(check));
            style.paint.bad(&failed)
        });
    }
    if !node.checks.is_empty() {
        lines.push(String::new());
    }
    for inner in &node.groups {
        group(inner, &indent, style, lines);
    }
}

fn mark(metric: &Metric, style: &Style<'_>) -> String {
    if metric.thresholds.is_empty() {
        " ".to_owned()
    } else if metric.thresholds.iter().all(|threshold| threshold.passed) {
        style.paint.good("✓")
    } else {
        style.paint.bad("✗")
    }
}
