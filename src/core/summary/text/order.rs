//! The order in which k6 lists names: that of the Unicode collation algorithm, exact for ASCII, which is all that
//! names of metrics and scenarios hold.

/// Characters that sort before letters.
const BEFORE_LETTERS: &str = " _-,;:!?.'\"()[]{}@*/\\&#%`^+<=>|~$0123456789";

/// Orders names: first by what the characters are, and only among equals by their case, small letters first.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    characters: Vec<u32>,
    capitals: Vec<bool>,
}

/// The key of a name.
pub(super) fn key(name: &str) -> Key {
    // Control characters have no weight.
    let shown = || name.chars().filter(|c| !c.is_control());
    Key { characters: shown().map(weight).collect(), capitals: shown().map(is_capital).collect() }
}

/// The key of a metric, which keeps submetrics behind the metric that they are a part of.
pub(super) fn metric_key(name: &str) -> (Key, Key) {
    let (parent, tags) = name.split_at(name.find('{').unwrap_or(name.len()));
    (key(parent), key(tags))
}

fn is_capital(c: char) -> bool {
    c.is_ascii_uppercase()
}

fn weight(c: char) -> u32 {
    let before = BEFORE_LETTERS.chars().position(|known| known == c);
    // A code point of ASCII lies above the number of characters that sort before letters.
    before.and_then(|at| u32::try_from(at).ok()).unwrap_or(c.to_ascii_lowercase().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn case_decides_only_among_names_that_are_equal_without_it() {
        let mut names = ["b", "B", "a_b", "A", "aa", "a1", "a", "Ab", "aB", "10", "9", "ä"];
        names.sort_by_cached_key(|name| key(name));
        assert_eq!(names, ["10", "9", "a", "A", "a_b", "a1", "aa", "aB", "Ab", "b", "B", "ä"]);
    }

    #[test]
    fn submetrics_follow_their_metric() {
        let mut names = ["ab", "a{x:1}", "a", "a_b", "a{X:1}", "a{b:1}"];
        names.sort_by_cached_key(|name| metric_key(name));
        assert_eq!(names, ["a", "a{b:1}", "a{x:1}", "a{X:1}", "a_b", "ab"]);
    }
}
