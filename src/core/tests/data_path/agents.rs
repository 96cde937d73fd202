//! The agents' steps: k6 emits, frames close, the disk is at work, frames go out and acknowledgements come in.

use super::{START_NS, World, table::number};
use crate::core::samples::{
    decode::{Pairs, Point},
    frame::Closed,
    rollup::samples_in,
};

impl World {
    /// A sample of k6; many share their time with others of their series.
    pub(super) fn emit(&mut self, at: usize) {
        let (dice, agent) = (&mut self.dice, &mut self.agents[at]);
        if agent.is_dead {
            return;
        }
        let value = agent.emitted;
        agent.emitted += 1;
        let tags = [
            ("status".into(), dice.pick(&["200", "404", "500", ""]).into()),
            ("vu".into(), dice.pick(&["1", "2", "3"]).into()),
        ];
        let point = Point {
            metric: dice.pick(&["http_reqs", "http_req_duration", "vus"]).into(),
            time_ns: START_NS + self.now_ms / 20 * 20_000_000,
            value: number(value),
            tags: Pairs(tags.into()),
            metadata: Pairs::default(),
        };
        agent.open.push(value);
        let closed = agent.builder.push(&point, self.now_ms);
        self.take(at, closed);
        let due = self.agents[at].builder.poll(self.now_ms);
        self.take(at, due);
    }

    pub(super) fn take(&mut self, at: usize, closed: Option<Closed>) {
        let (Some(closed), agent) = (closed, &mut self.agents[at]) else { return };
        let samples = samples_in(&closed.frame);
        assert!(self.only_rows || samples == agent.open.len() as u64);
        self.largest = self.largest.max(samples);
        let values: Vec<u64> = agent.open.drain(..usize::try_from(samples).unwrap()).collect();
        let before = agent.spool.totals().dropped;
        drop(agent.spool.push(closed, self.now_ms));
        if agent.spool.totals().dropped > before {
            agent.dropped.extend(values);
        }
    }

    pub(super) fn begin_job(&mut self, at: usize) {
        let agent = &mut self.agents[at];
        if agent.job.is_none() && !agent.is_dead {
            agent.job = agent.spool.job(self.now_ms);
        }
    }

    pub(super) fn end_job(&mut self, at: usize) {
        let agent = &mut self.agents[at];
        let Some(job) = agent.job.take() else { return };
        let done = agent.disk.act(&job, &mut self.dice);
        drop(agent.spool.done(done, self.now_ms));
    }

    pub(super) fn send(&mut self, at: usize) {
        let agent = &mut self.agents[at];
        if agent.is_dead {
            return;
        }
        if let Some(frame) = agent.spool.next_frame() {
            agent.waiting.insert(frame.seq);
            self.up.push((at, frame));
        }
    }

    pub(super) fn acknowledge(&mut self) {
        if self.down.is_empty() {
            return;
        }
        let next = self.dice.below(self.down.len());
        let (at, ack) = if self.dice.percent(5) {
            self.down[next].clone()
        } else {
            self.down.swap_remove(next)
        };
        let agent = &mut self.agents[at];
        if !agent.is_dead {
            agent.waiting.remove(&ack.seq);
            agent.spool.ack(&ack);
        }
    }
}
