//! The books: what replica 0 makes of the samples' account, against what became of each frame.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write,
};

use super::{
    Event, World,
    outputs::{output_name, refusal},
    replica::Leader,
};
use crate::{
    api::v1alpha1::Reason,
    wire::{result::RunResult, session::OutputCounts},
};

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
            let agent = &self.agents[usize::try_from(*id).unwrap() - 1];
            for value in frames.iter().flat_map(|seq| &agent.frames[seq]) {
                match refusal(*value) {
                    Some(why) => *counts.rejected.entry(why.as_str().to_owned()).or_default() += 1,
                    None => counts.stored += 1,
                }
            }
        }
        for part in leader.parts.values().filter_map(|part| part.get(output)) {
            counts.stored += part.stored;
            for (why, count) in &part.rejected {
                *counts.rejected.entry(why.clone()).or_default() += count;
            }
        }
        counts
    }

    /// What must hold at every look.
    fn check(&self, leader: &Leader, result: &RunResult) {
        let emitted: u64 = self.agents.iter().map(|agent| agent.emitted).sum();
        for (at, (output, table)) in result.outputs.iter().zip(&self.tables).enumerate() {
            let refused: u64 = output.rejected.values().sum();
            assert_eq!(output.emitted, output.stored + refused + output.in_flight, "{output:?}");
            assert!(output.emitted <= emitted, "{emitted} were emitted: {output:?}");
            assert!(output.stored <= table.len() as u64, "{} are: {output:?}", table.len());
            let OutputCounts { stored, rejected, .. } = self.counted(leader, at);
            let mut told = output.rejected.clone();
            told.retain(|why, _| !["RunnerLost", "SpoolFull"].contains(&why.as_str()));
            assert_eq!((output.stored, told), (stored, rejected), "{} ms: {output:?}", self.now_ms);
        }
    }

    /// What must hold when the outcome is made.
    fn check_end(&self, result: &RunResult) {
        let Some(leader) = &self.leader else { return };
        let outcome = result.outcome.as_ref().expect("it is made");
        // All were lost at one time, or it is a run that passes: nothing is waited for in vain. Only where an instance
        // starts and dies together with replica 0 does nobody know that the load has begun.
        let is_due = matches!(outcome.reason, Reason::RunnersLost | Reason::ThresholdsMet);
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
        for (output, table) in result.outputs.iter().zip(&self.tables) {
            assert_eq!(output.in_flight, 0);
            let deaths = self.deaths;
            if deaths.writers + deaths.leaders == 0 || deaths.agents == 0 {
                assert_eq!(output.stored, table.len() as u64, "no row is left out: {output:?}");
            }
            for agent in self.agents.iter().filter(|agent| !agent.is_dead) {
                let dropped: BTreeSet<u64> =
                    agent.dropped.iter().flat_map(|seq| &agent.frames[seq]).copied().collect();
                let is_due = |value: &u64| refusal(*value).is_none() && !dropped.contains(value);
                let due: BTreeSet<u64> = (0..agent.emitted).filter(is_due).collect();
                let stored = table.range((agent.id, 0)..(agent.id + 1, 0)).map(|(_, value)| *value);
                assert_eq!(stored.collect::<BTreeSet<_>>(), due, "each sample, and no other");
            }
        }
    }
}
