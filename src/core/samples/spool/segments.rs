//! The files of a spool: how long each is, how many of its frames still count, how far it is read.

use std::collections::BTreeMap;

/// One segment file.
#[derive(Debug, Default)]
pub(super) struct Segment {
    /// Bytes that are written and synced: all that may be read.
    pub(super) bytes: u64,
    /// Bytes that the file may have: more than `bytes` while it is written to, and after that failed.
    pub(super) file_bytes: u64,
    /// Frames in it that are neither acknowledged nor lost.
    pub(super) live: u64,
    /// Of these, frames that are nowhere but here.
    pub(super) unread: Unread,
    /// Where the first of them lies.
    pub(super) read_from: u64,
    /// Bytes that the next record needs, where it is longer than a usual read.
    pub(super) wanted: u64,
    /// Nothing is appended any more.
    pub(super) is_closed: bool,
    /// It is being removed.
    pub(super) is_doomed: bool,
}

/// Frames on disk alone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Unread {
    pub(super) records: u64,
    pub(super) samples: u64,
}

/// All segments, by number from 1.
#[derive(Debug, Default)]
pub(super) struct Segments {
    list: BTreeMap<u64, Segment>,
    last: u64,
}

impl Segments {
    /// Bytes that all files may have together.
    pub(super) fn file_bytes(&self) -> u64 {
        self.list.values().map(|segment| segment.file_bytes).sum()
    }

    pub(super) fn get_mut(&mut self, number: u64) -> Option<&mut Segment> {
        self.list.get_mut(&number)
    }

    /// The segment that takes a group of `bytes`, if there is one.
    pub(super) fn open(&self, bytes: u64, segment_bytes: u64) -> Option<u64> {
        let (number, segment) = self.list.last_key_value()?;
        let fits = segment.bytes.saturating_add(bytes) <= segment_bytes;
        (fits && !segment.is_closed && !segment.is_doomed).then_some(*number)
    }

    /// A new segment; the one before takes nothing more.
    pub(super) fn create(&mut self) -> u64 {
        if let Some(mut before) = self.list.last_entry() {
            before.get_mut().is_closed = true;
        }
        self.last += 1;
        self.list.insert(self.last, Segment::default());
        self.last
    }

    /// The number that [`create`](Self::create) gives next.
    pub(super) const fn next(&self) -> u64 {
        self.last + 1
    }

    pub(super) fn forget(&mut self, number: u64) {
        self.list.remove(&number);
    }

    /// The first segment that holds frames which are nowhere else.
    pub(super) fn first_unread(&mut self) -> Option<(u64, &mut Segment)> {
        let mut all = self.list.iter_mut();
        all.find(|(_, segment)| segment.unread.records > 0).map(|(number, s)| (*number, s))
    }

    /// Frames that are on disk alone.
    pub(super) fn unread(&self) -> Unread {
        self.list.values().fold(Unread::default(), |sum, segment| Unread {
            records: sum.records + segment.unread.records,
            samples: sum.samples + segment.unread.samples,
        })
    }
}
