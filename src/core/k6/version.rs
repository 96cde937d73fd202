//! k6's version, and what depends on it.

/// Version of a k6 binary.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    /// As the binary prints it, such as `v2.2.0`.
    pub text: String,
    is_before_2: bool,
    /// 1.3 and later print on standard output that `--no-summary` is deprecated.
    has_disabled_mode: bool,
}

impl Version {
    /// Reads the output of `k6 version`; a text of another form is taken for the newest k6.
    pub fn parse(output: &str) -> Self {
        let text = output
            .split_whitespace()
            .find(|word| {
                word.strip_prefix('v')
                    .is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
            })
            .unwrap_or("unknown")
            .to_owned();
        let mut numbers = text.trim_start_matches('v').split(['.', '-', '+']);
        let major = numbers.next().and_then(|n| n.parse::<u32>().ok());
        let minor = numbers.next().and_then(|n| n.parse::<u32>().ok());
        // Builds from a commit call themselves v0.0.0: they are newer than any 0.x.
        let (is_before_2, has_disabled_mode) = match (major, minor) {
            (Some(0), Some(minor)) => (minor > 0, minor == 0),
            (Some(1), Some(minor)) => (true, minor >= 3),
            _ => (false, true),
        };
        Self { text, is_before_2, has_disabled_mode }
    }

    /// Whether it is a k6 before 2.0, which has `--no-summary` and the legacy summary.
    pub const fn is_before_2(&self) -> bool {
        self.is_before_2
    }

    /// The flag that keeps this k6 from making a summary.
    pub const fn no_summary(&self) -> &'static str {
        if self.has_disabled_mode { "--summary-mode=disabled" } else { "--no-summary" }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_summary_is_turned_off_in_the_words_of_each_version() {
        let flag = |output: &str| Version::parse(output).no_summary();
        assert_eq!(flag("k6 v2.2.0 (go1.26.8, linux/amd64)\n"), "--summary-mode=disabled");
        assert_eq!(flag("k6 v1.8.1 (commit/abc, go1.26, linux/amd64)"), "--summary-mode=disabled");
        assert_eq!(flag("k6 v1.3.0 (go1.24)"), "--summary-mode=disabled");
        assert_eq!(flag("k6 v1.2.3 (go1.24)"), "--no-summary");
        assert_eq!(flag("k6 v0.57.0 (go1.23)"), "--no-summary");
        assert_eq!(flag("k6 v0.0.0+a1b2c3 (go1.26)"), "--summary-mode=disabled");
        assert_eq!(flag("something else"), "--summary-mode=disabled");
    }

    #[test]
    fn k6_2_is_told_from_those_before_it() {
        let is_before_2 = |output: &str| Version::parse(output).is_before_2();
        assert!(is_before_2("k6 v1.8.1") && is_before_2("k6 v1.0.0") && is_before_2("k6 v0.57.0"));
        assert!(!is_before_2("k6 v2.0.0") && !is_before_2("k6 v0.0.0+a1b2c3") && !is_before_2(""));
    }

    #[test]
    fn the_version_is_kept_as_printed() {
        assert_eq!(Version::parse("k6 v2.2.0 (go1.26.8, linux/amd64)").text, "v2.2.0");
        assert_eq!(Version::parse("").text, "unknown");
    }
}
