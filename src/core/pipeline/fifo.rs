//! What an output has yet to write whose calls cost the same whatever they hold: records go out in the order in which
//! they came, as soon as a call is full, or the oldest has waited for
//! [`LaneConfig::linger_ms`](super::lane::LaneConfig::linger_ms).

use std::{collections::VecDeque, sync::Arc};

use super::{
    batch::{FrameId, Record},
    line,
    queue::Waiting,
    row::Row,
};

/// Most lines of a call, as InfluxDB advises.
pub const LINES_MAX: usize = 5000;
/// Most bytes of a call: InfluxDB 3 takes 10 MiB by default.
pub const BYTES_MAX: usize = 2 << 20;

/// All that waits.
#[derive(Debug, Default)]
pub(super) struct Fifo {
    /// With the bytes of its line.
    records: VecDeque<(Record, usize)>,
    bytes: usize,
    /// When frames came, the oldest that still waits first.
    arrivals: VecDeque<(FrameId, i64)>,
}

impl Fifo {
    pub(super) fn len(&self) -> usize {
        self.records.len()
    }

    pub(super) fn arrive(&mut self, frame: FrameId, now_ms: i64) {
        self.arrivals.push_back((frame, now_ms));
    }

    pub(super) fn push(&mut self, row: &Arc<Row>, samples: Vec<Waiting>) {
        let bytes = line::bytes_max(row);
        self.bytes += bytes * samples.len();
        self.records.extend(samples.into_iter().map(
            |Waiting { frame, time_ns, value, rolled }| {
                (Record { row: row.clone(), value, rolled, time_ns, frame }, bytes)
            },
        ));
    }

    /// When something is to be written at the latest: at once where there is a full call.
    pub(super) fn due_ms(&self, linger_ms: i64) -> Option<i64> {
        let (_, arrived_ms) = *self.arrivals.front()?;
        Some(if self.is_full() { arrived_ms } else { arrived_ms.saturating_add(linger_ms) })
    }

    /// Takes the records of the next call, if its time has come. In a hurry, none waits.
    pub(super) fn cut(&mut self, now_ms: i64, linger_ms: i64, hurry: bool) -> Option<Vec<Record>> {
        let is_due = self.due_ms(linger_ms).is_some_and(|due_ms| due_ms <= now_ms);
        if self.records.is_empty() || !(hurry || is_due || self.is_full()) {
            return None;
        }
        let (mut count, mut bytes) = (0, 0);
        for (_, line_bytes) in self.records.iter().take(LINES_MAX) {
            // A line that is larger than a call goes out alone.
            if count > 0 && bytes + line_bytes > BYTES_MAX {
                break;
            }
            count += 1;
            bytes += line_bytes;
        }
        Some(self.take(count))
    }

    pub(super) fn take_all(&mut self) -> Vec<Record> {
        self.take(self.records.len())
    }

    fn is_full(&self) -> bool {
        self.records.len() >= LINES_MAX || self.bytes >= BYTES_MAX
    }

    fn take(&mut self, count: usize) -> Vec<Record> {
        let mut taken = Vec::with_capacity(count);
        for (record, bytes) in self.records.drain(..count.min(self.records.len())) {
            self.bytes -= bytes;
            taken.push(record);
        }
        let oldest = self.records.front().map(|(record, _)| record.frame);
        while self.arrivals.front().is_some_and(|(frame, _)| oldest.is_none_or(|o| *frame < o)) {
            self.arrivals.pop_front();
        }
        taken
    }
}

#[cfg(test)]
mod tests;
