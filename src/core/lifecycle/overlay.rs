//! Lays a user's pod template over Weir's own, as `runnerTemplate` and `aggregator.template` promise.

use serde_json::{Map, Value};

/// The field by which items of a list are the same item; other lists are replaced whole.
fn merge_key(field: &str) -> Option<&'static str> {
    match field {
        "containers" | "initContainers" | "volumes" | "env" | "imagePullSecrets" => Some("name"),
        "volumeMounts" => Some("mountPath"),
        "ports" => Some("containerPort"),
        _ => None,
    }
}

/// Lays `over` on `base`: objects merge field by field, the lists above item by item, everything else is replaced.
/// A null removes what is below it. Items that `base` does not have come after those it has, in their own order.
pub(super) fn lay(base: &mut Value, over: &Value) {
    match (base, over) {
        (Value::Object(base), Value::Object(over)) => lay_object(base, over),
        (base, over) => *base = over.clone(),
    }
}

fn lay_object(base: &mut Map<String, Value>, over: &Map<String, Value>) {
    for (field, value) in over {
        match (base.get_mut(field), value, merge_key(field)) {
            (_, Value::Null, _) => {
                base.remove(field);
            }
            (Some(Value::Array(below)), Value::Array(above), Some(key)) => {
                lay_list(below, above, key);
            }
            (Some(below), above, _) => lay(below, above),
            (None, above, _) => {
                base.insert(field.clone(), above.clone());
            }
        }
    }
}

fn lay_list(base: &mut Vec<Value>, over: &[Value], key: &str) {
    for item in over {
        let same = item.get(key).and_then(|id| base.iter_mut().find(|b| b.get(key) == Some(id)));
        match same {
            Some(below) => lay(below, item),
            None => base.push(item.clone()),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn check(mut base: Value, over: &Value, expected: &Value) {
        lay(&mut base, over);
        assert_eq!(&base, expected);
    }

    #[test]
    fn objects_merge_and_scalars_are_replaced() {
        check(
            json!({"a": {"b": 1, "c": 2}}),
            &json!({"a": {"c": 3}}),
            &json!({"a": {"b": 1, "c": 3}}),
        );
    }

    #[test]
    fn null_removes_what_weir_set() {
        check(
            json!({"securityContext": {"runAsUser": 1, "x": 2}}),
            &json!({"securityContext": {"runAsUser": null}}),
            &json!({"securityContext": {"x": 2}}),
        );
    }

    #[test]
    fn containers_merge_by_name_and_new_ones_come_last() {
        check(
            json!({"containers": [{"name": "k6", "image": "a", "env": [{"name": "A", "value": "1"}]}]}),
            &json!({"containers": [{"name": "extra"}, {"name": "k6", "env": [{"name": "B"}, {"name": "A", "value": "2"}]}]}),
            &json!({"containers": [
                {"name": "k6", "image": "a", "env": [{"name": "A", "value": "2"}, {"name": "B"}]}, {"name": "extra"}]}),
        );
    }

    #[test]
    fn mounts_merge_by_path_and_ports_by_number() {
        check(
            json!({"volumeMounts": [{"mountPath": "/a", "name": "x"}], "ports": [{"containerPort": 1, "name": "x"}]}),
            &json!({"volumeMounts": [{"mountPath": "/b", "name": "x"}], "ports": [{"containerPort": 1, "name": "y"}]}),
            &json!({"volumeMounts": [{"mountPath": "/a", "name": "x"}, {"mountPath": "/b", "name": "x"}], "ports": [{"containerPort": 1, "name": "y"}]}),
        );
    }

    #[test]
    fn other_lists_are_replaced_whole() {
        check(
            json!({"tolerations": [1, 2]}),
            &json!({"tolerations": [3]}),
            &json!({"tolerations": [3]}),
        );
    }
}
