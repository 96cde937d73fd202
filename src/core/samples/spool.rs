//! Frames from their closing to their acknowledgement: what is kept where, what is sent next, and the account of all
//! samples.
//!
//! # Where a frame is
//! In order of `seq`, what is held falls into three parts: the **head**, in memory, from which frames are sent; the
//! frames on **disk alone**; and the **queue**, in memory, of what is not written yet. As long as nothing is on disk
//! alone, head and queue are one.
//! * A frame begins in memory. One that is acknowledged soon never sees the disk.
//! * What waits longer than [`Limits::linger_ms`], or as more than [`Limits::group_bytes`], is written as one group
//!   and synced once. Only then, and only behind the head, does it leave memory. So a failed sync costs nothing: all that
//!   it was for is still there and goes into the next segment, and what the system still holds of the failed one is never
//!   believed.
//! * When the head runs short, the next frames are read back, verified, and become part of it.
//! * What was sent stays in memory until it is acknowledged: a new session gets it again without a read.
//!
//! # Why groups are synced at all, when no other process takes over this disk
//! What is written and not synced is memory all the same: it counts against the container's limit, where it could cost
//! k6 its life, and a disk that is full or broken may say so only in the sync. Synced by group, both stay bounded and
//! known, at one sync for a mebibyte or two seconds.
//!
//! # Why k6 never waits
//! The thread that reads k6's pipe only puts frames into the queue. Another does what [`Spool::job`] says and waits for
//! the disk, holding no lock. A disk that is slower than k6, full or broken is one and the same here: the queue fills,
//! attempts go on, and a frame that finds no room is dropped, counted, and told with what the disk said. A queue without
//! bound would end k6 by memory instead, and a k6 that waits would measure us.
//!
//! Memory is bounded by [`Limits::window_bytes`], [`Limits::queue_bytes`] and one read, whatever lies on disk: of that
//! only sums are kept, one for each segment, and a frame's place is found by reading on.

use std::{collections::BTreeMap, sync::Arc};

use super::{frame::Closed, rollup};
use crate::{
    api::v1alpha1::OnFull,
    wire::session::{Ack, Frame},
};

mod disk;
pub mod job;
pub mod record;
mod segments;
pub mod totals;

use record::SegmentHeader;
use segments::Segments;
use totals::Totals;

/// How much is kept, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of all that is held, on disk and waiting for it.
    pub bytes_max: u64,
    /// What happens to samples for which there is no room.
    pub on_full: OnFull,
    /// Bytes of a segment file, but for one group.
    pub segment_bytes: u64,
    /// Bytes that are written and synced at once, but for one frame.
    pub group_bytes: u64,
    /// Time that a frame waits for its acknowledgement before it is written.
    pub linger_ms: i64,
    /// Memory of what is not on disk.
    pub queue_bytes: usize,
    /// Frames that may wait for their acknowledgement in one session.
    pub window: usize,
    /// Memory of these. One frame may always be sent.
    pub window_bytes: usize,
    /// Bytes read back at once; more where a record is longer.
    pub read_bytes: u64,
    /// Time after which what the disk refused is tried again.
    pub retry_ms: i64,
}

impl Limits {
    /// The limits of a spool of `bytes_max` bytes.
    pub fn new(bytes_max: u64, on_full: OnFull) -> Self {
        Self {
            bytes_max,
            on_full,
            // A segment is given back as a whole: small enough that little of the spool is dead, large enough that there
            // are few files.
            segment_bytes: (bytes_max / 16).clamp(64 << 10, 8 << 20),
            group_bytes: 1 << 20,
            // Longer than an aggregator lets records wait for their like, and than a write takes: a frame that is written
            // as it should be never sees the disk.
            linger_ms: 2000,
            // Bridges a pause of the disk of seconds at the highest rates.
            queue_bytes: 8 << 20,
            window: 16,
            window_bytes: 4 << 20,
            read_bytes: 512 << 10,
            retry_ms: 1000,
        }
    }
}

/// Keeps frames until they are acknowledged.
#[derive(Debug)]
pub struct Spool {
    limits: Limits,
    /// Whose frames these are; its segment number is set when it is written.
    header: SegmentHeader,
    /// All frames in memory.
    frames: BTreeMap<u64, Kept>,
    /// Frames up to this one were sent in the session that is up now.
    sent: u64,
    /// The last frame before those that are on disk alone; none when there are none.
    head_end: Option<u64>,
    /// Frames up to this one were written, or acknowledged before.
    written: u64,
    queue: Queue,
    disk: disk::Disk,
    segments: Segments,
    totals: Totals,
}

#[derive(Debug)]
struct Kept {
    frame: Arc<Frame>,
    memory_bytes: usize,
    record_bytes: u64,
    since_ms: i64,
    at: At,
}

/// Where a frame is besides memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    Nowhere,
    /// In the group that is being written.
    Underway,
    /// In a segment.
    Disk(u64),
}

/// Sizes of what is not on disk.
#[derive(Debug, Default)]
struct Queue {
    memory_bytes: usize,
    /// Of what is not underway either: the rest counts with its file.
    record_bytes: u64,
}

/// Samples were lost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loss {
    /// How.
    pub text: String,
    /// The run fails by it.
    pub fails: bool,
}

/// Why there is no room for a frame.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Full {
    /// All that the spool may hold is taken.
    #[error("the spool of {} is full", size(*.0))]
    Size(u64),
    /// The disk does not take what waits for it.
    #[error("the spool's disk is too slow: {} wait to be written", size(*.0))]
    Slow(u64),
    /// The disk refuses what waits for it.
    #[error("the spool cannot be written ({trouble}): {} wait in memory", size(*.waiting))]
    Refused {
        /// What the disk says.
        trouble: String,
        /// How much waits.
        waiting: u64,
    },
    /// A frame could not travel.
    #[error("a frame of {} is larger than a message may be", size(*.0))]
    Frame(u64),
}

impl Spool {
    /// An empty spool for the frames that `header` names.
    pub fn new(limits: Limits, header: SegmentHeader) -> Self {
        Self {
            limits,
            header,
            frames: BTreeMap::new(),
            sent: 0,
            head_end: None,
            written: 0,
            queue: Queue::default(),
            disk: disk::Disk::default(),
            segments: Segments::default(),
            totals: Totals::default(),
        }
    }

    /// Takes a frame, or drops and counts it. The first that is dropped is told, and the first by which the run fails.
    pub fn push(&mut self, closed: Closed, now_ms: i64) -> Option<Loss> {
        let samples = rollup::samples_in(&closed.frame);
        let seq = closed.frame.seq;
        self.totals.framed += samples;
        self.totals.last_seq = self.totals.last_seq.max(seq);
        if let Some(full) = self.full(&closed) {
            let fails = self.limits.on_full == OnFull::Fail;
            let (acked, framed) = (self.totals.acked, self.totals.framed);
            return self.drop_samples(samples, fails, || {
                let text = format!("{full}; outputs took {acked} of {framed} samples so far");
                if matches!(full, Full::Size(_)) {
                    text + ", k6 emits more than they can store"
                } else {
                    text
                }
            });
        }
        let kept = Kept {
            memory_bytes: closed.memory_bytes,
            record_bytes: record::record_bytes(closed.encoded_bytes),
            frame: closed.frame,
            since_ms: now_ms,
            at: At::Nowhere,
        };
        self.queue.memory_bytes += kept.memory_bytes;
        self.queue.record_bytes += kept.record_bytes;
        self.frames.insert(seq, kept);
        None
    }

    /// A new session: all that is not acknowledged is to be sent again.
    pub const fn rewind(&mut self) {
        self.sent = 0;
    }

    /// Whether there is a frame to send while the window is open.
    pub fn has_next(&self) -> bool {
        self.peek().is_some()
    }

    /// The next frame to send, in the order of seq; none while the window is full, or the next is yet to be read back.
    pub fn next_frame(&mut self) -> Option<Frame> {
        let (seq, frame) = self.peek()?;
        let frame = Frame::clone(frame);
        self.sent = seq;
        self.totals.send(seq);
        Some(frame)
    }

    /// Takes an acknowledgement. One for a frame that was not sent, or is not held any more, changes nothing.
    pub fn ack(&mut self, ack: &Ack) {
        if ack.seq > self.totals.sent_to {
            return;
        }
        let Some(kept) = self.frames.remove(&ack.seq) else { return };
        match kept.at {
            At::Nowhere => {
                self.queue.memory_bytes -= kept.memory_bytes;
                self.queue.record_bytes -= kept.record_bytes;
            }
            At::Underway => self.queue.memory_bytes -= kept.memory_bytes,
            At::Disk(number) => {
                if let Some(segment) = self.segments.get_mut(number) {
                    segment.live = segment.live.saturating_sub(1);
                }
                self.tidy(number);
            }
        }
        self.totals.take(rollup::samples_in(&kept.frame), ack);
    }

    /// Whether no frame waits for its acknowledgement.
    pub fn is_empty(&self) -> bool {
        self.frames.is_empty() && self.head_end.is_none()
    }

    /// The account so far.
    pub const fn totals(&self) -> &Totals {
        &self.totals
    }

    fn peek(&self) -> Option<(u64, &Frame)> {
        let (seq, kept) = self.frames.range(self.sent + 1..).next()?;
        if self.head_end.is_some_and(|end| *seq > end) {
            return None;
        }
        let (mut frames, mut memory_bytes) = (0, kept.memory_bytes);
        for waiting in self.frames.range(..=self.sent) {
            frames += 1;
            memory_bytes += waiting.1.memory_bytes;
        }
        let is_open = frames == 0
            || (frames < self.limits.window && memory_bytes <= self.limits.window_bytes);
        is_open.then_some((*seq, &*kept.frame))
    }

    fn full(&self, closed: &Closed) -> Option<Full> {
        if closed.encoded_bytes > record::PAYLOAD_BYTES_MAX {
            return Some(Full::Frame(closed.encoded_bytes as u64));
        }
        let taken = self.segments.file_bytes() + self.queue.record_bytes;
        if taken + record::record_bytes(closed.encoded_bytes) > self.limits.bytes_max {
            return Some(Full::Size(self.limits.bytes_max));
        }
        if self.queue.memory_bytes + closed.memory_bytes > self.limits.queue_bytes {
            let waiting = self.queue.memory_bytes as u64;
            return Some(match self.disk.trouble.clone() {
                Some(trouble) => Full::Refused { trouble, waiting },
                None => Full::Slow(waiting),
            });
        }
        None
    }

    fn drop_samples(
        &mut self,
        samples: u64,
        fails: bool,
        text: impl FnOnce() -> String,
    ) -> Option<Loss> {
        self.totals.dropped += samples;
        let is_first = self.totals.dropped_why.is_empty();
        let is_first_to_fail = fails && self.totals.failed_why.is_empty();
        if !is_first && !is_first_to_fail {
            return None;
        }
        let text = text();
        if is_first {
            self.totals.dropped_why.clone_from(&text);
        }
        if is_first_to_fail {
            self.totals.failed_why.clone_from(&text);
        }
        Some(Loss { text, fails })
    }
}

/// A size for people: exact, in the largest unit that leaves no rest.
fn size(bytes: u64) -> String {
    match bytes {
        0 => "0 bytes".to_owned(),
        _ if bytes.is_multiple_of(1 << 20) => format!("{} MiB", bytes >> 20),
        _ if bytes.is_multiple_of(1 << 10) => format!("{} KiB", bytes >> 10),
        _ => format!("{bytes} bytes"),
    }
}

#[cfg(test)]
mod tests;
