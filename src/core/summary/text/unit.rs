//! Values with their units.

use super::number::{cut, fixed, plain, rounded};
use crate::core::ledger::view::Contains;

/// Digits after the point of plain numbers.
const PLACES: u16 = 6;
const MS_PER_MINUTE: f64 = 60_000.0;
const SIZES: [&str; 9] = ["B", "kB", "MB", "GB", "TB", "PB", "EB", "ZB", "YB"];

/// A value of a counter, gauge or trend.
pub(super) fn value(value: f64, contains: Contains, time_unit: &str) -> String {
    match contains {
        Contains::Default => rounded(value, PLACES),
        Contains::Time => duration(value, time_unit),
        Contains::Data => bytes(value),
    }
}

/// A share from 0 to 1, in percent; digits that do not fit are cut off, so that 100 % means all.
pub(super) fn percent(share: f64) -> String {
    format!("{}%", fixed((share * 100.0 * 100.0).trunc() / 100.0, 2))
}

fn bytes(bytes: f64) -> String {
    if bytes < 10.0 {
        return format!("{} B", plain(bytes));
    }
    let power = (bytes.ln() / 1000_f64.ln()).floor();
    let units = (0_u8..).map(f64::from).zip(SIZES);
    let (power, unit) = units.take_while(|(at, _)| *at <= power).last().unwrap_or((0.0, "B"));
    let shown = (bytes / 1000_f64.powf(power) * 10.0 + 0.5).floor() / 10.0;
    format!("{} {unit}", fixed(shown, u16::from(shown < 10.0)))
}

/// A duration in milliseconds.
fn duration(ms: f64, unit: &str) -> String {
    match unit {
        "s" => format!("{}s", fixed(ms * 0.001, 2)),
        "ms" => format!("{}ms", fixed(ms, 2)),
        "us" => format!("{}µs", fixed(ms * 1000.0, 2)),
        _ => fitting(ms),
    }
}

/// In the unit that fits: two digits after the point, none from a minute on.
fn fitting(ms: f64) -> String {
    if ms == 0.0 {
        return "0s".to_owned();
    } else if ms < 0.001 {
        return format!("{}ns", plain((ms * 1e6).trunc()));
    } else if ms < 1.0 {
        return format!("{}µs", cut(ms * 1000.0, 2));
    } else if ms < 1000.0 {
        return format!("{}ms", cut(ms, 2));
    }
    let places = if ms > MS_PER_MINUTE { 0 } else { 2 };
    let seconds = cut(ms % MS_PER_MINUTE / 1000.0, places);
    let minutes = (ms / MS_PER_MINUTE).trunc();
    let hours = (minutes / 60.0).trunc();
    if minutes < 1.0 {
        format!("{seconds}s")
    } else if hours < 1.0 {
        format!("{}m{seconds}s", plain(minutes))
    } else {
        format!("{}h{}m{seconds}s", plain(hours), plain(minutes % 60.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_take_the_unit_that_fits() {
        let shown = [
            (0.0, "0s"),
            (0.000_25, "250ns"),
            (0.001_239, "1.23µs"),
            (0.999_999, "999.99µs"),
            (1.0, "1ms"),
            (999.999, "999.99ms"),
            (1000.0, "1s"),
            (59_999.0, "59.99s"),
            (60_000.0, "1m0s"),
            (61_999.0, "1m1s"),
            (3_600_000.0, "1h0m0s"),
            (90_061_000.0, "25h1m1s"),
        ];
        for (ms, wanted) in shown {
            assert_eq!(duration(ms, ""), wanted);
        }
    }

    #[test]
    fn durations_take_the_unit_that_is_asked_for() {
        assert_eq!(duration(1234.567, "s"), "1.23s");
        assert_eq!(duration(1234.567, "ms"), "1234.57ms");
        assert_eq!(duration(0.0, "us"), "0.00µs");
        assert_eq!(duration(1234.567, "min"), "1.23s", "k6 knows no other units");
    }

    #[test]
    fn sizes_take_the_unit_that_fits() {
        let shown = [
            (0.0, "0 B"),
            (3.25, "3.25 B"),
            (10.0, "10 B"),
            (999.0, "999 B"),
            (1000.0, "1.0 kB"),
            (9_950.0, "10 kB"),
            (999_950.0, "1000 kB"),
            (1_234_567.0, "1.2 MB"),
            (1e9, "1.0 GB"),
            (1e24, "1.0 YB"),
            (1e28, "10000 YB"),
        ];
        for (size, wanted) in shown {
            assert_eq!(bytes(size), wanted);
        }
    }

    #[test]
    fn a_share_is_whole_only_when_nothing_is_missing() {
        assert_eq!(percent(1.0), "100.00%");
        assert_eq!(percent(0.999_999), "99.99%");
        assert_eq!(percent(1.0 / 3.0), "33.33%");
    }
}
