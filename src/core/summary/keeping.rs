//! What of a summary fits into a ConfigMap, and under which keys.

use std::collections::BTreeMap;

use crate::wire::result::Artifacts;

/// Key of k6's own text.
pub const TEXT_KEY: &str = "summary.txt";
/// Bytes that a key may have (Kubernetes).
const KEY_BYTES_MAX: usize = 253;

/// The keys of a ConfigMap.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Kept {
    /// Texts.
    pub data: BTreeMap<String, String>,
    /// All else.
    pub binary_data: BTreeMap<String, Vec<u8>>,
    /// Names of the files that do not fit.
    pub omitted: Vec<String>,
}

/// Keeps the text and the files in their order, as far as `bytes_max` goes. `taken` are keys that are another's.
pub fn keep(artifacts: &Artifacts, taken: &[&str], bytes_max: usize) -> Kept {
    let mut kept = Kept::default();
    let mut left = bytes_max;
    let own = (!artifacts.text.is_empty()).then_some((TEXT_KEY, artifacts.text.as_bytes()));
    let files = artifacts.files.iter().map(|(name, content)| (name.as_str(), content.as_ref()));
    for (name, content) in own.into_iter().chain(files) {
        let is_taken = |key: &str| {
            taken.contains(&key)
                || kept.data.contains_key(key)
                || kept.binary_data.contains_key(key)
        };
        let key = key(name, is_taken);
        let text = std::str::from_utf8(content);
        // JSON escapes and Base64 take more than the bytes themselves.
        let size = key.len() + if text.is_ok() { content.len() } else { content.len() / 3 * 4 + 4 };
        if size > left {
            kept.omitted.push(name.to_owned());
            continue;
        }
        left -= size;
        match text {
            Ok(text) => drop(kept.data.insert(key, text.to_owned())),
            Err(_) => drop(kept.binary_data.insert(key, content.to_vec())),
        }
    }
    kept
}

/// A file's name as a key: letters, digits, `-`, `_` and `.` alone, and none that is taken.
fn key(name: &str, is_taken: impl Fn(&str) -> bool) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '_' };
    let mut key: String = name.chars().map(plain).take(KEY_BYTES_MAX - 4).collect();
    if key.chars().all(|c| c == '.') {
        key.push('_');
    }
    let first = key.clone();
    let mut number = 2;
    while is_taken(&key) {
        key = format!("{first}-{number}");
        number += 1;
    }
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    fn artifacts(files: &[(&str, &[u8])]) -> Artifacts {
        let files = files.iter().map(|(n, c)| ((*n).to_owned(), c.to_vec().into())).collect();
        Artifacts { text: "text".to_owned(), files, error: None }
    }

    #[test]
    fn files_become_keys_that_kubernetes_takes() {
        let given = artifacts(&[
            ("stdout", b"hi"),
            ("out/report 1.html", b"<p>"),
            ("out/report_1.html", b"<b>"),
            ("summary.json", b"{}"),
            ("..", b"dots"),
            ("raw", b"\xff\x00"),
        ]);
        let kept = keep(&given, &["summary.json"], 1000);
        let keys: Vec<_> = kept.data.keys().map(String::as_str).collect();
        assert_eq!(
            keys,
            [
                ".._",
                "out_report_1.html",
                "out_report_1.html-2",
                "stdout",
                "summary.json-2",
                "summary.txt",
            ]
        );
        assert_eq!(kept.binary_data["raw"], b"\xff\x00");
        assert!(kept.omitted.is_empty());
    }

    #[test]
    fn what_does_not_fit_is_named_and_the_rest_kept() {
        let big = vec![b'x'; 100];
        let kept = keep(&artifacts(&[("big", &big), ("small", b"s")]), &[], 40);
        assert_eq!(kept.omitted, ["big"]);
        assert_eq!(kept.data.keys().collect::<Vec<_>>(), ["small", "summary.txt"]);
    }
}
