//! Frames: samples in the form in which they travel, each frame readable by itself.

use std::{collections::BTreeMap, sync::Arc};

use prost::Message;

use super::{
    decode::Point,
    nudge::Nudge,
    rollup,
    series::{self, Canon},
};
use crate::{
    core::dimensions::Kept,
    wire::{
        MESSAGE_BYTES_MAX,
        session::{Frame, Series},
    },
};

/// When a frame is closed.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Samples in a frame.
    pub samples_max: usize,
    /// Encoded bytes from which a frame is closed. One sample may carry it over by its own size.
    pub bytes_max: usize,
    /// Age of the first sample.
    pub linger_ms: i64,
}

impl Default for Limits {
    fn default() -> Self {
        // A frame is acknowledged whole: small enough that an acknowledgement comes soon, and large enough that the
        // definitions of its series weigh little. k6 flushes every 200 ms, so a frame holds one flush at low rates.
        Self { samples_max: 8192, bytes_max: MESSAGE_BYTES_MAX / 4, linger_ms: 200 }
    }
}

/// A frame that takes no more samples.
#[derive(Clone, Debug, PartialEq)]
pub struct Closed {
    /// As it travels. Behind a pointer: whether a frame is full is answered for every sample, and the answer is moved each
    /// time, however large it is.
    pub frame: Arc<Frame>,
    /// Memory that it takes, in bytes.
    pub memory_bytes: usize,
    /// Bytes of its encoding.
    pub encoded_bytes: usize,
}

impl Closed {
    /// A frame with its sizes.
    pub fn new(frame: Frame) -> Self {
        Self {
            memory_bytes: memory_bytes(&frame),
            encoded_bytes: frame.encoded_len(),
            frame: Arc::new(frame),
        }
    }
}

/// Collects samples into frames.
#[derive(Debug)]
pub struct FrameBuilder {
    limits: Limits,
    canon: Canon,
    nudge: Nudge,
    last_seq: u64,
    open: Open,
}

/// What a builder knows of a series that comes again and again. Of one builder and one series.
#[derive(Debug, Default)]
pub struct Memo {
    /// As [`series::Series`] has them; empty before the first sample.
    key: Box<[u8]>,
    rows: Box<[u64]>,
    /// Its place in the frame of that number.
    place: (u64, u32),
}

/// The frame that is being filled.
#[derive(Debug, Default)]
struct Open {
    frame: Frame,
    strings: BTreeMap<Box<str>, u32>,
    series: BTreeMap<Box<[u8]>, u32>,
    last_time_ns: i64,
    since_ms: i64,
    table_bytes: usize,
}

/// Bytes that a sample takes in the encoding, at most: index, time delta, value.
const SAMPLE_BYTES: usize = 5 + 10 + 8;
/// Bytes that a sample takes in memory: the same as fixed-width numbers.
const SAMPLE_MEMORY: usize = 4 + 8 + 8;
/// Bytes around each string and each dimension in the encoding, and in memory.
const STRING_BYTES: usize = 6;
const STRING_MEMORY: usize = 24;
/// Bytes that a frame takes in memory besides what is in it: its own lists, and where it is kept.
const FRAME_MEMORY: usize = 320;

impl FrameBuilder {
    /// For the samples of one k6 instance, for outputs whose rows have all dimensions.
    pub fn new(instance_id: u32, limits: Limits) -> Self {
        Self::keeping(instance_id, limits, [])
    }

    /// The same for outputs whose rows have the dimensions `kept`. What none of them keeps does not travel.
    pub fn keeping(instance_id: u32, limits: Limits, kept: impl IntoIterator<Item = Kept>) -> Self {
        Self {
            limits,
            canon: Canon::new(instance_id, kept),
            nudge: Nudge::default(),
            last_seq: 0,
            open: Open::default(),
        }
    }

    /// Takes one sample; answers the frame that it fills, if it fills one.
    pub fn push(&mut self, point: &Point<'_>, now_ms: i64) -> Option<Closed> {
        self.begin(now_ms);
        let series = self.canon.series(point);
        let time_ns = self.nudge.place(series.rows, point.time_ns);
        let index = self.open.index(&series);
        self.open.push(index, time_ns, point.value);
        self.close_if_full()
    }

    /// The same for a sample of a series that may come again.
    pub fn push_again(
        &mut self,
        point: &Point<'_>,
        memo: &mut Memo,
        now_ms: i64,
    ) -> Option<Closed> {
        self.begin(now_ms);
        let seq = self.last_seq + 1;
        if memo.key.is_empty() {
            let series = self.canon.series(point);
            *memo = Memo { key: series.key.into(), rows: series.rows.into(), place: (0, 0) };
        }
        let time_ns = self.nudge.place(&memo.rows, point.time_ns);
        if memo.place.0 != seq {
            let known = self.open.series.get(&memo.key).copied();
            let index = known.unwrap_or_else(|| self.open.index(&self.canon.series(point)));
            memo.place = (seq, index);
        }
        self.open.push(memo.place.1, time_ns, point.value);
        self.close_if_full()
    }

    fn begin(&mut self, now_ms: i64) {
        if self.open.is_empty() {
            self.open.since_ms = now_ms;
        }
    }

    fn close_if_full(&mut self) -> Option<Closed> {
        if self.open.is_full(&self.limits) { self.close() } else { None }
    }

    /// The frame whose time has come, if there is one.
    pub fn poll(&mut self, now_ms: i64) -> Option<Closed> {
        match self.due_ms() {
            Some(due_ms) if due_ms <= now_ms => self.close(),
            _ => None,
        }
    }

    /// When [`poll`](Self::poll) will have a frame; none without samples.
    pub fn due_ms(&self) -> Option<i64> {
        (!self.open.is_empty()).then_some(self.open.since_ms + self.limits.linger_ms)
    }

    /// The frame of the samples so far; none without samples.
    pub fn close(&mut self) -> Option<Closed> {
        if self.open.is_empty() {
            return None;
        }
        self.last_seq += 1;
        let open = std::mem::take(&mut self.open);
        Some(Closed::new(Frame { seq: self.last_seq, ..open.frame }))
    }

    /// Samples that were moved by a nanosecond to keep their identity.
    pub const fn nudged(&self) -> u64 {
        self.nudge.nudged()
    }
}

impl Open {
    const fn is_empty(&self) -> bool {
        self.frame.value.is_empty()
    }

    fn is_full(&self, limits: &Limits) -> bool {
        let samples = self.frame.value.len();
        samples >= limits.samples_max
            || self.table_bytes + samples * SAMPLE_BYTES >= limits.bytes_max
    }

    /// The place of a series, which is defined if it is new to the frame.
    fn index(&mut self, series: &series::Series<'_>) -> u32 {
        match self.series.get(series.key) {
            Some(index) => *index,
            None => self.define(series),
        }
    }

    fn push(&mut self, index: u32, time_ns: i64, value: f64) {
        if self.is_empty() {
            self.frame.base_time_ns = time_ns;
            self.last_time_ns = time_ns;
        }
        self.frame.sample_series.push(index);
        // Times lie between 0 and i64::MAX: their difference fits.
        self.frame.time_delta_ns.push(time_ns - self.last_time_ns);
        self.frame.value.push(value);
        self.last_time_ns = time_ns;
    }

    fn define(&mut self, series: &series::Series<'_>) -> u32 {
        let metric = self.string(series.metric);
        let mut dimensions = Vec::with_capacity(series.dimensions.len() * 2);
        for (name, value) in &series.dimensions {
            dimensions.push(self.string(name));
            dimensions.push(self.string(value));
        }
        self.table_bytes += STRING_BYTES * (dimensions.len() + 1);
        let index = count(self.frame.series.len());
        self.frame.series.push(Series { metric, dimensions });
        self.series.insert(series.key.into(), index);
        index
    }

    fn string(&mut self, text: &str) -> u32 {
        if let Some(index) = self.strings.get(text) {
            return *index;
        }
        let index = count(self.frame.strings.len());
        self.table_bytes += text.len() + STRING_BYTES;
        self.frame.strings.push(text.to_owned());
        self.strings.insert(text.into(), index);
        index
    }
}

fn memory_bytes(frame: &Frame) -> usize {
    let dimensions: usize = frame.series.iter().map(|series| series.dimensions.len()).sum();
    let strings: usize = frame.strings.iter().map(String::len).sum();
    FRAME_MEMORY
        + strings
        + STRING_MEMORY * (frame.strings.len() + 2 * frame.series.len())
        + 4 * dimensions
        + SAMPLE_MEMORY * frame.value.len()
        + rollup::memory_bytes(&frame.rollups)
}

/// A frame closes long before it holds this many of anything.
fn count(len: usize) -> u32 {
    u32::try_from(len).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests;
