//! An output: what becomes of each sample by its value, and of each call that writes some, and the rows that are stored.

use std::collections::{BTreeMap, BTreeSet};

use crate::core::{
    pipeline::{
        batch::Batch,
        retry::{Failure, Written},
        row::{Refusal, Row},
    },
    tests::dice::Dice,
};

/// What becomes of a sample at an output that answers: it is a part of the sample, so that every try meets it.
pub(super) fn refusal(value: u64) -> Option<Refusal> {
    match value % 400 {
        7 => Some(Refusal::TooOld),
        // A call that holds it is refused as a whole.
        11 => Some(Refusal::Invalid),
        _ => None,
    }
}

/// Values that no output takes.
pub(super) fn is_finite(value: u64) -> bool {
    value % 500 != 13
}

pub(super) fn number(value: u64) -> f64 {
    if is_finite(value) { f64::from(u32::try_from(value).unwrap()) } else { f64::NAN }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "what `number` made")]
fn value(number: f64) -> u64 {
    number as u64
}

/// What an output does, in percent of its calls.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Weather {
    pub(super) throttles: u64,
    pub(super) fails: u64,
    pub(super) loses_answers: u64,
    /// From and to, in milliseconds.
    pub(super) dead: (i64, i64),
}

/// The output: rows by identity, and the first value that came stays.
#[derive(Default)]
pub(super) struct Table {
    pub(super) weather: Weather,
    pub(super) series: BTreeMap<Row, u32>,
    /// Values, and how many samples they are of.
    pub(super) rows: BTreeMap<(u32, i64), (f64, u64)>,
}

impl Table {
    pub(super) fn call(&mut self, batch: &Batch, dice: &mut Dice, now_ms: i64) -> Written {
        let failed = |failure| Written::Failed(failure, "as the seed says".to_owned());
        let Weather { throttles, fails, loses_answers, dead } = self.weather;
        if (dead.0..dead.1).contains(&now_ms) {
            return failed(Failure::Connection);
        }
        if dice.percent(throttles) {
            let patience_ms = u32::try_from(now_ms % 2_000).unwrap();
            let says_how_long = now_ms % 2 == 0;
            return failed(if says_how_long {
                Failure::ThrottledFor(patience_ms)
            } else {
                Failure::Throttled
            });
        }
        if dice.percent(fails) {
            // Nothing, or a part of it, was written.
            let part = if dice.percent(50) { dice.below(batch.records.len() + 1) } else { 0 };
            self.apply(batch, part);
            return failed(dice.pick(&[Failure::Server, Failure::Timeout, Failure::Connection]));
        }
        let written = self.apply(batch, batch.records.len());
        if dice.percent(loses_answers) {
            return failed(dice.pick(&[Failure::Timeout, Failure::Connection]));
        }
        written
    }

    fn apply(&mut self, batch: &Batch, count: usize) -> Written {
        let rule = |number: f64| refusal(value(number));
        if batch.records.iter().any(|record| rule(record.value) == Some(Refusal::Invalid)) {
            return Written::Invalid("a record is bad".to_owned());
        }
        let mut refused = Vec::new();
        for (at, record) in batch.records.iter().enumerate().take(count) {
            if let Some(refusal) = rule(record.value) {
                refused.push((at, refusal));
                continue;
            }
            let next = u32::try_from(self.series.len()).unwrap();
            let series = match self.series.get(&*record.row) {
                Some(series) => *series,
                None => *self.series.entry(Row::clone(&record.row)).or_insert(next),
            };
            let row = (record.value, record.samples());
            let held = *self.rows.entry((series, record.time_ns)).or_insert(row);
            if (held.0.to_bits(), held.1) != (row.0.to_bits(), row.1) {
                refused.push((at, Refusal::VersionConflict));
            }
        }
        if refused.is_empty() { Written::Stored } else { Written::Partly(refused) }
    }

    /// The rows stored for an instance: their values, each as often as it is there, and how many samples each is of.
    pub(super) fn rows_of(&self, instance_id: u32) -> Vec<(u64, u64)> {
        let id = instance_id.to_string();
        let is_own =
            |row: &Row| row.dimensions.iter().any(|(n, v)| &**n == "instance_id" && **v == *id);
        let own: BTreeSet<u32> =
            self.series.iter().filter(|(row, _)| is_own(row)).map(|(_, at)| *at).collect();
        let rows = self.rows.iter().filter(|((series, _), _)| own.contains(series));
        let mut rows: Vec<_> = rows.map(|(_, (number, count))| (value(*number), *count)).collect();
        rows.sort_unstable();
        rows
    }
}
