//! Whether two summaries are alike. Percentiles of a view are near those of k6, not the same.

use serde_json::Value;

/// By how much of itself a number may be off.
const TOLERANCE: f64 = 0.002;

fn near(ours: f64, theirs: f64) -> bool {
    (ours - theirs).abs() <= theirs.abs() * TOLERANCE + 1e-9
}

/// Where two JSON values differ; keys and their order in arrays must be the same.
pub(super) fn differences(ours: &Value, theirs: &Value, at: &str, found: &mut Vec<String>) {
    match (ours, theirs) {
        (Value::Object(a), Value::Object(b)) => {
            for key in a.keys().chain(b.keys().filter(|key| !a.contains_key(*key))) {
                let at = format!("{at}.{key}");
                match (a.get(key), b.get(key)) {
                    (Some(a), Some(b)) => differences(a, b, &at, found),
                    (one, _) => found.push(format!(
                        "{at}: only {}",
                        if one.is_some() { "ours" } else { "k6's" }
                    )),
                }
            }
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            for (index, (a, b)) in a.iter().zip(b).enumerate() {
                differences(a, b, &format!("{at}[{index}]"), found);
            }
        }
        (Value::Number(a), Value::Number(b)) if near(a.as_f64().unwrap(), b.as_f64().unwrap()) => {}
        _ if ours == theirs => {}
        _ => found.push(format!("{at}: {ours}, k6 has {theirs}")),
    }
}

/// Where two texts differ line by line. Unless they must be `equal`, numbers may be a little off, and then the space
/// that aligns them.
pub(super) fn first_difference(ours: &str, theirs: &str, equal: bool) -> Option<String> {
    let (mut a, mut b) = (ours.split('\n'), theirs.split('\n'));
    loop {
        match (a.next(), b.next()) {
            (None, None) => return None,
            (Some(a), Some(b)) if a == b || (!equal && same_words(a, b)) => {}
            (a, b) => return Some(format!("{a:?}, k6 has {b:?}")),
        }
    }
}

fn same_words(ours: &str, theirs: &str) -> bool {
    let indent = |line: &str| line.len() - line.trim_start().len();
    let (a, b): (Vec<_>, Vec<_>) =
        (ours.split_whitespace().collect(), theirs.split_whitespace().collect());
    indent(ours) == indent(theirs)
        && a.len() == b.len()
        && a.iter().zip(&b).all(|(a, b)| a == b || same_value(a, b))
}

/// `p(95)=1.23ms` and `p(95)=1.24ms`.
fn same_value(ours: &str, theirs: &str) -> bool {
    let parts = |word: &str| {
        let (name, value) = word.rsplit_once('=').unwrap_or(("", word));
        let end = value.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(value.len());
        let (number, unit) = value.split_at(end);
        number.parse::<f64>().ok().map(|number| (name.to_owned(), number, unit.to_owned()))
    };
    let (Some(a), Some(b)) = (parts(ours), parts(theirs)) else { return false };
    // Digits that are not shown add to the difference.
    let last_digit = 0.011;
    a.0 == b.0 && a.2 == b.2 && (near(a.1, b.1) || (a.1 - b.1).abs() <= last_digit)
}

#[test]
fn texts_are_alike_when_only_a_last_digit_differs() {
    let (ours, theirs) = ("  a..: p(95)=1.23ms max=2s\n", "  a..: p(95)=1.24ms  max=2s\n");
    assert_eq!(first_difference(ours, theirs, false), None);
    assert!(first_difference(ours, theirs, true).is_some());
    assert!(first_difference("a\nb", "a", false).is_some());
    for (ours, theirs) in [
        ("  a: avg=1.23ms", "  a: avg=1.33ms"),
        ("  a: avg=1.23ms", " a: avg=1.23ms"),
        ("a: avg=1.23ms", "a: min=1.23ms"),
        ("a: avg=1.23ms", "a: avg=1.23s"),
    ] {
        assert!(first_difference(ours, theirs, false).is_some(), "{ours}");
    }
}
