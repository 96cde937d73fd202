//! What keeps pods from starting: named as soon as it is seen, fatal only where no waiting can help.

use std::collections::BTreeMap;

use super::seen::{PodPhase, PodRole, PodSeen, Seen};
use crate::api::v1alpha1::Progress;

/// Pods named in one message; more would hide what they have in common.
pub(super) const NAMED_MAX: usize = 3;

/// Longest cause quoted; kubelets nest one error in the other.
const CAUSE_CHARS_MAX: usize = 300;

/// What is wrong with one pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Trouble {
    /// The kind of trouble.
    pub(super) kind: Progress,
    /// No waiting can help.
    pub(super) fatal: bool,
    /// The pod, for people.
    who: String,
    /// The cause, for people; the same for pods that suffer the same.
    cause: String,
}

/// The troubles of the aggregator's and the writers' pods and, before the start, of the runners', which wait for it.
pub(super) fn find(seen: &Seen, with_runners: bool) -> Vec<Trouble> {
    let newest = newest(seen);
    let of_role = |role: PodRole| {
        let pods = seen.pods.iter().filter(move |pod| pod.role == role);
        pods.filter_map(|pod| trouble(pod, &newest)).collect::<Vec<_>>()
    };
    let mut runners = if with_runners { of_role(PodRole::Runner) } else { Vec::new() };
    runners.sort_by_key(|trouble| !trouble.fatal);
    let aggregators = [PodRole::Aggregator, PodRole::Writer].into_iter().flat_map(of_role);
    aggregators.chain(runners).collect()
}

/// The pods that have not started and do not say why, and those between two of their ends, for the end of a deadline.
pub(super) fn silent(seen: &Seen) -> Vec<Trouble> {
    let newest = newest(seen);
    let restless: Vec<_> =
        seen.pods.iter().filter(|pod| pod.deleting_ms.is_none()).filter_map(keeps_ending).collect();
    if !restless.is_empty() {
        return restless;
    }
    let slow = |pod: &&PodSeen| pod.phase == PodPhase::Pending && trouble(pod, &newest).is_none();
    let cause = |pod: &PodSeen| match (&pod.node, &pod.starting_image) {
        (Some(node), Some(image)) => {
            format!("still starting image {image} on node {node}; events of the pod tell why")
        }
        (Some(node), None) => format!("still starting on node {node}; events of the pod tell why"),
        (None, _) => "not scheduled yet".to_owned(),
    };
    seen.pods
        .iter()
        .filter(slow)
        .map(|pod| Trouble {
            kind: Progress::Starting,
            fatal: false,
            who: who(pod),
            cause: cause(pod),
        })
        .collect()
}

/// One line for all troubles: pods that suffer the same stand together.
pub(super) fn summary(troubles: &[Trouble]) -> String {
    let mut groups: Vec<(&str, Vec<&str>)> = Vec::new();
    let mut places: BTreeMap<&str, usize> = BTreeMap::new();
    for trouble in troubles {
        let place = *places.entry(&trouble.cause).or_insert(groups.len());
        match groups.get_mut(place) {
            Some((_, pods)) => pods.push(&trouble.who),
            None => groups.push((&trouble.cause, vec![&trouble.who])),
        }
    }
    let words: Vec<_> = groups
        .iter()
        .take(NAMED_MAX)
        .map(|(cause, pods)| format!("{}: {cause}", and_more(pods, pods.len(), ", ")))
        .collect();
    and_more(&words, groups.len(), "; ")
}

/// The first few, and how many more there are.
pub(super) fn and_more(words: &[impl AsRef<str>], all: usize, between: &str) -> String {
    let shown: Vec<_> = words.iter().take(NAMED_MAX).map(AsRef::as_ref).collect();
    match all.saturating_sub(shown.len()) {
        0 => shown.join(between),
        more => format!("{}{between}and {more} more", shown.join(between)),
    }
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

fn trouble(pod: &PodSeen, newest: &Newest) -> Option<Trouble> {
    if pod.deleting_ms.is_some() || pod.phase == PodPhase::Succeeded {
        return None;
    }
    let found = |kind: Progress, fatal: bool, cause: String| Some(of_pod(pod, kind, fatal, &cause));
    if pod.phase == PodPhase::Failed {
        // Named only until its replacement is there.
        let replaced = newest.get(&(pod.role, pod.index)).is_some_and(|at| *at > pod.created_ms);
        return if replaced { None } else { found(Progress::PodFailed, false, ending(pod)) };
    }
    if let Some(message) = &pod.unschedulable {
        return found(Progress::Unschedulable, false, format!("cannot be scheduled: {message}"));
    }
    let Some(waiting) = &pod.waiting else {
        // A kubelet says so only after it has said for a while that the container ended.
        return if pod.is_down { keeps_ending(pod) } else { None };
    };
    let image = || format!("{} of image {}: {}", waiting.reason, waiting.image, waiting.message);
    match waiting.reason.as_str() {
        "InvalidImageName" => found(Progress::ImagePullFailed, true, image()),
        "ErrImagePull"
        | "ImagePullBackOff"
        | "ErrImageNeverPull"
        | "RegistryUnavailable"
        | "ImageInspectError"
        | "SignatureValidationFailed" => found(Progress::ImagePullFailed, false, image()),
        "CrashLoopBackOff" => Some(ends_again(pod)),
        reason => {
            found(Progress::ContainerConfigError, false, format!("{reason}: {}", waiting.message))
        }
    }
}

/// The trouble of a pod that runs, but of which a container failed and was started again.
fn keeps_ending(pod: &PodSeen) -> Option<Trouble> {
    let fails = pod.phase == PodPhase::Running && pod.restarts > 0 && pod.failure.is_some();
    fails.then(|| ends_again(pod))
}

fn ends_again(pod: &PodSeen) -> Trouble {
    of_pod(pod, Progress::PodFailed, false, &format!("keeps ending: {}", ending(pod)))
}

fn of_pod(pod: &PodSeen, kind: Progress, fatal: bool, cause: &str) -> Trouble {
    Trouble { kind, fatal, who: who(pod), cause: cause.chars().take(CAUSE_CHARS_MAX).collect() }
}

fn who(pod: &PodSeen) -> String {
    match pod.role {
        PodRole::Runner => format!("instance {} (pod {})", pod.instance_id(), pod.name),
        PodRole::Aggregator => format!("the aggregator (pod {})", pod.name),
        PodRole::Writer => {
            format!("replica {} of the aggregator (pod {})", pod.index.saturating_add(1), pod.name)
        }
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
