//! Where the k6 script comes from.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Where the k6 script comes from. Exactly one of the fields must be set.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Script {
    /// The script itself, up to 512 KiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 524_288))]
    pub inline: Option<String>,
    /// A ConfigMap of the same namespace. All its keys lie beside the script, so that it can import them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_map: Option<ConfigMapScript>,
    /// A PersistentVolumeClaim of the same namespace, mounted read-only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub volume_claim: Option<VolumeClaimScript>,
    /// A file that is already in the k6 image, or in a volume that `runnerTemplate` mounts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<FileScript>,
}

/// A script in a ConfigMap.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ConfigMapScript {
    /// Name of the ConfigMap.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Key of the script; a key that ends in `.tar` is a k6 archive (`k6 archive`) and may be in `binaryData`.
    #[serde(default = "default_key")]
    #[schemars(length(min = 1, max = 253))]
    pub key: String,
}

/// A script on a PersistentVolumeClaim.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct VolumeClaimScript {
    /// Name of the PersistentVolumeClaim.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Path of the script below the root of the volume, for example `checkout/test.js`.
    #[schemars(length(min = 1, max = 1024))]
    pub path: String,
}

/// A script in the image or in a mounted volume.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FileScript {
    /// Absolute path inside the k6 container.
    #[schemars(length(min = 1, max = 1024), regex(pattern = "^/"))]
    pub path: String,
}

fn default_key() -> String {
    "test.js".to_owned()
}
