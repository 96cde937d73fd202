//! A writer: who dials it, what it settled of their samples, and what of that replica 0 is yet to be told.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use crate::{
    core::{
        pipeline::pipeline::Early,
        plan::RunPlan,
        rally::{input::SessionId, settled::Settled},
        replicas::share::replica_of,
    },
    wire::{
        PROTOCOL,
        session::{
            Finish, Hello, OutputCounts, Report, SettledFrame, Tally, WriterOutput, WriterState,
        },
    },
};

/// Tallies in one message: a few hundred bytes each, and a few thousand where a new session is told all.
const TALLIES_MAX: usize = 500;
/// Shortest time between two states, in milliseconds.
const STATE_MS: i64 = 200;
/// Time between two states when nothing has changed, in milliseconds.
const BEAT_MS: i64 = 1000;

/// One agent process.
type Source = (u32, Arc<str>);

#[derive(Debug, Default)]
struct Agent {
    session: Option<SessionId>,
    held: u64,
    settled: Settled,
    /// Settled frames that replica 0 has not been told of in this session.
    untold: BTreeSet<u64>,
    early: BTreeMap<u64, Early>,
}

/// What a writer knows.
#[derive(Debug)]
pub struct Writer {
    run: String,
    replica: u32,
    replicas: u32,
    instances: u32,
    agents: BTreeMap<Source, Agent>,
    sessions: BTreeMap<SessionId, Source>,
    /// Whose tally replica 0 does not know as it is.
    untold: BTreeSet<Source>,
    outputs: Vec<WriterOutput>,
    /// What replica 0 said last, in this session.
    finish: Finish,
    /// What replica 0 was told last in this session.
    told: Option<WriterState>,
    told_ms: i64,
}

impl Writer {
    /// The writer that is this replica of the run.
    pub fn new(plan: &RunPlan, replica: u32) -> Self {
        Self {
            run: plan.run.to_string(),
            replica,
            replicas: plan.replicas,
            instances: plan.instances,
            agents: BTreeMap::new(),
            sessions: BTreeMap::new(),
            untold: BTreeSet::new(),
            outputs: vec![WriterOutput::default(); plan.outputs.len()],
            finish: Finish::default(),
            told: None,
            told_ms: 0,
        }
    }

    /// Takes an agent in, and answers the session that it had before. What it knows to be settled is a part of its tally
    /// from now on.
    ///
    /// # Errors
    /// Why it cannot be served.
    pub fn opened(
        &mut self,
        session: SessionId,
        hello: &Hello,
    ) -> Result<Option<SessionId>, String> {
        if let Some(why) = self.refusal(hello) {
            return Err(why);
        }
        let source: Source = (hello.instance_id, hello.incarnation.as_str().into());
        let agent = self.agents.entry(source.clone()).or_default();
        agent.settled.take_report(&hello.report.clone().unwrap_or_default());
        let before = agent.session.replace(session);
        before.map(|before| self.sessions.remove(&before));
        self.sessions.insert(session, source.clone());
        self.untold.insert(source);
        Ok(before)
    }

    fn refusal(&self, hello: &Hello) -> Option<String> {
        let Self { run, replica, replicas, instances, .. } = self;
        if hello.protocol != PROTOCOL {
            return Some(format!(
                "protocol {PROTOCOL} is spoken, not {}: agent and writer are of different versions",
                hello.protocol
            ));
        }
        if hello.run != *run {
            return Some(format!("this is a writer of {run}, not {}", hello.run));
        }
        if hello.replica != *replica {
            return Some(format!("this is replica {replica}, not {}", hello.replica));
        }
        let id = hello.instance_id;
        if id == 0 || id > *instances || replica_of(id, *replicas) != *replica {
            return Some(format!(
                "instance {id} is not one of those whose samples replica {replica} of {replicas} writes"
            ));
        }
        None
    }

    /// A session is over. Of an agent that never had a sample here nothing is kept.
    pub fn closed(&mut self, session: SessionId) {
        let Some(source) = self.sessions.remove(&session) else { return };
        let Some(agent) = self.agents.get_mut(&source) else { return };
        agent.session = None;
        if agent.held == 0 && agent.settled.sum().samples == 0 {
            self.agents.remove(&source);
            self.untold.remove(&source);
        }
    }

    /// An agent says which of its frames were acknowledged: they need not be known one by one any more.
    pub fn reported(&mut self, session: SessionId, report: &Report) {
        let Some(source) = self.sessions.get(&session).cloned() else { return };
        self.change(source, |agent| agent.settled.take_report(report));
    }

    /// Whose frames come by this session.
    pub fn source_of(&self, session: SessionId) -> Option<(u32, Arc<str>)> {
        self.sessions.get(&session).cloned()
    }

    /// The session on which an acknowledgement reaches an agent process.
    pub fn session_of(&self, instance_id: u32, incarnation: &Arc<str>) -> Option<SessionId> {
        self.agents.get(&(instance_id, incarnation.clone()))?.session
    }

    /// Sessions of agents.
    pub fn session_count(&self) -> usize {
        self.sessions.len()
    }

    /// A frame of this agent process is held from now on, with so many samples.
    pub fn held(&mut self, instance_id: u32, incarnation: &Arc<str>, samples: u64) {
        self.change((instance_id, incarnation.clone()), |agent| {
            agent.held = agent.held.saturating_add(samples);
        });
    }

    /// A frame that was held, with so many samples, is settled.
    pub fn settled(
        &mut self,
        instance_id: u32,
        incarnation: &Arc<str>,
        (seq, samples): (u64, u64),
        outputs: &[OutputCounts],
    ) {
        self.change((instance_id, incarnation.clone()), |agent| {
            agent.held = agent.held.saturating_sub(samples);
            if agent.settled.settle(seq, samples, outputs) {
                agent.untold.insert(seq);
            }
        });
    }

    /// What became so far of samples whose frames are still held, of each agent process that has such.
    pub fn settled_early(&mut self, early: &BTreeMap<Source, BTreeMap<u64, Early>>) {
        for (source, agent) in &mut self.agents {
            let now = early.get(source).cloned().unwrap_or_default();
            if agent.early != now {
                agent.early = now;
                self.untold.insert(source.clone());
            }
        }
    }

    /// The state of an output changes.
    pub fn set_output(&mut self, at: usize, change: impl FnOnce(&mut WriterOutput)) {
        if let Some(output) = self.outputs.get_mut(at) {
            change(output);
        }
    }

    /// A session with replica 0 is up: it is to be told everything.
    pub fn dialled(&mut self) {
        self.told = None;
        self.finish = Finish::default();
        for agent in self.agents.values_mut() {
            agent.untold = agent.settled.frames().collect();
        }
        self.untold = self.agents.keys().cloned().collect();
    }

    /// The load is over, and these instances are lost.
    pub fn finished(&mut self, finish: Finish) {
        self.finish = finish;
    }

    /// Frames may come of an instance that replica 0 knows to be lost: what it sent before its end is read first.
    fn serves_lost(&self) -> bool {
        let mut lost = self.finish.lost.iter();
        lost.any(|id| self.sessions.values().any(|(served, _)| served == id))
    }

    /// When there is a state to tell, with a session up; times never go back. `in_flight`: frames are held.
    pub fn state_due_ms(&self, in_flight: bool) -> i64 {
        let Some(told) = &self.told else { return i64::MIN };
        let is_changed = !self.untold.is_empty()
            || told.outputs != self.outputs
            || told.order != self.finish.order
            || told.in_flight != (in_flight || self.serves_lost());
        self.told_ms.saturating_add(if is_changed { STATE_MS } else { BEAT_MS })
    }

    /// What replica 0 is to be told now. More follows at once while not all tallies have been told.
    pub fn state(&mut self, in_flight: bool, now_ms: i64) -> WriterState {
        let mut tallies = Vec::new();
        while tallies.len() < TALLIES_MAX
            && let Some(source) = self.untold.pop_first()
        {
            tallies.extend(self.agents.get_mut(&source).map(|agent| agent.tally(&source)));
        }
        let state = WriterState {
            protocol: PROTOCOL,
            run: self.run.clone(),
            replica: self.replica,
            outputs: self.outputs.clone(),
            in_flight: in_flight || !self.untold.is_empty() || self.serves_lost(),
            tallies,
            order: self.finish.order,
        };
        self.told = Some(WriterState { tallies: Vec::new(), ..state.clone() });
        self.told_ms = if self.untold.is_empty() { now_ms } else { now_ms - STATE_MS };
        state
    }

    fn change(&mut self, source: Source, change: impl FnOnce(&mut Agent)) {
        if let Some(agent) = self.agents.get_mut(&source) {
            change(agent);
            self.untold.insert(source);
        }
    }
}

impl Agent {
    fn tally(&mut self, source: &Source) -> Tally {
        let untold = std::mem::take(&mut self.untold);
        let early = self.early.iter().map(|(seq, early)| SettledFrame {
            seq: *seq,
            samples: early.samples,
            outputs: early.outputs.clone(),
        });
        Tally {
            instance_id: source.0,
            incarnation: source.1.to_string(),
            held: self.held,
            early: early.collect(),
            ..self.settled.tally(&untold)
        }
    }
}

#[cfg(test)]
mod tests;
