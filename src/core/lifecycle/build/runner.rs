//! The runner Job: one Indexed Job, one pod for each k6 instance.

use std::collections::BTreeMap;

use k8s_openapi::{
    api::{
        batch::v1::{Job, JobSpec},
        core::v1::{
            Container, EmptyDirVolumeSource, ExecAction, Lifecycle, LifecycleHandler, PodSpec,
            PodTemplateSpec, ResourceRequirements, TopologySpreadConstraint, Volume,
        },
    },
    apimachinery::pkg::{
        api::resource::Quantity,
        apis::meta::v1::{LabelSelector, ObjectMeta},
    },
};

use super::{
    meta::{Child, Kind, child_labels, child_meta, run_ref, runner_name},
    pod::{SECRET_DIR, container_security, mount, overlaid, secret_volume, security},
    script,
    secret::{CA_KEY, TOKEN_KEY},
    service::{endpoints, writer_endpoints},
    writer::writers,
};
use crate::{
    api::labels,
    core::{
        dimensions,
        lifecycle::{seen::RunSeen, template::INIT_CONTAINER, valid::ValidTest},
        samples::rollup::spec::Wanted,
    },
};

/// The user of the official k6 image; a `runnerTemplate` for another image may name another.
const K6_USER: i64 = 12_345;
/// Where Weir's binary and the agent's working folder are.
const WEIR_DIR: &str = "/weir";
/// Room in that volume besides the spool: the binary, the bundle, what `handleSummary()` returns. Generous, since the
/// kubelet evicts a pod whose volume outgrows its limit.
const WEIR_DIR_SLACK_MIB: u32 = 512;
/// Retries of one instance before the start: a second chance for a pod that fell ill with its node, a third for bad luck.
const RETRIES: i32 = 2;
/// Time from SIGTERM to SIGKILL, in seconds: a graceful stop of k6 takes up to 30, what is left goes to the last samples.
const GRACE_SECONDS: i64 = 60;
/// Shortest time in seconds that an agent works on without an aggregator: a new aggregator pod may have to pull its image.
const ORPHAN_SECONDS_MIN: u32 = 60;

/// The runner Job of a run, with Weir's own `image` in its init container.
pub fn job(test: &ValidTest, run: &RunSeen, image: &str) -> Child {
    let name = runner_name(&run.name);
    let instances = i32::try_from(test.spec().parallelism).unwrap_or(i32::MAX);
    let object = Job {
        metadata: child_meta(run, name.clone(), Some(labels::ROLE_RUNNER)),
        spec: Some(JobSpec {
            completion_mode: Some("Indexed".to_owned()),
            completions: Some(instances),
            parallelism: Some(instances),
            // By index, since a limit for the whole Job would end all instances when a few are lost and tolerated.
            backoff_limit_per_index: Some(RETRIES),
            // Two incarnations of one instance never run at once.
            pod_replacement_policy: Some("Failed".to_owned()),
            template: PodTemplateSpec {
                metadata: Some(pod_meta(run)),
                spec: Some(pod_spec(test, run, image)),
            },
            ..JobSpec::default()
        }),
        status: None,
    };
    Child { kind: Kind::Job, name, object: overlaid(object, test.spec().runner_template.as_ref()) }
}

fn pod_meta(run: &RunSeen) -> ObjectMeta {
    // A node that is scaled away under a running instance would cost the whole run.
    let stay = [
        ("cluster-autoscaler.kubernetes.io/safe-to-evict", "false"),
        ("karpenter.sh/do-not-disrupt", "true"),
    ];
    ObjectMeta {
        labels: Some(child_labels(run, Some(labels::ROLE_RUNNER))),
        annotations: Some(stay.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()),
        ..ObjectMeta::default()
    }
}

fn pod_spec(test: &ValidTest, run: &RunSeen, image: &str) -> PodSpec {
    let k6 = &test.spec().k6;
    let weir = Volume {
        name: "weir".to_owned(),
        empty_dir: Some(EmptyDirVolumeSource {
            size_limit: Some(Quantity(format!(
                "{}Mi",
                test.spec().spool.size_mib + WEIR_DIR_SLACK_MIB
            ))),
            ..EmptyDirVolumeSource::default()
        }),
        ..Volume::default()
    };
    let mut volumes = vec![weir, secret_volume(&run.name, &[CA_KEY, TOKEN_KEY])];
    volumes.extend(script::volume(test, run));
    PodSpec {
        restart_policy: Some("Never".to_owned()),
        automount_service_account_token: Some(false),
        enable_service_links: Some(false),
        termination_grace_period_seconds: Some(GRACE_SECONDS),
        security_context: Some(security(K6_USER)),
        image_pull_secrets: Some(k6.image_pull_secrets.clone()).filter(|list| !list.is_empty()),
        topology_spread_constraints: Some(vec![spread(run)]),
        init_containers: Some(vec![init_container(image)]),
        containers: vec![k6_container(test, run)],
        volumes: Some(volumes),
        ..PodSpec::default()
    }
}

/// Instances spread over nodes where they can: two on one node compete for its CPU and network.
fn spread(run: &RunSeen) -> TopologySpreadConstraint {
    let selector = child_labels(run, Some(labels::ROLE_RUNNER))
        .into_iter()
        .filter(|(key, _)| [labels::RUN_UID, labels::ROLE].contains(&key.as_str()))
        .collect();
    TopologySpreadConstraint {
        max_skew: 1,
        topology_key: "kubernetes.io/hostname".to_owned(),
        when_unsatisfiable: "ScheduleAnyway".to_owned(),
        label_selector: Some(LabelSelector {
            match_labels: Some(selector),
            match_expressions: None,
        }),
        ..TopologySpreadConstraint::default()
    }
}

/// Brings Weir's binary. A sidecar, whose hook ends before the next container is created: the kubelet acts on that at
/// once, while it looks for the end of an ordinary init container only once a second.
fn init_container(image: &str) -> Container {
    let amounts = |cpu: &str, memory: &str| {
        Some(BTreeMap::from([
            ("cpu".to_owned(), Quantity(cpu.to_owned())),
            ("memory".to_owned(), Quantity(memory.to_owned())),
        ]))
    };
    Container {
        name: INIT_CONTAINER.to_owned(),
        image: Some(image.to_owned()),
        args: Some(vec!["idle".to_owned()]),
        restart_policy: Some("Always".to_owned()),
        lifecycle: Some(Lifecycle {
            post_start: Some(LifecycleHandler {
                exec: Some(ExecAction {
                    command: Some(
                        ["weir", "install", &format!("{WEIR_DIR}/weir")].map(String::from).to_vec(),
                    ),
                }),
                ..LifecycleHandler::default()
            }),
            ..Lifecycle::default()
        }),
        volume_mounts: Some(vec![mount("weir", WEIR_DIR, false)]),
        security_context: Some(container_security(true)),
        // Copying one file, of which the page cache counts, but gives way; then nothing.
        resources: Some(ResourceRequirements {
            requests: amounts("1m", "8Mi"),
            limits: amounts("1", "128Mi"),
            ..ResourceRequirements::default()
        }),
        ..Container::default()
    }
}

fn k6_container(test: &ValidTest, run: &RunSeen) -> Container {
    let k6 = &test.spec().k6;
    let mut mounts =
        vec![mount("weir", WEIR_DIR, false), mount(super::pod::SECRET_VOLUME, SECRET_DIR, true)];
    if script::volume(test, run).is_some() {
        mounts.push(mount(script::SCRIPT_VOLUME, script::SCRIPT_DIR, true));
    }
    Container {
        name: labels::K6_CONTAINER.to_owned(),
        image: Some(k6.image.clone()),
        image_pull_policy: k6.image_pull_policy.clone(),
        command: Some(command(test, run)),
        env: Some(k6.env.clone()).filter(|list| !list.is_empty()),
        env_from: Some(k6.env_from.clone()).filter(|list| !list.is_empty()),
        resources: k6.resources.clone(),
        volume_mounts: Some(mounts),
        security_context: Some(container_security(false)),
        ..Container::default()
    }
}

/// The agent's command line; everything behind `--` is the user's own.
fn command(test: &ValidTest, run: &RunSeen) -> Vec<String> {
    let spec = test.spec();
    let mut words = vec![format!("{WEIR_DIR}/weir"), "agent".to_owned()];
    let mut option = |name: &str, value: String| words.extend([name.to_owned(), value]);
    option("--run", run_ref(run).to_string());
    option("--instances", spec.parallelism.to_string());
    for endpoint in endpoints(run) {
        option("--endpoint", endpoint);
    }
    option("--ca-file", format!("{SECRET_DIR}/{CA_KEY}"));
    option("--token-file", format!("{SECRET_DIR}/{TOKEN_KEY}"));
    option("--work-dir", format!("{WEIR_DIR}/work"));
    option("--script", script::path(test));
    for endpoint in writer_endpoints(run, writers(test)) {
        option("--writer", endpoint);
    }
    option("--orphan-seconds", orphan_seconds(test).to_string());
    for (name, value) in &spec.tags {
        option("--tag", format!("{name}={value}"));
    }
    if !spec.thresholds.is_empty() {
        let thresholds = serde_json::to_string(&spec.thresholds).unwrap_or_default();
        words.extend(["--thresholds".to_owned(), thresholds]);
    }
    if !spec.outputs.is_empty() {
        words.push("--ship-samples".to_owned());
        let mut option = |name: &str, value: String| words.extend([name.to_owned(), value]);
        let dimensions = dimensions::of_outputs(&spec.outputs);
        if !dimensions.is_empty() {
            option("--dimensions", serde_json::to_string(&dimensions).unwrap_or_default());
        }
        let rollups = Wanted::of_outputs(&spec.outputs);
        if !rollups.rollups.is_empty() {
            option("--rollups", serde_json::to_string(&rollups).unwrap_or_default());
        }
        option("--spool-mib", spec.spool.size_mib.to_string());
        option("--spool-on-full", spec.spool.on_full.as_str().to_owned());
    }
    words.push("--".to_owned());
    words.extend(spec.k6.args.iter().cloned());
    words.iter().map(|word| literal(word)).collect()
}

/// Time in seconds that agents and writers work on without an aggregator.
pub(super) fn orphan_seconds(test: &ValidTest) -> u32 {
    test.spec().deadlines.drain_seconds.max(ORPHAN_SECONDS_MIN)
}

/// Kubernetes replaces `$(NAME)` in a command; a doubled dollar keeps the user's text as it is.
fn literal(word: &str) -> String {
    word.replace("$(", "$$(")
}
