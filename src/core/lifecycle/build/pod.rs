//! What runner and aggregator pods have in common: the `restricted` Pod Security Standard.

use k8s_openapi::api::core::v1::{
    Capabilities, KeyToPath, PodSecurityContext, SeccompProfile, SecretVolumeSource,
    SecurityContext, Volume, VolumeMount,
};

/// Where the run's Secret is mounted.
pub(super) const SECRET_DIR: &str = "/weir-run";
/// Name of the Secret's volume.
pub(super) const SECRET_VOLUME: &str = "weir-run";

/// A pod that may not be more than an ordinary process of user `uid`.
pub(super) fn security(uid: i64) -> PodSecurityContext {
    PodSecurityContext {
        run_as_non_root: Some(true),
        run_as_user: Some(uid),
        run_as_group: Some(uid),
        fs_group: Some(uid),
        seccomp_profile: Some(SeccompProfile {
            type_: "RuntimeDefault".to_owned(),
            ..SeccompProfile::default()
        }),
        ..PodSecurityContext::default()
    }
}

/// A container without any privilege.
pub(super) fn container_security(read_only_root: bool) -> SecurityContext {
    SecurityContext {
        allow_privilege_escalation: Some(false),
        capabilities: Some(Capabilities { drop: Some(vec!["ALL".to_owned()]), add: None }),
        read_only_root_filesystem: read_only_root.then_some(true),
        ..SecurityContext::default()
    }
}

/// The run's Secret as a volume with these keys.
pub(super) fn secret_volume(secret: &str, keys: &[&str]) -> Volume {
    let items = keys
        .iter()
        .map(|key| KeyToPath { key: (*key).to_owned(), path: (*key).to_owned(), mode: None })
        .collect();
    Volume {
        name: SECRET_VOLUME.to_owned(),
        secret: Some(SecretVolumeSource {
            secret_name: Some(secret.to_owned()),
            items: Some(items),
            ..SecretVolumeSource::default()
        }),
        ..Volume::default()
    }
}

/// A mount.
pub(super) fn mount(name: &str, path: &str, read_only: bool) -> VolumeMount {
    VolumeMount {
        name: name.to_owned(),
        mount_path: path.to_owned(),
        read_only: read_only.then_some(true),
        ..VolumeMount::default()
    }
}

/// Lays the user's template over the pod template of a Job.
pub(super) fn overlaid(
    job: k8s_openapi::api::batch::v1::Job,
    template: Option<&serde_json::Value>,
) -> serde_json::Value {
    let mut value = serde_json::to_value(job).unwrap_or_default();
    if let (Some(template), Some(below)) = (template, value.pointer_mut("/spec/template")) {
        crate::core::lifecycle::overlay::lay(below, template);
    }
    value
}
