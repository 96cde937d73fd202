//! Samples as they are folded: seconds that are open, and in each a cell for each series.

use std::{collections::BTreeMap, sync::Arc};

use super::{histogram::Histogram, spec::RollupSpec};
use crate::{
    core::{
        dimensions::Kept,
        k6::tags::INSTANCE_ID,
        ledger::view::Kind,
        pipeline::row::rollup_columns,
        samples::decode::{Definition, Point},
    },
    wire::session::{Frame, Rollup, RollupRow, Series},
};

const SECOND_NS: i64 = 1_000_000_000;
/// Time after its first sample came at which a second is closed: it lasts one, and k6 flushes what it measured five times a
/// second.
const OPEN_MS: i64 = 1500;
/// Nanoseconds between the rows of a second and those that came after these: room for a histogram's parts.
const AGAIN_NS: i64 = 1000;
/// Seconds of which is remembered how often they were closed. What is older is told apart by the frame's number.
const CLOSED_MAX: usize = 1024;
/// Series that are known at once; then all is closed, and they are learnt anew.
const SERIES_MAX: usize = 16_384;
/// Bytes that a row takes besides its texts and its histogram, and that a class of this takes.
const CELL_BYTES: usize = 64;
const CLASS_BYTES: usize = 4;

/// Folds the samples of one k6 instance.
#[derive(Debug)]
pub struct Folder {
    instance_id: String,
    routes: Vec<Route>,
    kinds: BTreeMap<Box<str>, Kind>,
    /// By place in a sample: the name that stood there last, and which routes keep it.
    names: Vec<(Box<str>, Box<[bool]>)>,
    /// Places in `series` by what stood in the sample, and by what it means.
    by_text: BTreeMap<Box<[u8]>, u32>,
    by_series: BTreeMap<Arc<Known>, u32>,
    series: Vec<Arc<Known>>,
    seconds: BTreeMap<i64, Second>,
    closed: BTreeMap<i64, i64>,
    /// How often the series were learnt anew.
    epoch: u64,
    /// Bytes of all that is open.
    bytes: usize,
    key: Vec<u8>,
}

/// What a folder knows of a series of samples that comes again and again.
#[derive(Debug, Default)]
pub struct Memo {
    epoch: u64,
    places: Box<[u32]>,
}

/// Outputs whose rows have the same dimensions.
#[derive(Debug)]
struct Route {
    kept: Kept,
    outputs: Vec<u32>,
}

/// A series of rows.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Known {
    route: usize,
    metric: Box<str>,
    /// By name, and under the names of their columns: tags that share one are of one series.
    dimensions: Vec<(Arc<str>, Arc<str>)>,
    kind: Option<Kind>,
    bytes: usize,
}

#[derive(Debug)]
struct Second {
    since_ms: i64,
    samples: u64,
    not_finite: u64,
    bytes: usize,
    cells: BTreeMap<u32, Cell>,
}

#[derive(Debug)]
struct Cell {
    count: u64,
    sum: f64,
    min: f64,
    max: f64,
    last: (i64, f64),
    histogram: Histogram,
}

impl Folder {
    /// For the samples of one k6 instance and these outputs.
    pub fn new(instance_id: u32, specs: &[RollupSpec]) -> Self {
        let mut routes: Vec<Route> = Vec::new();
        for spec in specs {
            let kept = super::spec::kept(spec.dimensions.as_ref());
            match routes.iter_mut().find(|route| route.kept == kept) {
                Some(route) => route.outputs.push(spec.output),
                None => routes.push(Route { kept, outputs: vec![spec.output] }),
            }
        }
        Self {
            instance_id: instance_id.to_string(),
            routes,
            kinds: BTreeMap::new(),
            names: Vec::new(),
            by_text: BTreeMap::new(),
            by_series: BTreeMap::new(),
            series: Vec::new(),
            seconds: BTreeMap::new(),
            closed: BTreeMap::new(),
            epoch: 1,
            bytes: 0,
            key: Vec::new(),
        }
    }

    /// Learns what a metric is: known before its first sample, since k6 says it first.
    pub fn define(&mut self, definition: &Definition<'_>) {
        if let Some(kind) = definition.kind {
            self.kinds.insert(definition.name.as_ref().into(), kind);
        }
    }

    /// Takes one sample.
    pub fn add(&mut self, point: &Point<'_>, now_ms: i64) {
        self.add_again(point, &mut Memo::default(), now_ms);
    }

    /// The same for a sample of a series that may come again.
    pub fn add_again(&mut self, point: &Point<'_>, memo: &mut Memo, now_ms: i64) {
        if memo.epoch != self.epoch {
            self.know_names(point);
            let places = (0..self.routes.len()).map(|route| self.place(route, point)).collect();
            *memo = Memo { epoch: self.epoch, places };
        }
        let at = point.time_ns.div_euclid(SECOND_NS);
        let second = self.seconds.entry(at).or_insert_with(|| Second::new(now_ms));
        second.samples += 1;
        if !point.value.is_finite() {
            second.not_finite += 1;
            return;
        }
        for place in &memo.places {
            let known = usize::try_from(*place).ok().and_then(|at| self.series.get(at));
            if let Some(known) = known {
                self.bytes += second.add(*place, known, point);
            }
        }
    }

    /// Whether no second is open.
    pub fn is_empty(&self) -> bool {
        self.seconds.is_empty()
    }

    /// When the first of the open seconds is to be closed.
    pub fn due_ms(&self) -> Option<i64> {
        self.seconds.values().map(|second| second.since_ms + OPEN_MS).min()
    }

    /// Whether more is open than may be, with so many bytes for a frame.
    pub fn is_full(&self, bytes_max: usize) -> bool {
        self.bytes >= bytes_max || self.series.len() >= SERIES_MAX
    }

    /// Puts the rows of the seconds that are due into `frame`, or those of all with `due_ms` at the end of time.
    pub fn close(&mut self, due_ms: i64, frame: &mut Frame) {
        let is_due = |second: &Second| second.since_ms.saturating_add(OPEN_MS) <= due_ms;
        let due: Vec<i64> =
            self.seconds.iter().filter(|(_, second)| is_due(second)).map(|(at, _)| *at).collect();
        let Some(first) = due.first() else { return };
        if frame.value.is_empty() {
            frame.base_time_ns = first * SECOND_NS;
        }
        let mut rollups: Vec<Rollup> = self
            .routes
            .iter()
            .map(|route| Rollup { outputs: route.outputs.clone(), ..Rollup::default() })
            .collect();
        let mut table = Table::of(frame);
        for at in due {
            let Some(second) = self.seconds.remove(&at) else { continue };
            let time_ns = self.time_ns(at, frame.seq);
            frame.samples += second.samples;
            self.bytes = self.bytes.saturating_sub(second.bytes);
            for rollup in &mut rollups {
                rollup.not_finite += second.not_finite;
            }
            for (place, cell) in second.cells {
                let known = usize::try_from(place).ok().and_then(|at| self.series.get(at));
                let Some((known, rollup)) =
                    known.and_then(|known| Some((known, rollups.get_mut(known.route)?)))
                else {
                    continue;
                };
                let series = table.series(place, known, frame);
                cell.write(series, known.kind, time_ns - frame.base_time_ns, &mut rollup.rows);
            }
        }
        frame.rollups = rollups;
        if self.series.len() >= SERIES_MAX && self.seconds.is_empty() {
            self.by_text.clear();
            self.by_series.clear();
            self.series.clear();
            self.epoch += 1;
        }
    }

    /// The time of the rows of a second: its beginning, and behind it where rows of it were made before.
    fn time_ns(&mut self, second: i64, seq: u64) -> i64 {
        let forgotten = self.closed.len() >= CLOSED_MAX
            && self.closed.first_key_value().is_some_and(|(oldest, _)| second < *oldest);
        let before = if forgotten {
            // Above all that were counted, and not that of another frame.
            100_000 + i64::try_from(seq % 800_000).unwrap_or(0)
        } else {
            let closed = self.closed.entry(second).or_insert(0);
            *closed += 1;
            (*closed - 1).min(99_999)
        };
        while self.closed.len() > CLOSED_MAX {
            self.closed.pop_first();
        }
        second.saturating_mul(SECOND_NS).saturating_add(before * AGAIN_NS)
    }

    /// Knows of each name of this sample which routes keep it. Samples of a metric have their names in the same places.
    fn know_names(&mut self, point: &Point<'_>) {
        for (at, (name, _)) in point.tags.0.iter().chain(&point.metadata.0).enumerate() {
            if self.names.get(at).is_some_and(|(known, _)| **known == **name) {
                continue;
            }
            let is_own = name.is_empty() || *name == INSTANCE_ID;
            let kept = self.routes.iter().map(|route| !is_own && route.kept.has(name)).collect();
            let entry = (name.as_ref().into(), kept);
            match self.names.get_mut(at) {
                Some(known) => *known = entry,
                None => self.names.push(entry),
            }
        }
    }

    /// Where the series of a sample stands.
    fn place(&mut self, route: usize, point: &Point<'_>) -> u32 {
        let pairs = point.tags.0.iter().chain(&point.metadata.0).zip(&self.names);
        let kept = pairs.filter(|((_, value), (_, kept))| {
            !value.is_empty() && kept.get(route).copied().unwrap_or(false)
        });
        self.key.clear();
        self.key.extend_from_slice(&route.to_le_bytes());
        put(&mut self.key, &point.metric);
        for ((name, value), _) in kept.clone() {
            put(&mut self.key, name);
            put(&mut self.key, value);
        }
        if let Some(place) = self.by_text.get(self.key.as_slice()) {
            return *place;
        }
        let mut dimensions: Vec<(Arc<str>, Arc<str>)> = kept
            .map(|((name, value), _)| (name.as_ref().into(), value.as_ref().into()))
            .chain([(INSTANCE_ID.into(), self.instance_id.as_str().into())])
            .collect();
        // Stable, so that of two equal names the first stays first: a tag before a metadatum.
        dimensions.sort_by(|a, b| a.0.cmp(&b.0));
        dimensions.dedup_by(|later, first| later.0 == first.0);
        let mut dimensions = rollup_columns(dimensions);
        dimensions.sort();
        let bytes = dimensions.iter().map(|(name, value)| name.len() + value.len()).sum();
        let known = Arc::new(Known {
            route,
            metric: point.metric.as_ref().into(),
            dimensions,
            kind: self.kinds.get(point.metric.as_ref()).copied(),
            bytes,
        });
        let next = u32::try_from(self.series.len()).unwrap_or(u32::MAX);
        let place = *self.by_series.entry(known.clone()).or_insert(next);
        if place == next {
            self.series.push(known);
        }
        self.by_text.insert(self.key.as_slice().into(), place);
        place
    }
}

impl Second {
    const fn new(since_ms: i64) -> Self {
        Self { since_ms, samples: 0, not_finite: 0, bytes: 0, cells: BTreeMap::new() }
    }

    /// Takes a sample of one series, and tells how many bytes more it takes.
    fn add(&mut self, place: u32, known: &Known, point: &Point<'_>) -> usize {
        let (value, time_ns, before) = (point.value, point.time_ns, self.bytes);
        let cell = self.cells.entry(place).or_insert_with(|| {
            self.bytes += CELL_BYTES + known.bytes;
            Cell {
                count: 0,
                sum: 0.0,
                min: value,
                max: value,
                last: (time_ns, value),
                histogram: Histogram::default(),
            }
        });
        cell.count += 1;
        cell.sum += value;
        cell.min = cell.min.min(value);
        cell.max = cell.max.max(value);
        if time_ns >= cell.last.0 {
            cell.last = (time_ns, value);
        }
        if has_histogram(known.kind) && cell.histogram.add(value) {
            self.bytes += CLASS_BYTES;
        }
        self.bytes - before
    }
}

/// A metric of which k6 has not said what it is may be a trend.
fn has_histogram(kind: Option<Kind>) -> bool {
    kind.is_none_or(|kind| kind == Kind::Trend)
}

impl Cell {
    /// As rows: one, and another for each further part of the histogram.
    fn write(&self, series: u32, kind: Option<Kind>, after_ns: i64, rows: &mut Vec<RollupRow>) {
        let whole = RollupRow {
            series,
            after_ns,
            count: self.count,
            sum: self.sum,
            min: self.min,
            max: self.max,
            last: (kind == Some(Kind::Gauge)).then_some(self.last.1),
            histogram: String::new(),
        };
        if !has_histogram(kind) {
            rows.push(whole);
            return;
        }
        for (part, (histogram, count)) in (0_i64..).zip(self.histogram.parts()) {
            let sum = if part == 0 { self.sum } else { 0.0 };
            let after_ns = after_ns + part;
            rows.push(RollupRow { after_ns, count, sum, histogram, ..whole.clone() });
        }
    }
}

/// What a frame already holds by its texts.
struct Table {
    strings: BTreeMap<Box<str>, u32>,
    series: BTreeMap<u32, u32>,
}

impl Table {
    fn of(frame: &Frame) -> Self {
        let strings = frame.strings.iter().map(|text| text.as_str().into()).zip(0..).collect();
        Self { strings, series: BTreeMap::new() }
    }

    fn series(&mut self, place: u32, known: &Known, frame: &mut Frame) -> u32 {
        if let Some(at) = self.series.get(&place) {
            return *at;
        }
        let metric = self.string(&known.metric, frame);
        let mut dimensions = Vec::with_capacity(known.dimensions.len() * 2);
        for (name, value) in &known.dimensions {
            dimensions.push(self.string(name, frame));
            dimensions.push(self.string(value, frame));
        }
        let at = u32::try_from(frame.series.len()).unwrap_or(u32::MAX);
        frame.series.push(Series { metric, dimensions });
        self.series.insert(place, at);
        at
    }

    fn string(&mut self, text: &str, frame: &mut Frame) -> u32 {
        if let Some(at) = self.strings.get(text) {
            return *at;
        }
        let at = u32::try_from(frame.strings.len()).unwrap_or(u32::MAX);
        frame.strings.push(text.to_owned());
        self.strings.insert(text.into(), at);
        at
    }
}

/// Each text with its length before it, so that no two lists of texts give the same bytes.
fn put(key: &mut Vec<u8>, text: &str) {
    key.extend_from_slice(&text.len().to_le_bytes());
    key.extend_from_slice(text.as_bytes());
}

#[cfg(test)]
mod tests;
