//! RFC 3339 times to Unix nanoseconds, exactly.

/// Bytes of `2026-11-22T07:28:28`.
const SECOND_BYTES: usize = 19;

/// Unix nanoseconds of a time such as `2026-11-22T07:28:28.250116571+01:00`; none when the text is no such time, or
/// lies before 1970 or after what fits.
pub fn parse_unix_ns(text: &str) -> Option<i64> {
    let bytes = text.as_bytes();
    within(bytes, second(bytes)?)
}

/// Reads times most of which are of the same second as the one before.
#[derive(Clone, Debug, Default)]
pub struct LastSecond {
    text: [u8; SECOND_BYTES],
    /// None before the first.
    second: Option<i64>,
}

impl LastSecond {
    /// As [`parse_unix_ns`].
    pub fn parse(&mut self, bytes: &[u8]) -> Option<i64> {
        let own = bytes.first_chunk::<SECOND_BYTES>()?;
        if let Some(second) = self.second.filter(|_| *own == self.text) {
            return within(bytes, second);
        }
        let second = second(bytes)?;
        *self = Self { text: *own, second: Some(second) };
        within(bytes, second)
    }
}

/// The second that the text begins with, as if it were of UTC.
fn second(bytes: &[u8]) -> Option<i64> {
    let year = number(bytes, 0, 4)?;
    let month = number(bytes, 5, 2)?;
    let day = number(bytes, 8, 2)?;
    let hour = number(bytes, 11, 2)?;
    let minute = number(bytes, 14, 2)?;
    let second = number(bytes, 17, 2)?;
    let punctuated = [(4, b'-'), (7, b'-'), (10, b'T'), (13, b':'), (16, b':')];
    if punctuated.iter().any(|(at, mark)| bytes.get(*at) != Some(mark)) {
        return None;
    }
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    if hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    Some(days_since_1970(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second)
}

/// The time within its second.
fn within(bytes: &[u8], second: i64) -> Option<i64> {
    let mut at = SECOND_BYTES;
    let mut fraction_ns = 0;
    if bytes.get(at) == Some(&b'.') {
        at += 1;
        let mut scale = 100_000_000;
        let first = at;
        while let Some(digit) = bytes.get(at).filter(|byte| byte.is_ascii_digit()) {
            fraction_ns += i64::from(digit - b'0') * scale;
            scale /= 10;
            at += 1;
        }
        if at == first {
            return None;
        }
    }
    let offset_s = offset_seconds(bytes.get(at..)?)?;
    let ns = (second - offset_s).checked_mul(1_000_000_000)?.checked_add(fraction_ns)?;
    (ns >= 0).then_some(ns)
}

/// `Z`, or `+01:00`.
fn offset_seconds(bytes: &[u8]) -> Option<i64> {
    let sign = match bytes.first()? {
        b'Z' if bytes.len() == 1 => return Some(0),
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    if bytes.len() != 6 || bytes.get(3) != Some(&b':') {
        return None;
    }
    Some(sign * (number(bytes, 1, 2)? * 3600 + number(bytes, 4, 2)? * 60))
}

fn number(bytes: &[u8], from: usize, digits: usize) -> Option<i64> {
    let mut value = 0;
    for byte in bytes.get(from..from + digits)? {
        if !byte.is_ascii_digit() {
            return None;
        }
        value = value * 10 + i64::from(byte - b'0');
    }
    Some(value)
}

/// Days from 1970-01-01 to a date of the Gregorian calendar. Years are counted from March, so that the leap day
/// ends one; 400 of them have 146,097 days.
const fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let march_year = if month <= 2 { year - 1 } else { year };
    let era = march_year.div_euclid(400);
    let year_of_era = march_year.rem_euclid(400);
    let month_from_march = (month + 9) % 12;
    let day_of_year = (153 * month_from_march + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn known_times_are_exact() {
        for (text, ns) in [
            ("1970-01-01T00:00:00Z", 0),
            ("2026-11-22T07:28:28.250116571Z", 1_795_332_508_250_116_571),
            ("2026-11-22T08:28:28.250116571+01:00", 1_795_332_508_250_116_571),
            ("2026-11-22T01:58:28.25-05:30", 1_795_332_508_250_000_000),
            ("2024-02-29T23:59:59.000000001Z", 1_709_251_199_000_000_001),
        ] {
            assert_eq!(parse_unix_ns(text), Some(ns), "{text}");
        }
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for text in [
            "",
            "2026-11-22",
            "2026-11-22T07:28:28",
            "2026-11-22T07:28:28.Z",
            "2026-13-22T07:28:28Z",
            "2026-11-22 07:28:28Z",
            "2026-11-22T07:28:28Zx",
            "2026-11-22T07:28:28+1:00",
            "1969-12-31T23:59:59Z",
            "9999-12-31T23:59:59Z",
            "2026-11-22T24:00:00Z",
        ] {
            assert_eq!(parse_unix_ns(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn every_time_is_read_as_an_independent_library_reads_it(
            ns in 0_i64..=i64::MAX, offset_min in -840_i32..=840,
        ) {
            let time = Timestamp::from_nanosecond(i128::from(ns)).unwrap();
            let offset = jiff::tz::Offset::from_seconds(offset_min * 60).unwrap();
            let text = time.display_with_offset(offset).to_string();
            let mut last = LastSecond::default();
            for text in [&text, &time.to_string(), &text] {
                prop_assert_eq!(parse_unix_ns(text), Some(ns));
                prop_assert_eq!(last.parse(text.as_bytes()), Some(ns));
                prop_assert_eq!(last.parse(text.as_bytes()), Some(ns), "the same second again");
            }
        }

        #[test]
        fn any_text_is_read_without_panic(text in "[0-9TZ:.+é-]{0,40}") {
            let read = parse_unix_ns(&text);
            prop_assert!(read.is_none() || text.len() >= 20);
        }
    }
}
