//! The aggregator Job: one pod that starts and stops the run together, and writes its samples.

use std::collections::BTreeMap;

use k8s_openapi::{
    api::{
        batch::v1::{Job, JobSpec},
        core::v1::{
            Container, ContainerPort, EmptyDirVolumeSource, EnvVar, EnvVarSource, HTTPGetAction,
            PodSpec, PodTemplateSpec, Probe, ResourceRequirements, SecretKeySelector, Volume,
        },
    },
    apimachinery::pkg::{
        api::resource::Quantity, apis::meta::v1::ObjectMeta, util::intstr::IntOrString,
    },
};

use super::{
    access::account_name,
    meta::{Child, Kind, aggregator_name, child_labels, child_meta, run_ref},
    pod::{
        SECRET_DIR, SECRET_VOLUME, container_security, mount, overlaid, secret_volume, security,
    },
    secret::{CERT_KEY, PRIVATE_KEY, TOKEN_KEY},
};
use crate::{
    api::{
        labels,
        v1alpha1::{Output, SecretKey},
    },
    core::{
        lifecycle::{seen::RunSeen, valid::ValidTest},
        plan::{HTTP_PORT, PLAN_ENV, RunPlan, SESSION_PORT, token_env},
    },
};

/// An unprivileged user that no image or node gives a meaning to.
const USER: i64 = 65_532;
/// Restarts of the container before the Job gives up: with the kubelet's back-off, some ten minutes of trying.
pub(super) const RETRIES: i32 = 6;
/// Time from SIGTERM to SIGKILL, in seconds: writes under way are finished or given up well within it.
const GRACE_SECONDS: i64 = 30;

/// Where the aggregator keeps what its next process must know.
const KEEP_DIR: &str = "/weir-keep";
const KEEP_VOLUME: &str = "weir-keep";

/// The aggregator Job of a run, of Weir's own `image`.
pub fn job(test: &ValidTest, run: &RunSeen, image: &str) -> Child {
    let name = aggregator_name(&run.name);
    let mut args = vec!["aggregator".to_owned()];
    args.extend(file("--tls-cert", CERT_KEY));
    args.extend(file("--tls-key", PRIVATE_KEY));
    args.extend(file("--token-file", TOKEN_KEY));
    args.extend(["--keep-dir".to_owned(), KEEP_DIR.to_owned()]);
    let pod = pod_spec(test, run, image, args);
    let object = Job {
        metadata: child_meta(run, name.clone(), Some(labels::ROLE_AGGREGATOR)),
        spec: Some(JobSpec {
            completions: Some(1),
            parallelism: Some(1),
            backoff_limit: Some(RETRIES),
            template: PodTemplateSpec {
                metadata: Some(pod_meta(run, labels::ROLE_AGGREGATOR)),
                spec: Some(pod),
            },
            ..JobSpec::default()
        }),
        status: None,
    };
    let template = test.spec().aggregator.template.as_ref();
    Child { kind: Kind::Job, name, object: overlaid(object, template) }
}

/// Metadata of the pods of a replica of the aggregator.
pub(super) fn pod_meta(run: &RunSeen, role: &str) -> ObjectMeta {
    ObjectMeta {
        labels: Some(child_labels(run, Some(role))),
        annotations: Some(BTreeMap::from([
            ("cluster-autoscaler.kubernetes.io/safe-to-evict".to_owned(), "false".to_owned()),
            ("karpenter.sh/do-not-disrupt".to_owned(), "true".to_owned()),
        ])),
        ..ObjectMeta::default()
    }
}

/// The pod of the aggregator, started with these arguments.
pub(super) fn pod_spec(test: &ValidTest, run: &RunSeen, image: &str, args: Vec<String>) -> PodSpec {
    PodSpec {
        // In place, since what the aggregator keeps on its disk is still there for the next container.
        restart_policy: Some("OnFailure".to_owned()),
        service_account_name: Some(account_name(test, run)),
        automount_service_account_token: Some(true),
        enable_service_links: Some(false),
        termination_grace_period_seconds: Some(GRACE_SECONDS),
        security_context: Some(security(USER)),
        containers: vec![container(test, run, image, args)],
        volumes: Some(vec![secret_volume(&run.name, &[CERT_KEY, PRIVATE_KEY, TOKEN_KEY]), keep()]),
        ..PodSpec::default()
    }
}

fn container(test: &ValidTest, run: &RunSeen, image: &str, args: Vec<String>) -> Container {
    let aggregator = &test.spec().aggregator;
    let plan = RunPlan::new(run_ref(run), test.spec(), run.created_ms);
    let plan = EnvVar {
        name: PLAN_ENV.to_owned(),
        // A plan always encodes; an empty text would be refused by the aggregator by name.
        value: Some(serde_json::to_string(&plan).unwrap_or_default().replace("$(", "$$(")),
        value_from: None,
    };
    let port = |name: &str, number: u16| ContainerPort {
        name: Some(name.to_owned()),
        container_port: i32::from(number),
        protocol: Some("TCP".to_owned()),
        ..ContainerPort::default()
    };
    Container {
        name: labels::AGGREGATOR_CONTAINER.to_owned(),
        image: Some(image.to_owned()),
        // A replica that is killed is back at once, not when the kubelet's back-off allows.
        args: Some(std::iter::once("supervise".to_owned()).chain(args).collect()),
        env: Some(
            std::iter::once(plan)
                .chain(tokens(&test.spec().outputs))
                .chain(aggregator.env.iter().cloned())
                .collect(),
        ),
        ports: Some(vec![port("session", SESSION_PORT), port("http", HTTP_PORT)]),
        liveness_probe: Some(probe()),
        resources: Some(aggregator.resources.clone().unwrap_or_else(requests)),
        volume_mounts: Some(vec![
            mount(SECRET_VOLUME, SECRET_DIR, true),
            mount(KEEP_VOLUME, KEEP_DIR, false),
        ]),
        security_context: Some(container_security(true)),
        ..Container::default()
    }
}

/// An option that names a file of the run's Secret.
pub(super) fn file(option: &str, key: &str) -> [String; 2] {
    [option.to_owned(), format!("{SECRET_DIR}/{key}")]
}

/// The outputs' tokens: the kubelet reads them from the user's Secrets, Weir never does.
fn tokens(outputs: &[Output]) -> impl Iterator<Item = EnvVar> {
    outputs.iter().enumerate().filter_map(|(at, output)| {
        let SecretKey { name, key } = output.influxdb.as_ref()?.token_secret.clone()?;
        let secret = SecretKeySelector { name, key, optional: Some(false) };
        let source = EnvVarSource { secret_key_ref: Some(secret), ..EnvVarSource::default() };
        Some(EnvVar { name: token_env(at), value: None, value_from: Some(source) })
    })
}

/// What is in it outlives the container, but not the pod. Twice what is ever kept: a file is replaced by another.
fn keep() -> Volume {
    Volume {
        name: KEEP_VOLUME.to_owned(),
        empty_dir: Some(EmptyDirVolumeSource {
            size_limit: Some(Quantity("2Gi".to_owned())),
            ..EmptyDirVolumeSource::default()
        }),
        ..Volume::default()
    }
}

/// A minute of silence: a busy aggregator is slow long before it is dead.
fn probe() -> Probe {
    Probe {
        http_get: Some(HTTPGetAction {
            path: Some("/livez".to_owned()),
            port: IntOrString::String("http".to_owned()),
            ..HTTPGetAction::default()
        }),
        period_seconds: Some(10),
        timeout_seconds: Some(5),
        failure_threshold: Some(6),
        ..Probe::default()
    }
}

/// Enough for small runs; larger ones say what they need. No limit: samples that wait for a slow endpoint need room.
fn requests() -> ResourceRequirements {
    ResourceRequirements {
        requests: Some(BTreeMap::from([
            ("cpu".to_owned(), Quantity("100m".to_owned())),
            ("memory".to_owned(), Quantity("128Mi".to_owned())),
        ])),
        ..ResourceRequirements::default()
    }
}
