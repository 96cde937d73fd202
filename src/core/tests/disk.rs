//! A disk in memory that does to an agent's spool what a seed says: torn writes, failed syncs, no space, reads that
//! fail, bits that flip.

use std::collections::BTreeMap;

use super::dice::Dice;
use crate::core::samples::spool::job::{Done, Job};

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
}

impl Disk {
    pub(in crate::core) fn new(faults: Faults) -> Self {
        Self { faults, ..Self::default() }
    }

    pub(in crate::core) fn used(&self) -> usize {
        self.files.values().map(Vec::len).sum()
    }

    pub(in crate::core) fn act(&mut self, job: &Job, dice: &mut Dice) -> Done {
        let error = |text: &str| Done::Did(Err(text.to_owned()));
        match job {
            Job::Write { segment, offset, header, .. } => {
                assert_eq!(header.is_some(), !self.files.contains_key(segment), "{job:?}");
                let bytes = job.bytes();
                let room = self.faults.capacity.saturating_sub(self.used());
                let file = self.files.entry(*segment).or_default();
                // Rot may have made the file shorter, but nothing is ever written over.
                assert!(file.len() as u64 <= *offset);
                file.resize(usize::try_from(*offset).unwrap(), 0);
                if bytes.len() > room {
                    file.extend(&bytes[..room]);
                    return error("No space left on device");
                }
                if !dice.percent(self.faults.write) {
                    file.extend(bytes);
                    return Done::Did(Ok(()));
                }
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
                    return Done::Read(Err("Input/output error".to_owned()));
                }
                self.reads_failed = 0;
                let file = &self.files[segment];
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

    pub(in crate::core) fn rot(&mut self, dice: &mut Dice) {
        let at = dice.below(self.files.len());
        let Some(file) = self.files.values_mut().nth(at).filter(|file| !file.is_empty()) else {
            return;
        };
        let at = dice.below(file.len());
        if dice.percent(80) {
            file[at] ^= 1 << dice.below(8);
        } else {
            file.truncate(at);
        }
    }
}
