//! How stock k6 tells what the metrics are that thresholds name. Its samples say so of those that are measured; of one
//! that never is, only a k6 that has read the script knows, and shows it for its threshold.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{
    archive::{self, ArchiveError},
    wrapper,
};
use crate::core::{
    k6::{args::UserArgs, options},
    ledger::{builtin::builtin, name::MetricName},
};

const WRAPPER: &str = include_str!("wrapper/kinds.js");

/// Flags of the user by which the script would be heard twice.
const DROPPED_FLAGS: &[&str] = &["console-output", "log-format", "log-output"];

/// Name of the metrics in the options of a bundle, beside what k6 prints of them.
const KEY: &str = "weirMetrics";

#[derive(Deserialize)]
struct Options {
    thresholds: Option<BTreeMap<String, Value>>,
}

/// An archive that writes to the file `answer` what the metrics are that the thresholds in `archive`, and those on
/// `more`, are about. None where all of them are k6's own.
///
/// # Errors
/// When it is no archive of k6's.
pub fn wrap(
    archive: &[u8],
    more: &[String],
    answer: &str,
) -> Result<Option<Vec<u8>>, ArchiveError> {
    let options: Options = serde_json::from_str(archive::options(archive)?.get())?;
    let script = options.thresholds.unwrap_or_default();
    let names = script.keys().map(String::as_str).chain(more.iter().map(String::as_str));
    let metrics: BTreeSet<String> = names
        .filter_map(|name| MetricName::parse(name).ok())
        .map(|name| name.metric)
        .filter(|metric| builtin(metric).is_none())
        .collect();
    if metrics.is_empty() {
        return Ok(None);
    }
    // A threshold without expressions is never crossed, and its metric is shown all the same.
    let thresholds = metrics.into_iter().map(|metric| (metric, json!([]))).collect::<Map<_, _>>();
    let source = |address: &str| {
        let [address, answer] = [address, answer].map(wrapper::literal);
        format!("import {address};\nconst answerFile = {answer};\n{WRAPPER}")
    };
    wrapper::rewrite(archive, source, Some(thresholds)).map(Some)
}

/// Arguments of k6 for such an archive.
pub fn argv(user: &UserArgs, archive: &str) -> Vec<String> {
    let mut argv = wrapper::nothing(user);
    argv.retain(|arg| {
        let name = arg.strip_prefix("--").and_then(|long| long.split('=').next());
        name.is_none_or(|name| !DROPPED_FLAGS.contains(&name))
    });
    argv.extend(["--no-thresholds=false", "--", archive].map(str::to_owned));
    argv
}

/// What of the environment must differ for it. None removes a variable.
pub fn environment() -> BTreeMap<&'static str, Option<String>> {
    let mut changes = wrapper::environment();
    changes
        .extend(["K6_CONSOLE_OUTPUT", "K6_LOG_OUTPUT", "K6_NO_SUMMARY"].map(|name| (name, None)));
    changes
}

/// The options of a bundle, as `k6 inspect` prints them, with what such an archive wrote.
pub fn insert(options: &[u8], written: &[u8]) -> Option<Vec<u8>> {
    let mut options: Map<String, Value> = serde_json::from_slice(options::object(options)).ok()?;
    let metrics: BTreeMap<String, (String, String)> = serde_json::from_slice(written).ok()?;
    options.insert(KEY.to_owned(), serde_json::to_value(metrics).ok()?);
    serde_json::to_vec(&options).ok()
}
