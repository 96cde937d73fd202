//! What keeps pods from starting: named as soon as it is seen, fatal only where no waiting can help.

use std::collections::BTreeMap;

use super::seen::{PodPhase, PodRole, PodSeen, Seen};
use crate::api::v1alpha1::Progress;

/// Pods named in one message; more would hide what they have in common.
pub(super) const NAMED_MAX: usize = 3;

/// What is wrong with one pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Trouble {
    /// The kind of trouble.
    pub(super) kind: Progress,
    /// No waiting can help.
    pub(super) fatal: bool,
    /// Pod and cause, for people.
    pub(super) words: String,
}

/// The troubles of all pods, the aggregator's first, since all others wait for it.
pub(super) fn find(seen: &Seen) -> Vec<Trouble> {
    let newest = newest(seen);
    let of_role = |role: PodRole| {
        let pods = seen.pods.iter().filter(move |pod| pod.role == role);
        pods.filter_map(|pod| trouble(pod, &newest)).collect::<Vec<_>>()
    };
    let mut runners = of_role(PodRole::Runner);
    runners.sort_by_key(|trouble| !trouble.fatal);
    of_role(PodRole::Aggregator).into_iter().chain(runners).collect()
}

/// The pods that have not started and do not say why, for the end of a deadline.
pub(super) fn silent(seen: &Seen) -> Vec<String> {
    let newest = newest(seen);
    let slow = |pod: &&PodSeen| pod.phase == PodPhase::Pending && trouble(pod, &newest).is_none();
    seen.pods
        .iter()
        .filter(slow)
        .map(|pod| match &pod.node {
            Some(node) => {
                format!("{} is still starting on node {node}; its events tell why", who(pod))
            }
            None => format!("{} is not scheduled yet", who(pod)),
        })
        .collect()
}

/// When the newest pod of each place was created.
type Newest = BTreeMap<(PodRole, u32), i64>;

fn newest(seen: &Seen) -> Newest {
    let mut newest = Newest::new();
    for pod in &seen.pods {
        let latest = newest.entry((pod.role, pod.index)).or_insert(pod.created_ms);
        *latest = pod.created_ms.max(*latest);
    }
    newest
}

/// One line of the first few, and how many more there are.
pub(super) fn and_more(words: &[String], all: usize) -> String {
    let shown = words.iter().take(NAMED_MAX).cloned().collect::<Vec<_>>().join("; ");
    match all.saturating_sub(words.len().min(NAMED_MAX)) {
        0 => shown,
        more => format!("{shown}; and {more} more"),
    }
}

/// One line for all troubles.
pub(super) fn summary(troubles: &[Trouble]) -> String {
    let words: Vec<_> =
        troubles.iter().take(NAMED_MAX).map(|trouble| trouble.words.clone()).collect();
    and_more(&words, troubles.len())
}

fn trouble(pod: &PodSeen, newest: &Newest) -> Option<Trouble> {
    let who = who(pod);
    let found = |kind: Progress, fatal: bool, words: String| Some(Trouble { kind, fatal, words });
    if pod.deleting_ms.is_some() || pod.phase == PodPhase::Succeeded {
        return None;
    }
    if pod.phase == PodPhase::Failed {
        // Named only until its replacement is there.
        let replaced = newest.get(&(pod.role, pod.index)).is_some_and(|at| *at > pod.created_ms);
        return if replaced {
            None
        } else {
            found(Progress::PodFailed, false, format!("{who} ended: {}", ending(pod)))
        };
    }
    if let Some(message) = &pod.unschedulable {
        return found(
            Progress::Unschedulable,
            false,
            format!("{who} cannot be scheduled: {message}"),
        );
    }
    if let Some(waiting) = &pod.waiting {
        let words = format!("{who}: {}: {}", waiting.reason, waiting.message);
        return match waiting.reason.as_str() {
            "InvalidImageName" => {
                found(Progress::ImagePullFailed, true, format!("{words} (image {})", waiting.image))
            }
            "ErrImagePull"
            | "ImagePullBackOff"
            | "ErrImageNeverPull"
            | "RegistryUnavailable"
            | "ImageInspectError"
            | "SignatureValidationFailed" => found(
                Progress::ImagePullFailed,
                false,
                format!("{words} (image {})", waiting.image),
            ),
            "CrashLoopBackOff" => {
                found(Progress::PodFailed, false, format!("{who} keeps ending: {}", ending(pod)))
            }
            _ => found(Progress::ContainerConfigError, false, words),
        };
    }
    None
}

fn who(pod: &PodSeen) -> String {
    match pod.role {
        PodRole::Runner => format!("instance {} (pod {})", pod.instance_id(), pod.name),
        PodRole::Aggregator => format!("the aggregator (pod {})", pod.name),
    }
}

/// How a pod ended, for people.
pub(super) fn ending(pod: &PodSeen) -> String {
    let mut words = pod.failure_word();
    if let Some(failure) = &pod.failure {
        words =
            format!("{words} (container {}, exit code {})", failure.container, failure.exit_code);
        if !failure.message.is_empty() {
            words = format!("{words}: {}", failure.message);
        }
    } else if let Some(message) = &pod.message {
        words = format!("{words}: {message}");
    }
    words
}
