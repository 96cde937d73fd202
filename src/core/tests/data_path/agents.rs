//! The agents' steps: k6 emits, frames close, the disk is at work, frames go out and acknowledgements come in.

use super::{START_NS, World};
use crate::core::{
    samples::{frame::Closed, rollup::samples_in},
    tests::emitted::Sample,
};

impl World {
    /// A sample of k6; many share their time with others of their series.
    pub(super) fn emit(&mut self, at: usize) {
        let (dice, agent) = (&mut self.dice, &mut self.agents[at]);
        if agent.is_dead {
            return;
        }
        let late_ms = if dice.percent(2) { dice.ms(3_000) } else { 0 };
        let sample = Sample {
            value: 0,
            time_ns: START_NS + (self.now_ms - late_ms).div_euclid(20) * 20_000_000,
            metric: dice.pick(&["http_reqs", "http_req_duration", "vus"]),
            tags: vec![
                ("status", dice.pick(&["200", "404", "500", ""])),
                ("vu", dice.pick(&["1", "2", "3"])),
            ],
        };
        let point = agent.emitted.emit(sample, self.now_ms);
        let closed = agent.builder.push(&point, self.now_ms);
        self.take(at, closed, i64::MAX);
        let due = self.agents[at].builder.poll(self.now_ms);
        self.take(at, due, self.now_ms);
    }

    /// A frame, of all samples that are due.
    pub(super) fn take(&mut self, at: usize, closed: Option<Closed>, due_ms: i64) {
        let (Some(closed), agent) = (closed, &mut self.agents[at]) else { return };
        let (seq, samples) = (closed.frame.seq, samples_in(&closed.frame));
        agent.emitted.close(&closed.frame, due_ms);
        self.largest = self.largest.max(samples);
        let before = agent.spool.totals().dropped;
        drop(agent.spool.push(closed, self.now_ms));
        if agent.spool.totals().dropped > before {
            agent.dropped.insert(seq);
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
            if !agent.waiting.remove(&ack.seq) {
                self.met.insert("delay");
            }
            let before = agent.spool.totals().acked;
            agent.spool.ack(&ack);
            if agent.spool.totals().acked > before {
                agent.acked.insert(ack.seq);
            }
        }
    }
}
