//! The text as a whole.

use super::{
    full, legacy,
    metrics::Table,
    paint::Paint,
    results::{self, Part},
    thresholds,
};
use crate::core::{
    ledger::view::{Metric, View},
    summary::{
        number::{SECOND, duration},
        settings::{Mode, Settings},
    },
};

/// The text that k6 writes to standard output at the end of a test, empty lines around it included; empty where no
/// summary is wanted.
pub fn write(view: &View, settings: &Settings) -> String {
    let style = Style {
        settings,
        paint: Paint { on: settings.colors(), legacy: settings.mode == Mode::Legacy },
        seconds: duration(view.duration_ns, SECOND),
    };
    let text = match settings.mode {
        Mode::Disabled => return String::new(),
        Mode::Legacy => legacy::write(view, &style),
        Mode::Compact | Mode::Full => sections(view, &style),
    };
    format!("\n{text}\n\n")
}

/// How the text is to look.
#[derive(Clone, Copy, Debug)]
pub(super) struct Style<'a> {
    pub(super) settings: &'a Settings,
    pub(super) paint: Paint,
    /// Duration of the test.
    pub(super) seconds: f64,
}

impl<'a> Style<'a> {
    /// Metrics whose lines stand together.
    pub(super) fn table<'m: 't, 't>(
        &self,
        metrics: impl IntoIterator<Item = (&'t str, &'t Metric)>,
    ) -> Table<'t>
    where
        'a: 't,
    {
        Table::new(metrics, self.settings)
    }
}

/// A text that grows line by line.
#[derive(Debug, Default)]
pub(super) struct Page {
    text: String,
}

impl Page {
    /// A line, indented by `level` steps.
    pub(super) fn line(&mut self, level: usize, line: &str) {
        self.text.push('\n');
        self.text.push_str(&"  ".repeat(level));
        self.text.push_str(line);
    }

    /// An empty line, or the end of one that has only begun.
    pub(super) fn gap(&mut self) {
        self.text.push('\n');
    }

    /// The title of a section.
    pub(super) fn title(&mut self, level: usize, mark: char, title: &str, paint: Paint) {
        self.line(level, &format!("{mark} {} ", paint.heading(title)));
        self.gap();
    }

    /// The title of a section of its own.
    pub(super) fn section(&mut self, title: &str, paint: Paint) {
        self.title(1, '█', title, paint);
    }
}

fn sections(view: &View, style: &Style<'_>) -> String {
    let mut page = Page::default();
    if view.metrics.values().any(|metric| !metric.thresholds.is_empty()) {
        page.section("THRESHOLDS", style.paint);
        thresholds::write(&view.metrics, style, &mut page);
        page.gap();
    }
    page.section("TOTAL RESULTS", style.paint);
    let part = Part { metrics: Some(&view.metrics), checks: &view.checks };
    results::write(&part, 0, style, &mut page);
    page.gap();
    if style.settings.mode == Mode::Full {
        full::write(view, style, &mut page);
    }
    page.text
}
