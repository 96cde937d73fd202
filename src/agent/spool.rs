//! The spool's files. One thread does what the spool says, a job at a time, and waits for the disk so that nobody else
//! has to: it holds no lock while it does.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, ErrorKind},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    sync::{Arc, mpsc},
    thread,
    time::Duration,
};

use super::intake::Shared;
use crate::core::samples::spool::{
    Spool,
    job::{Done, Job},
};

/// Bounds of the thread's sleep: it is woken by every change, so they only bound what a mistake could cost.
const SLEEP_MIN: Duration = Duration::from_millis(1);
const SLEEP_MAX: Duration = Duration::from_secs(5);
/// Time that an agent which leaves gives what it could not hand over to reach the disk.
const CLOSE: Duration = Duration::from_secs(2);

/// The thread.
#[derive(Debug)]
pub(super) struct Spooler {
    shared: Arc<Shared>,
    ended: mpsc::Receiver<()>,
}

impl Spooler {
    /// Starts the thread on a folder of its own.
    ///
    /// # Errors
    /// When the folder cannot be made, or the thread not be started.
    pub(super) fn start(dir: PathBuf, shared: Arc<Shared>) -> io::Result<Self> {
        fs::create_dir_all(&dir)?;
        let (end, ended) = mpsc::channel::<()>();
        let mut folder = Folder { dir, open: None };
        let its_shared = shared.clone();
        thread::Builder::new().name("spool".to_owned()).spawn(move || {
            folder.serve(&its_shared);
            // Whoever waits for the end sees it by this.
            drop(end);
        })?;
        Ok(Self { shared, ended })
    }

    /// Has what is in memory alone written, and waits for it a little. May take its time: call it where that hurts nobody.
    pub(super) fn close(self) {
        self.shared.change_spool(Spool::close);
        if self.ended.recv_timeout(CLOSE) == Err(mpsc::RecvTimeoutError::Timeout) {
            tracing::warn!("the spool's disk did not answer in time");
        }
    }
}

impl Drop for Spooler {
    fn drop(&mut self) {
        self.shared.change_spool(Spool::close);
    }
}

/// A folder of segments.
struct Folder {
    dir: PathBuf,
    /// The segment that was written last.
    open: Option<(u64, File)>,
}

impl Folder {
    fn serve(&mut self, shared: &Shared) {
        while let Some(job) = next(shared) {
            let done = self.act(&job);
            let now_ms = shared.now_ms();
            if let Some(loss) = shared.change_spool(|spool| spool.done(done, now_ms)) {
                shared.lose(loss);
            }
            if matches!(job, Job::Read { .. }) {
                shared.changed.notify_one();
            }
        }
        self.open = None;
        // Stays where frames are left in it, for whoever can read them.
        if let Err(error) = fs::remove_dir(&self.dir) {
            tracing::debug!(%error, "the spool's folder stays");
        }
    }

    fn act(&mut self, job: &Job) -> Done {
        let done = match job {
            Job::Write { segment, offset, header, .. } => Done::Did(
                self.write(*segment, *offset, header.is_some(), &job.bytes()).map_err(text),
            ),
            Job::Read { segment, offset, bytes, .. } => {
                match self.read(*segment, *offset, *bytes) {
                    Ok(bytes) => Done::read(job, &bytes),
                    Err(error) => Done::Read(Err(text(error))),
                }
            }
            Job::Cut { segment, bytes } => Done::Did(self.cut(*segment, *bytes).map_err(text)),
            Job::Remove { segment } => Done::Did(self.remove(*segment).map_err(text)),
        };
        if let Done::Did(Err(error)) | Done::Read(Err(error)) = &done {
            tracing::warn!(error, job = name(job), "the spool's disk failed");
        }
        done
    }

    fn write(&mut self, segment: u64, offset: u64, is_new: bool, bytes: &[u8]) -> io::Result<()> {
        let file = match self.open.take() {
            Some((number, file)) if number == segment => file,
            _ => {
                let path = self.path(segment);
                OpenOptions::new().write(true).create_new(is_new).open(path)?
            }
        };
        file.write_all_at(bytes, offset)?;
        file.sync_data()?;
        if is_new {
            // The file's name is in its folder.
            File::open(&self.dir)?.sync_all()?;
        }
        self.open = Some((segment, file));
        Ok(())
    }

    /// Fewer bytes than asked for only where the file ends.
    fn read(&self, segment: u64, offset: u64, bytes: u64) -> io::Result<Vec<u8>> {
        let file = File::open(self.path(segment))?;
        let mut buffer = vec![0; usize::try_from(bytes).unwrap_or(usize::MAX)];
        let mut filled = 0;
        while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            match file.read_at(rest, offset + filled as u64) {
                Ok(0) => break,
                Ok(n) => filled += n,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        buffer.truncate(filled);
        Ok(buffer)
    }

    fn cut(&self, segment: u64, bytes: u64) -> io::Result<()> {
        match OpenOptions::new().write(true).open(self.path(segment)) {
            Ok(file) => file.set_len(bytes),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
        }
    }

    fn remove(&mut self, segment: u64) -> io::Result<()> {
        self.open.take_if(|(number, _)| *number == segment);
        match fs::remove_file(self.path(segment)) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    fn path(&self, segment: u64) -> PathBuf {
        Path::new(&self.dir).join(format!("{segment:08}.segment"))
    }
}

/// Waits for a job; none when there will be no more.
fn next(shared: &Shared) -> Option<Job> {
    let mut spool = shared.spool();
    loop {
        let now_ms = shared.now_ms();
        if let Some(job) = spool.job(now_ms) {
            return Some(job);
        }
        if spool.is_closed() {
            return None;
        }
        let pause_ms = u64::try_from(spool.job_due_ms().saturating_sub(now_ms)).unwrap_or(0);
        let pause = Duration::from_millis(pause_ms).clamp(SLEEP_MIN, SLEEP_MAX);
        spool = shared.wait_for_spool(spool, pause);
    }
}

const fn name(job: &Job) -> &'static str {
    match job {
        Job::Write { .. } => "write",
        Job::Read { .. } => "read",
        Job::Cut { .. } => "cut",
        Job::Remove { .. } => "remove",
    }
}

/// Errors of files are passed on as text: the core knows no files.
#[expect(clippy::needless_pass_by_value, reason = "as map_err wants it")]
fn text(error: io::Error) -> String {
    error.to_string()
}
