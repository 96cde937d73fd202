//! What the engine has kept on its disk: of an instance that went away at once, of all others now and then.

use std::{collections::BTreeSet, path::PathBuf};

use super::Engine;
use crate::{
    aggregator::keeper::{self, Keeper},
    core::rally::input::Input,
};

/// Time in which each instance has its turn, in milliseconds.
const ROUND_MS: i64 = 10_000;
/// Time between two steps of it, in milliseconds.
const STEP_MS: i64 = 250;

/// Who is to be kept.
pub(super) struct Keeping {
    keeper: Keeper,
    /// Instances to be kept as soon as there is room.
    waiting: BTreeSet<u32>,
    /// The instance that had its turn last.
    last: u32,
    step_due_ms: i64,
}

impl Engine {
    /// Takes what a former process kept, and keeps from now on.
    pub(super) fn start_keeping(&mut self, dir: PathBuf) {
        for kept in keeper::read_all(&dir) {
            let (instance_id, is_whole) = (kept.instance_id, kept.is_whole);
            match self.verdict.take_kept(kept) {
                Ok(()) => self.tell(Input::Remembered { instance_id, is_whole }),
                Err(error) => tracing::warn!(instance_id, %error, "a kept ledger was not taken"),
            }
        }
        match Keeper::start(dir) {
            Ok(keeper) => {
                let waiting = BTreeSet::new();
                self.keeping = Some(Keeping { keeper, waiting, last: 0, step_due_ms: 0 });
            }
            Err(error) => tracing::warn!(%error, "no ledger can be kept on disk"),
        }
    }

    /// Has an instance kept out of its turn: it came or went.
    pub(super) fn keep_soon(&mut self, instance_id: u32) {
        if let Some(keeping) = &mut self.keeping {
            keeping.waiting.insert(instance_id);
        }
    }

    pub(super) fn keep(&mut self) {
        if self.rally.has_outcome() {
            self.keeping = None;
        }
        let Some(keeping) = &mut self.keeping else { return };
        if self.now_ms >= keeping.step_due_ms {
            keeping.step_due_ms = self.now_ms.saturating_add(STEP_MS);
            let steps = usize::try_from(ROUND_MS / STEP_MS).unwrap_or(1);
            let next = self
                .verdict
                .instances_after(keeping.last, self.verdict.instances().div_ceil(steps));
            keeping.last = next.last().copied().unwrap_or(0);
            // One that is away was kept when it went.
            let is_here = |id: &u32| self.rally.is_connected(*id);
            keeping.waiting.extend(next.into_iter().filter(is_here));
        }
        while let Some(id) = keeping.waiting.first().copied() {
            let bytes = self.verdict.keep(id, !self.rally.is_connected(id));
            if bytes.is_some_and(|bytes| !keeping.keeper.keep(id, bytes)) {
                break;
            }
            keeping.waiting.remove(&id);
        }
    }
}
