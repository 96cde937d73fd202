//! k6's samples: a pipe, read by a thread of its own, so that k6 never waits for us.

use std::{
    collections::BTreeMap,
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use nix::{
    fcntl::{FcntlArg, OFlag, fcntl},
    libc,
    sys::stat::Mode,
    unistd::mkfifo,
};
use tokio::sync::{Notify, mpsc};

use super::reader::Reader;
use crate::core::{
    agent::{events::Input, report::Account},
    ledger::{ledger::Ledger, threshold::Rules},
    samples::{
        framer::Framer,
        spool::{Loss, Spool},
    },
};

/// Bytes that the pipe holds while the thread is busy.
const PIPE_BYTES: i32 = 1 << 20;

/// What the thread and the agent share.
#[derive(Debug)]
pub(super) struct Shared {
    began: Instant,
    spool: Mutex<Spool>,
    /// Told when the spool may have a job.
    spool_changed: Condvar,
    ledger: Mutex<Ledger>,
    /// Tags that k6 does not put on its samples; changed with the ledger.
    pub(super) added: Mutex<Arc<[(String, String)]>>,
    /// Ledgers there have been; changed while the ledger is locked.
    pub(super) ledgers: AtomicU64,
    lost: Mutex<Option<String>>,
    pub(super) emitted: AtomicU64,
    pub(super) unparsable_lines: AtomicU64,
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
        let mut thread = Reader::new(builder, ship_samples, shared.clone());
        thread::Builder::new().name("samples".to_owned()).spawn(move || {
            if let Err(error) = thread.read_all(reader) {
                let text = format!("k6's samples could not be read: {error}");
                shared.lose(Loss { text, fails: true });
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
