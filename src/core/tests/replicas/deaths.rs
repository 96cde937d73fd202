//! Deaths: agents and replicas end at any time, and replicas come again, with nothing but what was published.

use std::fmt::Write;

use super::{
    Event, World,
    replica::{Leader, Post},
    sessions::{Link, Who},
};

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Deaths {
    pub(super) agents: u32,
    pub(super) writers: u32,
    pub(super) leaders: u32,
}

impl World {
    pub(super) fn agent_dies(&mut self, at: usize) {
        if self.is_calm() || !self.agents[at].lives() || !self.agents[at].has_started() {
            return;
        }
        writeln!(self.trace, "{} instance {} dies", self.now_ms, self.agents[at].id).unwrap();
        self.deaths.agents += 1;
        self.agents[at].is_dead = true;
        self.leave(at);
        // Kubernetes tells a second later at the earliest; without it there is silence.
        if self.dice.percent(60) {
            let delay_ms = 1_000 + self.dice.ms(8_000);
            self.later(delay_ms, Event::Gone(at));
        }
    }

    pub(super) fn replica_dies(&mut self, replica: u32) {
        if self.process_of(replica).is_none() || self.is_calm() {
            return;
        }
        writeln!(self.trace, "{} replica {replica} dies", self.now_ms).unwrap();
        if replica == 0 {
            self.deaths.leaders += 1;
        } else {
            self.deaths.writers += 1;
        }
        self.end_replica(replica);
        let delay_ms = 300 + self.dice.ms(5_000);
        self.later(delay_ms, Event::ReplicaComes(replica));
    }

    pub(super) fn end_replica(&mut self, replica: u32) {
        if replica == 0 {
            self.leader = None;
        } else {
            self.posts.insert(replica, None);
        }
        let is_its = |link: &Link| link.replica == replica || link.from == Who::Writer(replica);
        let links: Vec<u64> =
            self.links.iter().filter(|(_, link)| is_its(link)).map(|(id, _)| *id).collect();
        for link in links {
            self.break_link(link);
        }
    }

    pub(super) fn replica_comes(&mut self, replica: u32) {
        self.next_process += 1;
        let process = self.next_process;
        if replica == 0 {
            let former = self.former.clone();
            self.leader = Some(Leader::new(process, &self.plan, former, self.now_ms));
        } else {
            self.posts.insert(replica, Some(Post::new(process, &self.plan, replica)));
            self.later(1, Event::Dial(Who::Writer(replica)));
        }
    }
}
