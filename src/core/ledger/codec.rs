//! The ledger as it travels.

use std::collections::BTreeMap;

use prost::Message;

use super::{
    cell::Cell,
    ledger::{Ledger, NAME_BYTES_MAX, SINKS_MAX, SinkOf, TALLIES_MAX},
    sink::{Part, Sink, SinkKey, Tally, TallyKey},
    sketch,
    stats::{Stats, Sum},
    threshold::ThresholdSpec,
    view::{Contains, Kind},
};
use crate::wire::session;

/// Encoded bytes of sinks and tallies in one message, unless one alone takes more: for each of thousands of sessions the
/// aggregator keeps a buffer of the largest message that it had.
const MESSAGE_BYTES: usize = 1 << 14;
/// Encoded bytes of one sketch: far more than any that measures one thing takes.
const SKETCH_BYTES_MAX: usize = 1 << 18;
/// Messages of one snapshot: more than it has entries.
const PARTS_MAX: u32 = 1 << 15;
/// Thresholds of one sink, and tags of a submetric.
const LIST_MAX: usize = 1024;

/// How much of a ledger a snapshot has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Detail {
    /// What thresholds and progress need.
    Verdict,
    /// All that the summary needs as well: sketches, groups and checks, and what is kept by group and by scenario.
    Summary,
}

/// A message that is no ledger. Nothing of it was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a ledger: {0}")]
pub struct NoLedger(pub &'static str);

/// A message of a ledger that is within all bounds.
#[derive(Debug)]
pub struct Decoded {
    pub(super) seq: u64,
    pub(super) part: u32,
    pub(super) parts: u32,
    pub(super) last: bool,
    pub(super) overflowed: u64,
    pub(super) sinks: Vec<Received>,
    pub(super) tallies: Vec<(TallyKey, Tally)>,
}

impl Decoded {
    /// Whether nothing follows its snapshot.
    pub const fn is_last(&self) -> bool {
        self.last
    }
}

/// A sink as it came over the wire.
#[derive(Debug)]
pub(super) struct Received {
    pub(super) key: SinkKey,
    /// Of a submetric: its metric and its tags.
    pub(super) parent: Option<(String, BTreeMap<String, String>)>,
    pub(super) kind: Option<Kind>,
    pub(super) contains: Contains,
    pub(super) observed: bool,
    pub(super) stats: Stats,
    pub(super) thresholds: Vec<(ThresholdSpec, Option<Cell>)>,
    pub(super) sketch: Option<Box<[u8]>>,
}

impl Ledger {
    /// What was measured so far, as messages to send in this order. `last` says that nothing follows.
    pub fn snapshot(&mut self, detail: Detail, last: bool) -> Vec<session::Ledger> {
        self.seq += 1;
        let mut messages = Packer::default();
        for (of, sink) in &self.sinks {
            let told = sink.stats.count > 0 || of.observed || !sink.judges.is_empty();
            let needed = detail == Detail::Summary || of.key.part == Part::Run;
            if told && needed {
                let sink = self.encode_sink(of, sink, detail == Detail::Summary);
                messages.fit(sink.encoded_len()).sinks.push(sink);
            }
        }
        if detail == Detail::Summary {
            for (key, tally) in &self.tallies {
                let tally = encode_tally(key, tally);
                messages.fit(tally.encoded_len()).tallies.push(tally);
            }
        }
        messages.seal(self.seq, last, self.overflowed)
    }

    fn encode_sink(&self, of: &SinkOf, sink: &Sink, with_sketch: bool) -> session::LedgerSink {
        let metric = self.metrics.get(of.metric);
        let parent = of.tags.as_ref().and_then(|_| Some(metric?.name.clone()));
        let sketch = sink.sketch.as_ref().filter(|sketch| with_sketch && sketch.count() > 0);
        session::LedgerSink {
            kind: encode_kind(metric.and_then(|metric| metric.kind)),
            contains: encode_contains(metric.map(|metric| metric.contains).unwrap_or_default()),
            parent: parent.unwrap_or_default(),
            tags: of.tags.clone().unwrap_or_default(),
            observed: of.observed,
            thresholds: sink
                .judges
                .iter()
                .map(|judge| encode_threshold(&judge.threshold.spec, judge.cell))
                .collect(),
            sketch: sketch.map(|sketch| sketch.encode(SKETCH_BYTES_MAX).into()),
            ..encode_stats(&of.key, &sink.stats)
        }
    }
}

/// The numbers of a sink.
pub(super) fn encode_stats(key: &SinkKey, stats: &Stats) -> session::LedgerSink {
    let (part, scenario) = encode_part(&key.part);
    session::LedgerSink {
        name: key.name.clone(),
        part,
        scenario,
        group: key.group.clone(),
        count: stats.count,
        trues: stats.trues,
        sum: stats.sum.high,
        sum_rest: stats.sum.rest,
        min: stats.min,
        max: stats.max,
        last: stats.last,
        last_time_ns: stats.last_time_ns,
        ..session::LedgerSink::default()
    }
}

/// Fills messages up to their size.
#[derive(Debug)]
pub(super) struct Packer {
    done: Vec<session::Ledger>,
    bytes: usize,
}

impl Default for Packer {
    fn default() -> Self {
        Self { done: vec![session::Ledger::default()], bytes: 0 }
    }
}

impl Packer {
    /// The message that has room for so many bytes.
    pub(super) fn fit(&mut self, bytes: usize) -> &mut session::Ledger {
        // Around each entry stand its field's number and its length.
        let bytes = bytes + 8;
        if self.bytes > 0 && self.bytes + bytes > MESSAGE_BYTES {
            self.done.push(session::Ledger::default());
            self.bytes = 0;
        }
        self.bytes += bytes;
        let last = self.done.len() - 1;
        &mut self.done[last]
    }

    /// All messages of one snapshot.
    pub(super) fn seal(self, seq: u64, last: bool, overflowed: u64) -> Vec<session::Ledger> {
        let mut messages = self.done;
        let parts = u32::try_from(messages.len()).unwrap_or(u32::MAX);
        for (part, message) in (0..).zip(&mut messages) {
            message.seq = seq;
            message.part = part;
            message.parts = parts;
            message.last = last;
            message.overflowed = overflowed;
        }
        messages
    }
}

fn encode_part(part: &Part) -> (i32, String) {
    let (part, scenario) = match part {
        Part::Run => (session::LedgerPart::WholeRun, String::new()),
        Part::Default => (session::LedgerPart::DefaultScenario, String::new()),
        Part::Scenario(name) => (session::LedgerPart::Scenario, name.clone()),
    };
    (part.into(), scenario)
}

pub(super) fn encode_kind(kind: Option<Kind>) -> i32 {
    let kind = match kind {
        None => session::MetricKind::Unspecified,
        Some(Kind::Counter) => session::MetricKind::Counter,
        Some(Kind::Gauge) => session::MetricKind::Gauge,
        Some(Kind::Rate) => session::MetricKind::Rate,
        Some(Kind::Trend) => session::MetricKind::Trend,
    };
    kind.into()
}

pub(super) fn encode_contains(contains: Contains) -> i32 {
    let contains = match contains {
        Contains::Default => session::MetricContains::Plain,
        Contains::Time => session::MetricContains::Time,
        Contains::Data => session::MetricContains::Data,
    };
    contains.into()
}

pub(super) fn encode_threshold(
    spec: &ThresholdSpec,
    cell: Option<Cell>,
) -> session::LedgerThreshold {
    session::LedgerThreshold {
        source: spec.source.clone(),
        abort_on_fail: spec.abort_on_fail,
        delay_abort_eval: spec.delay_abort_eval.clone(),
        cell: cell.map(|cell| session::LedgerCell {
            count: cell.count,
            below: cell.below,
            equal: cell.equal,
            highest_below: cell.highest_below,
            lowest_above: cell.lowest_above,
        }),
    }
}

pub(super) fn encode_tally(key: &TallyKey, tally: &Tally) -> session::LedgerTally {
    let (part, scenario) = encode_part(&key.part);
    session::LedgerTally {
        part,
        scenario,
        group: key.group.clone(),
        check: key.check.clone(),
        first_time_ns: tally.first_time_ns,
        order: tally.order,
        passes: tally.passes,
        fails: tally.fails,
    }
}

/// Reads a message. It takes far longer than merging, and needs nothing of what is merged.
///
/// # Errors
/// When it is no ledger.
pub fn decode(message: session::Ledger) -> Result<Decoded, NoLedger> {
    if message.sinks.len() > SINKS_MAX || message.tallies.len() > TALLIES_MAX {
        return Err(NoLedger("too many entries"));
    }
    if message.parts > PARTS_MAX || message.part >= message.parts {
        return Err(NoLedger("a part outside its snapshot"));
    }
    Ok(Decoded {
        seq: message.seq,
        part: message.part,
        parts: message.parts,
        last: message.last,
        overflowed: message.overflowed,
        sinks: message.sinks.into_iter().map(decode_sink).collect::<Result<_, _>>()?,
        tallies: message.tallies.into_iter().map(decode_tally).collect::<Result<_, _>>()?,
    })
}

fn decode_sink(sink: session::LedgerSink) -> Result<Received, NoLedger> {
    let kind = decode_kind(sink.kind)?;
    let contains = decode_contains(sink.contains)?;
    let numbers = [sink.min, sink.max, sink.last];
    if numbers.iter().any(|number| !number.is_finite()) || !sink.sum_rest.is_finite() {
        return Err(NoLedger("a value that is no number"));
    }
    // A sum may be too large for a float, as it may be in k6.
    if sink.sum.is_nan() || sink.min > sink.max || sink.trues > sink.count {
        return Err(NoLedger("values that contradict each other"));
    }
    if sink.thresholds.len() > LIST_MAX || sink.tags.len() > LIST_MAX {
        return Err(NoLedger("too many thresholds or tags"));
    }
    let key = SinkKey {
        part: decode_part(sink.part, sink.scenario)?,
        group: sink.group,
        name: sink.name,
    };
    if key.name_bytes() > NAME_BYTES_MAX {
        return Err(NoLedger("a name that is too long"));
    }
    let sketch: Option<Box<[u8]>> = sink.sketch.map(|sketch| sketch.as_ref().into());
    if sketch.as_ref().is_some_and(|sketch| sketch::check(sketch).is_err()) {
        return Err(NoLedger("a sketch that is none"));
    }
    Ok(Received {
        key,
        parent: (!sink.parent.is_empty()).then_some((sink.parent, sink.tags)),
        kind,
        contains,
        observed: sink.observed,
        stats: Stats {
            count: sink.count,
            trues: sink.trues,
            sum: Sum { high: sink.sum, rest: sink.sum_rest },
            min: sink.min,
            max: sink.max,
            last: sink.last,
            last_time_ns: sink.last_time_ns,
        },
        thresholds: sink.thresholds.into_iter().map(decode_threshold).collect::<Result<_, _>>()?,
        sketch,
    })
}

fn decode_threshold(
    threshold: session::LedgerThreshold,
) -> Result<(ThresholdSpec, Option<Cell>), NoLedger> {
    let spec = ThresholdSpec {
        source: threshold.source,
        abort_on_fail: threshold.abort_on_fail,
        delay_abort_eval: threshold.delay_abort_eval,
    };
    let Some(cell) = threshold.cell else { return Ok((spec, None)) };
    let seen = cell.below.checked_add(cell.equal);
    if seen.is_none_or(|seen| seen > cell.count)
        || !cell.highest_below.is_finite()
        || !cell.lowest_above.is_finite()
    {
        return Err(NoLedger("a cell that contradicts itself"));
    }
    let cell = Cell {
        count: cell.count,
        below: cell.below,
        equal: cell.equal,
        highest_below: cell.highest_below,
        lowest_above: cell.lowest_above,
    };
    Ok((spec, Some(cell)))
}

fn decode_tally(tally: session::LedgerTally) -> Result<(TallyKey, Tally), NoLedger> {
    let part = decode_part(tally.part, tally.scenario)?;
    let key = TallyKey { part, group: tally.group, check: tally.check };
    if key.name_bytes() > NAME_BYTES_MAX {
        return Err(NoLedger("a name that is too long"));
    }
    let tally = Tally {
        first_time_ns: tally.first_time_ns,
        order: tally.order,
        passes: tally.passes,
        fails: tally.fails,
    };
    Ok((key, tally))
}

fn decode_part(part: i32, scenario: String) -> Result<Part, NoLedger> {
    match session::LedgerPart::try_from(part) {
        Ok(session::LedgerPart::WholeRun) => Ok(Part::Run),
        Ok(session::LedgerPart::DefaultScenario) => Ok(Part::Default),
        Ok(session::LedgerPart::Scenario) => Ok(Part::Scenario(scenario)),
        Err(_) => Err(NoLedger("an unknown part of the run")),
    }
}

fn decode_kind(kind: i32) -> Result<Option<Kind>, NoLedger> {
    match session::MetricKind::try_from(kind) {
        Ok(session::MetricKind::Unspecified) => Ok(None),
        Ok(session::MetricKind::Counter) => Ok(Some(Kind::Counter)),
        Ok(session::MetricKind::Gauge) => Ok(Some(Kind::Gauge)),
        Ok(session::MetricKind::Rate) => Ok(Some(Kind::Rate)),
        Ok(session::MetricKind::Trend) => Ok(Some(Kind::Trend)),
        Err(_) => Err(NoLedger("an unknown kind")),
    }
}

fn decode_contains(contains: i32) -> Result<Contains, NoLedger> {
    match session::MetricContains::try_from(contains) {
        Ok(session::MetricContains::Plain) => Ok(Contains::Default),
        Ok(session::MetricContains::Time) => Ok(Contains::Time),
        Ok(session::MetricContains::Data) => Ok(Contains::Data),
        Err(_) => Err(NoLedger("an unknown content")),
    }
}
