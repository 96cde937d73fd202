//! Checks of a user's pod template that need no cluster; whether each field exists the apiserver says, which knows
//! the fields of its own version.

use k8s_openapi::api::core::v1::{PodSpec, PodTemplateSpec};
use serde_json::{Map, Value, json};

use super::valid::Errors;
use crate::api::labels;

/// Name of the sidecar that copies Weir into the runner pod.
pub(super) const INIT_CONTAINER: &str = "weir-init";

/// What of a container is Weir's own.
const OWN_FIELDS: [&str; 2] = ["command", "args"];
/// What of the sidecar is, besides.
const SIDECAR_FIELDS: [&str; 2] = ["lifecycle", "restartPolicy"];

/// Checks the template at `path`, whose container `main` is Weir's.
pub(super) fn check(template: &Value, path: &str, main: &str, errors: &mut Errors) {
    let Some(fields) = template.as_object() else {
        errors.add(path, "must be an object with metadata and spec");
        return;
    };
    let before = errors.len();
    for (field, value) in fields {
        match field.as_str() {
            "metadata" => check_metadata(value, &format!("{path}.metadata"), errors),
            "spec" => check_spec(value, &format!("{path}.spec"), main, errors),
            other => errors.add(&format!("{path}.{other}"), "is not a field of a pod template"),
        }
    }
    if errors.len() == before
        && let Err(error) = serde_json::from_value::<PodTemplateSpec>(template.clone())
    {
        errors.add(path, &format!("is not a pod template: {error}"));
    }
}

fn check_metadata(metadata: &Value, path: &str, errors: &mut Errors) {
    for (field, value) in metadata.as_object().into_iter().flatten() {
        let path = format!("{path}.{field}");
        match (field.as_str(), value.as_object()) {
            ("labels" | "annotations", Some(map)) => check_names(map, &path, errors),
            ("labels" | "annotations", None) => errors.add(&path, "must map names to texts"),
            _ => errors.add(&path, "cannot be set; only labels and annotations can"),
        }
    }
}

fn check_names(map: &Map<String, Value>, path: &str, errors: &mut Errors) {
    for (name, value) in map {
        let path = format!("{path}[{name}]");
        if name.starts_with(labels::PREFIX) || name == labels::MANAGED_BY {
            errors.add(&path, "is Weir's own name; choose another");
        }
        if !value.is_string() {
            errors.add(&path, "must be a text");
        }
    }
}

fn check_spec(spec: &Value, path: &str, main: &str, errors: &mut Errors) {
    let Some(fields) = spec.as_object() else {
        errors.add(path, "must be the spec of a pod");
        return;
    };
    for (field, value) in fields {
        // One field at a time, since the decoder's error does not say which it was in.
        if let Err(error) = serde_json::from_value::<PodSpec>(json!({ field: value })) {
            errors.add(&format!("{path}.{field}"), &error.to_string());
        }
    }
    if fields.get("restartPolicy").is_some_and(|policy| policy != "Never" && !policy.is_null()) {
        errors.add(&format!("{path}.restartPolicy"), "is Weir's own; remove it");
    }
    for list in ["containers", "initContainers"] {
        for (at, container) in
            fields.get(list).and_then(Value::as_array).into_iter().flatten().enumerate()
        {
            let path = format!("{path}.{list}[{at}]");
            check_container(container, &path, main, errors);
        }
    }
}

fn check_container(container: &Value, path: &str, main: &str, errors: &mut Errors) {
    let name = container.get("name").and_then(Value::as_str).unwrap_or_default();
    if name.is_empty() {
        errors.add(&format!("{path}.name"), "is required: containers are laid over Weir's by name");
    }
    if name == main || name == INIT_CONTAINER {
        let besides: &[&str] = if name == main { &[] } else { &SIDECAR_FIELDS };
        let own = OWN_FIELDS.iter().chain(besides);
        for field in own.filter(|field| container.get(**field).is_some()) {
            errors.add(
                &format!("{path}.{field}"),
                &format!("is Weir's own in container {name}; arguments of k6 go into spec.k6.args"),
            );
        }
    }
}
