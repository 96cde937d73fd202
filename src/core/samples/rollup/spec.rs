//! Which outputs want rows of a second, and with which dimensions.

use serde::{Deserialize, Serialize};

use crate::{
    api::v1alpha1::{Dimensions, Output, TimestreamMode},
    core::dimensions::Kept,
};

/// Dimensions that rows of a second leave out unless the spec says otherwise: those that tell single samples apart, those
/// whose values have no bound, and those that part the requests of one script so finely that rows are not fewer than
/// samples.
pub const LEFT_OUT: [&str; 9] =
    ["error", "group", "ip", "iter", "method", "name", "trace_id", "url", "vu"];

/// The rows that one output wants.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RollupSpec {
    /// Its place in `spec.outputs`.
    pub output: u32,
    /// `spec.outputs[].timestream.dimensions`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dimensions: Option<Dimensions>,
}

/// What all outputs together want.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Wanted {
    /// Rows of a second; empty where no output wants them.
    pub rollups: Vec<RollupSpec>,
    /// Whether no output wants samples besides.
    pub only: bool,
}

impl Wanted {
    /// As the spec of the outputs has it.
    pub fn of_outputs(outputs: &[Output]) -> Self {
        let mut rollups = Vec::new();
        for (at, output) in (0_u32..).zip(outputs) {
            if let Some(timestream) = output.timestream.as_ref().filter(|t| is_rollup(t.mode)) {
                let dimensions = timestream.dimensions.clone();
                rollups.push(RollupSpec { output: at, dimensions });
            }
        }
        Self { only: !rollups.is_empty() && rollups.len() == outputs.len(), rollups }
    }
}

/// Whether the mode is the one of rows of a second.
pub const fn is_rollup(mode: TimestreamMode) -> bool {
    match mode {
        TimestreamMode::Rollup => true,
        TimestreamMode::Samples => false,
    }
}

/// The dimensions of rows of a second.
pub fn kept(dimensions: Option<&Dimensions>) -> Kept {
    let is_said = dimensions.is_some_and(|said| said.include.is_some() || said.exclude.is_some());
    if is_said {
        Kept::of(dimensions)
    } else {
        Kept::AllBut(LEFT_OUT.into_iter().map(Into::into).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_of_dimensions_takes_the_place_of_the_default() {
        let said = |include: Option<&[&str]>, exclude: Option<&[&str]>| {
            let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
            kept(Some(&Dimensions { include: include.map(names), exclude: exclude.map(names) }))
        };
        let default = kept(None);
        assert!(default.has("status") && default.has("scenario") && default.has("check"));
        assert!(!default.has("url") && !default.has("name") && !default.has("vu"));
        assert_eq!(said(None, None), default);
        assert_eq!(said(None, Some(&[])), Kept::All);
        assert!(said(None, Some(&["url"])).has("name"));
        assert!(
            said(Some(&["name"]), None).has("name") && !said(Some(&["name"]), None).has("status")
        );
    }
}
