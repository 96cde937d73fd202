//! One script of the corpus: what its head says of it.
//!
//! The first line is a comment for people: what the script shows, and what is fixed. The second may be
//! `// parity: {…}`, the fields of [`Head`] as JSON.

use std::{collections::BTreeMap, fs, path::Path};

use serde::Deserialize;

/// What a script's head may say.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
#[expect(clippy::struct_excessive_bools, reason = "wishes that do not exclude each other")]
pub(crate) struct Head {
    /// Further arguments of `k6 run`.
    pub(crate) args: Vec<String>,
    /// Environment of k6.
    pub(crate) env: BTreeMap<String, String>,
    /// Exit code that k6 itself must end with, or the script does not show what it says.
    pub(crate) exit: i32,
    /// Metrics whose values the script does not fix, for time or chance decides them; `duration` is the test's own.
    pub(crate) free: Vec<String>,
    /// Metrics that chance may keep away altogether.
    pub(crate) maybe: Vec<String>,
    /// What of its logs the script fixes.
    pub(crate) logs: Logs,
    /// Runs while nothing else does, for it depends on time.
    pub(crate) alone: bool,
    /// Part of the short form.
    pub(crate) short: bool,
    /// Run as it is: without the `handleSummary` that tells its data, and without `--summary-export`.
    pub(crate) plain: bool,
    /// Archived first, and the archive is run.
    pub(crate) archive: bool,
    /// Weir runs it with so many instances at most: it refuses more instances than there are VUs.
    pub(crate) up_to: Option<u32>,
    /// Only with k6 of this major version.
    pub(crate) only: Option<u32>,
}

/// What of its logs a script fixes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Logs {
    /// Which messages, and how often each.
    #[default]
    All,
    /// Which messages, not how often.
    Messages,
    /// How many of each level, not which.
    Levels,
    /// Nothing: time decides.
    Free,
}

/// One script, and how it is run.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    pub(crate) name: String,
    /// Where the script is, ready to be run.
    pub(crate) script: String,
    pub(crate) head: Head,
}

/// Appended to each script that has no `handleSummary` of its own: k6 still writes its own text, and tells the data.
pub(crate) const TELL: &str = "\nexport function handleSummary(data) { console.log('parity-data ' + JSON.stringify(data)); }\n";

/// Reads the corpus, and copies it to `work`, where each script tells its data.
pub(crate) fn corpus(scripts: &Path, work: &Path) -> Vec<Case> {
    copy(scripts, work);
    let mut cases: Vec<Case> = fs::read_dir(work)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "js"))
        .map(|path| {
            let text = fs::read_to_string(&path).unwrap();
            let name = path.file_stem().unwrap().to_string_lossy().into_owned();
            assert!(text.starts_with("// "), "{name}: its first line must say what it shows");
            let head = head(&name, &text);
            if !head.plain && !text.contains("handleSummary") {
                fs::write(&path, text + TELL).unwrap();
            }
            Case { name, script: path.to_string_lossy().into_owned(), head }
        })
        .collect();
    cases.sort_by(|a, b| a.name.cmp(&b.name));
    cases
}

fn head(name: &str, text: &str) -> Head {
    let second = text.lines().nth(1).unwrap_or_default();
    match second.strip_prefix("// parity: ") {
        Some(json) => {
            serde_json::from_str(json).unwrap_or_else(|error| panic!("{name}: its head: {error}"))
        }
        None => Head::default(),
    }
}

pub(crate) fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let copied = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy(&path, &copied);
        } else {
            // Not `fs::copy`: what lies in a module cache cannot be written, and the copy could not either.
            fs::write(copied, fs::read(&path).unwrap()).unwrap();
        }
    }
}
