//! What no watch shows, and what is asked only before a run has pods: whether the object that holds the user's script
//! exists, and whether the names of the run's own objects are free.

use futures::future::join_all;
use k8s_openapi::api::core::v1::{ConfigMap, PersistentVolumeClaim};
use kube::{
    Api, Client,
    core::{ApiResource, DynamicObject, GroupVersionKind},
};

use super::error::Error;
use crate::{
    api::labels,
    core::lifecycle::{
        build::meta::{Child, Kind},
        reduce,
        seen::{NameTaken, RunSeen, SourceSeen},
        valid::{ScriptSource, ValidTest},
    },
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

/// Looks for an object that has the name of one of `children` and is not the run's: an apply would take it over.
pub(super) async fn taken(
    client: &Client,
    run: &RunSeen,
    children: &[Child],
) -> Result<Option<NameTaken>, Error> {
    let found = join_all(children.iter().map(|child| holder(client, run, child))).await;
    let all: Vec<_> = found.into_iter().collect::<Result<_, _>>()?;
    Ok(all.into_iter().flatten().min_by_key(|taken| taken.of_older_run))
}

async fn holder(client: &Client, run: &RunSeen, child: &Child) -> Result<Option<NameTaken>, Error> {
    let (group, version) = match child.kind {
        Kind::ServiceAccount | Kind::Service | Kind::ConfigMap => ("", "v1"),
        Kind::Role | Kind::RoleBinding => ("rbac.authorization.k8s.io", "v1"),
        Kind::Job => ("batch", "v1"),
    };
    let resource =
        ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, child.kind.as_str()));
    let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), &run.namespace, &resource);
    let object = format!("{} {}", child.kind.as_str(), child.name);
    let found = api.get_metadata_opt(&child.name).await;
    let found = found.map_err(|error| Error::Look(object.clone(), error))?;
    Ok(found.and_then(|found| match reduce::label(&found.metadata, labels::RUN_UID) {
        uid if uid == run.uid => None,
        uid => Some(NameTaken { object, of_older_run: !uid.is_empty() }),
    }))
}
