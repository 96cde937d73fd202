//! What `--summary-mode=full` adds: groups and scenarios.

use std::collections::BTreeMap;

use super::{
    document::{Page, Style},
    order,
    results::{self, Part},
};
use crate::core::{
    ledger::view::{Group, Metric, Scenario, View},
    summary::tree::{self, Node},
};

type ByGroup = BTreeMap<String, BTreeMap<String, Metric>>;

/// Writes the groups of the test, then its scenarios.
pub(super) fn write(view: &View, style: &Style<'_>, page: &mut Page) {
    for node in of(&view.default_groups, &view.by_group).groups {
        page.section(&format!("GROUP: {}", node.name), style.paint);
        node_results(&node, &view.by_group, 0, style, page);
        page.gap();
    }
    let mut scenarios: Vec<(&String, &Scenario)> = view.by_scenario.iter().collect();
    scenarios.sort_by_cached_key(|(name, _)| order::key(name));
    for (name, scenario) in scenarios {
        page.section(&format!("SCENARIO: {name}"), style.paint);
        let part = Part { metrics: Some(&scenario.metrics), checks: &scenario.checks };
        results::write(&part, 0, style, page);
        let root = of(&scenario.groups, &scenario.by_group);
        nested(&root, &scenario.by_group, 0, style, page);
        page.gap();
    }
}

/// The groups that have metrics of their own, and those around them.
fn of<'a>(groups: &'a [Group], by_group: &'a ByGroup) -> Node<'a> {
    let shown =
        |group: &&Group| by_group.contains_key(&group.path) && !tree::is_lifecycle(&group.path);
    let mut root = tree::tree(groups.iter().filter(shown));
    for path in by_group.keys().filter(|path| !tree::is_lifecycle(path)) {
        root.at(path);
    }
    root
}

fn node_results(
    node: &Node<'_>,
    by_group: &ByGroup,
    level: usize,
    style: &Style<'_>,
    page: &mut Page,
) {
    let part = Part { metrics: by_group.get(node.path), checks: node.checks };
    results::write(&part, level, style, page);
    nested(node, by_group, level, style, page);
}

fn nested(node: &Node<'_>, by_group: &ByGroup, level: usize, style: &Style<'_>, page: &mut Page) {
    for inner in &node.groups {
        page.title(level + 2, '↳', &format!("GROUP: {}", inner.name), style.paint);
        node_results(inner, by_group, level + 1, style, page);
    }
}
