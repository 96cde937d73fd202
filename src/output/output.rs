//! The trait, and how the outputs of a plan are opened.

use std::sync::Arc;

use futures::future::BoxFuture;

use super::{influxdb::client::InfluxDbOutput, timestream::client::TimestreamOutput};
use crate::{
    api::v1alpha1,
    core::{
        dimensions::Kept,
        pipeline::{batch::Batch, lane::LaneConfig, retry::Written, shape::Shape},
        plan::{TOKEN_ENV, token_env},
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
    open_with(outputs, |variable| std::env::var(variable).ok())
}

/// As [`open`], with this environment.
fn open_with(
    outputs: &[v1alpha1::Output],
    environment: impl Fn(&str) -> Option<String>,
) -> Vec<OpenOutput> {
    let kinds = outputs.iter().enumerate().filter_map(|(at, output)| {
        let name = output.display_name().to_owned();
        if let Some(timestream) = &output.timestream {
            return Some(open_timestream(name, timestream));
        }
        let variable = token_env(at);
        let given = |variable: &str| environment(variable).filter(|token| !token.is_empty());
        let token = given(&variable).or_else(|| given(TOKEN_ENV));
        Some(open_influxdb(name, output.influxdb.as_ref()?, &variable, token.as_deref()))
    });
    kinds.collect()
}

fn open_timestream(name: String, spec: &v1alpha1::Timestream) -> OpenOutput {
    OpenOutput {
        lane: LaneConfig {
            name,
            writes_max: usize::try_from(spec.max_concurrent_writes).unwrap_or(1).max(1),
            linger_ms: spec.linger_milliseconds.into(),
            kept: Kept::of(spec.dimensions.as_ref()),
            shape: if is_rollup(spec.mode) { Shape::Rollup } else { Shape::Records },
        },
        output: Arc::new(TimestreamOutput::new(spec.clone())),
    }
}

fn open_influxdb(
    name: String,
    spec: &v1alpha1::InfluxDb,
    variable: &str,
    token: Option<&str>,
) -> OpenOutput {
    OpenOutput {
        lane: LaneConfig {
            name,
            writes_max: usize::try_from(spec.max_concurrent_writes).unwrap_or(1).max(1),
            linger_ms: spec.linger_milliseconds.into(),
            kept: Kept::of(spec.dimensions.as_ref()),
            shape: Shape::Lines,
        },
        output: Arc::new(InfluxDbOutput::new(spec, variable, token)),
    }
}

#[cfg(test)]
mod tests;
