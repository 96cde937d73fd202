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

/// `p(95)=999.99µs` and `p(95)=1ms`.
fn same_value(ours: &str, theirs: &str) -> bool {
    let units = [("ns", 1e-6), ("µs", 1e-3), ("ms", 1.0), ("s", 1e3)];
    let parts = |word: &str| {
        let (name, value) = word.rsplit_once('=').unwrap_or(("", word));
        let end = value.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(value.len());
        let (number, unit) = value.split_at(end);
        let number: f64 = number.parse().ok()?;
        let scale = units.iter().find(|(known, _)| *known == unit).map(|(_, scale)| *scale);
        let kind = if scale.is_some() { "duration" } else { unit };
        let scale = scale.unwrap_or(1.0);
        // Digits that are not shown add to the difference.
        Some((name.to_owned(), kind.to_owned(), number * scale, 0.011 * scale))
    };
    let (Some(a), Some(b)) = (parts(ours), parts(theirs)) else { return false };
    a.0 == b.0 && a.1 == b.1 && (near(a.2, b.2) || (a.2 - b.2).abs() <= a.3.max(b.3))
}

#[test]
fn texts_are_alike_when_only_a_last_digit_differs() {
    let (ours, theirs) = ("  a..: p(95)=1.23ms max=2s\n", "  a..: p(95)=1.24ms  max=2s\n");
    assert_eq!(first_difference(ours, theirs, false), None);
    assert_eq!(first_difference("a: med=999.99µs", "a: med=1ms", false), None);
    assert!(first_difference(ours, theirs, true).is_some());
    assert!(first_difference("a\nb", "a", false).is_some());
    for (ours, theirs) in [
        ("  a: avg=1.23ms", "  a: avg=1.33ms"),
        ("  a: avg=1.23ms", " a: avg=1.23ms"),
        ("a: avg=1.23ms", "a: min=1.23ms"),
        ("a: avg=1.23ms", "a: avg=1.23s"),
        ("a: avg=1.23ms", "a: avg=1.23"),
    ] {
        assert!(first_difference(ours, theirs, false).is_some(), "{ours}");
    }
}
