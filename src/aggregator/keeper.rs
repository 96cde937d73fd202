//! What is known of each instance's ledger, on the aggregator's own disk: for the process that follows this one in the
//! same pod, should an instance be gone by then. A file for each instance, replaced whole.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::mpsc,
    thread,
};

use crate::core::ledger::keep::{self, Kept};

/// Files that wait to be written.
const WAITING_MAX: usize = 64;
/// Bytes of one file that is read back: the largest ledger is smaller.
const FILE_BYTES_MAX: u64 = 1 << 28;
/// Bytes of all files together. What has no room is not kept, and the run goes on.
pub const BYTES_MAX: u64 = 1 << 30;
/// Ends the name of a file that is not whole yet.
const PARTIAL: &str = ".partial";

/// The thread that writes.
#[derive(Debug)]
pub(super) struct Keeper {
    to_write: mpsc::SyncSender<(u32, Vec<u8>)>,
}

impl Keeper {
    /// Starts on a folder, which is made if it is not there.
    ///
    /// # Errors
    /// When the folder cannot be made, or the thread not be started.
    pub(super) fn start(dir: PathBuf) -> io::Result<Self> {
        fs::create_dir_all(&dir)?;
        let (to_write, waiting) = mpsc::sync_channel(WAITING_MAX);
        thread::Builder::new()
            .name("keeper".to_owned())
            .spawn(move || write_all(&dir, &waiting))?;
        Ok(Self { to_write })
    }

    /// Has bytes kept for an instance; false when there is no room for them now.
    pub(super) fn keep(&self, instance_id: u32, bytes: Vec<u8>) -> bool {
        self.to_write.try_send((instance_id, bytes)).is_ok()
    }
}

/// All that was kept there. What cannot be read is left out, and told.
pub fn read_all(dir: &Path) -> Vec<Kept> {
    let Ok(entries) = fs::read_dir(dir) else { return Vec::new() };
    let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
    let whole = paths.filter(|path| !path.to_string_lossy().ends_with(PARTIAL));
    whole
        .filter_map(|path| {
            read(&path)
                .inspect_err(|error| tracing::warn!(%error, path = %path.display(), "a kept ledger was not read"))
                .ok()
        })
        .collect()
}

fn read(path: &Path) -> io::Result<Kept> {
    if fs::metadata(path)?.len() > FILE_BYTES_MAX {
        return Err(io::Error::other("too large"));
    }
    keep::read(&fs::read(path)?).map_err(io::Error::other)
}

fn write_all(dir: &Path, waiting: &mpsc::Receiver<(u32, Vec<u8>)>) {
    let mut sizes = std::collections::BTreeMap::new();
    let (mut total, mut is_told) = (0_u64, false);
    while let Ok((instance_id, bytes)) = waiting.recv() {
        let size = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        let before = sizes.get(&instance_id).copied().unwrap_or(0);
        let after = (total - before).saturating_add(size);
        let written = if after > BYTES_MAX {
            Err(io::Error::other("no more room for it"))
        } else {
            replace(dir, instance_id, &bytes)
        };
        match written {
            Ok(()) => {
                total = after;
                sizes.insert(instance_id, size);
            }
            Err(error) if !is_told => {
                is_told = true;
                tracing::warn!(%error, instance_id, "a ledger could not be kept on disk");
            }
            Err(error) => {
                tracing::debug!(%error, instance_id, "a ledger could not be kept on disk");
            }
        }
    }
}

/// No fsync: it is the process that may be gone, and with the node its disk is lost to the next aggregator anyway.
fn replace(dir: &Path, instance_id: u32, bytes: &[u8]) -> io::Result<()> {
    let partial = dir.join(format!("{instance_id}{PARTIAL}"));
    fs::write(&partial, bytes)?;
    fs::rename(&partial, dir.join(instance_id.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        core::ledger::{codec::Detail, ledger::Ledger, merged::Merged, threshold::Rules},
        io::clock,
    };

    fn bytes() -> Vec<u8> {
        let mut merged = Merged::default();
        for message in Ledger::new(&Rules::default(), false).snapshot(Detail::Summary, false) {
            merged.take(3, 7, message).unwrap();
        }
        merged.keep(3, true).unwrap()
    }

    #[test]
    fn what_was_kept_is_found_and_what_is_damaged_is_not() {
        let dir = std::env::temp_dir().join(format!("weir-keeper-{}", clock::unix_ns()));
        assert!(read_all(&dir).is_empty(), "no folder, nothing kept");
        let keeper = Keeper::start(dir.clone()).unwrap();
        assert!(
            keeper.keep(3, vec![1; 50]) && keeper.keep(3, bytes()) && keeper.keep(4, vec![1; 50])
        );
        let patience = std::time::Instant::now();
        while !dir.join("4").exists() {
            assert!(patience.elapsed().as_secs() < 10, "the file is written");
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        fs::write(dir.join("5.partial"), b"half").unwrap();
        let kept = read_all(&dir);
        assert_eq!(kept.iter().map(|kept| kept.instance_id).collect::<Vec<_>>(), [3]);
        fs::remove_dir_all(dir).unwrap();
    }
}
