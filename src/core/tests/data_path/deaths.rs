//! What ends before its time: sessions, agents and aggregators, and what the next aggregator knows.

use super::World;
use crate::core::pipeline::pipeline::Pipeline;

impl World {
    /// What is on its way is lost, or comes late, when the next session is up.
    pub(super) fn break_session(&mut self, at: usize) {
        if self.dice.percent(50) {
            self.up.retain(|(from, _)| *from != at);
            self.down.retain(|(to, _)| *to != at);
        }
        self.agents[at].waiting.clear();
        self.agents[at].spool.rewind();
    }

    pub(super) fn die(&mut self, at: usize) {
        if self.dice.below(500) < self.agent_dies && !self.agents[at].is_dead {
            self.agent_deaths += 1;
            self.agents[at].is_dead = true;
            self.agents[at].job = None;
            self.up.retain(|(from, _)| *from != at);
        } else if self.aggregator.is_none() {
            self.come();
        } else if self.dice.below(500) < self.aggregator_dies {
            self.aggregator_deaths += 1;
            self.note_held_back();
            self.aggregator = None;
            // Calls that were under way may have arrived, and nobody hears of it.
            for write in std::mem::take(&mut self.under_way) {
                let table = &mut self.tables[write.lane];
                drop(table.call(&write.batch, &mut self.dice, self.now_ms));
            }
            self.held.clear();
            (0..self.agents.len()).for_each(|at| self.break_session(at));
            self.up.clear();
        }
    }

    /// The next aggregator: agents tell it what they know, and of dead ones the last one has told.
    pub(super) fn come(&mut self) {
        self.aggregator = Some(Pipeline::new(self.lanes.clone()));
        self.failed.clear();
        for agent in self.agents.iter().filter(|agent| !agent.is_dead) {
            self.tally.retain(|(id, _), _| *id != agent.id);
            for (name, counts) in &agent.spool.totals().outputs {
                self.tally.insert((agent.id, name.clone()), counts.clone());
            }
        }
    }

    pub(super) fn note_held_back(&mut self) {
        let lanes = self.aggregator.iter().flat_map(Pipeline::lanes);
        self.held_back += lanes.map(|lane| lane.counts().held_back).sum::<u64>();
    }
}
