//! The file of `--summary-export`.

use serde_json::{Map, Value, ser::PrettyFormatter};

/// The file in the shape that it has by default, made of what `handleSummary` gets: values without a level of their
/// own, thresholds that say true when they were **crossed**, groups and checks by name.
pub fn write(data: &Value) -> String {
    let mut file = Map::new();
    for (key, value) in data.as_object().into_iter().flatten() {
        let value = match key.as_str() {
            "options" | "state" => continue,
            "metrics" => metrics(value),
            "root_group" => group(value),
            _ => value.clone(),
        };
        file.insert(key.clone(), value);
    }
    pretty(&Value::Object(file))
}

/// The file with `--new-machine-readable-summary`: what `handleSummary` gets then, as it is.
pub fn write_machine(data: &Value) -> String {
    pretty(data)
}

fn metrics(metrics: &Value) -> Value {
    let metrics = metrics.as_object().into_iter().flatten();
    metrics.map(|(name, value)| (name.clone(), metric(value))).collect()
}

fn metric(metric: &Value) -> Value {
    let mut values = metric["values"].as_object().cloned().unwrap_or_default();
    if metric["type"] == "rate"
        && let Some(rate) = values.remove("rate")
    {
        values.insert("value".to_owned(), rate);
    }
    if let Some(thresholds) = metric["thresholds"].as_object() {
        let crossed = |judged: &Value| Value::Bool(judged["ok"] != true);
        let thresholds =
            thresholds.iter().map(|(source, judged)| (source.clone(), crossed(judged)));
        values.insert("thresholds".to_owned(), thresholds.collect());
    }
    Value::Object(values)
}

fn group(of: &Value) -> Value {
    let mut of = of.as_object().cloned().unwrap_or_default();
    by_name(&mut of, "groups", group);
    by_name(&mut of, "checks", Value::clone);
    Value::Object(of)
}

fn by_name(of: &mut Map<String, Value>, key: &str, inner: impl Fn(&Value) -> Value) {
    let listed = of.get(key).and_then(Value::as_array).into_iter().flatten();
    let named = listed.filter_map(|one| Some((one["name"].as_str()?.to_owned(), inner(one))));
    let named: Map<String, Value> = named.collect();
    of.insert(key.to_owned(), Value::Object(named));
}

fn pretty(value: &Value) -> String {
    let mut written = Vec::new();
    let formatter = PrettyFormatter::with_indent(b"    ");
    let mut serializer = serde_json::Serializer::with_formatter(&mut written, formatter);
    // Neither a tree of JSON values nor a vector refuses anything.
    if serde::Serialize::serialize(value, &mut serializer).is_err() {
        return String::new();
    }
    String::from_utf8(written).unwrap_or_default()
}
