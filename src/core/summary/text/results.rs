//! Checks and metrics: of the whole test, of a group, or of a scenario.

use std::collections::BTreeMap;

use super::{
    document::{Page, Style},
    order::metric_key,
};
use crate::core::{
    ledger::{
        stats::count_f64,
        view::{Check, Contains, Kind, Metric, Values},
    },
    summary::section::{self, Section},
};

/// That of which results are shown.
#[derive(Clone, Copy, Debug)]
pub(super) struct Part<'a> {
    pub(super) metrics: Option<&'a BTreeMap<String, Metric>>,
    pub(super) checks: &'a [Check],
}

/// Writes the results of a part that stands `level` steps deep.
pub(super) fn write(part: &Part<'_>, level: usize, style: &Style<'_>, page: &mut Page) {
    let Some(all) = part.metrics else { return };
    if let Some(Values::Rate { trues, total }) = all.get("checks").map(|checks| &checks.values) {
        check_rates(*trues, *total, level, style, page);
        page.gap();
        for check in part.checks {
            check_lines(check, level, style, page);
        }
        page.gap();
    }
    metrics(all, level, style, page);
}

fn check_rates(trues: u64, total: u64, level: usize, style: &Style<'_>, page: &mut Page) {
    let rate = |trues| metric(Kind::Rate, Values::Rate { trues, total });
    let count = count_f64(total);
    let per_second = if style.seconds == 0.0 { 0.0 } else { count / style.seconds };
    let rows = [
        ("checks_total", metric(Kind::Counter, Values::Counter { count, rate: per_second })),
        ("checks_succeeded", rate(trues)),
        ("checks_failed", rate(total.saturating_sub(trues))),
    ];
    let table = style.table(rows.iter().map(|(name, metric)| (*name, metric)));
    for (name, _) in &rows {
        page.line(level + 2, &table.line(name, style.paint));
    }
}

fn metric(kind: Kind, values: Values) -> Metric {
    Metric { kind, contains: Contains::Default, values, thresholds: Vec::new(), parent: None }
}

fn check_lines(check: &Check, level: usize, style: &Style<'_>, page: &mut Page) {
    if check.fails == 0 {
        return page.line(level + 2, &style.paint.good(&format!("✓ {}", check.name)));
    }
    page.line(level + 2, &style.paint.bad(&format!("✗ {}", check.name)));
    // The deeper the check, the deeper this line below it.
    page.line(level * 2 + 3, &style.paint.bad(&share_line(check)));
}

/// How often a check that failed held.
pub(super) fn share_line(check: &Check) -> String {
    let Check { passes, fails, .. } = check;
    let total = u128::from(*passes) + u128::from(*fails);
    let percent = (u128::from(*passes) * 100).checked_div(total).unwrap_or(0);
    format!("↳  {percent}% — ✓ {passes} / ✗ {fails}")
}

fn metrics(all: &BTreeMap<String, Metric>, level: usize, style: &Style<'_>, page: &mut Page) {
    let mut sections: BTreeMap<Section, Vec<&str>> = BTreeMap::new();
    for name in all.keys() {
        if let Some(section) = section::of(name, style.settings.mode) {
            sections.entry(section).or_default().push(name);
        }
    }
    let shown = |name: &str| section::of(name, style.settings.mode).is_some();
    let table = style.table(
        all.iter().filter(|(name, _)| shown(name)).map(|(name, metric)| (name.as_str(), metric)),
    );
    let custom = sections.remove_entry(&Section::Custom);
    for (section, mut names) in custom.into_iter().chain(sections) {
        page.line(level + 2, &style.paint.heading(section.title()));
        names.sort_by_cached_key(|name| metric_key(name));
        for name in names {
            page.line(level + 2, &table.line(name, style.paint));
        }
        page.gap();
    }
}
