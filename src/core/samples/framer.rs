//! Makes frames of what the outputs of a run want: samples, rows of a second, or both of the same samples.
//!
//! A frame with rows holds those of exactly the samples that it stands for, so that each output's account counts them once,
//! whichever form it writes. Where rows alone are wanted, a frame holds whole seconds, and a series has one row in each;
//! where samples are wanted too, a frame is closed as theirs are, but fills for longer.

use std::sync::Arc;

use super::{
    decode::{Definition, Point},
    frame::{self, Closed, FrameBuilder, Limits},
    rollup::{
        fold::{self, Folder},
        spec::Wanted,
    },
};
use crate::{core::dimensions::Kept, wire::session::Frame};

/// Time for which a frame of samples and rows fills: in each, a series has a row for each second.
const LINGER_MS: i64 = 1000;

/// Collects samples into frames.
#[derive(Debug)]
pub struct Framer {
    limits: Limits,
    samples: FrameBuilder,
    rows: Option<Folder>,
    only_rows: bool,
    last_seq: u64,
}

/// What a framer knows of a series that comes again and again. Of one framer and one series.
#[derive(Debug, Default)]
pub struct Memo {
    samples: frame::Memo,
    rows: fold::Memo,
}

impl Framer {
    /// For the samples of one k6 instance: those outputs that take samples have these dimensions in their rows, and the
    /// others want `wanted`.
    pub fn new(
        instance_id: u32,
        limits: Limits,
        kept: impl IntoIterator<Item = Kept>,
        wanted: &Wanted,
    ) -> Self {
        let is_mixed = !wanted.rollups.is_empty() && !wanted.only;
        let linger_ms = if is_mixed { limits.linger_ms.max(LINGER_MS) } else { limits.linger_ms };
        // Half of it for samples where there are rows as well.
        let bytes_max = if is_mixed { limits.bytes_max / 2 } else { limits.bytes_max };
        Self {
            samples: FrameBuilder::keeping(
                instance_id,
                Limits { bytes_max, linger_ms, ..limits },
                kept,
            ),
            rows: (!wanted.rollups.is_empty()).then(|| Folder::new(instance_id, &wanted.rollups)),
            only_rows: wanted.only,
            limits: Limits { bytes_max, ..limits },
            last_seq: 0,
        }
    }

    /// Learns what a metric is.
    pub fn define(&mut self, definition: &Definition<'_>) {
        if let Some(rows) = &mut self.rows {
            rows.define(definition);
        }
    }

    /// Takes one sample; answers the frame that it fills, if it fills one.
    pub fn push(&mut self, point: &Point<'_>, now_ms: i64) -> Option<Closed> {
        if let Some(rows) = &mut self.rows {
            rows.add(point, now_ms);
        }
        let closed = if self.only_rows { None } else { self.samples.push(point, now_ms) };
        self.finish(closed)
    }

    /// The same for a sample of a series that may come again.
    pub fn push_again(
        &mut self,
        point: &Point<'_>,
        memo: &mut Memo,
        now_ms: i64,
    ) -> Option<Closed> {
        if let Some(rows) = &mut self.rows {
            rows.add_again(point, &mut memo.rows, now_ms);
        }
        let closed = if self.only_rows {
            None
        } else {
            self.samples.push_again(point, &mut memo.samples, now_ms)
        };
        self.finish(closed)
    }

    /// What the last sample has filled: a frame of samples, or the room for rows.
    fn finish(&mut self, closed: Option<Closed>) -> Option<Closed> {
        let Some(rows) = &self.rows else { return closed };
        match closed {
            Some(closed) => Some(self.with_rows(closed)),
            None if rows.is_full(self.limits.bytes_max) => self.close(),
            None => None,
        }
    }

    /// The frame whose time has come, if there is one.
    pub fn poll(&mut self, now_ms: i64) -> Option<Closed> {
        match &self.rows {
            Some(_) if !self.only_rows => {
                let closed = self.samples.poll(now_ms)?;
                Some(self.with_rows(closed))
            }
            Some(rows) if rows.due_ms().is_some_and(|due_ms| due_ms <= now_ms) => {
                self.close_rows(now_ms)
            }
            Some(_) => None,
            None => self.samples.poll(now_ms),
        }
    }

    /// When [`poll`](Self::poll) will have a frame; none without samples.
    pub fn due_ms(&self) -> Option<i64> {
        match &self.rows {
            Some(rows) if self.only_rows => rows.due_ms(),
            Some(_) | None => self.samples.due_ms(),
        }
    }

    /// The frame of the samples so far; none without samples.
    pub fn close(&mut self) -> Option<Closed> {
        match &self.rows {
            None => self.samples.close(),
            Some(_) if self.only_rows => self.close_rows(i64::MAX),
            Some(_) => {
                let closed = self.samples.close()?;
                Some(self.with_rows(closed))
            }
        }
    }

    /// Samples that were moved by a nanosecond to keep their identity.
    pub const fn nudged(&self) -> u64 {
        self.samples.nudged()
    }

    fn close_rows(&mut self, due_ms: i64) -> Option<Closed> {
        let rows = self.rows.as_mut().filter(|rows| !rows.is_empty())?;
        self.last_seq += 1;
        let mut frame = Frame { seq: self.last_seq, ..Frame::default() };
        rows.close(due_ms, &mut frame);
        Some(Closed::new(frame))
    }

    fn with_rows(&mut self, closed: Closed) -> Closed {
        let mut frame = Arc::unwrap_or_clone(closed.frame);
        if let Some(rows) = &mut self.rows {
            rows.close(i64::MAX, &mut frame);
        }
        Closed::new(frame)
    }
}

#[cfg(test)]
mod tests;
