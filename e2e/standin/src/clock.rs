//! The clock, and instants written for people.

use std::time::{SystemTime, UNIX_EPOCH};

/// Nanoseconds since the Unix epoch.
pub(crate) fn now_ns() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
}

/// `2026-11-23T04:05:06.789Z` for nanoseconds since the epoch.
pub(crate) fn iso(time_ns: i64) -> String {
    let ms_total = time_ns.div_euclid(1_000_000);
    let (days, ms) = (ms_total.div_euclid(86_400_000), ms_total.rem_euclid(86_400_000));
    let (year, month, day) = civil(days);
    let (hour, minute) = (ms / 3_600_000, ms / 60_000 % 60);
    let (second, milli) = (ms / 1000 % 60, ms % 1000);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{milli:03}Z")
}

/// Seconds since the epoch of `20261123T040506Z` (the basic format of `X-Amz-Date`).
pub(crate) fn parse_basic(text: &str) -> Option<i64> {
    let bytes = text.as_bytes();
    if bytes.len() != 16 || bytes[8] != b'T' || bytes[15] != b'Z' {
        return None;
    }
    let number = |from: usize, to: usize| text.get(from..to)?.parse::<i64>().ok();
    let (year, month, day) = (number(0, 4)?, number(4, 6)?, number(6, 8)?);
    let (hour, minute, second) = (number(9, 11)?, number(11, 13)?, number(13, 15)?);
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    Some(days_of(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second)
}

/// Year, month and day of a day number.
fn civil(days: i64) -> (i64, i64, i64) {
    let mut year = 1970 + days.div_euclid(365);
    while days_of(year, 1, 1) > days {
        year -= 1;
    }
    let mut month = 12;
    while days_of(year, month, 1) > days {
        month -= 1;
    }
    (year, month, days - days_of(year, month, 1) + 1)
}

/// The day number (0 = 1970-01-01) of a date of the Gregorian calendar.
fn days_of(year: i64, month: i64, day: i64) -> i64 {
    const BEFORE: [i64; 12] = [0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334];
    let leaps = |y: i64| y.div_euclid(4) - y.div_euclid(100) + y.div_euclid(400);
    let is_leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    let before = usize::try_from(month - 1).ok().and_then(|m| BEFORE.get(m)).copied();
    (year - 1970) * 365 + leaps(year - 1) - leaps(1969)
        + before.unwrap_or_default()
        + i64::from(is_leap && month > 2)
        + day
        - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_go_there_and_back() {
        let cases = [
            (0, "1970-01-01T00:00:00.000Z", "19700101T000000Z"),
            (951_782_400, "2000-02-29T00:00:00.000Z", "20000229T000000Z"),
            (1_704_067_199, "2023-12-31T23:59:59.000Z", "20231231T235959Z"),
            (1_795_406_706, "2026-11-23T04:05:06.000Z", "20261123T040506Z"),
            (4_107_542_400, "2100-03-01T00:00:00.000Z", "21000301T000000Z"),
        ];
        for (seconds, text, basic) in cases {
            assert_eq!(iso(seconds * 1_000_000_000), text);
            assert_eq!(parse_basic(basic), Some(seconds), "{basic}");
        }
        assert_eq!(iso(-1_000_000), "1969-12-31T23:59:59.999Z");
        for bad in ["", "20261123", "20261323T040506Z", "2026112\u{e9}T04050Z", "2026-11-23T04:0Z"]
        {
            assert_eq!(parse_basic(bad), None, "{bad}");
        }
    }
}
