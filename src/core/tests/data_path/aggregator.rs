//! The aggregator's steps: frames come in, writes begin and end, acknowledgements go out.

use std::hash::Hash;

use super::World;
use crate::{
    core::{
        pipeline::pipeline::{Accepted, FrameKey, Write},
        samples::rollup::samples_in,
    },
    wire::session::Ack,
};

impl World {
    /// Any of the frames on their way reaches the aggregator, now and then to come again.
    pub(super) fn arrive(&mut self) {
        if self.up.is_empty() || self.held.values().sum::<u64>() >= self.held_max {
            return;
        }
        let Some(pipeline) = &mut self.aggregator else { return };
        let next = self.dice.below(self.up.len());
        let (at, frame) =
            if self.dice.percent(10) { self.up[next].clone() } else { self.up.swap_remove(next) };
        let agent = &self.agents[at];
        if self.up.iter().any(|(from, other)| *from == at && other.seq < frame.seq) {
            self.met.insert("reorder");
        }
        let (instance_id, incarnation) = (agent.id, agent.incarnation.clone());
        let key = FrameKey { instance_id, incarnation, seq: frame.seq };
        (instance_id, frame.seq).hash(&mut self.trace);
        match pipeline.accept(key.clone(), &frame, self.now_ms) {
            Accepted::Held(samples) => {
                assert_eq!(samples, samples_in(&frame));
                assert!(self.held.insert(key, samples).is_none(), "held twice");
            }
            Accepted::HeldBefore => {
                assert!(self.held.contains_key(&key));
                self.met.insert("duplicate");
            }
            Accepted::AckedBefore => {
                assert!(!self.held.contains_key(&key));
                self.met.insert("duplicate of what is settled");
            }
        }
        self.collect();
    }

    pub(super) fn write(&mut self) {
        let Some(pipeline) = &mut self.aggregator else { return };
        if let Some(write) = pipeline.poll_write(self.now_ms) {
            let count = write.batch.records.len();
            let most = pipeline.lanes()[write.lane].shape().records_max();
            assert!((1..=most).contains(&count), "{count} records");
            self.under_way.push(write);
        }
    }

    /// Any of the writes under way ends.
    pub(super) fn answer(&mut self) {
        if self.under_way.is_empty() {
            return;
        }
        let next = self.dice.below(self.under_way.len());
        let Write { lane, batch } = self.under_way.swap_remove(next);
        let written = self.tables[lane].call(&batch, &mut self.dice, self.now_ms);
        (lane, format!("{written:?}")).hash(&mut self.trace);
        let random = self.dice.roll();
        if let Some(pipeline) = &mut self.aggregator {
            pipeline.finish(lane, batch.id, written, self.now_ms, random);
        }
        self.collect();
    }

    /// Takes the acknowledgements that the pipeline has, and puts them on their way.
    fn collect(&mut self) {
        let Some(pipeline) = &mut self.aggregator else { return };
        while let Some((name, _)) = pipeline.poll_fatal() {
            let at = self.lanes.iter().position(|lane| lane.name == name).unwrap();
            assert!(self.tables[at].has_refused(), "{name} fails of itself");
            assert!(self.failed.insert(name), "said once");
        }
        while let Some(acked) = pipeline.poll_ack() {
            let at = usize::try_from(acked.key.instance_id - 1).unwrap();
            if !acked.again {
                let samples = self.held.remove(&acked.key);
                assert_eq!(samples, Some(acked.sample_count), "acknowledged once, and whole");
                for counts in &acked.outputs {
                    let key = (acked.key.instance_id, counts.name.clone());
                    let own = self.tally.entry(key).or_default();
                    own.stored += counts.stored;
                    for (reason, count) in &counts.rejected {
                        *own.rejected.entry(reason.clone()).or_default() += count;
                    }
                }
            }
            self.down.push((at, Ack { seq: acked.key.seq, outputs: acked.outputs }));
        }
    }
}
