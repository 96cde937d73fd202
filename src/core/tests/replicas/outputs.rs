//! The outputs: what becomes of each sample, and of each call that writes some.

use super::{World, weather::Weather};
use crate::core::{
    dimensions::Kept,
    pipeline::{
        self,
        batch::Batch,
        lane::LaneConfig,
        retry::{Failure, Written},
        row::Refusal,
        shape::Shape,
    },
    plan::RunPlan,
};

/// What becomes of a sample at an output that answers.
pub(super) fn refusal(value: u64) -> Option<Refusal> {
    match value % 40 {
        7 => Some(Refusal::TooOld),
        // A call that holds it is refused as a whole.
        23 => Some(Refusal::Invalid),
        // It is never sent.
        31 => Some(Refusal::NotFinite),
        _ => None,
    }
}

pub(super) fn number(value: u64) -> f64 {
    if refusal(value) == Some(Refusal::NotFinite) {
        f64::NAN
    } else {
        f64::from(u32::try_from(value).unwrap())
    }
}

pub(super) fn output_name(at: usize) -> String {
    format!("output{at}")
}

pub(super) fn lanes(plan: &RunPlan) -> Vec<LaneConfig> {
    let names = plan.outputs.iter().map(|output| output.display_name().to_owned());
    let shapes = [Shape::Records, Shape::Lines];
    let lanes = names.zip(shapes).map(|(name, shape)| LaneConfig {
        name,
        writes_max: 3,
        linger_ms: 150,
        kept: Kept::All,
        shape,
    });
    lanes.collect()
}

impl World {
    pub(super) fn written(
        &mut self,
        replica: u32,
        process: u64,
        write: &pipeline::pipeline::Write,
    ) {
        // Of a process that has died nobody hears, whether or not the call arrived.
        let lives = self.process_of(replica) == Some(process);
        if !lives && self.dice.percent(50) {
            return;
        }
        let written = self.call(write.lane, &write.batch);
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

    fn call(&mut self, lane: usize, batch: &Batch) -> Written {
        let failed = |failure| Written::Failed(failure, "as the seed says".to_owned());
        let Weather { throttles, fails, loses_answers, dead, .. } = self.weather;
        if self.is_calm() {
            return self.apply(lane, batch, batch.records.len());
        }
        if (dead.0..dead.1).contains(&self.now_ms) {
            return failed(Failure::Connection);
        }
        if self.dice.percent(throttles) {
            let patience_ms = u32::try_from(self.now_ms % 2_000).unwrap();
            let says_how_long = self.now_ms % 2 == 0;
            return failed(if says_how_long {
                Failure::ThrottledFor(patience_ms)
            } else {
                Failure::Throttled
            });
        }
        if self.dice.percent(fails) {
            // Nothing, or a part of it, was written.
            let part = if self.dice.percent(50) { self.dice.below(batch.records.len()) } else { 0 };
            drop(self.apply(lane, batch, part));
            return failed(self.dice.pick(&[Failure::Server, Failure::Timeout]));
        }
        let written = self.apply(lane, batch, batch.records.len());
        if self.dice.percent(loses_answers) {
            return failed(self.dice.pick(&[Failure::Timeout, Failure::Connection]));
        }
        written
    }

    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "what `number` made"
    )]
    fn apply(&mut self, lane: usize, batch: &Batch, count: usize) -> Written {
        let values = || batch.records.iter().map(|record| record.value as u64);
        if values().any(|value| refusal(value) == Some(Refusal::Invalid)) {
            return Written::Invalid("a record is bad".to_owned());
        }
        let mut refused = Vec::new();
        for (at, (record, value)) in batch.records.iter().zip(values()).enumerate().take(count) {
            if let Some(refusal) = refusal(value) {
                refused.push((at, refusal));
                continue;
            }
            let dimensions = &record.row.dimensions;
            let id = dimensions.iter().find(|(name, _)| &**name == "instance_id");
            let id = id.and_then(|(_, id)| id.parse().ok()).expect("each row says whose it is");
            self.tables[lane].insert((id, value));
        }
        if refused.is_empty() { Written::Stored } else { Written::Partly(refused) }
    }
}
