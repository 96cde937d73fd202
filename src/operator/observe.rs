//! What no watch shows: whether the object that holds the user's script exists. Asked only before a run has pods.

use k8s_openapi::api::core::v1::{ConfigMap, PersistentVolumeClaim};
use kube::{Api, Client};

use super::error::Error;
use crate::core::lifecycle::{
    seen::SourceSeen,
    valid::{ScriptSource, ValidTest},
};

/// Looks the script's source up.
pub(super) async fn source(
    client: &Client,
    namespace: &str,
    test: &ValidTest,
) -> Result<SourceSeen, Error> {
    let missing = |words: String| Ok(SourceSeen::Missing(words));
    match test.script() {
        ScriptSource::Inline | ScriptSource::File(_) => Ok(SourceSeen::Found),
        ScriptSource::ConfigMap { name, key } => {
            let maps: Api<ConfigMap> = Api::namespaced(client.clone(), namespace);
            let found = maps.get_opt(name).await;
            let found = found.map_err(|e| Error::Observe(format!("ConfigMap {name}"), e))?;
            let Some(map) = found else {
                return missing(format!(
                    "spec.script.configMap.name: there is no ConfigMap {name} in namespace {namespace}"
                ));
            };
            let plain = map.data.as_ref().is_some_and(|data| data.contains_key(key));
            let binary = map.binary_data.as_ref().is_some_and(|data| data.contains_key(key));
            if plain || binary {
                return Ok(SourceSeen::Found);
            }
            let keys: Vec<_> = map
                .data
                .iter()
                .flat_map(|data| data.keys())
                .chain(map.binary_data.iter().flat_map(|data| data.keys()))
                .take(5)
                .map(String::as_str)
                .collect();
            missing(format!(
                "spec.script.configMap.key: ConfigMap {name} has no key {key}; it has {}",
                if keys.is_empty() { "none".to_owned() } else { keys.join(", ") }
            ))
        }
        ScriptSource::VolumeClaim { name, .. } => {
            let claims: Api<PersistentVolumeClaim> = Api::namespaced(client.clone(), namespace);
            let found = claims.get_metadata_opt(name).await;
            let found =
                found.map_err(|e| Error::Observe(format!("PersistentVolumeClaim {name}"), e))?;
            match found {
                Some(_) => Ok(SourceSeen::Found),
                None => missing(format!(
                    "spec.script.volumeClaim.name: there is no PersistentVolumeClaim {name} in namespace {namespace}"
                )),
            }
        }
    }
}
