//! k6's samples: a pipe, read by a thread of its own, so that k6 never waits for us.

use std::{
    collections::BTreeMap,
    fs::{self, File, OpenOptions},
    io::{self, Read},
    os::{fd::AsFd, unix::fs::OpenOptionsExt},
    path::{Path, PathBuf},
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use memchr::memmem;
use nix::{
    fcntl::{FcntlArg, OFlag, fcntl},
    libc,
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::stat::Mode,
    unistd::mkfifo,
};
use tokio::sync::{Notify, mpsc};

use crate::core::{
    agent::{events::Input, report::Account},
    k6::log,
    ledger::{
        ledger::{self, Ledger},
        threshold::Rules,
    },
    samples::{
        decode::Line,
        frame::Closed,
        framer::{self, Framer},
        lines::{Known, Lines, Read as Seen},
        spool::{Loss, Spool},
    },
};

/// Bytes that the pipe holds while the thread is busy.
const PIPE_BYTES: i32 = 1 << 20;
/// Bytes read at once.
const READ_BYTES: usize = 256 << 10;
/// k6 writes each line by itself. One that finds a reader waiting wakes it, for that one line: so lines are left to gather
/// for so long, in which k6 fills no more than a part of the pipe.
const GATHER: Duration = Duration::from_millis(4);
/// Longest line that is read; k6 writes some 300 bytes.
const LINE_BYTES_MAX: usize = 1 << 20;

/// What the thread and the agent share.
#[derive(Debug)]
pub(super) struct Shared {
    began: Instant,
    spool: Mutex<Spool>,
    /// Told when the spool may have a job.
    spool_changed: Condvar,
    ledger: Mutex<Ledger>,
    /// Tags that k6 does not put on its samples; changed with the ledger.
    added: Mutex<Arc<[(String, String)]>>,
    /// Ledgers there have been; changed while the ledger is locked.
    ledgers: AtomicU64,
    lost: Mutex<Option<String>>,
    emitted: AtomicU64,
    unparsable_lines: AtomicU64,
    /// Told when there is a frame to send, or samples were lost.
    pub(super) changed: Notify,
}

impl Shared {
    pub(super) fn new(spool: Spool, began: Instant) -> Self {
        Self {
            began,
            spool: Mutex::new(spool),
            spool_changed: Condvar::new(),
            ledger: Mutex::new(Ledger::new(&Rules::default(), false)),
            added: Mutex::default(),
            ledgers: AtomicU64::new(0),
            lost: Mutex::new(None),
            emitted: AtomicU64::new(0),
            unparsable_lines: AtomicU64::new(0),
            changed: Notify::new(),
        }
    }

    pub(super) fn spool(&self) -> MutexGuard<'_, Spool> {
        self.spool.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does something to the spool that may leave it with a job.
    pub(super) fn change_spool<T>(&self, change: impl FnOnce(&mut Spool) -> T) -> T {
        let changed = change(&mut self.spool());
        self.spool_changed.notify_all();
        changed
    }

    /// Waits until the spool changes, or this time has passed.
    pub(super) fn wait_for_spool<'a>(
        &self,
        spool: MutexGuard<'a, Spool>,
        timeout: Duration,
    ) -> MutexGuard<'a, Spool> {
        let waited = self.spool_changed.wait_timeout(spool, timeout);
        waited.unwrap_or_else(PoisonError::into_inner).0
    }

    /// Samples were lost: told once, and failing the run where the spool says so.
    pub(super) fn lose(&self, loss: Loss) {
        if !loss.fails {
            tracing::warn!(reason = loss.text, "samples are dropped and counted from here on");
            return;
        }
        let mut told = self.lost.lock().unwrap_or_else(PoisonError::into_inner);
        if told.is_none() {
            tracing::error!(reason = loss.text, "samples lost");
            *told = Some(loss.text);
        }
        self.changed.notify_one();
    }

    /// The one clock of all that is shared.
    pub(super) fn now_ms(&self) -> i64 {
        i64::try_from(self.began.elapsed().as_millis()).unwrap_or(i64::MAX)
    }

    pub(super) fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on samples get these tags, and are folded into this one.
    pub(super) fn replace_ledger(&self, ledger: Ledger, added: BTreeMap<String, String>) {
        let mut old = self.ledger();
        *old = ledger;
        *self.added.lock().unwrap_or_else(PoisonError::into_inner) = added.into_iter().collect();
        self.ledgers.fetch_add(1, Ordering::Relaxed);
    }

    /// How samples were lost, once.
    pub(super) fn take_lost(&self) -> Option<String> {
        self.lost.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    pub(super) fn account(&self) -> Account {
        // Before the counter, so that no more are framed than were emitted.
        let totals = self.spool().totals().clone();
        let measured = self.ledger().samples();
        Account {
            totals,
            measured,
            emitted: self.emitted.load(Ordering::Relaxed),
            unparsable_lines: self.unparsable_lines.load(Ordering::Relaxed),
        }
    }
}

/// The pipe, while k6 may write to it.
#[derive(Debug)]
pub(super) struct Intake {
    path: PathBuf,
    /// Keeps the pipe open for writing, so that the thread sees the end of it only when this is dropped and k6 is
    /// gone, and not before k6 has opened it either.
    writer: Option<File>,
}

impl Intake {
    /// Makes the pipe in `dir` and starts the thread. Says [`Input::SamplesEnded`] when all is read.
    ///
    /// # Errors
    /// When the folder or the pipe cannot be made or opened, or the thread not be started.
    pub(super) fn open(
        dir: &Path,
        builder: Framer,
        ship_samples: bool,
        shared: Arc<Shared>,
        inputs: mpsc::Sender<Input>,
    ) -> io::Result<Self> {
        fs::create_dir_all(dir)?;
        let path = dir.join("samples");
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => mkfifo(&path, Mode::S_IRUSR | Mode::S_IWUSR)?,
        }
        // Opened without waiting for a writer; read with waiting.
        let reader = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(&path)?;
        let writer = OpenOptions::new().write(true).open(&path)?;
        fcntl(&reader, FcntlArg::F_SETFL(OFlag::empty()))?;
        if let Err(error) = fcntl(&reader, FcntlArg::F_SETPIPE_SZ(PIPE_BYTES)) {
            tracing::debug!(%error, "pipe keeps its default size");
        }
        let mut thread = Reader {
            builder,
            ship_samples,
            shared,
            lines: Lines::default(),
            added: Arc::default(),
            ledgers: 0,
            carry: Vec::new(),
            skipping: false,
        };
        thread::Builder::new().name("samples".to_owned()).spawn(move || {
            if let Err(error) = thread.read_all(reader) {
                let text = format!("k6's samples could not be read: {error}");
                thread.shared.lose(Loss { text, fails: true });
            }
            // Nobody listens any more when the agent has left.
            drop(inputs.blocking_send(Input::SamplesEnded));
        })?;
        Ok(Self { path, writer: Some(writer) })
    }

    /// Where k6 is to write.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The pipe itself, to be given to k6.
    ///
    /// # Errors
    /// When it is closed, or no more files can be open.
    pub(super) fn writer(&self) -> io::Result<File> {
        let closed = || io::Error::from(io::ErrorKind::BrokenPipe);
        self.writer.as_ref().ok_or_else(closed)?.try_clone()
    }

    /// k6 is gone: the thread may end when it has read all.
    pub(super) fn close(&mut self) {
        self.writer = None;
    }
}

impl Drop for Intake {
    fn drop(&mut self) {
        drop(fs::remove_file(&self.path));
    }
}

/// What is kept of a series that comes again and again.
#[derive(Debug, Default)]
struct Memo {
    ledger: ledger::Memo,
    frame: framer::Memo,
}

struct Reader {
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
    fn read_all(&mut self, mut pipe: File) -> io::Result<()> {
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
        self.shared.unparsable_lines.fetch_add(lines.unparsable, Ordering::Relaxed);
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
        if self.ship_samples {
            // Before a frame that holds it is placed, so that no more are framed than were emitted.
            self.shared.emitted.fetch_add(1, Ordering::Relaxed);
        }
        self.place(closed);
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
    unparsable: u64,
}
