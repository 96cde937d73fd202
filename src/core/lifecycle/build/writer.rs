//! The writers' Job: the replicas 1 and up of the aggregator, each a pod that writes the samples of its share of the
//! instances. They have no say in the run, so no credentials of the cluster either.

use k8s_openapi::api::{
    batch::v1::{Job, JobSpec},
    core::v1::{PodSpec, PodTemplateSpec},
};

use super::{
    aggregator::{self, file, pod_meta},
    meta::{Child, Kind, child_meta, writer_name},
    pod::{SECRET_DIR, SECRET_VOLUME, mount, overlaid, secret_volume},
    runner::orphan_seconds,
    secret::{CA_KEY, CERT_KEY, PRIVATE_KEY, TOKEN_KEY},
    service::{endpoints, writers_name},
};
use crate::{
    api::labels,
    core::{
        lifecycle::{seen::RunSeen, valid::ValidTest},
        replicas::share,
    },
};

/// Number of writers of a run: all replicas of the aggregator but the first.
pub fn writers(test: &ValidTest) -> u32 {
    let spec = test.spec();
    share::replicas(spec.aggregator.replicas, spec.parallelism, !spec.outputs.is_empty()) - 1
}

/// The writers' Job of a run, of Weir's own `image`; none where the aggregator writes all samples itself.
pub fn job(test: &ValidTest, run: &RunSeen, image: &str) -> Option<Child> {
    let writers = i32::try_from(writers(test)).ok().filter(|writers| *writers > 0)?;
    let name = writer_name(&run.name);
    let object = Job {
        metadata: child_meta(run, name.clone(), Some(labels::ROLE_WRITER)),
        spec: Some(JobSpec {
            completion_mode: Some("Indexed".to_owned()),
            completions: Some(writers),
            parallelism: Some(writers),
            // Of all together: the trouble of one is not to end the others.
            backoff_limit: Some(aggregator::RETRIES.saturating_mul(writers)),
            template: PodTemplateSpec {
                metadata: Some(pod_meta(run, labels::ROLE_WRITER)),
                spec: Some(pod_spec(test, run, image)),
            },
            ..JobSpec::default()
        }),
        status: None,
    };
    let template = test.spec().aggregator.template.as_ref();
    Some(Child { kind: Kind::Job, name, object: overlaid(object, template) })
}

fn pod_spec(test: &ValidTest, run: &RunSeen, image: &str) -> PodSpec {
    let mut args = vec!["writer".to_owned()];
    args.extend(file("--tls-cert", CERT_KEY));
    args.extend(file("--tls-key", PRIVATE_KEY));
    args.extend(file("--token-file", TOKEN_KEY));
    args.extend(file("--ca-file", CA_KEY));
    for endpoint in endpoints(run) {
        args.extend(["--endpoint".to_owned(), endpoint]);
    }
    args.extend(["--orphan-seconds".to_owned(), orphan_seconds(test).to_string()]);
    let mut pod = aggregator::pod_spec(test, run, image, args);
    pod.automount_service_account_token = Some(false);
    // With the Job's index as its host name, this gives each a name of its own.
    pod.subdomain = Some(writers_name(run));
    pod.volumes = Some(vec![secret_volume(&run.name, &[CERT_KEY, PRIVATE_KEY, TOKEN_KEY, CA_KEY])]);
    for container in &mut pod.containers {
        container.volume_mounts = Some(vec![mount(SECRET_VOLUME, SECRET_DIR, true)]);
    }
    pod
}
