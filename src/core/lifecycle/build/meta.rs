//! Names, labels and owner references of everything that Weir makes.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use serde_json::Value;

use crate::{
    api::labels,
    core::{lifecycle::seen::RunSeen, plan::RunRef},
};

/// A child object, ready to be applied.
#[derive(Clone, Debug, PartialEq)]
pub struct Child {
    /// Its kind.
    pub kind: Kind,
    /// Its name.
    pub name: String,
    /// The whole object.
    pub object: Value,
}

/// Kinds of child objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// `v1`.
    ServiceAccount,
    /// `rbac.authorization.k8s.io/v1`.
    Role,
    /// `rbac.authorization.k8s.io/v1`.
    RoleBinding,
    /// `v1`.
    Service,
    /// `v1`.
    ConfigMap,
    /// `batch/v1`.
    Job,
}

impl Kind {
    /// The `kind` of the object.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ServiceAccount => "ServiceAccount",
            Self::Role => "Role",
            Self::RoleBinding => "RoleBinding",
            Self::Service => "Service",
            Self::ConfigMap => "ConfigMap",
            Self::Job => "Job",
        }
    }
}

/// Name of the aggregator's Job, ServiceAccount, Role and RoleBinding.
pub fn aggregator_name(run: &str) -> String {
    format!("{run}-aggregator")
}

/// Name of the writers' Job.
pub fn writer_name(run: &str) -> String {
    format!("{run}-writer")
}

/// Name of the runner Job.
pub fn runner_name(run: &str) -> String {
    format!("{run}-runner")
}

/// Name of the result ConfigMap.
pub fn result_name(run: &str) -> String {
    format!("{run}-result")
}

/// Name of the ConfigMap of an inline script.
pub fn script_name(run: &str) -> String {
    format!("{run}-script")
}

/// Labels of a child object with a role.
pub fn child_labels(run: &RunSeen, role: Option<&str>) -> BTreeMap<String, String> {
    let mut map = BTreeMap::from([
        (labels::MANAGED_BY.to_owned(), labels::FIELD_MANAGER.to_owned()),
        (labels::RUN.to_owned(), run.name.clone()),
        (labels::RUN_UID.to_owned(), run.uid.clone()),
    ]);
    if let Some(role) = role {
        map.insert(labels::ROLE.to_owned(), role.to_owned());
    }
    if let Some(test) = &run.test {
        map.insert(labels::LOAD_TEST.to_owned(), test.clone());
    }
    map
}

/// Metadata of a child object: it goes when the run goes.
pub fn child_meta(run: &RunSeen, name: String, role: Option<&str>) -> ObjectMeta {
    ObjectMeta {
        name: Some(name),
        namespace: Some(run.namespace.clone()),
        labels: Some(child_labels(run, role)),
        owner_references: Some(vec![owner("LoadTestRun", &run.name, &run.uid)]),
        ..ObjectMeta::default()
    }
}

/// An owner reference to one of Weir's kinds.
pub fn owner(kind: &str, name: &str, uid: &str) -> OwnerReference {
    OwnerReference {
        api_version: format!("{}/v1alpha1", labels::GROUP),
        kind: kind.to_owned(),
        name: name.to_owned(),
        uid: uid.to_owned(),
        controller: Some(true),
        block_owner_deletion: Some(true),
    }
}

/// The run's own name among all runs that ever were.
pub fn run_ref(run: &RunSeen) -> RunRef {
    RunRef { namespace: run.namespace.clone(), name: run.name.clone(), uid: run.uid.clone() }
}

/// The object as data. Objects of these types always encode; an object that did not would be refused by name.
pub(super) fn child(kind: Kind, name: String, object: impl serde::Serialize) -> Child {
    Child { kind, name, object: serde_json::to_value(object).unwrap_or_default() }
}
