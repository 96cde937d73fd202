//! Durations as Go prints them.

/// Milliseconds of a duration such as `1h2m3.5s` or `500ms`, rounded up; none when the text is no duration.
pub fn parse_ms(text: &str) -> Option<u64> {
    let mut rest = text;
    if rest == "0" {
        return Some(0);
    }
    let mut ns: u128 = 0;
    while !rest.is_empty() {
        let digits =
            rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.').len();
        let (number, tail) = rest.split_at_checked(digits)?;
        let letters = tail.len() - tail.trim_start_matches(|c: char| !c.is_ascii_digit()).len();
        let (unit, tail) = tail.split_at_checked(letters)?;
        let unit_ns: u128 = match unit {
            "ns" => 1,
            "us" | "µs" | "μs" => 1_000,
            "ms" => 1_000_000,
            "s" => 1_000_000_000,
            "m" => 60_000_000_000,
            "h" => 3_600_000_000_000,
            "d" => 86_400_000_000_000,
            _ => return None,
        };
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        let whole: u128 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
        ns = ns.checked_add(whole.checked_mul(unit_ns)?)?;
        let mut scale = unit_ns;
        for digit in fraction.bytes() {
            scale /= 10;
            ns = ns.checked_add(u128::from(digit.checked_sub(b'0')?).checked_mul(scale)?)?;
        }
        if number.is_empty() || number == "." {
            return None;
        }
        rest = tail;
    }
    if text.is_empty() {
        return None;
    }
    u64::try_from(ns.div_ceil(1_000_000)).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn go_durations_become_milliseconds() {
        for (text, ms) in [
            ("10m30s", 630_000),
            ("1h2m3.5s", 3_723_500),
            ("500ms", 500),
            ("1µs", 1),
            ("0s", 0),
            ("0", 0),
            ("1.5h", 5_400_000),
        ] {
            assert_eq!(parse_ms(text), Some(ms), "{text}");
        }
    }

    #[test]
    fn what_is_no_duration_is_refused() {
        for text in ["", "s", "10", "10x", "-1s", ".s", "1s2"] {
            assert_eq!(parse_ms(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_panic(text in "\\PC{0,20}") {
            let read = parse_ms(&text);
            prop_assert!(read.is_none() || text.contains(|c: char| c.is_ascii_digit()));
        }
    }
}
