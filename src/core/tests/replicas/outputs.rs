//! The outputs: what each is, and the calls that write to it.

use super::World;
use crate::{
    api::v1alpha1::{Dimensions, InfluxDb, Output, Timestream, TimestreamMode},
    core::{
        dimensions::Kept,
        pipeline::{lane::LaneConfig, pipeline, shape::Shape},
        plan::RunPlan,
        samples::rollup::spec::{self, is_rollup},
        tests::{
            emitted::Makes,
            table::{Rule, Troubles},
        },
    },
};

pub(super) const RULE: Rule = Rule(40);

/// What an output of a run is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Samples,
    Rollup,
    /// Its rows have more dimensions than those of `Rollup`.
    FineRollup,
    /// Its lines have fewer than samples.
    Lines,
}

/// The outputs of a run: each kind alone, and beside others.
pub(super) const RUNS: [&[Kind]; 7] = [
    &[Kind::Samples],
    &[Kind::Samples, Kind::Rollup],
    &[Kind::Rollup],
    &[Kind::Lines],
    &[Kind::FineRollup, Kind::Rollup],
    &[Kind::Samples, Kind::Lines],
    &[Kind::Lines, Kind::FineRollup, Kind::Samples],
];

pub(super) fn output_name(at: usize) -> String {
    format!("output{at}")
}

pub(super) fn output_at(name: &str) -> usize {
    name["output".len()..].parse().unwrap()
}

pub(super) fn outputs(kinds: &[Kind]) -> Vec<Output> {
    let but = |names: &[&str]| {
        let names = names.iter().map(|name| (*name).to_owned()).collect();
        Some(Dimensions { exclude: Some(names), ..Dimensions::default() })
    };
    let timestream = |mode, dimensions| {
        let kind = Timestream { mode, dimensions, ..Timestream::default() };
        Output { timestream: Some(kind), ..Output::default() }
    };
    let outputs = kinds.iter().enumerate().map(|(at, kind)| {
        let output = match kind {
            Kind::Samples => timestream(TimestreamMode::Samples, None),
            Kind::Rollup => timestream(TimestreamMode::Rollup, None),
            Kind::FineRollup => timestream(TimestreamMode::Rollup, but(&[])),
            Kind::Lines => {
                let kind = InfluxDb { dimensions: but(&["vu"]), ..InfluxDb::default() };
                Output { influxdb: Some(kind), ..Output::default() }
            }
        };
        Output { name: Some(output_name(at)), ..output }
    });
    outputs.collect()
}

fn shape(output: &Output) -> Shape {
    match &output.timestream {
        Some(timestream) if is_rollup(timestream.mode) => Shape::Rollup,
        Some(_) => Shape::Records,
        None => Shape::Lines,
    }
}

pub(super) fn makes(plan: &RunPlan) -> Vec<(String, Makes)> {
    let made = plan.outputs.iter().map(|output| {
        let makes = match shape(output) {
            Shape::Rollup => Makes::Rows(spec::kept(output.dimensions())),
            Shape::Records | Shape::Lines => Makes::Samples,
        };
        (output.display_name().to_owned(), makes)
    });
    made.collect()
}

pub(super) fn lanes(plan: &RunPlan) -> Vec<LaneConfig> {
    let lanes = plan.outputs.iter().map(|output| LaneConfig {
        name: output.display_name().to_owned(),
        writes_max: 3,
        linger_ms: 150,
        kept: Kept::of(output.dimensions()),
        shape: shape(output),
    });
    lanes.collect()
}

impl World {
    pub(super) fn written(&mut self, replica: u32, process: u64, write: &pipeline::Write) {
        // Of a process that has died nobody hears, whether or not the call arrived.
        let lives = self.process_of(replica) == Some(process);
        if !lives && self.dice.percent(50) {
            return;
        }
        let is_calm = self.is_calm();
        let table = &mut self.tables[write.lane];
        if is_calm {
            let refuses = table.troubles.refuses;
            table.troubles = Troubles { refuses, ..Troubles::default() };
        }
        let written = table.call(&write.batch, &mut self.dice, self.now_ms);
        if !lives {
            return;
        }
        let (now_ms, random) = (self.now_ms, self.dice.roll());
        let pipeline = match self.posts.get_mut(&replica) {
            None => self.leader.as_mut().map(|leader| &mut leader.pipeline),
            Some(post) => post.as_mut().map(|post| &mut post.pipeline),
        };
        if let Some(pipeline) = pipeline {
            pipeline.finish(write.lane, write.batch.id, written, now_ms, random);
        }
        self.pump_replica(replica);
    }
}
