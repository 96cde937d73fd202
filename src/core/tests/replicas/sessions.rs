//! Sessions between agents, writers and replica 0: dialled, broken, dialled anew, and all that goes over them.

use std::collections::BTreeSet;

use super::{Event, World, replica::Mail};
use crate::{
    core::replicas::share::replica_of,
    wire::session::{to_agent, to_aggregator},
};

/// A message to a replica, and the frames that it tells of as settled, in full.
#[derive(Clone, Debug)]
pub(super) struct Letter {
    pub(super) message: to_aggregator::Message,
    pub(super) settled: Vec<(u32, BTreeSet<u64>)>,
}

/// A session: between whom, and who has not noticed yet that it is over.
#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "facts that do not exclude each other")]
pub(super) struct Link {
    pub(super) from: Who,
    pub(super) replica: u32,
    /// The process that it leads to.
    process: u64,
    is_up_below: bool,
    is_up_above: bool,
    is_broken: bool,
    /// What is on its way is lost.
    is_cut: bool,
    last_up_ms: i64,
    last_down_ms: i64,
    /// Frames that came.
    frames: BTreeSet<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Who {
    /// An agent, and whether it is its session with a writer.
    Agent(usize, bool),
    Writer(u32),
}

impl World {
    pub(super) fn dial(&mut self, who: Who) {
        let replica = match who {
            Who::Agent(at, _) if !self.agents[at].lives() => return,
            Who::Agent(at, false) if self.agents[at].links[0].is_some() => return,
            Who::Agent(at, true) if self.agents[at].links[1].is_some() => return,
            Who::Agent(at, true) => replica_of(self.agents[at].id, self.plan.replicas),
            Who::Agent(_, false) => 0,
            Who::Writer(replica) => match &self.posts[&replica] {
                Some(post) if post.link.is_none() => 0,
                _ => return,
            },
        };
        let Some(process) = self.process_of(replica) else {
            let delay_ms = 50 + self.dice.ms(900);
            return self.later(delay_ms, Event::Dial(who));
        };
        self.next_link += 1;
        let id = self.next_link;
        let link = Link {
            from: who,
            replica,
            process,
            is_up_below: true,
            is_up_above: true,
            is_broken: false,
            is_cut: false,
            last_up_ms: 0,
            last_down_ms: 0,
            frames: BTreeSet::new(),
        };
        self.links.insert(id, link);
        match who {
            Who::Agent(at, to_writer) => {
                self.agents[at].links[usize::from(to_writer)] = Some(id);
                self.agents[at].dialled(usize::from(to_writer));
                self.pump_agent(at);
            }
            Who::Writer(replica) => {
                if let Some(post) = self.posts.get_mut(&replica).unwrap() {
                    post.dialled(id);
                }
                self.pump_replica(replica);
            }
        }
    }

    /// A delay, now and then a long one. Where messages may overtake each other they do not wait for those before.
    fn delay_ms(&mut self, is_data: bool) -> i64 {
        if is_data && !self.is_calm() && self.dice.percent(self.weather.overtakes) {
            self.met.insert("delay");
            return 1 + self.dice.ms(3_000);
        }
        1 + self.dice.ms(40)
    }

    fn send_up(&mut self, id: u64, letter: Letter) {
        let is_data = matches!(letter.message, to_aggregator::Message::Frame(_));
        let delay_ms = self.delay_ms(is_data);
        if is_data && !self.is_calm() && self.dice.percent(self.weather.repeats) {
            let delay_ms = 1 + self.dice.ms(2_000);
            self.later(delay_ms, Event::Up(id, Box::new(letter.clone())));
        }
        let now_ms = self.now_ms;
        let Some(link) = self.links.get_mut(&id) else { return };
        let mut at_ms = now_ms + delay_ms;
        if !is_data {
            at_ms = at_ms.max(link.last_up_ms);
            link.last_up_ms = at_ms;
        }
        // Whatever overtakes, nothing comes before the greeting.
        let at_ms = at_ms.max(link.last_up_ms);
        self.at(at_ms, Event::Up(id, Box::new(letter)));
    }

    fn send_down(&mut self, id: u64, message: to_agent::Message) {
        let is_data = matches!(message, to_agent::Message::Ack(_));
        let delay_ms = self.delay_ms(is_data);
        if is_data && !self.is_calm() && self.dice.percent(self.weather.repeats) {
            let delay_ms = 1 + self.dice.ms(2_000);
            self.later(delay_ms, Event::Down(id, message.clone()));
        }
        let now_ms = self.now_ms;
        let Some(link) = self.links.get_mut(&id) else { return };
        let mut at_ms = now_ms + delay_ms;
        if !is_data {
            at_ms = at_ms.max(link.last_down_ms);
            link.last_down_ms = at_ms;
        }
        self.at(at_ms, Event::Down(id, message));
    }

    pub(super) fn pump_agent(&mut self, at: usize) {
        for (delay_ms, what) in std::mem::take(&mut self.agents[at].later) {
            self.later(delay_ms, Event::Happens(at, what));
        }
        for way in 0..2 {
            let Some(link) = self.agents[at].links[way] else { continue };
            while self.agents[at].lives()
                && let Some(letter) = self.agents[at].say(way, self.now_ms)
            {
                self.send_up(link, letter);
            }
        }
        if !self.agents[at].lives() {
            self.leave(at);
        }
    }

    /// Its sessions end.
    pub(super) fn leave(&mut self, at: usize) {
        for way in 0..2 {
            if let Some(link) = self.agents[at].links[way].take() {
                self.break_link(link);
            }
        }
    }

    pub(super) fn pump_replica(&mut self, replica: u32) {
        let now_ms = self.now_ms;
        let (mail, writes, process);
        if replica == 0 {
            let Some(leader) = &mut self.leader else { return };
            leader.turn(now_ms);
            self.early_told |= !leader.parts.is_empty();
            mail = std::mem::take(&mut leader.mail);
            writes = std::iter::from_fn(|| leader.pipeline.poll_write(now_ms)).collect::<Vec<_>>();
            process = leader.process;
            leader.carry_out(now_ms);
        } else {
            let Some(post) = self.posts.get_mut(&replica).unwrap() else { return };
            post.carry_out();
            let letter = post.link.and_then(|link| Some((link, post.say(now_ms)?)));
            mail = std::mem::take(&mut post.mail);
            writes = std::iter::from_fn(|| post.pipeline.poll_write(now_ms)).collect();
            process = post.process;
            if let Some((link, letter)) = letter {
                self.send_up(link, letter);
            }
        }
        for write in writes {
            let delay_ms = 2 + self.dice.ms(200);
            self.later(delay_ms, Event::Written(replica, process, write));
        }
        self.post_mail(mail);
        if replica > 0 && self.posts[&replica].as_ref().is_some_and(|post| post.is_dismissed) {
            self.end_replica(replica);
        }
    }

    fn post_mail(&mut self, mail: Mail) {
        for (link, message) in mail.letters {
            self.send_down(link, message);
        }
        for link in mail.closed {
            // What was said before is heard.
            let delay_ms = 50 + self.dice.ms(100);
            if let Some(link) = self.links.get_mut(&link) {
                link.is_up_above = false;
            }
            self.later(delay_ms, Event::ClosedBelow(link));
        }
    }

    pub(super) fn arrive(&mut self, id: u64, letter: Letter) {
        let Some(link) = self.links.get(&id) else { return };
        let (replica, process) = (link.replica, link.process);
        if link.is_cut || !link.is_up_above || self.process_of(replica) != Some(process) {
            return;
        }
        if let to_aggregator::Message::Frame(frame) = &letter.message {
            self.note(id, frame.seq);
        }
        let now_ms = self.now_ms;
        if replica == 0 {
            if let Some(leader) = &mut self.leader {
                leader.take(id, letter, now_ms);
            }
        } else if let Some(post) = self.posts.get_mut(&replica).unwrap() {
            post.take(id, letter, now_ms);
        }
        self.pump_replica(replica);
    }

    /// A frame comes: where it comes again or out of order, that is noted.
    fn note(&mut self, id: u64, seq: u64) {
        let Some(link) = self.links.get_mut(&id) else { return };
        let Who::Agent(at, _) = link.from else { return };
        if link.frames.last().is_some_and(|last| *last > seq) {
            self.met.insert("reorder");
        }
        if !link.frames.insert(seq) {
            self.met.insert("duplicate");
        }
        let known = match self.posts.get(&link.replica) {
            None => self.leader.as_ref().map(|leader| &leader.known),
            Some(post) => post.as_ref().map(|post| &post.known),
        };
        let settled = known.and_then(|known| known.get(&self.agents[at].id));
        if settled.is_some_and(|settled| settled.contains(&seq)) {
            self.met.insert("duplicate of what is settled");
        }
    }

    pub(super) fn deliver(&mut self, id: u64, message: to_agent::Message) {
        let Some(link) = self.links.get(&id).filter(|link| link.is_up_below && !link.is_cut) else {
            return;
        };
        let now_ms = self.now_ms;
        match link.from {
            Who::Agent(at, to_writer) => {
                if self.agents[at].lives() {
                    self.agents[at].hear(usize::from(to_writer), message, now_ms);
                    self.pump_agent(at);
                }
            }
            Who::Writer(replica) => {
                let post = self.posts.get_mut(&replica).unwrap().as_mut();
                if let Some(post) = post.filter(|post| post.link == Some(id)) {
                    post.obey(&message);
                }
                self.pump_replica(replica);
            }
        }
    }

    /// Both ends notice, each in its own time; what is on its way is lost, or is not.
    pub(super) fn break_link(&mut self, id: u64) {
        let is_cut = self.dice.percent(50);
        let (above_ms, below_ms) = (self.dice.ms(9_000), self.dice.ms(2_000));
        let Some(link) = self.links.get_mut(&id).filter(|link| !link.is_broken) else { return };
        (link.is_broken, link.is_cut) = (true, is_cut);
        self.later(if is_cut { above_ms } else { above_ms.min(500) + 50 }, Event::ClosedAbove(id));
        self.later(below_ms, Event::ClosedBelow(id));
    }

    pub(super) fn close_above(&mut self, id: u64) {
        let Some(link) = self.links.get_mut(&id).filter(|link| link.is_up_above) else { return };
        link.is_up_above = false;
        let (replica, process) = (link.replica, link.process);
        if self.process_of(replica) != Some(process) {
            return;
        }
        let now_ms = self.now_ms;
        if replica == 0 {
            if let Some(leader) = &mut self.leader {
                leader.closed(id, now_ms);
            }
        } else if let Some(post) = self.posts.get_mut(&replica).unwrap() {
            post.writer.closed(crate::core::rally::input::SessionId(id));
        }
        self.pump_replica(replica);
    }

    pub(super) fn close_below(&mut self, id: u64) {
        let Some(link) = self.links.get_mut(&id).filter(|link| link.is_up_below) else { return };
        link.is_up_below = false;
        let (from, is_up_above) = (link.from, link.is_up_above);
        if is_up_above {
            let delay_ms = self.dice.ms(500);
            self.later(delay_ms, Event::ClosedAbove(id));
        }
        let now_ms = self.now_ms;
        match from {
            Who::Agent(at, to_writer) => {
                let way = usize::from(to_writer);
                if self.agents[at].links[way] == Some(id) && self.agents[at].lives() {
                    self.agents[at].down(way, now_ms);
                    let delay_ms = 50 + self.dice.ms(900);
                    self.later(delay_ms, Event::Dial(from));
                    self.pump_agent(at);
                }
            }
            Who::Writer(replica) => {
                if let Some(post) = self.posts.get_mut(&replica).unwrap()
                    && post.link == Some(id)
                {
                    post.down();
                    let delay_ms = 50 + self.dice.ms(900);
                    self.later(delay_ms, Event::Dial(from));
                }
            }
        }
    }
}
