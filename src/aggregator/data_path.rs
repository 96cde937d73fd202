//! Frames in, writes out: the pipeline with all that carries out what it decides. Every replica has one.

use std::{collections::BTreeMap, hash::BuildHasher, panic::AssertUnwindSafe, sync::Arc};

use futures::FutureExt;
use tokio::{
    sync::Semaphore,
    task::{JoinError, JoinSet},
};

use super::session::HELD_MAX;
use crate::{
    core::pipeline::{
        batch::BatchId,
        pipeline::{Accepted, Acked, FrameKey, Pipeline, Write},
        retry::{Failure, Written},
    },
    output::output::OpenOutput,
    wire::session::Frame,
};

/// A write that has ended, and how.
pub(super) type Done = Result<(usize, BatchId, Written), JoinError>;

/// The pipeline of one process.
pub(super) struct DataPath {
    pub(super) pipeline: Pipeline,
    pub(super) outputs: Vec<OpenOutput>,
    /// Writes under way.
    pub(super) writes: JoinSet<(usize, BatchId, Written)>,
    held: Arc<Semaphore>,
    costs: BTreeMap<FrameKey, u32>,
}

impl DataPath {
    pub(super) fn new(outputs: Vec<OpenOutput>) -> Self {
        let lanes = outputs.iter().map(|open| open.lane.clone()).collect();
        Self {
            pipeline: Pipeline::new(lanes),
            outputs,
            writes: JoinSet::new(),
            held: Arc::new(Semaphore::new(usize::try_from(HELD_MAX).unwrap_or(1))),
            costs: BTreeMap::new(),
        }
    }

    /// What bounds the frames that are held: a session takes from it for each frame that it reads.
    pub(super) fn room(&self) -> Arc<Semaphore> {
        self.held.clone()
    }

    /// Takes a frame that cost so much room; answers its samples where it is held from now on.
    pub(super) fn accept(
        &mut self,
        key: FrameKey,
        frame: &Frame,
        cost: u32,
        now_ms: i64,
    ) -> Option<u64> {
        match self.pipeline.accept(key.clone(), frame, now_ms) {
            Accepted::Held(samples) => {
                self.costs.insert(key, cost);
                Some(samples)
            }
            Accepted::HeldBefore | Accepted::AckedBefore => {
                self.release(cost);
                None
            }
        }
    }

    /// The next frame to acknowledge. Its room is free.
    pub(super) fn poll_ack(&mut self) -> Option<Acked> {
        let acked = self.pipeline.poll_ack()?;
        if !acked.again
            && let Some(cost) = self.costs.remove(&acked.key)
        {
            self.release(cost);
        }
        Some(acked)
    }

    /// Begins all writes that may begin.
    pub(super) fn begin_writes(&mut self, now_ms: i64) {
        while let Some(write) = self.pipeline.poll_write(now_ms) {
            self.begin(write);
        }
    }

    /// Takes the end of a write.
    pub(super) fn finish(&mut self, done: Done, now_ms: i64) {
        let Ok((lane, batch, written)) = done else { return };
        self.pipeline.finish(lane, batch, written, now_ms, random());
    }

    /// Gives back the room of a frame that is not taken.
    pub(super) fn release(&self, cost: u32) {
        self.held.add_permits(usize::try_from(cost).unwrap_or(0));
    }

    /// Whether agents are kept from sending because too much is held.
    pub(super) fn is_holding_back(&self) -> bool {
        self.held.available_permits() < usize::try_from(HELD_MAX / 8).unwrap_or(0)
    }

    fn begin(&mut self, write: Write) {
        let Some(open) = self.outputs.get(write.lane) else { return };
        let output = open.output.clone();
        self.writes.spawn(async move {
            let Write { lane, batch } = write;
            let written = AssertUnwindSafe(output.write(&batch)).catch_unwind().await;
            let broke = |_| Written::Failed(Failure::Connection, "the write broke off".to_owned());
            (lane, batch.id, written.unwrap_or_else(broke))
        });
    }
}

/// A number for jitter: the standard library's hash seeds are random, and no two are alike.
fn random() -> u64 {
    std::hash::RandomState::new().hash_one(0)
}
