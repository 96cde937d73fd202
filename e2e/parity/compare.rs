//! What Weir's run must have in common with k6's.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use crate::{
    case::{Head, Logs},
    ran::Ran,
    text,
    tolerated::{DURATION_APART_MS, How, Tolerated, WANTS_VUS, how, may_lack},
};

/// Differences shown of one run.
const SHOWN_MAX: usize = 12;

/// What a comparison found.
#[derive(Debug, Default)]
pub(crate) struct Found {
    pub(crate) differences: Vec<String>,
    pub(crate) tolerated: BTreeMap<Tolerated, u64>,
}

impl Found {
    pub(crate) fn differ(&mut self, text: String) {
        if self.differences.len() < SHOWN_MAX {
            self.differences.push(text);
        }
    }

    pub(crate) fn tolerate(&mut self, why: Tolerated) {
        *self.tolerated.entry(why).or_default() += 1;
    }

    fn equal<T: PartialEq + std::fmt::Debug>(&mut self, what: &str, k6: &T, weir: &T) {
        if k6 != weir {
            self.differ(format!("{what}: k6 {k6:?}, Weir {weir:?}"));
        }
    }

    /// Two numbers of a metric.
    pub(crate) fn numbers(&mut self, what: &str, k6: f64, weir: f64, how: How) {
        if k6.to_bits() == weir.to_bits() {
            return;
        }
        match how {
            How::Any(why) => self.tolerate(why),
            How::Near(error, why) if (k6 - weir).abs() <= error * k6.abs() => self.tolerate(why),
            How::Exact | How::Near(..) => self.differ(format!("{what}: k6 {k6}, Weir {weir}")),
        }
    }
}

/// Compares all of it.
pub(crate) fn compare(head: &Head, k6: &Ran, weir: &Ran) -> Found {
    let mut found = Found::default();
    found.equal("exit code", &k6.exit, &weir.exit);
    found.equal("counted at the target", &k6.counted, &weir.counted);
    logs(&mut found, head, k6, weir);
    let durations: Vec<f64> = [k6, weir].into_iter().filter_map(duration_ms).collect();
    let both = Both { head, durations };

    found.equal("times that handleSummary told its data", &k6.data.len(), &weir.data.len());
    for (of_k6, of_weir) in k6.data.iter().zip(&weir.data) {
        both.value(&mut found, "data", of_k6, of_weir);
    }
    match (&k6.export, &weir.export) {
        (Some(of_k6), Some(of_weir)) => both.value(&mut found, "export", of_k6, of_weir),
        (of_k6, of_weir) => found.equal("export", &of_k6.is_some(), &of_weir.is_some()),
    }
    both.content(&mut found, "stdout", k6.stdout.as_bytes(), weir.stdout.as_bytes());
    let names = |ran: &Ran| ran.files.keys().cloned().collect::<Vec<_>>();
    found.equal("files", &names(k6), &names(weir));
    for (name, of_k6) in &k6.files {
        if let Some(of_weir) = weir.files.get(name) {
            both.content(&mut found, name, of_k6, of_weir);
        }
    }
    rates(&mut found, weir);
    found
}

/// The duration that handleSummary was told, or wrote to a file.
fn duration_ms(ran: &Ran) -> Option<f64> {
    let written = ran.files.values().filter_map(|bytes| serde_json::from_slice(bytes).ok());
    let mut told = ran.data.iter().cloned().chain(written);
    told.find_map(|data: Value| data.pointer("/state/testRunDurationMs")?.as_f64())
}

/// What the script logs, and what k6 logs about it.
fn logs(found: &mut Found, head: &Head, k6: &Ran, weir: &Ran) {
    if head.logs == Logs::Free {
        return found.tolerate(Tolerated::Free);
    }
    let count = |ran: &Ran| {
        let mut counts = BTreeMap::new();
        for log in &ran.logs {
            let mut log = log.clone();
            if head.logs == Logs::Levels {
                log.1.clear();
            }
            let count: &mut u64 = counts.entry(log).or_default();
            *count = if head.logs == Logs::Messages { 1 } else { *count + 1 };
        }
        counts
    };
    let (of_k6, of_weir) = (count(k6), count(weir));
    let all: BTreeSet<_> = of_k6.keys().chain(of_weir.keys()).collect();
    for log in all {
        let [a, b] = [&of_k6, &of_weir].map(|counts| counts.get(log).copied().unwrap_or_default());
        let first_line = log.1.lines().next().unwrap_or_default();
        if log.1.starts_with(WANTS_VUS)
            && of_weir.keys().any(|(_, text)| text.starts_with(WANTS_VUS))
        {
            found.tolerate(Tolerated::Share);
        } else if (a, b) == (1, 0) && log.0 == "error" && weir.stderr.contains(first_line) {
            found.tolerate(Tolerated::Told);
        } else if a != b {
            found.differ(format!("logged {} {:?}: k6 {a} times, Weir {b} times", log.0, log.1));
        }
    }
}

/// Weir's own numbers must fit each other: what is counted per second is the count by the duration.
fn rates(found: &mut Found, weir: &Ran) {
    let (Some(duration), Some(data)) = (duration_ms(weir), weir.data.first()) else { return };
    for (name, metric) in data["metrics"].as_object().into_iter().flatten() {
        let value = |key: &str| metric["values"][key].as_f64().unwrap_or_default();
        let wanted = value("count") / (duration / 1000.0);
        if metric["type"] == "counter"
            && duration > 0.0
            && (value("rate") - wanted).abs() > 1e-6 * wanted.abs()
        {
            let rate = value("rate");
            found.differ(format!("{name}: rate {rate} is not its count by the duration, {wanted}"));
        }
    }
}

/// How the documents of both are compared.
struct Both<'a> {
    head: &'a Head,
    /// Those that are known, in milliseconds.
    durations: Vec<f64>,
}

impl Both<'_> {
    /// A file, or a stream: JSON by its structure, text by its lines, all else by its bytes.
    fn content(&self, found: &mut Found, name: &str, k6: &[u8], weir: &[u8]) {
        let json = |bytes: &[u8]| {
            serde_json::from_slice(bytes).ok().filter(|json: &Value| json.is_object())
        };
        match (json(k6), json(weir), std::str::from_utf8(k6), std::str::from_utf8(weir)) {
            (Some(k6), Some(weir), ..) => self.value(found, name, &k6, &weir),
            (_, _, Ok(k6), Ok(weir)) => {
                text::compare(found, self.head, &self.durations, name, [k6, weir]);
            }
            _ => found.equal(name, &k6, &weir),
        }
    }

    /// Two documents, key by key.
    fn value(&self, found: &mut Found, path: &str, k6: &Value, weir: &Value) {
        match (k6, weir) {
            (Value::Object(of_k6), Value::Object(of_weir)) => {
                self.keys(found, path, of_k6, of_weir);
                for (key, of_k6) in of_k6 {
                    if let Some(of_weir) = of_weir.get(key) {
                        if key == "metrics" && of_k6.is_object() && of_weir.is_object() {
                            self.metrics(found, &format!("{path}.metrics"), of_k6, of_weir);
                        } else {
                            self.value(found, &format!("{path}.{key}"), of_k6, of_weir);
                        }
                    }
                }
            }
            (Value::Array(of_k6), Value::Array(of_weir)) => {
                if path.ends_with("results.metrics") {
                    return self.list_of_metrics(found, path, of_k6, of_weir);
                }
                found.equal(&format!("length of {path}"), &of_k6.len(), &of_weir.len());
                for (index, (of_k6, of_weir)) in of_k6.iter().zip(of_weir).enumerate() {
                    self.value(found, &format!("{path}[{index}]"), of_k6, of_weir);
                }
            }
            (Value::String(_), Value::String(_)) if path.ends_with("metadata.generated_at") => {
                found.tolerate(Tolerated::Time);
            }
            (Value::Number(of_k6), Value::Number(of_weir)) => {
                let [of_k6, of_weir] = [of_k6, of_weir].map(|n| n.as_f64().unwrap_or(f64::NAN));
                let is_free = |metric: &str| self.head.free.iter().any(|free| free == metric);
                let how = if path.ends_with("testRunDurationMs")
                    || path.ends_with("config.duration")
                {
                    let far = (of_k6 - of_weir).abs() > DURATION_APART_MS;
                    match far {
                        _ if is_free("duration") => How::Any(Tolerated::Free),
                        true => How::Exact,
                        false => How::Any(Tolerated::Duration),
                    }
                } else if is_free("checks") && ["passes", "fails"].iter().any(|k| path.ends_with(k))
                {
                    How::Any(Tolerated::Free)
                } else {
                    How::Exact
                };
                found.numbers(path, of_k6, of_weir, how);
            }
            _ => found.equal(path, k6, weir),
        }
    }

    fn keys(
        &self,
        found: &mut Found,
        path: &str,
        k6: &Map<String, Value>,
        weir: &Map<String, Value>,
    ) {
        for (one, other, who) in [(k6, weir, "Weir"), (weir, k6, "k6")] {
            for key in one.keys().filter(|key| !other.contains_key(*key)) {
                if let Some(why) = may_lack(self.head, key, &self.durations) {
                    found.tolerate(why);
                } else {
                    found.differ(format!("{path}.{key}: {who} has it not"));
                }
            }
        }
    }

    /// Metrics as the machine-readable summary lists them.
    fn list_of_metrics(&self, found: &mut Found, path: &str, k6: &[Value], weir: &[Value]) {
        let by_name = |metrics: &[Value]| {
            let name = |metric: &Value| metric["name"].as_str().unwrap_or_default().to_owned();
            Value::Object(metrics.iter().map(|metric| (name(metric), metric.clone())).collect())
        };
        let names =
            |metrics: &[Value]| metrics.iter().map(|m| m["name"].clone()).collect::<Vec<_>>();
        if names(k6) != names(weir) {
            found.tolerate(Tolerated::Order);
        }
        found.equal(&format!("length of {path}"), &k6.len(), &weir.len());
        self.metrics(found, path, &by_name(k6), &by_name(weir));
    }

    fn metrics(&self, found: &mut Found, path: &str, k6: &Value, weir: &Value) {
        let (Some(k6), Some(weir)) = (k6.as_object(), weir.as_object()) else { return };
        self.keys(found, path, k6, weir);
        for (name, of_k6) in k6 {
            let Some(of_weir) = weir.get(name) else { continue };
            self.metric(found, &format!("{path}.{name}"), name, of_k6, of_weir);
        }
    }

    /// One metric: its values stand in `values`, or in the export beside its thresholds.
    fn metric(&self, found: &mut Found, path: &str, name: &str, k6: &Value, weir: &Value) {
        let (Some(of_k6), Some(of_weir)) = (k6.as_object(), weir.as_object()) else {
            return found.equal(path, k6, weir);
        };
        self.keys(found, path, of_k6, of_weir);
        let is_counter = k6["type"] == "counter" || of_k6.contains_key("count");
        for (key, of_k6) in of_k6 {
            let Some(of_weir) = of_weir.get(key) else { continue };
            let path = format!("{path}.{key}");
            match (of_k6, of_weir) {
                (Value::Number(of_k6), Value::Number(of_weir)) => {
                    let [of_k6, of_weir] = [of_k6, of_weir].map(|n| n.as_f64().unwrap_or(f64::NAN));
                    let how = how(self.head, name, key, is_counter);
                    found.numbers(&path, of_k6, of_weir, how);
                }
                (Value::Object(_), Value::Object(_)) if key == "values" => {
                    let typed = |value: &Value| {
                        let mut value = value.clone();
                        if let (Some(values), true) = (value.as_object_mut(), is_counter) {
                            values.entry("count").or_insert(Value::Null);
                        }
                        value
                    };
                    self.metric(found, &path, name, &typed(of_k6), &typed(of_weir));
                }
                _ => self.value(found, &path, of_k6, of_weir),
            }
        }
    }
}
