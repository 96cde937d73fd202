//! The frames held, and what is still open of each.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use super::{
    batch::{Batch, BatchId, FrameId},
    frame::{Opened, Sample, open},
    lane::{Lane, LaneConfig, Settled},
    queue::Waiting,
    retry::Written,
    rolled::{self, RolledUp},
    row::{Refusal, Row},
};
use crate::{
    core::samples::rollup::samples_in,
    wire::session::{Frame, OutputCounts},
};

/// Acknowledgements kept, so that a frame sent again after its acknowledgement was lost is not written again.
const RECENT_MAX: usize = 16_384;

/// Names one frame over re-dials.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct FrameKey {
    /// The instance.
    pub instance_id: u32,
    /// Its process.
    pub incarnation: Arc<str>,
    /// The frame.
    pub seq: u64,
}

/// A frame of which every output has stored or refused all.
#[derive(Clone, Debug, PartialEq)]
pub struct Acked {
    /// The frame.
    pub key: FrameKey,
    /// Samples in it.
    pub sample_count: u64,
    /// What became of them, for each output.
    pub outputs: Vec<OutputCounts>,
    /// The frame came again after it had been acknowledged before.
    pub again: bool,
}

/// What [`Pipeline::accept`] did with a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Accepted {
    /// It is held until all outputs are done with it, with so many samples.
    Held(u64),
    /// It is held already; nothing changed.
    HeldBefore,
    /// It was acknowledged before, and is again.
    AckedBefore,
}

/// A write to begin.
#[derive(Clone, Debug)]
pub struct Write {
    /// Which output.
    pub lane: usize,
    /// What to write.
    pub batch: Arc<Batch>,
}

#[derive(Debug)]
struct Share {
    open: u64,
    stored: u64,
    rejected: BTreeMap<Refusal, u64>,
}

#[derive(Debug)]
struct Held {
    key: FrameKey,
    sample_count: u64,
    shares: Vec<Share>,
}

/// All frames between their arrival and their acknowledgement.
#[derive(Debug)]
pub struct Pipeline {
    lanes: Vec<Lane>,
    frames: BTreeMap<FrameId, Held>,
    held: BTreeMap<FrameKey, FrameId>,
    recent: BTreeMap<FrameKey, (u64, Vec<OutputCounts>)>,
    recent_order: VecDeque<FrameKey>,
    acks: VecDeque<Acked>,
    fatal: VecDeque<(String, String)>,
    next_frame: u64,
    repeated: u64,
    hurry: bool,
}

impl Pipeline {
    /// An empty pipeline to these outputs.
    pub fn new(lanes: Vec<LaneConfig>) -> Self {
        Self {
            lanes: lanes.into_iter().map(Lane::new).collect(),
            frames: BTreeMap::new(),
            held: BTreeMap::new(),
            recent: BTreeMap::new(),
            recent_order: VecDeque::new(),
            acks: VecDeque::new(),
            fatal: VecDeque::new(),
            next_frame: 0,
            repeated: 0,
            hurry: false,
        }
    }

    /// The outputs, in the order given.
    pub fn lanes(&self) -> &[Lane] {
        &self.lanes
    }

    /// Samples of frames that came again, and were not written again.
    pub fn repeated(&self) -> u64 {
        self.repeated
    }

    /// Whether no frame is held.
    pub fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    /// From now on batches are not waited for to fill (the load is over), or are again.
    pub fn set_hurry(&mut self, hurry: bool) {
        self.hurry = hurry;
    }

    /// Takes a frame in.
    pub fn accept(&mut self, key: FrameKey, frame: &Frame, now_ms: i64) -> Accepted {
        if let Some(held) = self.held.get(&key).and_then(|id| self.frames.get(id)) {
            self.repeated += held.sample_count;
            return Accepted::HeldBefore;
        }
        if let Some((sample_count, outputs)) = self.recent.get(&key) {
            let (sample_count, outputs) = (*sample_count, outputs.clone());
            self.repeated += sample_count;
            self.acks.push_back(Acked { key, sample_count, outputs, again: true });
            return Accepted::AckedBefore;
        }
        let opened = open(frame, key.instance_id);
        self.next_frame += 1;
        let id = FrameId(self.next_frame);
        let columns =
            u64::try_from(opened.samples.len()).unwrap_or(u64::MAX) + opened.malformed_count;
        let sample_count = samples_in(frame).max(columns);
        let opened = Opened {
            // What the frame stands for and does not hold.
            malformed_count: opened.malformed_count + (sample_count - columns),
            ..opened
        };
        let counts = opened.count_by_series();
        let rolled = rolled::open(frame, key.instance_id, sample_count);
        let lanes = (0_u32..).zip(&mut self.lanes);
        let shares = lanes.map(|(at, lane)| {
            if lane.is_rollup() {
                share_rolled(lane, id, rolled.get(&at), sample_count, now_ms)
            } else {
                share(lane, id, &opened, &counts, now_ms)
            }
        });
        let shares = shares.collect();
        self.held.insert(key.clone(), id);
        self.frames.insert(id, Held { key, sample_count, shares });
        self.complete(id);
        Accepted::Held(sample_count)
    }

    /// The next write to begin, if one may.
    pub fn poll_write(&mut self, now_ms: i64) -> Option<Write> {
        let hurry = self.hurry;
        self.lanes.iter_mut().enumerate().find_map(|(at, lane)| {
            let batch = lane.next(now_ms, hurry)?;
            Some(Write { lane: at, batch })
        })
    }

    /// When [`Pipeline::poll_write`] may have something without any new input.
    pub fn poll_timeout(&self) -> Option<i64> {
        self.lanes.iter().filter_map(Lane::poll_timeout).min()
    }

    /// Takes the outcome of a write. `random` draws the pause before another try.
    pub fn finish(&mut self, lane: usize, id: BatchId, written: Written, now_ms: i64, random: u64) {
        let Some(at) = self.lanes.get_mut(lane) else { return };
        let fatal = match &written {
            Written::Fatal(text) if !at.is_failed() => Some(text.clone()),
            _ => None,
        };
        let settled = at.finish(id, written, now_ms, random);
        self.settle(lane, settled);
        if let Some(text) = fatal {
            let name = self.lanes.get(lane).map_or_else(String::new, |lane| lane.name().to_owned());
            self.fatal.push_back((name, text));
            self.give_up(lane);
        }
    }

    /// Refuses all that one output has not stored yet, and all that comes.
    pub fn give_up(&mut self, lane: usize) {
        let Some(at) = self.lanes.get_mut(lane) else { return };
        let settled = at.give_up();
        self.settle(lane, settled);
    }

    /// The next frame to acknowledge.
    pub fn poll_ack(&mut self) -> Option<Acked> {
        self.acks.pop_front()
    }

    /// The next output that cannot be written to any more: its name and what a person can do.
    pub fn poll_fatal(&mut self) -> Option<(String, String)> {
        self.fatal.pop_front()
    }

    fn settle(&mut self, lane: usize, settled: Vec<Settled>) {
        let mut touched: Option<FrameId> = None;
        for Settled { frame, samples, how } in settled {
            if let Some(before) = touched.filter(|before| *before != frame) {
                self.complete(before);
            }
            touched = Some(frame);
            let share = self.frames.get_mut(&frame).and_then(|held| held.shares.get_mut(lane));
            let Some(share) = share else { continue };
            share.open = share.open.saturating_sub(samples);
            match how {
                Ok(()) => share.stored += samples,
                Err(refusal) => *share.rejected.entry(refusal).or_default() += samples,
            }
        }
        if let Some(last) = touched {
            self.complete(last);
        }
    }

    /// Acknowledges the frame if nothing of it is open.
    fn complete(&mut self, id: FrameId) {
        let is_done =
            self.frames.get(&id).is_some_and(|held| held.shares.iter().all(|s| s.open == 0));
        let Some(held) = is_done.then(|| self.frames.remove(&id)).flatten() else { return };
        self.held.remove(&held.key);
        let outputs: Vec<OutputCounts> = self
            .lanes
            .iter()
            .zip(&held.shares)
            .map(|(lane, share)| OutputCounts {
                name: lane.name().to_owned(),
                stored: share.stored,
                rejected: share
                    .rejected
                    .iter()
                    .map(|(refusal, count)| (refusal.as_str().to_owned(), *count))
                    .collect(),
            })
            .collect();
        self.remember(held.key.clone(), held.sample_count, outputs.clone());
        self.acks.push_back(Acked {
            key: held.key,
            sample_count: held.sample_count,
            outputs,
            again: false,
        });
    }

    fn remember(&mut self, key: FrameKey, sample_count: u64, outputs: Vec<OutputCounts>) {
        if self.recent_order.len() >= RECENT_MAX
            && let Some(oldest) = self.recent_order.pop_front()
        {
            self.recent.remove(&oldest);
        }
        self.recent_order.push_back(key.clone());
        self.recent.insert(key, (sample_count, outputs));
    }
}

/// A row with the samples of one frame that it carries.
type InRow = (Arc<Row>, Vec<Waiting>);

/// Maps the frame for one output and queues what can be written; the rest is refused at once. `counts`: samples of each
/// series.
fn share(lane: &mut Lane, id: FrameId, opened: &Opened, counts: &[usize], now_ms: i64) -> Share {
    let mut rejected: BTreeMap<Refusal, u64> = BTreeMap::new();
    if opened.malformed_count > 0 {
        rejected.insert(Refusal::Malformed, opened.malformed_count);
    }
    let (kept, shape) = (lane.kept().clone(), lane.shape());
    let waiting = |at: usize| Vec::with_capacity(counts.get(at).copied().unwrap_or(0));
    let mut rows: Vec<Result<InRow, Refusal>> = (0..)
        .zip(&opened.series)
        .map(|(at, series)| shape.row(series, &kept).map(|row| (Arc::new(row), waiting(at))))
        .collect();
    let mut open = 0;
    for sample in &opened.samples {
        match waiting_in(&mut rows, sample) {
            Ok(_) if lane.is_failed() => {
                *rejected.entry(Refusal::OutputFailed).or_default() += 1;
            }
            Ok(waiting) => {
                open += 1;
                let Sample { time_ns, value, .. } = *sample;
                waiting.push(Waiting { frame: id, time_ns, value, rolled: None });
            }
            Err(refusal) => *rejected.entry(refusal).or_default() += 1,
        }
    }
    lane.count_refused(rejected.values().sum());
    let written = rows.into_iter().flatten().filter(|(_, waiting)| !waiting.is_empty());
    lane.push(id, written.collect(), now_ms);
    Share { open, stored: 0, rejected }
}

/// The same for an output that writes rows of a second.
fn share_rolled(
    lane: &mut Lane,
    id: FrameId,
    rolled: Option<&Arc<RolledUp>>,
    sample_count: u64,
    now_ms: i64,
) -> Share {
    let Some(rolled) = rolled else {
        // The agent made none for it.
        lane.count_refused(sample_count);
        let rejected = (sample_count > 0).then_some((Refusal::Malformed, sample_count));
        return Share { open: 0, stored: 0, rejected: rejected.into_iter().collect() };
    };
    let mut rejected = rolled.refused.clone();
    let mut rows: BTreeMap<Arc<Row>, Vec<Waiting>> = BTreeMap::new();
    let mut open = 0;
    for row in &rolled.rows {
        match row.writable() {
            Err(refusal) => *rejected.entry(refusal).or_default() += row.rolled.count,
            Ok(_) if lane.is_failed() => {
                *rejected.entry(Refusal::OutputFailed).or_default() += row.rolled.count;
            }
            Ok(at) => {
                open += row.rolled.count;
                rows.entry(at.clone()).or_default().push(Waiting {
                    frame: id,
                    time_ns: row.time_ns,
                    value: row.sum,
                    rolled: Some(row.rolled.clone()),
                });
            }
        }
    }
    rejected.retain(|_, samples| *samples > 0);
    lane.count_refused(rejected.values().sum());
    lane.push(id, rows.into_iter().collect(), now_ms);
    Share { open, stored: 0, rejected }
}

/// Where `sample` waits with those of its row, or why it cannot be written.
fn waiting_in<'a>(
    rows: &'a mut [Result<InRow, Refusal>],
    sample: &Sample,
) -> Result<&'a mut Vec<Waiting>, Refusal> {
    let at = usize::try_from(sample.series).ok().and_then(|at| rows.get_mut(at));
    match at {
        None => Err(Refusal::Malformed),
        Some(Err(refusal)) => Err(*refusal),
        Some(Ok(_)) if !sample.value.is_finite() => Err(Refusal::NotFinite),
        Some(Ok(_)) if sample.time_ns < 0 => Err(Refusal::InvalidTime),
        Some(Ok((_, waiting))) => Ok(waiting),
    }
}

mod early;

pub use early::Early;

#[cfg(test)]
mod tests;
