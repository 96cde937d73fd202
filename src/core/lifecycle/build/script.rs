//! Where the script lies in the runner pod.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{
    ConfigMap, ConfigMapVolumeSource, PersistentVolumeClaimVolumeSource, Volume,
};

use super::meta::{Child, Kind, child, child_meta, script_name};
use crate::{
    api::labels,
    core::lifecycle::{
        seen::RunSeen,
        valid::{ScriptSource, ValidTest},
    },
};

/// Where the script's volume is mounted.
pub(super) const SCRIPT_DIR: &str = "/weir-script";
/// Name of the script's volume.
pub(super) const SCRIPT_VOLUME: &str = "weir-script";
/// Key of an inline script.
const INLINE_KEY: &str = "test.js";

/// The ConfigMap of an inline script.
pub fn config_map(test: &ValidTest, run: &RunSeen) -> Option<Child> {
    let inline = test.spec().script.inline.clone()?;
    let name = script_name(&run.name);
    let object = ConfigMap {
        metadata: child_meta(run, name.clone(), Some(labels::ROLE_RUNNER)),
        data: Some(BTreeMap::from([(INLINE_KEY.to_owned(), inline)])),
        ..ConfigMap::default()
    };
    Some(child(Kind::ConfigMap, name, object))
}

/// The volume that holds the script, where it is not in the image.
pub(super) fn volume(test: &ValidTest, run: &RunSeen) -> Option<Volume> {
    let config_map = |name: &str| Volume {
        name: SCRIPT_VOLUME.to_owned(),
        config_map: Some(ConfigMapVolumeSource {
            name: name.to_owned(),
            ..ConfigMapVolumeSource::default()
        }),
        ..Volume::default()
    };
    match test.script() {
        ScriptSource::Inline => Some(config_map(&script_name(&run.name))),
        ScriptSource::ConfigMap { name, .. } => Some(config_map(name)),
        // Writable for init containers, which may fetch the script; the k6 container mounts it read-only.
        ScriptSource::VolumeClaim { name, .. } => Some(Volume {
            name: SCRIPT_VOLUME.to_owned(),
            persistent_volume_claim: Some(PersistentVolumeClaimVolumeSource {
                claim_name: name.clone(),
                read_only: None,
            }),
            ..Volume::default()
        }),
        ScriptSource::File(_) => None,
    }
}

/// The script's path in the k6 container.
pub(super) fn path(test: &ValidTest) -> String {
    match test.script() {
        ScriptSource::Inline => format!("{SCRIPT_DIR}/{INLINE_KEY}"),
        ScriptSource::ConfigMap { key, .. } => format!("{SCRIPT_DIR}/{key}"),
        ScriptSource::VolumeClaim { path, .. } => format!("{SCRIPT_DIR}/{path}"),
        ScriptSource::File(path) => path.clone(),
    }
}
