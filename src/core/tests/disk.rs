//! A disk in memory that does to an agent's spool what a seed says: torn writes, failed syncs, no space, reads that
//! fail; and rot: bits that flip, pieces that become something else, files that end early or are gone.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::dice::Dice;
use crate::{
    core::samples::spool::job::{Done, Job},
    wire::session::Frame,
};

/// What goes wrong, each in percent of the occasions.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::core) struct Faults {
    pub(in crate::core) write: u64,
    pub(in crate::core) read: u64,
    pub(in crate::core) remove: u64,
    /// In ten thousand steps.
    pub(in crate::core) rot: u64,
    pub(in crate::core) capacity: usize,
}

#[derive(Default)]
pub(in crate::core) struct Disk {
    pub(in crate::core) files: BTreeMap<u64, Vec<u8>>,
    pub(in crate::core) faults: Faults,
    reads_failed: u32,
    /// Frames that were written, by segment.
    written: BTreeMap<u64, BTreeSet<u64>>,
    /// Segments that are not any more what was written.
    rotten: BTreeSet<u64>,
    /// What went wrong.
    pub(in crate::core) met: BTreeSet<&'static str>,
}

impl Disk {
    pub(in crate::core) fn new(faults: Faults) -> Self {
        Self { faults, ..Self::default() }
    }

    pub(in crate::core) fn used(&self) -> usize {
        self.files.values().map(Vec::len).sum()
    }

    /// Whether it explains that a frame cannot be read back: it was written, and is not any more what it was.
    pub(in crate::core) fn may_have_lost(&self, seq: u64) -> bool {
        self.rotten.iter().filter_map(|segment| self.written.get(segment)).any(|s| s.contains(&seq))
    }

    pub(in crate::core) fn act(&mut self, job: &Job, dice: &mut Dice) -> Done {
        let error = |text: &str| Done::Did(Err(text.to_owned()));
        match job {
            Job::Write { segment, offset, header, frames } => {
                let is_gone = self.rotten.contains(segment) && !self.files.contains_key(segment);
                if is_gone {
                    // Who has it open still writes to it, and nobody will read that.
                    if dice.percent(50) {
                        return error("No such file or directory");
                    }
                    self.wrote(*segment, frames);
                    return Done::Did(Ok(()));
                }
                assert_eq!(header.is_some(), !self.files.contains_key(segment), "{job:?}");
                let bytes = job.bytes();
                let room = self.faults.capacity.saturating_sub(self.used());
                let file = self.files.entry(*segment).or_default();
                // Rot may have made the file shorter, but nothing is ever written over.
                assert!(file.len() as u64 <= *offset);
                file.resize(usize::try_from(*offset).unwrap(), 0);
                if bytes.len() > room {
                    file.extend(&bytes[..room]);
                    self.met.insert("full disk");
                    return error("No space left on device");
                }
                if !dice.percent(self.faults.write) {
                    file.extend(bytes);
                    self.wrote(*segment, frames);
                    return Done::Did(Ok(()));
                }
                self.met.insert("torn write");
                let torn = dice.below(bytes.len() + 1);
                file.extend(&bytes[..torn]);
                if dice.percent(50) {
                    // A sync that fails leaves anything.
                    for byte in bytes.get(torn..).unwrap_or_default() {
                        file.push(byte.wrapping_add(1));
                    }
                }
                error("Input/output error")
            }
            Job::Read { segment, offset, bytes, .. } => {
                // Without rot, three failures in a row would be a loss that nothing explains.
                if self.reads_failed < 2 && dice.percent(self.faults.read) {
                    self.reads_failed += 1;
                    self.met.insert("failed read");
                    return Done::Read(Err("Input/output error".to_owned()));
                }
                self.reads_failed = 0;
                let Some(file) = self.files.get(segment) else {
                    assert!(self.rotten.contains(segment), "{job:?}");
                    return Done::Read(Err("No such file or directory".to_owned()));
                };
                let from = usize::try_from(*offset).unwrap().min(file.len());
                let to = usize::try_from(offset + bytes).unwrap().min(file.len());
                Done::read(job, &file[from..to])
            }
            Job::Cut { segment, bytes } => {
                if dice.percent(self.faults.remove) {
                    return error("Input/output error");
                }
                if let Some(file) = self.files.get_mut(segment) {
                    file.truncate(usize::try_from(*bytes).unwrap());
                }
                Done::Did(Ok(()))
            }
            Job::Remove { segment } => {
                if dice.percent(self.faults.remove) {
                    return error("Input/output error");
                }
                self.files.remove(segment);
                Done::Did(Ok(()))
            }
        }
    }

    fn wrote(&mut self, segment: u64, frames: &[Arc<Frame>]) {
        self.written.entry(segment).or_default().extend(frames.iter().map(|frame| frame.seq));
    }

    /// One of the files is not any more what was written.
    pub(in crate::core) fn rot(&mut self, dice: &mut Dice) {
        let at = dice.below(self.files.len());
        let file = self.files.iter_mut().nth(at).filter(|(_, file)| !file.is_empty());
        let Some((segment, file)) = file else { return };
        let segment = *segment;
        self.rotten.insert(segment);
        let at = dice.below(file.len());
        self.met.insert(match dice.below(10) {
            0..5 => {
                file[at] ^= 1 << dice.below(8);
                "a bit flipped"
            }
            5..7 => {
                let end = file.len().min(at + 1 + dice.below(600_usize));
                let other = dice.pick(&[0, 0xff]);
                file[at..end].fill(other);
                "a piece is another"
            }
            7..9 => {
                file.truncate(at);
                "a file was cut"
            }
            _ => {
                self.files.remove(&segment);
                "a file is gone"
            }
        });
    }
}
