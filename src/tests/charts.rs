//! The charts: their versions, their copies of generated files, and the rights they give.

use std::{fs, path::Path};

use k8s_openapi::api::rbac::v1::PolicyRule;
use serde_json::Value;

use crate::core::lifecycle::{build::access, seen::RunSeen, valid::validate};

fn read(file: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).unwrap()
}

#[test]
fn charts_and_binary_have_one_version() {
    for chart in ["charts/weir/Chart.yaml", "charts/weir-crds/Chart.yaml"] {
        let value: Value = serde_saphyr::from_str(&read(chart)).unwrap();
        for field in ["version", "appVersion"] {
            assert_eq!(value[field], env!("CARGO_PKG_VERSION"), "{field} of {chart}");
        }
    }
}

#[test]
fn the_chart_of_the_custom_resources_has_the_generated_ones() {
    for (name, text) in crate::cli::crds::files().unwrap() {
        let copy = read(&format!("charts/weir-crds/files/{name}"));
        assert!(copy == text, "charts/weir-crds/files/{name} is stale: run `make generate`");
    }
}

/// The rules of the chart's helper: plain YAML between its first and last line.
fn operator_rules() -> Vec<PolicyRule> {
    let text = read("charts/weir/templates/_helpers.tpl");
    let (_, rules) = text.split_once("{{- define \"weir.rules\" -}}").unwrap();
    let (rules, _) = rules.split_once("{{- end }}").unwrap();
    serde_saphyr::from_str(rules).unwrap()
}

fn may(rules: &[PolicyRule], group: &str, resource: &str, verb: &str) -> bool {
    let has =
        |list: Option<&Vec<String>>, word: &str| list.is_some_and(|l| l.iter().any(|w| w == word));
    rules.iter().any(|rule| {
        has(rule.api_groups.as_ref(), group)
            && has(rule.resources.as_ref(), resource)
            && has(Some(&rule.verbs), verb)
    })
}

#[test]
fn the_operator_holds_all_rights_that_it_gives_to_aggregators() {
    let spec: crate::api::v1alpha1::LoadTestSpec =
        serde_saphyr::from_str("{script: {inline: x}}").unwrap();
    let run = RunSeen { namespace: "shop".into(), name: "a-1".into(), ..RunSeen::default() };
    let children = access::children(&validate("a-1", spec.test).unwrap(), &run);
    let role = children.iter().find(|child| child.kind.as_str() == "Role").unwrap();
    let given: Vec<PolicyRule> = serde_json::from_value(role.object["rules"].clone()).unwrap();
    let held = operator_rules();
    let mut checked = 0;
    for rule in given {
        for (group, resource) in
            rule.api_groups.iter().flatten().zip(rule.resources.iter().flatten())
        {
            for verb in &rule.verbs {
                assert!(may(&held, group, resource, verb), "{verb} {resource} is not held");
                checked += 1;
            }
        }
    }
    assert_eq!(checked, 5);
}

#[test]
fn the_operator_may_make_secrets_and_read_none() {
    let rules = operator_rules();
    for rule in rules.iter().filter(|rule| rule.resources.iter().flatten().any(|r| r == "secrets"))
    {
        assert_eq!(rule.verbs, ["create"]);
    }
    assert!(may(&rules, "", "secrets", "create"));
    let stars = rules.iter().any(|rule| {
        let lists = [rule.api_groups.as_ref(), rule.resources.as_ref(), Some(&rule.verbs)];
        lists.into_iter().flatten().flatten().any(|word| word == "*")
    });
    assert!(!stars, "no rule may give everything");
}
