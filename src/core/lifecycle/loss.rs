//! Which instances are gone for good after the start, and why.

use std::collections::BTreeMap;

use super::seen::{PodPhase, PodRole, PodSeen, Seen};
use crate::api::v1alpha1::LostRunner;

/// Lost instances named in the status, as its field says.
pub(super) const LOST_NAMED_MAX: usize = 20;
/// A pod that no watch has shown this long after the start does not exist: watches lag by less.
const SETTLE_MS: i64 = 5_000;
/// A pod that outlives its grace by this long is on a node that no longer answers: kubelets are late by less.
const NODE_LOST_MS: i64 = 15_000;

/// The lost instances.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Losses {
    /// By instance, with the word for what took it.
    pub(super) lost: BTreeMap<u32, String>,
    /// When to look again.
    pub(super) next_ms: Option<i64>,
}

/// Finds the instances lost since the start, of `instances` in all. What the status named once stays lost; the
/// aggregator's own findings are added, in the words of the pod where it has some.
pub(super) fn find(seen: &Seen, instances: u32, started_ms: Option<i64>, now_ms: i64) -> Losses {
    let mut losses = Losses::default();
    let named = seen.run.status.iter().flat_map(|status| &status.runners.lost_instances);
    let published = seen.result.iter().flat_map(|result| &result.lost);
    for lost in published.chain(named) {
        losses.lost.insert(lost.instance_id, lost.reason.clone());
    }
    let Some(started_ms) = started_ms else { return losses };
    let pods = pods_at_start(seen, started_ms);
    let mut at_latest = |at_ms: i64| {
        losses.next_ms = Some(losses.next_ms.map_or(at_ms, |next: i64| next.min(at_ms)));
    };
    for instance in 1..=instances {
        let reason = match pods.get(&instance) {
            Some(pod) if pod.phase == PodPhase::Failed => Some(pod.failure_word()),
            Some(pod) if pod.is_active() => match pod.deleting_ms {
                Some(at_ms) if at_ms + NODE_LOST_MS <= now_ms => Some("NodeLost".to_owned()),
                Some(at_ms) => {
                    at_latest(at_ms + NODE_LOST_MS);
                    None
                }
                None => None,
            },
            Some(_) => None,
            None if started_ms + SETTLE_MS <= now_ms => Some("Deleted".to_owned()),
            None => {
                at_latest(started_ms + SETTLE_MS);
                None
            }
        };
        match (reason, losses.lost.get_mut(&instance)) {
            (Some(reason), None) => {
                losses.lost.insert(instance, reason);
            }
            // A pod that is gone says less than what was known of it.
            (Some(reason), Some(known)) if reason != "Deleted" => *known = reason,
            _ => {}
        }
    }
    losses
}

/// The runner pod of each instance that was there when the load started: a later one only replaces it in the Job's
/// eyes, and does not run k6.
fn pods_at_start(seen: &Seen, started_ms: i64) -> BTreeMap<u32, &PodSeen> {
    let mut pods: BTreeMap<u32, &PodSeen> = BTreeMap::new();
    let runners = seen.pods.iter().filter(|pod| pod.role == PodRole::Runner);
    for pod in runners.filter(|pod| pod.created_ms <= started_ms) {
        let latest = pods.entry(pod.instance_id()).or_insert(pod);
        if pod.created_ms > latest.created_ms {
            *latest = pod;
        }
    }
    pods
}

impl Losses {
    /// As the status and the aggregator read them: the first of them by number.
    pub(super) fn named(&self) -> Vec<LostRunner> {
        self.lost
            .iter()
            .take(LOST_NAMED_MAX)
            .map(|(instance_id, reason)| LostRunner {
                instance_id: *instance_id,
                reason: reason.clone(),
            })
            .collect()
    }

    /// How many.
    pub(super) fn count(&self) -> u32 {
        u32::try_from(self.lost.len()).unwrap_or(u32::MAX)
    }

    /// One line for people: the first few, and how many more.
    pub(super) fn words(&self) -> String {
        let named: Vec<_> = self
            .lost
            .iter()
            .take(super::trouble::NAMED_MAX)
            .map(|(instance, reason)| format!("instance {instance}: {reason}"))
            .collect();
        super::trouble::and_more(&named, self.lost.len(), "; ")
    }
}
