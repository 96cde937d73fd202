//! All instances, with the counts and sets that decisions need kept up to date: no question walks over all of them.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::{
    input::SessionId,
    runner::{Account, Loss, Runner},
};
use crate::wire::{result::OutputAccount, session::AgentPhase};

/// What a runner adds to the sums, as it was last added.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Share {
    is_ready: bool,
    is_running: bool,
    vus: u64,
    account: Account,
}

/// All instances.
#[derive(Debug)]
pub struct Roster {
    outputs: Vec<String>,
    runners: BTreeMap<u32, Runner>,
    shares: BTreeMap<u32, Share>,
    sessions: BTreeMap<SessionId, u32>,
    away: BTreeSet<(i64, u32)>,
    unready: BTreeSet<u32>,
    unended: BTreeSet<u32>,
    unsettled: BTreeSet<u32>,
    lost: BTreeSet<u32>,
    silent: BTreeSet<u32>,
    has_started: bool,
    ready_count: u32,
    running_count: u32,
    vus: u64,
    total: Account,
    started_unix_ns: Option<i64>,
    ended_unix_ns: Option<i64>,
}

impl Roster {
    /// `instances` instances that nobody has heard of.
    pub fn new(instances: u32, outputs: Vec<String>) -> Self {
        let mut roster = Self {
            outputs,
            runners: (1..=instances).map(|id| (id, Runner::default())).collect(),
            shares: BTreeMap::new(),
            sessions: BTreeMap::new(),
            away: BTreeSet::new(),
            unready: BTreeSet::new(),
            unended: BTreeSet::new(),
            unsettled: BTreeSet::new(),
            lost: BTreeSet::new(),
            silent: BTreeSet::new(),
            has_started: false,
            ready_count: 0,
            running_count: 0,
            vus: 0,
            total: Account::default(),
            started_unix_ns: None,
            ended_unix_ns: None,
        };
        (1..=instances).for_each(|id| roster.refresh(id));
        roster
    }

    /// The instance, if the run has it.
    pub fn get(&self, id: u32) -> Option<&Runner> {
        self.runners.get(&id)
    }

    /// The instance of a session.
    pub fn of_session(&self, session: SessionId) -> Option<u32> {
        self.sessions.get(&session).copied()
    }

    /// All instances, by id.
    pub fn iter(&self) -> impl Iterator<Item = (u32, &Runner)> {
        self.runners.iter().map(|(id, runner)| (*id, runner))
    }

    /// Changes an instance and keeps all counts right.
    pub fn update(&mut self, id: u32, change: impl FnOnce(&mut Runner)) {
        let Some(runner) = self.runners.get_mut(&id) else { return };
        let (session, back_by) = (runner.session, runner.back_by_ms);
        change(runner);
        let (new_session, new_back_by) = (runner.session, runner.back_by_ms);
        if session != new_session {
            session.map(|old| self.sessions.remove(&old));
            new_session.map(|new| self.sessions.insert(new, id));
        }
        if back_by != new_back_by {
            back_by.map(|old| self.away.remove(&(old, id)));
            new_back_by.map(|new| self.away.insert((new, id)));
        }
        self.refresh(id);
    }

    /// A frame of an instance is held in this process. No count of all depends on it.
    pub fn hold(&mut self, id: u32, samples: u64) {
        if let Some(runner) = self.runners.get_mut(&id) {
            runner.held = runner.held.saturating_add(samples);
        }
    }

    /// So much of what is held is settled. No count of all depends on it.
    pub fn settle_early(&mut self, samples: &BTreeMap<u32, u64>) {
        for (id, runner) in &mut self.runners {
            runner.settled_early = samples.get(id).copied().unwrap_or(0);
        }
    }

    /// From now on every instance counts as a part of the load, known or not.
    pub fn set_started(&mut self) {
        self.has_started = true;
        for id in self.runners.keys().copied().collect::<Vec<_>>() {
            self.refresh(id);
        }
    }

    /// Whether the load has begun.
    pub fn has_started(&self) -> bool {
        self.has_started
    }

    /// Marks an instance as lost.
    pub fn lose(&mut self, id: u32, loss: Loss) {
        self.update(id, |runner| {
            runner.loss = Some(loss);
            runner.back_by_ms = None;
        });
    }

    /// The instance that should be back first, and by when.
    pub fn first_away(&self) -> Option<(i64, u32)> {
        self.away.first().copied()
    }

    /// Instances that are not both connected and ready.
    pub fn unready(&self) -> &BTreeSet<u32> {
        &self.unready
    }

    /// Instances whose load is not over, lost ones not counted.
    pub fn unended(&self) -> &BTreeSet<u32> {
        &self.unended
    }

    /// Instances that may still hand samples over.
    pub fn unsettled(&self) -> &BTreeSet<u32> {
        &self.unsettled
    }

    /// Lost instances.
    pub fn lost(&self) -> &BTreeSet<u32> {
        &self.lost
    }

    /// Lost instances that are away, and had not told that all their samples are settled.
    pub fn silent(&self) -> &BTreeSet<u32> {
        &self.silent
    }

    /// Sessions open.
    pub fn session_count(&self) -> usize {
        self.sessions.len()
    }

    /// Instances that are ready or past that.
    pub fn ready_count(&self) -> u32 {
        self.ready_count
    }

    /// Instances that run iterations now.
    pub fn running_count(&self) -> u32 {
        self.running_count
    }

    /// VUs now.
    pub fn vus(&self) -> u64 {
        self.vus
    }

    /// The account of all instances.
    pub fn total(&self) -> &Account {
        &self.total
    }

    /// When the first instance started its load.
    pub fn started_unix_ns(&self) -> Option<i64> {
        self.started_unix_ns
    }

    /// When the last instance ended its load, of those that have.
    pub fn ended_unix_ns(&self) -> Option<i64> {
        self.ended_unix_ns
    }

    /// The instance to run teardown: the lowest whose k6 waits at the end of its load. A lower one that may come back
    /// goes first, since it may have run it for a former aggregator; then the error is true.
    ///
    /// # Errors
    /// When there is none now.
    pub fn teardown_candidate(&self) -> Result<(u32, Arc<str>), bool> {
        for (id, runner) in self.runners.iter().filter(|(_, runner)| runner.loss.is_none()) {
            match (&runner.incarnation, runner.phase()) {
                (None, _) if runner.back_by_ms.is_some() => return Err(true),
                (Some(incarnation), AgentPhase::Ended) if runner.session.is_some() => {
                    return Ok((*id, incarnation.clone()));
                }
                (Some(_), AgentPhase::Ended) => return Err(true),
                _ => {}
            }
        }
        Err(false)
    }

    /// Instances that were never heard of, though a former aggregator knew them, must be here by then.
    pub fn want_back_unknown(&mut self, by_ms: i64) {
        let unknown = self.runners.iter().filter(|(_, runner)| {
            !runner.is_known() && runner.loss.is_none() && runner.back_by_ms.is_none()
        });
        for id in unknown.map(|(id, _)| *id).collect::<Vec<_>>() {
            self.update(id, |runner| runner.back_by_ms = Some(by_ms));
        }
    }

    fn refresh(&mut self, id: u32) {
        let Some(runner) = self.runners.get(&id) else { return };
        let (started, ended) = (runner.report.started_unix_ns, runner.report.ended_unix_ns);
        if started > 0 {
            self.started_unix_ns = Some(self.started_unix_ns.map_or(started, |ns| ns.min(started)));
        }
        if ended > 0 {
            self.ended_unix_ns = Some(self.ended_unix_ns.map_or(ended, |ns| ns.max(ended)));
        }
        let phase = runner.phase();
        let is_lost = runner.loss.is_some();
        let is_part = runner.is_known() || self.has_started || runner.back_by_ms.is_some();
        let is_settled = runner.is_settled(!self.outputs.is_empty());
        let may_hand_over = if is_lost { runner.session.is_some() } else { is_part };
        let is_there = runner.session.is_some() && !is_lost;
        set(&mut self.unready, id, !(is_there && phase >= AgentPhase::Ready));
        set(&mut self.unended, id, is_part && !is_lost && phase < AgentPhase::Ended);
        set(&mut self.unsettled, id, may_hand_over && !is_settled);
        set(&mut self.lost, id, is_lost);
        set(&mut self.silent, id, is_lost && runner.session.is_none() && !is_settled);
        let share = Share {
            is_ready: runner.is_known() && phase >= AgentPhase::Ready,
            is_running: !is_lost && phase == AgentPhase::Running,
            vus: if is_lost { 0 } else { runner.report.vus },
            account: runner.account(&self.outputs),
        };
        let before = self.shares.insert(id, share.clone()).unwrap_or_default();
        self.ready_count =
            self.ready_count + u32::from(share.is_ready) - u32::from(before.is_ready);
        self.running_count =
            self.running_count + u32::from(share.is_running) - u32::from(before.is_running);
        self.vus = self.vus.wrapping_sub(before.vus).wrapping_add(share.vus);
        if before.account != share.account {
            replace(&mut self.total, &before.account, &share.account);
        }
    }
}

fn set(set: &mut BTreeSet<u32>, id: u32, is_in: bool) {
    if is_in {
        set.insert(id);
    } else {
        set.remove(&id);
    }
}

/// Sums wrap: what was added is taken off again, so that absurd counts of one agent leave with it.
fn replace(total: &mut Account, before: &Account, now: &Account) {
    total.emitted = total.emitted.wrapping_sub(before.emitted).wrapping_add(now.emitted);
    for (name, old) in &before.outputs {
        let sum = total.outputs.entry(name.clone()).or_default();
        sum.stored = sum.stored.wrapping_sub(old.stored);
        for (reason, count) in &old.rejected {
            let left = sum.rejected.entry(reason.clone()).or_default();
            *left = left.wrapping_sub(*count);
        }
    }
    for (name, new) in &now.outputs {
        let sum: &mut OutputAccount = total.outputs.entry(name.clone()).or_default();
        sum.stored = sum.stored.wrapping_add(new.stored);
        for (reason, count) in &new.rejected {
            let so_far = sum.rejected.entry(reason.clone()).or_default();
            *so_far = so_far.wrapping_add(*count);
        }
    }
    for sum in total.outputs.values_mut() {
        sum.rejected.retain(|_, count| *count > 0);
    }
}
