//! Lines of metrics, aligned with each other.

use std::collections::BTreeMap;

use super::{paint::Paint, unit};
use crate::core::{
    ledger::view::{Metric, Values},
    summary::{number::share, settings::Settings},
};

/// Dots behind the longest name.
const DOTS_MIN: usize = 3;

/// What is shown of a metric.
#[derive(Debug)]
enum Cells {
    /// One for each of `summaryTrendStats`.
    Stats(Vec<String>),
    /// The value, and what stands beside it.
    Value(String, Vec<String>),
}

/// Metrics whose lines stand together.
#[derive(Debug)]
pub(super) struct Table<'a> {
    stats: Vec<&'a str>,
    rows: BTreeMap<&'a str, Cells>,
    name_width: usize,
    value_width: usize,
    aside_widths: Vec<usize>,
    stat_widths: Vec<usize>,
}

impl<'a> Table<'a> {
    /// Measures all that will stand in it.
    pub(super) fn new(
        metrics: impl IntoIterator<Item = (&'a str, &'a Metric)>,
        settings: &'a Settings,
    ) -> Self {
        let mut table = Self {
            stats: settings.trend_stats.iter().map(|stat| stat.name.as_str()).collect(),
            rows: BTreeMap::new(),
            name_width: 0,
            value_width: 0,
            aside_widths: Vec::new(),
            stat_widths: Vec::new(),
        };
        for (name, metric) in metrics {
            table.name_width = table.name_width.max(width(&displayed(name)));
            let cells = cells(metric, settings);
            match &cells {
                Cells::Stats(stats) => widen(&mut table.stat_widths, stats),
                Cells::Value(value, asides) => {
                    table.value_width = table.value_width.max(width(value));
                    widen(&mut table.aside_widths, asides);
                }
            }
            table.rows.insert(name, cells);
        }
        table
    }

    /// The line of a metric.
    pub(super) fn line(&self, name: &str, paint: Paint) -> String {
        format!("{}{}", displayed(name), self.rest(name, paint))
    }

    /// What follows the name of a metric.
    pub(super) fn rest(&self, name: &str, paint: Paint) -> String {
        let dots = self.name_width.saturating_sub(width(&displayed(name))) + DOTS_MIN;
        let leader = paint.leader(&format!("{}:", ".".repeat(dots)));
        format!("{leader} {}", self.values(name, paint))
    }

    /// The value of a metric, and the first beside it.
    pub(super) fn value(&self, name: &str) -> (Option<&str>, Option<&str>) {
        match self.rows.get(name) {
            Some(Cells::Value(value, asides)) => (Some(value), asides.first().map(String::as_str)),
            Some(Cells::Stats(_)) | None => (None, None),
        }
    }

    fn values(&self, name: &str, paint: Paint) -> String {
        match self.rows.get(name) {
            Some(Cells::Stats(stats)) => {
                let shown = self.stats.iter().zip(stats).zip(&self.stat_widths);
                let shown = shown.map(|((stat, text), width)| {
                    format!("{stat}={}{}", paint.value(text), padding(text, *width))
                });
                shown.collect::<Vec<_>>().join(" ")
            }
            Some(Cells::Value(value, asides)) => {
                let mut line = paint.value(value) + &padding(value, self.value_width);
                for (text, width) in asides.iter().zip(&self.aside_widths) {
                    line.push(' ');
                    line += &paint.aside(text);
                    // A single one has nothing behind it to be aligned.
                    if asides.len() > 1 {
                        line += &padding(text, *width);
                    }
                }
                line
            }
            None => String::new(),
        }
    }
}

/// A metric's name as it stands in a line; a submetric shows its tags, indented.
fn displayed(name: &str) -> String {
    match tags(name) {
        Some(tags) => format!("  {{ {tags} }}"),
        None => name.to_owned(),
    }
}

/// The tags of a submetric, as its name says them.
pub(super) fn tags(name: &str) -> Option<&str> {
    let (_, tags) = name.split_once('{')?;
    Some(tags.strip_suffix('}').unwrap_or(tags))
}

fn cells(metric: &Metric, settings: &Settings) -> Cells {
    let shown = |value: f64| unit::value(value, metric.contains, &settings.time_unit);
    match &metric.values {
        Values::Counter { count, rate } => {
            Cells::Value(shown(*count), vec![format!("{}/s", shown(*rate))])
        }
        Values::Gauge { value, min, max } => {
            let asides = vec![format!("min={}", shown(*min)), format!("max={}", shown(*max))];
            Cells::Value(shown(*value), asides)
        }
        Values::Rate { trues, total } => {
            let asides = vec![format!("{trues} out of {total}")];
            Cells::Value(unit::percent(share(*trues, *total)), asides)
        }
        Values::Trend(trend) => {
            let stats = settings.trend_stats.iter().map(|stat| {
                let value = stat.of(trend);
                if stat.is_count() { value.to_string() } else { shown(value) }
            });
            Cells::Stats(stats.collect())
        }
    }
}

fn widen(widths: &mut Vec<usize>, texts: &[String]) {
    widths.resize(widths.len().max(texts.len()), 0);
    for (known, text) in widths.iter_mut().zip(texts) {
        *known = (*known).max(width(text));
    }
}

fn width(text: &str) -> usize {
    text.chars().count()
}

fn padding(text: &str, wanted: usize) -> String {
    " ".repeat(wanted.saturating_sub(width(text)))
}
