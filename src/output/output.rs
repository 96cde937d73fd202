//! The trait, and how the outputs of a plan are opened.

use std::sync::Arc;

use futures::future::BoxFuture;

use super::timestream::client::TimestreamOutput;
use crate::{
    api::v1alpha1,
    core::{
        dimensions::Kept,
        pipeline::{batch::Batch, lane::LaneConfig, retry::Written},
        samples::rollup::spec::is_rollup,
    },
};

/// Whether an output can be written to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Probe {
    /// It can.
    Ready,
    /// It seems so, but this could not be found out.
    ReadyUnproved(String),
    /// Not yet; worth another look.
    Waiting(String),
    /// Not until a person does something.
    Failed(String),
}

/// A destination of samples. It tries once and says what came of it.
pub trait Output: Send + Sync {
    /// Looks whether writes can succeed, and makes what is to be made.
    fn probe(&self) -> BoxFuture<'_, Probe>;

    /// Writes one batch.
    fn write<'a>(&'a self, batch: &'a Batch) -> BoxFuture<'a, Written>;
}

/// An output with what the pipeline must know of it.
#[derive(Clone)]
pub struct OpenOutput {
    /// Its lane.
    pub lane: LaneConfig,
    /// Its client.
    pub output: Arc<dyn Output>,
}

impl std::fmt::Debug for OpenOutput {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OpenOutput").field("lane", &self.lane).finish_non_exhaustive()
    }
}

/// The outputs of a plan. Nothing is connected yet: what is wrong with one, its probe tells.
pub fn open(outputs: &[v1alpha1::Output]) -> Vec<OpenOutput> {
    let kinds = outputs.iter().filter_map(|output| Some((output, output.timestream.as_ref()?)));
    kinds
        .map(|(output, timestream)| OpenOutput {
            lane: LaneConfig {
                name: output.display_name().to_owned(),
                writes_max: usize::try_from(timestream.max_concurrent_writes).unwrap_or(1).max(1),
                linger_ms: timestream.linger_milliseconds.into(),
                kept: Kept::of(timestream.dimensions.as_ref()),
                is_rollup: is_rollup(timestream.mode),
            },
            output: Arc::new(TimestreamOutput::new(timestream.clone())),
        })
        .collect()
}
