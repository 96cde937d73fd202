//! The walls of the house: who may import whom, what the core may not touch, how long a file may be.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// For each folder (or file) directly below `src`, the folders it may import besides itself.
const ARROWS: &[(&str, &[&str])] = &[
    ("api", &[]),
    ("wire", &["api"]),
    ("core", &["wire", "api"]),
    ("io", &["core", "wire", "api"]),
    ("output", &["io", "core", "wire", "api"]),
    ("operator", &["output", "io", "core", "wire", "api"]),
    ("aggregator", &["output", "io", "core", "wire", "api"]),
    ("agent", &["output", "io", "core", "wire", "api"]),
    ("run", &["aggregator", "agent", "output", "io", "core", "wire", "api"]),
    ("cli", &["operator", "aggregator", "agent", "run", "output", "io", "core", "wire", "api"]),
];

/// Words that would make the core depend on the world: each line of it must be free of them.
const IMPURE: &[&str] = &[
    "async ",
    ".await",
    "tokio",
    "std::fs",
    "std::net",
    "std::env",
    "std::process",
    "std::thread",
    "SystemTime",
    "Instant::now",
    "Timestamp::now",
    "rand::",
    "HashMap",
    "HashSet",
    "kube::Client",
    "aws_",
    "println!",
    "tracing::",
];

/// Lines a file may have before its tests.
const LINES_MAX: usize = 400;

#[test]
fn folders_import_only_what_stands_to_their_right() {
    let mut found = Vec::new();
    for (file, text) in sources() {
        let top = top_folder(&file);
        let Some((_, allowed)) = ARROWS.iter().find(|(name, _)| *name == top) else {
            assert!(
                ["lib.rs", "main.rs", "tests"].contains(&top.as_str()),
                "{file}: {top} is not in ARROWS"
            );
            continue;
        };
        for (number, name) in crate_imports(&text) {
            if name != top && !allowed.contains(&name.as_str()) {
                found.push(format!("{file}:{number} imports {name}; {top} may import {allowed:?}"));
            }
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn the_core_is_pure() {
    let mut found = Vec::new();
    for (file, text) in
        sources().into_iter().filter(|(file, _)| file.starts_with("core/") && !is_test(file))
    {
        for (number, line) in code_lines(&text) {
            for word in IMPURE.iter().filter(|word| line.contains(**word)) {
                found.push(format!("core must be pure, but src/{file}:{number} has {word:?}"));
            }
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn files_stay_small_enough_to_hold_in_the_head() {
    let long: Vec<_> = sources()
        .into_iter()
        .filter(|(file, _)| !is_test(file))
        .map(|(file, text)| (code(&text).len(), file))
        .filter(|(lines, _)| *lines > LINES_MAX)
        .collect();
    assert!(long.is_empty(), "split these, at most {LINES_MAX} lines before the tests: {long:?}");
}

#[test]
fn every_folder_says_what_belongs_there_and_what_may_not() {
    for (file, text) in sources().into_iter().filter(|(file, _)| file.ends_with("/mod.rs")) {
        let head: String = text.lines().take_while(|line| line.starts_with("//!")).collect();
        assert!(
            is_test(&file)
                || file.matches('/').count() > 1
                || head.to_lowercase().contains("may not"),
            "src/{file} must say what belongs in its folder and what may not"
        );
    }
}

#[test]
fn nothing_is_left_unfinished() {
    let words = [
        ["TO", "DO"],
        ["FIX", "ME"],
        ["XX", "X"],
        ["todo", "!("],
        ["unimplemented", "!("],
        ["#[ign", "ore"],
    ]
    .map(|parts| parts.concat());
    for (file, text) in sources() {
        for (number, line) in text.lines().enumerate() {
            let word = words.iter().find(|word| line.contains(*word));
            assert!(word.is_none(), "src/{file}:{} has {word:?}", number + 1);
        }
    }
}

#[test]
fn imports_are_read_from_single_grouped_and_nested_paths() {
    let text = "use crate::{\n    api::v1alpha1::{A, B},\n    core::plan,\n};\nfn f() { crate::io::clock::unix_ms(); }\n";
    let names: Vec<_> = crate_imports(text).into_iter().map(|(_, name)| name).collect();
    assert_eq!(names, ["api", "core", "io"]);
}

/// Every Rust file below `src`, with its path relative to it.
fn sources() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path: PathBuf = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let name = path.strip_prefix(&root).unwrap().to_str().unwrap().to_owned();
                files.push((name, fs::read_to_string(&path).unwrap()));
            }
        }
    }
    assert!(files.len() > 10, "the walk of src found only {} files", files.len());
    files.sort();
    files
}

fn top_folder(file: &str) -> String {
    let top = file.split('/').next().unwrap_or(file);
    if file.contains('/') {
        top.to_owned()
    } else {
        top.strip_suffix(".rs")
            .filter(|name| ARROWS.iter().any(|(n, _)| n == name))
            .unwrap_or(top)
            .to_owned()
    }
}

fn is_test(file: &str) -> bool {
    file.ends_with("tests.rs") || file.ends_with("simulation.rs") || file.contains("tests/")
}

/// The lines before the file's own test module.
fn code(text: &str) -> Vec<&str> {
    text.lines().take_while(|line| !line.starts_with("#[cfg(test)]")).collect()
}

/// Numbered lines of code, without comments.
fn code_lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    code(text)
        .into_iter()
        .enumerate()
        .filter(|(_, line)| !line.trim_start().starts_with("//"))
        .map(|(number, line)| (number + 1, line))
}

/// The first path segment behind each `crate::`, groups in braces taken apart, with its line.
fn crate_imports(text: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let mut rest = text;
    let mut line = 1;
    while let Some(at) = rest.find("crate::") {
        line += rest[..at].matches('\n').count();
        rest = &rest[at + "crate::".len()..];
        if let Some(group) = rest.strip_prefix('{') {
            let mut depth = 0_usize;
            let mut name = String::new();
            let mut expect = true;
            for c in group.chars() {
                match c {
                    '{' => depth += 1,
                    '}' if depth == 0 => break,
                    '}' => depth -= 1,
                    ',' if depth == 0 => expect = true,
                    _ if depth > 0 => {}
                    c if expect && (c.is_alphanumeric() || c == '_') => name.push(c),
                    _ if !name.is_empty() => {
                        found.push((line, std::mem::take(&mut name)));
                        expect = false;
                    }
                    _ => {}
                }
            }
            if !name.is_empty() {
                found.push((line, name));
            }
        } else {
            let name: String =
                rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
            if name.starts_with(char::is_lowercase) {
                found.push((line, name));
            }
        }
    }
    found
}
