//! The books: what replica 0 makes of the samples' account, against what became of each frame.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write,
};

use super::{Event, Table, World, agent::Agent, outputs::output_name, replica::Leader};
use crate::{
    api::v1alpha1::{OutputStatus, Reason},
    core::{
        pipeline::row::Refusal,
        tests::{emitted::is_cut_short, table::is_part},
    },
    wire::{result::RunResult, session::OutputCounts},
};

/// Words for samples that no output was asked about: lost with their instance, no room in its spool, not readable there.
const LOST: [&str; 3] = ["RunnerLost", "SpoolFull", "SpoolUnreadable"];

/// Frames by instance.
pub(super) type Settlements = BTreeMap<u32, BTreeSet<u64>>;

/// What is settled of frames that are not: by instance and frame, of each output.
pub(super) type Parts = BTreeMap<(u32, u64), Vec<OutputCounts>>;

/// What replica 0 published, and what it knew then of the instances whose accounts are in it.
#[derive(Clone, Debug, Default)]
pub(super) struct Published {
    pub(super) result: RunResult,
    pub(super) known: Settlements,
    pub(super) parts: Parts,
}

impl World {
    /// Looks at what replica 0 makes of it all, and publishes it, unless that is too late.
    pub(super) fn look(&mut self) {
        let Some(leader) = &self.leader else { return };
        let result = leader.rally.result();
        if leader.has_ended {
            self.result = Some(result);
            return;
        }
        if self.former.as_ref().is_some_and(|former| former.result == result) {
            return;
        }
        self.looks += 1;
        self.check(leader, &result);
        let counts: Vec<_> =
            result.outputs.iter().map(|o| (o.emitted, o.stored, o.in_flight)).collect();
        let (process, stage) = (leader.process, leader.rally.stage_count());
        let lost: BTreeSet<u32> =
            result.lost_accounts.iter().map(|lost| lost.instance_id).collect();
        let (mut known, mut parts) = (leader.known.clone(), leader.parts.clone());
        known.retain(|id, _| lost.contains(id));
        parts.retain(|(id, _), _| lost.contains(id));
        let is_closing = leader.rally.is_closing();
        if is_closing && self.former.as_ref().is_none_or(|former| former.result.outcome.is_none()) {
            self.check_end(&result);
        }
        writeln!(self.trace, "{} {:?} {counts:?}", self.now_ms, result.stage).unwrap();
        if self.dice.percent(90) || result.outcome.is_some() {
            self.former = Some(Published { result, known, parts });
        }
        if is_closing {
            self.later(20, Event::Published(process, stage));
        }
    }

    /// What became at an output of the samples of which replica 0 knows that they are settled.
    fn counted(&self, leader: &Leader, output: usize) -> OutputCounts {
        let mut counts = OutputCounts { name: output_name(output), ..OutputCounts::default() };
        for (id, frames) in &leader.known {
            add(&mut counts, &self.agent(*id).emitted.counts(output, frames));
        }
        leader
            .parts
            .values()
            .filter_map(|part| part.get(output))
            .for_each(|of| add(&mut counts, of));
        counts
    }

    /// What must hold at every look.
    fn check(&self, leader: &Leader, result: &RunResult) {
        let emitted: u64 = self.agents.iter().map(|agent| agent.emitted.count).sum();
        for (at, (output, table)) in result.outputs.iter().zip(&self.tables).enumerate() {
            let refused: u64 = output.rejected.values().sum();
            assert_eq!(output.emitted, output.stored + refused + output.in_flight, "{output:?}");
            assert!(output.emitted <= emitted, "{emitted} were emitted: {output:?}");
            assert!(output.stored <= table.samples, "{} are: {output:?}", table.samples);
            let OutputCounts { stored, rejected, .. } = self.counted(leader, at);
            let mut told = output.rejected.clone();
            told.retain(|why, _| !LOST.contains(&why.as_str()));
            let (told, due) = ((output.stored, &told), (stored, &rejected));
            if table.has_refused() {
                assert!(is_cut_short(told, due), "{} ms: {output:?}, not {due:?}", self.now_ms);
            } else {
                assert_eq!(told, due, "{} ms: {output:?}", self.now_ms);
            }
        }
    }

    /// What must hold when the outcome is made.
    fn check_end(&self, result: &RunResult) {
        let Some(leader) = &self.leader else { return };
        let outcome = result.outcome.as_ref().expect("it is made");
        let living = || self.agents.iter().filter(|agent| !agent.is_dead);
        // All were lost at one time, or it is a run that passes: nothing is waited for in vain. Only where an instance
        // starts and dies together with replica 0 does nobody know that the load has begun.
        let is_refused =
            |output: &OutputStatus| output.rejected.contains_key(Refusal::OutputFailed.as_str());
        let may_fail = self.agents.iter().any(|agent| agent.has_failed)
            || self.tables.iter().any(Table::has_refused);
        let must_fail =
            living().any(|agent| agent.has_failed) || result.outputs.iter().any(is_refused);
        let is_due = match outcome.reason {
            Reason::ThresholdsMet => !must_fail,
            Reason::OutputFailed => may_fail,
            reason => reason == Reason::RunnersLost,
        };
        let may_be_late = self.deaths.agents > 0 && self.deaths.leaders > 0;
        assert!(is_due || may_be_late, "{}: {}", outcome.reason.as_str(), outcome.message);
        assert!(leader.pipeline.is_empty());
        for (replica, post) in &self.posts {
            let Some(post) = post else { continue };
            assert!(!post.holds(), "replica {replica} holds frames");
            for (id, frames) in &post.known {
                let known = leader.known.get(id);
                let is_told =
                    frames.iter().all(|seq| known.is_some_and(|known| known.contains(seq)));
                assert!(
                    is_told,
                    "of instance {id} replica {replica} knows {frames:?}, not {known:?}"
                );
            }
        }
        living().for_each(Agent::check_end);
        // One that died when all of its samples were settled is not lost: its account is whole. Nor is one that nobody
        // alive has heard of, which has none.
        let is_lost = |agent: &Agent| result.lost.iter().any(|lost| lost.instance_id == agent.id);
        let is_told = |agent: &Agent| leader.known.contains_key(&agent.id) && !is_lost(agent);
        let accounts = self.agents.iter().filter(|agent| !agent.is_dead || is_told(agent));
        let (full, unreadable) =
            accounts.map(Agent::lost).fold((0, 0), |a, b| (a.0 + b.0, a.1 + b.1));
        for (at, (output, table)) in result.outputs.iter().zip(&self.tables).enumerate() {
            assert_eq!(output.in_flight, 0);
            let deaths = self.deaths;
            let may_be_untold =
                deaths.writers + deaths.leaders > 0 && deaths.agents > 0 || table.has_refused();
            if !may_be_untold {
                assert_eq!(output.stored, table.samples, "no row is left out: {output:?}");
            }
            let [lost, told @ ..] = LOST.map(|why| output.rejected.get(why).copied().unwrap_or(0));
            assert_eq!(told, [full, unreadable], "{output:?}");
            assert!(lost == 0 || deaths.agents > 0, "{output:?}");
            for agent in &self.agents {
                let rows = table.rows_of(agent.id);
                if agent.is_dead || table.has_refused() {
                    let due = agent.emitted.rows(at, agent.emitted.frames.keys());
                    assert!(is_part(&rows, due), "rows of nothing that was emitted: {rows:?}");
                } else {
                    let due = agent.emitted.rows(at, &agent.acked);
                    assert_eq!(rows, due, "each sample in one row, and no other");
                }
            }
        }
    }

    fn agent(&self, id: u32) -> &Agent {
        &self.agents[usize::try_from(id).unwrap() - 1]
    }
}

impl Agent {
    /// What must hold at any time of what it knows itself.
    pub(super) fn check(&self) {
        let totals = self.spool.totals();
        let acked = self.emitted.samples(&self.acked);
        let dropped = self.emitted.samples(&self.dropped);
        assert_eq!((totals.acked, totals.dropped - totals.unreadable), (acked, dropped));
        let report = self.machine.report(&self.account());
        assert!(report.acked_but.len() <= 16, "{report:?}");
        let but: BTreeSet<u64> = report.acked_but.iter().copied().collect();
        // What was passed over was dropped, or could not be read back.
        let said = (1..=report.acked_to).filter(|s| !but.contains(s) && self.sent.contains(s));
        assert_eq!(said.collect::<BTreeSet<_>>(), self.acked);
        for (at, counts) in report.outputs.iter().enumerate() {
            assert_eq!(counts.name, output_name(at));
        }
    }

    /// What must hold when all is settled: what is neither acknowledged nor found no room is lost by a disk that rots, and
    /// counted.
    pub(super) fn check_end(&self) {
        let totals = self.spool.totals();
        let unreadable = self.emitted.but([&self.acked, &self.dropped]);
        assert_eq!(totals.unreadable, self.emitted.samples(&unreadable), "{unreadable:?}");
        assert!(unreadable.is_disjoint(&self.sent), "what was sent is in memory");
        assert!(unreadable.iter().all(|seq| self.disk.may_have_lost(*seq)), "{unreadable:?}");
        assert!(self.has_failed || totals.unreadable == 0, "it fails the run");
    }

    /// Samples that found no room, and those that could not be read back.
    pub(super) fn lost(&self) -> (u64, u64) {
        let totals = self.spool.totals();
        (totals.dropped - totals.unreadable, totals.unreadable)
    }
}

fn add(counts: &mut OutputCounts, more: &OutputCounts) {
    counts.stored += more.stored;
    for (why, count) in &more.rejected {
        *counts.rejected.entry(why.clone()).or_default() += count;
    }
}
