//! What tells the outputs apart for the pipeline: the rows that samples become, and how rows wait for a call.

use std::sync::Arc;

use super::{
    batch::{BATCH_RECORDS_MAX, Batch, BatchId, FrameId, Record},
    fifo::{Fifo, LINES_MAX},
    line::line_row,
    queue::{Queue, Waiting},
    row::{Refusal, Row, Series, samples_row},
};
use crate::core::dimensions::Kept;

/// What an output writes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Shape {
    /// Timestream's records: calls of at most 100, billed by what their records do not share.
    #[default]
    Records,
    /// The same of whole seconds.
    Rollup,
    /// Lines of InfluxDB's protocol: calls of thousands.
    Lines,
}

impl Shape {
    /// Most records of a call.
    pub const fn records_max(self) -> usize {
        match self {
            Self::Records | Self::Rollup => BATCH_RECORDS_MAX,
            Self::Lines => LINES_MAX,
        }
    }

    /// The row that carries a sample's series.
    pub(super) fn row(self, series: &Series, kept: &Kept) -> Result<Row, Refusal> {
        match self {
            Self::Records | Self::Rollup => samples_row(series, kept),
            Self::Lines => line_row(series, kept),
        }
    }

    pub(super) fn batch(self, id: BatchId, records: Vec<Record>) -> Batch {
        match self {
            Self::Records | Self::Rollup => Batch::new(id, records),
            Self::Lines => Batch { id, common: Vec::new(), measure: None, records },
        }
    }
}

/// What waits for a call.
#[derive(Debug)]
pub(super) enum Waits {
    Records(Queue),
    Lines(Fifo),
}

impl Waits {
    pub(super) fn new(shape: Shape) -> Self {
        match shape {
            Shape::Records | Shape::Rollup => Self::Records(Queue::default()),
            Shape::Lines => Self::Lines(Fifo::default()),
        }
    }

    pub(super) fn len(&self) -> usize {
        match self {
            Self::Records(queue) => queue.len(),
            Self::Lines(fifo) => fifo.len(),
        }
    }

    pub(super) fn arrive(&mut self, frame: FrameId, now_ms: i64) {
        match self {
            Self::Records(queue) => queue.arrive(frame, now_ms),
            Self::Lines(fifo) => fifo.arrive(frame, now_ms),
        }
    }

    pub(super) fn push(&mut self, row: &Arc<Row>, samples: Vec<Waiting>) {
        match self {
            Self::Records(queue) => queue.push(row, samples),
            Self::Lines(fifo) => fifo.push(row, samples),
        }
    }

    pub(super) fn due_ms(&self, linger_ms: i64) -> Option<i64> {
        match self {
            Self::Records(queue) => queue.due_ms(linger_ms),
            Self::Lines(fifo) => fifo.due_ms(linger_ms),
        }
    }

    pub(super) fn cut(&mut self, now_ms: i64, linger_ms: i64, hurry: bool) -> Option<Vec<Record>> {
        match self {
            Self::Records(queue) => queue.cut(now_ms, linger_ms, hurry),
            Self::Lines(fifo) => fifo.cut(now_ms, linger_ms, hurry),
        }
    }

    pub(super) fn take_all(&mut self) -> Vec<Record> {
        match self {
            Self::Records(queue) => queue.take_all(),
            Self::Lines(fifo) => fifo.take_all(),
        }
    }
}
