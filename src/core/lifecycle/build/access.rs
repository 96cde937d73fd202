//! What the aggregator may do: read its own run, and write its result.

use k8s_openapi::api::{
    core::v1::ServiceAccount,
    rbac::v1::{PolicyRule, Role, RoleBinding, RoleRef, Subject},
};

use super::meta::{Child, Kind, aggregator_name, child, child_meta, result_name};
use crate::{
    api::labels,
    core::lifecycle::{seen::RunSeen, valid::ValidTest},
};

/// The ServiceAccount that the aggregator runs as: the user's, or one of the run's own.
pub(super) fn account_name(test: &ValidTest, run: &RunSeen) -> String {
    match test.spec().aggregator.service_account_name.as_str() {
        "" => aggregator_name(&run.name),
        name => name.to_owned(),
    }
}

/// The aggregator's rights, and its account where the user gave none.
pub fn children(test: &ValidTest, run: &RunSeen) -> Vec<Child> {
    let name = aggregator_name(&run.name);
    let meta = || child_meta(run, name.clone(), Some(labels::ROLE_AGGREGATOR));
    let account = account_name(test, run);
    let role = Role {
        metadata: meta(),
        rules: Some(vec![
            rule(labels::GROUP, "loadtestruns", &run.name, &["get", "list", "watch"]),
            rule("", "configmaps", &result_name(&run.name), &["get", "patch"]),
        ]),
    };
    let binding = RoleBinding {
        metadata: meta(),
        role_ref: RoleRef {
            api_group: "rbac.authorization.k8s.io".to_owned(),
            kind: "Role".to_owned(),
            name: name.clone(),
        },
        subjects: Some(vec![Subject {
            kind: "ServiceAccount".to_owned(),
            name: account.clone(),
            namespace: Some(run.namespace.clone()),
            api_group: None,
        }]),
    };
    let mut children = vec![
        child(Kind::Role, name.clone(), role),
        child(Kind::RoleBinding, name.clone(), binding),
    ];
    if account == name {
        let account = ServiceAccount { metadata: meta(), ..ServiceAccount::default() };
        children.push(child(Kind::ServiceAccount, name.clone(), account));
    }
    children
}

fn rule(group: &str, resource: &str, name: &str, verbs: &[&str]) -> PolicyRule {
    PolicyRule {
        api_groups: Some(vec![group.to_owned()]),
        resources: Some(vec![resource.to_owned()]),
        resource_names: Some(vec![name.to_owned()]),
        verbs: verbs.iter().map(|verb| (*verb).to_owned()).collect(),
        ..PolicyRule::default()
    }
}
