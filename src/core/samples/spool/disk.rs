//! When what is to be done with files, and what follows from how it ended: groups written, frames read back, segments
//! given back.

use super::{
    At, Kept, Loss, Spool,
    job::{Done, Job},
    record::{self, Chunk, SegmentHeader},
    segments::Segment,
};
use crate::core::samples::{frame::Closed, rollup};

/// Attempts at a read before what it was for is given up.
const READ_TRIES: u32 = 3;

/// The state of all that concerns files.
#[derive(Debug, Default)]
pub(super) struct Disk {
    busy: Option<Busy>,
    /// What is to be cut or removed: segments that failed, or whose frames are all settled. The last comes first.
    chores: Vec<Chore>,
    chore_at_ms: i64,
    write_at_ms: i64,
    read_at_ms: i64,
    read_tries: u32,
    /// The last job was a read: a write comes first now.
    has_read: bool,
    /// What the last write failed by.
    pub(super) trouble: Option<String>,
    is_closing: bool,
    has_given_up: bool,
}

/// The job that is out.
#[derive(Debug)]
enum Busy {
    Write { segment: u64, offset: u64, records: Vec<Record> },
    Read { segment: u64 },
    Chore(Chore),
}

#[derive(Clone, Copy, Debug)]
enum Chore {
    Cut { segment: u64, bytes: u64 },
    Remove { segment: u64 },
}

/// A frame of the group that is being written.
#[derive(Clone, Copy, Debug)]
struct Record {
    seq: u64,
    bytes: u64,
    samples: u64,
}

impl Spool {
    /// The next thing to do, if its time has come; none while one is underway. [`done`](Self::done) must follow.
    pub fn job(&mut self, now_ms: i64) -> Option<Job> {
        if self.disk.busy.is_some() {
            return None;
        }
        if self.chore_due_ms() <= now_ms
            && let Some(chore) = self.disk.chores.pop()
        {
            self.disk.busy = Some(Busy::Chore(chore));
            return Some(match chore {
                Chore::Cut { segment, bytes } => Job::Cut { segment, bytes },
                Chore::Remove { segment } => Job::Remove { segment },
            });
        }
        let reads = self.read_due_ms() <= now_ms;
        let writes = self.write_due_ms() <= now_ms;
        if reads && !(writes && self.disk.has_read) {
            self.disk.has_read = true;
            self.read_job()
        } else if writes {
            self.disk.has_read = false;
            self.write_job()
        } else {
            None
        }
    }

    /// When [`job`](Self::job) has something, as things stand; `i64::MAX` for never.
    pub fn job_due_ms(&self) -> i64 {
        if self.disk.busy.is_some() {
            i64::MAX
        } else {
            self.chore_due_ms().min(self.read_due_ms()).min(self.write_due_ms())
        }
    }

    /// Takes what came of the job. Frames that cannot be read back are told, once.
    pub fn done(&mut self, done: Done, now_ms: i64) -> Option<Loss> {
        match (self.disk.busy.take()?, done) {
            (Busy::Write { segment, offset, records }, Done::Did(Ok(()))) => {
                self.disk.trouble = None;
                self.wrote(segment, offset, &records);
                None
            }
            (
                Busy::Write { segment, records, .. },
                Done::Did(Err(error)) | Done::Read(Err(error)),
            ) => {
                self.not_written(segment, &records, error, now_ms);
                None
            }
            (Busy::Read { segment }, Done::Read(Ok(chunk))) => {
                self.disk.read_tries = 0;
                self.took(segment, chunk, now_ms)
            }
            (Busy::Read { segment }, Done::Read(Err(error)) | Done::Did(Err(error))) => {
                self.disk.read_tries += 1;
                self.disk.read_at_ms = now_ms.saturating_add(self.limits.retry_ms);
                if self.disk.read_tries < READ_TRIES {
                    return None;
                }
                self.disk.read_tries = 0;
                self.give_up(segment, &error)
            }
            (Busy::Chore(chore), Done::Did(Ok(()))) => {
                match chore {
                    Chore::Remove { segment } => self.segments.forget(segment),
                    Chore::Cut { segment, bytes } => {
                        if let Some(segment) = self.segments.get_mut(segment) {
                            segment.file_bytes = bytes;
                        }
                    }
                }
                None
            }
            // Until it is done the file takes its room.
            (Busy::Chore(chore), Done::Did(Err(error)) | Done::Read(Err(error))) => {
                if !self.disk.is_closing {
                    self.disk.chores.insert(0, chore);
                    self.disk.chore_at_ms = now_ms.saturating_add(self.limits.retry_ms);
                }
                self.disk.trouble.get_or_insert(error);
                None
            }
            (busy, Done::Did(Ok(())) | Done::Read(Ok(_))) => {
                self.disk.busy = Some(busy);
                None
            }
        }
    }

    /// No frame comes any more, and nothing will be sent: what is in memory alone is written at once, for whoever can
    /// read the segments.
    pub const fn close(&mut self) {
        self.disk.is_closing = true;
    }

    /// Whether all is done that [`close`](Self::close) asked for, or cannot be.
    pub fn is_closed(&self) -> bool {
        self.disk.is_closing && self.disk.busy.is_none() && self.job_due_ms() == i64::MAX
    }

    fn chore_due_ms(&self) -> i64 {
        if self.disk.chores.is_empty() { i64::MAX } else { self.disk.chore_at_ms }
    }

    /// Bytes that may be written now, with the head of a new segment.
    fn room(&self) -> u64 {
        self.limits.bytes_max.saturating_sub(self.segments.file_bytes())
    }

    fn write_due_ms(&self) -> i64 {
        let Some((_, first)) = self.frames.range(self.written + 1..).next() else {
            return i64::MAX;
        };
        // What failed and cannot be removed may have taken the room.
        let fits = first.record_bytes + self.head_bytes() <= self.room();
        if self.disk.has_given_up || !fits {
            return i64::MAX;
        }
        if self.disk.is_closing {
            return i64::MIN;
        }
        let due_ms = if self.queue.record_bytes >= self.limits.group_bytes {
            i64::MIN
        } else {
            first.since_ms.saturating_add(self.limits.linger_ms)
        };
        due_ms.max(self.disk.write_at_ms)
    }

    fn read_due_ms(&self) -> i64 {
        let Some(end) = self.head_end.filter(|_| !self.disk.is_closing) else { return i64::MAX };
        let (mut frames, mut memory_bytes) = (0, 0);
        for (_, kept) in self.frames.range(..=end) {
            frames += 1;
            memory_bytes += kept.memory_bytes;
        }
        let is_short = frames < self.limits.window && memory_bytes < self.limits.window_bytes;
        if is_short { self.disk.read_at_ms } else { i64::MAX }
    }

    fn write_job(&mut self) -> Option<Job> {
        let (mut frames, mut records, mut bytes) = (Vec::new(), Vec::new(), 0);
        let most = self.limits.group_bytes.min(self.room().saturating_sub(self.head_bytes()));
        for (seq, kept) in self.frames.range_mut(self.written + 1..) {
            if bytes > 0 && bytes + kept.record_bytes > most {
                break;
            }
            kept.at = At::Underway;
            bytes += kept.record_bytes;
            let samples = rollup::samples_in(&kept.frame);
            records.push(Record { seq: *seq, bytes: kept.record_bytes, samples });
            frames.push(kept.frame.clone());
        }
        if frames.is_empty() {
            return None;
        }
        self.queue.record_bytes -= bytes;
        let open = self.segments.open(bytes, self.limits.segment_bytes);
        let header = open.is_none().then(|| self.next_header());
        let number = open.unwrap_or_else(|| self.segments.create());
        let head_bytes = header.as_ref().map_or(0, record::head_bytes);
        let segment = self.segments.get_mut(number)?;
        let at = segment.bytes;
        segment.file_bytes = at + head_bytes + bytes;
        self.disk.busy = Some(Busy::Write { segment: number, offset: at + head_bytes, records });
        Some(Job::Write { segment: number, offset: at, header, frames })
    }

    fn next_header(&self) -> SegmentHeader {
        SegmentHeader { segment: self.segments.next(), ..self.header.clone() }
    }

    fn head_bytes(&self) -> u64 {
        record::head_bytes(&self.next_header())
    }

    fn read_job(&mut self) -> Option<Job> {
        let usual = self.limits.read_bytes;
        let (number, segment) = self.segments.first_unread()?;
        let left = segment.bytes.saturating_sub(segment.read_from);
        let bytes = usual.max(segment.wanted).min(left);
        let (offset, is_last) = (segment.read_from, bytes == left);
        self.disk.busy = Some(Busy::Read { segment: number });
        Some(Job::Read { segment: number, offset, bytes, is_last })
    }

    /// A group is on disk: what the head has no room for leaves memory.
    fn wrote(&mut self, number: u64, mut offset: u64, records: &[Record]) {
        let Some(segment) = self.segments.get_mut(number) else { return };
        let first = records.first().map_or(0, |record| record.seq);
        let (mut frames, mut memory_bytes) = (0, 0);
        for (_, kept) in self.frames.range(..first) {
            frames += 1;
            memory_bytes += kept.memory_bytes;
        }
        for record in records {
            self.written = record.seq;
            let at = offset;
            offset += record.bytes;
            // What was acknowledged while it was written is dead there.
            let Some(kept) = self.frames.get_mut(&record.seq) else { continue };
            kept.at = At::Disk(number);
            self.queue.memory_bytes -= kept.memory_bytes;
            segment.live += 1;
            frames += 1;
            memory_bytes += kept.memory_bytes;
            let fits = frames <= self.limits.window && memory_bytes <= self.limits.window_bytes;
            if self.head_end.is_none() && (fits || record.seq <= self.totals.sent_to) {
                continue;
            }
            self.frames.remove(&record.seq);
            self.head_end.get_or_insert(record.seq - 1);
            if segment.unread.records == 0 {
                segment.read_from = at;
            }
            segment.unread.records += 1;
            segment.unread.samples += record.samples;
        }
        segment.bytes = offset;
        self.tidy(number);
    }

    /// A group is not on disk, or may not be: it goes into another segment, since nobody knows what is in this one.
    fn not_written(&mut self, number: u64, records: &[Record], error: String, now_ms: i64) {
        for record in records {
            if let Some(kept) = self.frames.get_mut(&record.seq) {
                kept.at = At::Nowhere;
                self.queue.record_bytes += kept.record_bytes;
            }
        }
        self.disk.trouble = Some(error);
        self.disk.write_at_ms = now_ms.saturating_add(self.limits.retry_ms);
        self.disk.has_given_up = self.disk.is_closing;
        let Some(segment) = self.segments.get_mut(number) else { return };
        segment.is_closed = true;
        if segment.live > 0 {
            let bytes = segment.bytes;
            self.disk.chores.push(Chore::Cut { segment: number, bytes });
        }
        self.tidy(number);
    }

    /// Frames are back in memory. Only those count that are next in order: anything else is not what was written.
    fn took(&mut self, number: u64, chunk: Chunk, now_ms: i64) -> Option<Loss> {
        let segment = self.segments.get_mut(number)?;
        let mut head_end = self.head_end?;
        for frame in chunk.frames {
            let seq = frame.seq;
            if seq <= head_end || seq > self.written || segment.unread.records == 0 {
                continue;
            }
            let samples = rollup::samples_in(&frame);
            segment.unread.records -= 1;
            segment.unread.samples = segment.unread.samples.saturating_sub(samples);
            head_end = seq;
            let Closed { frame, memory_bytes, encoded_bytes } = Closed::new(frame);
            let kept = Kept {
                frame,
                memory_bytes,
                record_bytes: record::record_bytes(encoded_bytes),
                since_ms: now_ms,
                at: At::Disk(number),
            };
            self.frames.insert(seq, kept);
        }
        self.head_end = Some(head_end);
        segment.read_from += chunk.bytes;
        segment.wanted = chunk.wanted;
        if chunk.is_lost || segment.read_from >= segment.bytes {
            return self.give_up(number, "their records are damaged");
        }
        self.end_head();
        None
    }

    /// All of a segment is read that can be: what it still owes is lost.
    fn give_up(&mut self, number: u64, why: &str) -> Option<Loss> {
        let segment: &mut Segment = self.segments.get_mut(number)?;
        let owed = std::mem::take(&mut segment.unread);
        segment.live = segment.live.saturating_sub(owed.records);
        segment.read_from = segment.bytes;
        segment.wanted = 0;
        self.end_head();
        self.tidy(number);
        if owed.records == 0 {
            return None;
        }
        self.totals.unreadable += owed.samples;
        self.drop_samples(owed.samples, true, || {
            format!(
                "{} frames with {} samples could not be read back from the spool: {why}",
                owed.records, owed.samples
            )
        })
    }

    fn end_head(&mut self) {
        if self.segments.unread().records == 0 {
            self.head_end = None;
        }
    }

    /// Gives a segment back when nothing in it counts any more.
    pub(super) fn tidy(&mut self, number: u64) {
        if let Some(Busy::Write { segment, .. }) = &self.disk.busy
            && *segment == number
        {
            return;
        }
        let Some(segment) = self.segments.get_mut(number) else { return };
        if segment.live == 0 && !segment.is_doomed {
            segment.is_doomed = true;
            segment.is_closed = true;
            self.disk.chores.push(Chore::Remove { segment: number });
        }
    }
}
