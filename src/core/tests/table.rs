//! An output: what becomes of each sample by its value, and of each call that writes some, and the rows that are stored.

use std::{
    collections::{BTreeMap, BTreeSet},
    hash::{Hash, Hasher},
};

use crate::core::{
    pipeline::{
        batch::{Batch, Record},
        retry::{Failure, Written},
        row::{Refusal, Row},
    },
    tests::dice::Dice,
};

/// What an output has met that said that no try will help.
const REFUSED: &str = "refused for good";

/// What becomes of samples and rows, by their value: it is a part of them, so that every try meets it. Of so many in a row
/// each refusal is met once.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rule(pub(in crate::core) u64);

impl Rule {
    /// What no output takes is never sent.
    pub(super) fn is_finite(self, value: u64) -> bool {
        value % self.0 != 13
    }

    /// What an output that answers says of a row.
    pub(super) fn refusal(self, value: u64) -> Option<Refusal> {
        match value % self.0 {
            7 => Some(Refusal::TooOld),
            // A call that holds it is refused as a whole.
            11 => Some(Refusal::Invalid),
            _ => None,
        }
    }

    pub(super) fn number(self, value: u64) -> f64 {
        if self.is_finite(value) { f64::from(u32::try_from(value).unwrap()) } else { f64::NAN }
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "what `number` made")]
fn value(number: f64) -> u64 {
    number as u64
}

/// What an output does, in percent of its calls.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Troubles {
    pub(super) throttles: u64,
    pub(super) fails: u64,
    pub(super) loses_answers: u64,
    /// From and to, in milliseconds.
    pub(super) dead: (i64, i64),
    /// The same, and what it says then is that no try will help.
    pub(super) refuses: (i64, i64),
}

/// The output: rows by identity, and the first value that came stays.
pub(super) struct Table {
    rule: Rule,
    pub(super) troubles: Troubles,
    series: BTreeMap<Row, u32>,
    /// Values, and how many samples they are of.
    pub(super) rows: BTreeMap<(u32, i64), (f64, u64)>,
    /// Samples of all rows.
    pub(super) samples: u64,
    /// What went wrong.
    pub(super) met: BTreeSet<&'static str>,
}

impl Table {
    pub(super) fn new(rule: Rule, troubles: Troubles) -> Self {
        Self {
            rule,
            troubles,
            series: BTreeMap::new(),
            rows: BTreeMap::new(),
            samples: 0,
            met: BTreeSet::new(),
        }
    }

    pub(super) fn call(&mut self, batch: &Batch, dice: &mut Dice, now_ms: i64) -> Written {
        let failed = |failure| Written::Failed(failure, "as the seed says".to_owned());
        let Troubles { throttles, fails, loses_answers, dead, refuses } = self.troubles;
        if (refuses.0..refuses.1).contains(&now_ms) {
            self.met.insert(REFUSED);
            return Written::Fatal("no such table".to_owned());
        }
        if (dead.0..dead.1).contains(&now_ms) {
            return failed(Failure::Connection);
        }
        if dice.percent(throttles) {
            self.met.insert("throttle");
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
            drop(self.apply(batch, part));
            self.met.insert(if part > 0 { "written in part" } else { "not written" });
            return failed(dice.pick(&[Failure::Server, Failure::Timeout, Failure::Connection]));
        }
        let written = self.apply(batch, batch.records.len());
        if dice.percent(loses_answers) {
            self.met.insert("answer lost after the write");
            return failed(dice.pick(&[Failure::Timeout, Failure::Connection]));
        }
        written
    }

    fn apply(&mut self, batch: &Batch, count: usize) -> Written {
        let rule = self.rule;
        let refusal = |record: &Record| rule.refusal(value(record.value));
        if batch.records.iter().any(|record| refusal(record) == Some(Refusal::Invalid)) {
            return Written::Invalid("a record is bad".to_owned());
        }
        let mut refused = Vec::new();
        for (at, record) in batch.records.iter().enumerate().take(count) {
            if let Some(refusal) = refusal(record) {
                refused.push((at, refusal));
                continue;
            }
            let next = u32::try_from(self.series.len()).unwrap();
            let series = match self.series.get(&*record.row) {
                Some(series) => *series,
                None => *self.series.entry(Row::clone(&record.row)).or_insert(next),
            };
            let row = (record.value, record.samples());
            let held = *self.rows.entry((series, record.time_ns)).or_insert_with(|| {
                self.samples += row.1;
                row
            });
            if (held.0.to_bits(), held.1) != (row.0.to_bits(), row.1) {
                refused.push((at, Refusal::VersionConflict));
            }
        }
        if refused.is_empty() {
            return Written::Stored;
        }
        self.met.insert("partial reject");
        Written::Partly(refused)
    }

    /// Whether it ever said that no try will help: what is refused then, and what is stored although nobody heard of it,
    /// is a matter of time.
    pub(super) fn has_refused(&self) -> bool {
        self.met.contains(REFUSED)
    }

    /// All that is stored, for a comparison.
    pub(super) fn hash(&self, into: &mut impl Hasher) {
        for (Row { dimensions, measure, .. }, at) in &self.series {
            (dimensions, measure, at).hash(into);
        }
        for (place, (number, count)) in &self.rows {
            (place, number.to_bits(), count).hash(into);
        }
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

/// Whether all of `rows` are there, each as often as it must.
pub(super) fn is_part(rows: &[(u64, u64)], mut all: Vec<(u64, u64)>) -> bool {
    rows.iter().all(|row| {
        let at = all.iter().position(|other| other == row);
        at.map(|at| all.swap_remove(at)).is_some()
    })
}
