//! The thread that reads k6's samples, line by line: into the ledger, and into frames.

use std::{
    fs::File,
    io::{self, Read},
    os::fd::AsFd,
    sync::{Arc, PoisonError, atomic::Ordering},
    thread,
    time::Duration,
};

use memchr::memmem;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::intake::Shared;
use crate::core::{
    k6::log,
    ledger::ledger::{self, Ledger},
    samples::{
        decode::Line,
        frame::Closed,
        framer::{self, Framer},
        lines::{Known, Lines, Read as Seen},
    },
};

/// Bytes read at once.
const READ_BYTES: usize = 256 << 10;
/// k6 writes each line by itself. One that finds a reader waiting wakes it, for that one line: so lines are left to gather
/// for so long, in which k6 fills no more than a part of the pipe.
const GATHER: Duration = Duration::from_millis(4);
/// Longest line that is read; k6 writes some 300 bytes.
const LINE_BYTES_MAX: usize = 1 << 20;

/// What is kept of a series that comes again and again.
#[derive(Debug, Default)]
struct Memo {
    ledger: ledger::Memo,
    frame: framer::Memo,
}

/// Reads until the pipe has no writer any more.
pub(super) struct Reader {
    builder: Framer,
    ship_samples: bool,
    shared: Arc<Shared>,
    lines: Lines<Memo>,
    added: Arc<[(String, String)]>,
    /// Which ledger the lines' memos are of.
    ledgers: u64,
    /// The beginning of a line whose end is not read yet.
    carry: Vec<u8>,
    /// Within a line that is too long to be kept.
    skipping: bool,
}

impl Reader {
    pub(super) fn new(builder: Framer, ship_samples: bool, shared: Arc<Shared>) -> Self {
        Self {
            builder,
            ship_samples,
            shared,
            lines: Lines::default(),
            added: Arc::default(),
            ledgers: 0,
            carry: Vec::new(),
            skipping: false,
        }
    }

    pub(super) fn read_all(&mut self, mut pipe: File) -> io::Result<()> {
        let mut buffer = vec![0; READ_BYTES];
        let mut more = false;
        loop {
            if self.wait(&pipe)? {
                if !more {
                    thread::sleep(GATHER);
                }
                let n = pipe.read(&mut buffer)?;
                if n == 0 {
                    break;
                }
                self.take(buffer.get(..n).unwrap_or_default());
                more = n == buffer.len();
            }
            let closed = self.builder.poll(self.now_ms());
            self.place(closed);
        }
        if self.skipping {
            self.shared.unparsable_lines.fetch_add(1, Ordering::Relaxed);
        } else if !self.carry.is_empty() {
            // k6 ends each line: of a sample in it, this k6 did not live to write the rest.
            tracing::warn!(bytes = self.carry.len(), "k6 ended within a line");
        }
        let closed = self.builder.close();
        self.place(closed);
        tracing::debug!(nudged = self.builder.nudged(), "samples ended");
        Ok(())
    }

    /// Whether there is something to read; false when a frame is due before.
    fn wait(&self, pipe: &File) -> io::Result<bool> {
        let timeout = match self.builder.due_ms() {
            Some(due_ms) => {
                let wait_ms = (due_ms - self.now_ms()).max(0);
                PollTimeout::try_from(wait_ms).unwrap_or(PollTimeout::MAX)
            }
            None => PollTimeout::NONE,
        };
        match poll(&mut [PollFd::new(pipe.as_fd(), PollFlags::POLLIN)], timeout) {
            Ok(ready) => Ok(ready > 0),
            Err(nix::Error::EINTR) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    fn take(&mut self, mut bytes: &[u8]) {
        let now_ms = self.now_ms();
        let mut lines = Counted::default();
        let shared = self.shared.clone();
        // Once for all lines of a read: nobody else holds it for longer than a snapshot takes.
        let mut ledger = shared.ledger();
        let ledgers = shared.ledgers.load(Ordering::Relaxed);
        if ledgers != self.ledgers {
            self.ledgers = ledgers;
            self.lines = Lines::default();
            self.added = shared.added.lock().unwrap_or_else(PoisonError::into_inner).clone();
        }
        while let Some(end) = memchr::memchr(b'\n', bytes) {
            let (head, tail) = bytes.split_at(end);
            bytes = tail.get(1..).unwrap_or_default();
            if self.skipping {
                self.skipping = false;
                lines.unparsable += 1;
            } else if self.carry.is_empty() {
                self.line(head, now_ms, &mut ledger, &mut lines);
            } else {
                let mut carry = std::mem::take(&mut self.carry);
                carry.extend_from_slice(head);
                self.line(&carry, now_ms, &mut ledger, &mut lines);
                carry.clear();
                self.carry = carry;
            }
        }
        if !self.skipping {
            self.carry.extend_from_slice(bytes);
        }
        if self.carry.len() > LINE_BYTES_MAX {
            self.carry = Vec::new();
            self.skipping = true;
        }
        self.count(&mut lines);
        self.shared.unparsable_lines.fetch_add(lines.unparsable, Ordering::Relaxed);
    }

    /// Tells how many samples there were since it was told last.
    fn count(&self, lines: &mut Counted) {
        if lines.emitted > 0 {
            self.shared.emitted.fetch_add(std::mem::take(&mut lines.emitted), Ordering::Relaxed);
        }
    }

    /// One line of k6's. Every sample comes by here once: into the ledger, and, where an output wants it, into a frame.
    fn line(&mut self, line: &[u8], now_ms: i64, ledger: &mut Ledger, lines: &mut Counted) {
        let closed = match self.lines.read(line, &self.added) {
            Ok(Seen::Known(Known { point, memo })) => {
                ledger.add_again(point, &mut memo.ledger);
                let builder = self.ship_samples.then_some(&mut self.builder);
                builder.and_then(|to| to.push_again(point, &mut memo.frame, now_ms))
            }
            Ok(Seen::Line(Line::Point(point))) => {
                ledger.add(&point);
                let builder = self.ship_samples.then_some(&mut self.builder);
                builder.and_then(|to| to.push(&point, now_ms))
            }
            Ok(Seen::Line(Line::Metric(definition))) => {
                self.builder.define(&definition);
                ledger.define(&definition);
                return;
            }
            Err(_) if !is_samples(line) => {
                let text = log::shorten(&String::from_utf8_lossy(line));
                tracing::info!(text, "k6 printed");
                return;
            }
            Err(error) => {
                lines.unparsable += 1;
                tracing::debug!(
                    error = crate::io::telemetry::chain(&error),
                    "unparsable line of k6"
                );
                return;
            }
        };
        lines.emitted += u64::from(self.ship_samples);
        if closed.is_some() {
            // Before a frame that holds them is placed, so that no more are framed than were emitted.
            self.count(lines);
            self.place(closed);
        }
    }

    fn place(&mut self, closed: Option<Closed>) {
        let Some(closed) = closed else { return };
        let now_ms = self.now_ms();
        if let Some(loss) = self.shared.change_spool(|spool| spool.push(closed, now_ms)) {
            self.shared.lose(loss);
        }
        self.shared.changed.notify_one();
    }

    fn now_ms(&self) -> i64 {
        self.shared.now_ms()
    }
}

/// Whether a line that cannot be read would be a sample: all that k6 writes of them are objects. Where they come by standard
/// output, other text may stand between two of them, or before one, which is then lost.
fn is_samples(line: &[u8]) -> bool {
    line.starts_with(b"{") || memmem::find(line, br#"{"metric":""#).is_some()
}

#[derive(Default)]
struct Counted {
    /// Samples that are not told yet.
    emitted: u64,
    unparsable: u64,
}
