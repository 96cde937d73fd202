//! Numbers in text as JavaScript prints them, which is how k6 prints them.

/// From here on, and below the other, JavaScript writes an exponent.
const EXPONENT_FROM: f64 = 1e21;
const EXPONENT_BELOW: f64 = 1e-6;

/// The shortest digits that name `value`.
pub(super) fn plain(value: f64) -> String {
    let size = value.abs();
    if value.is_nan() {
        "NaN".to_owned()
    } else if value.is_infinite() {
        if value > 0.0 { "Infinity" } else { "-Infinity" }.to_owned()
    } else if value == 0.0 {
        "0".to_owned()
    } else if size >= EXPONENT_FROM {
        format!("{value:e}").replace('e', "e+")
    } else if size < EXPONENT_BELOW {
        format!("{value:e}")
    } else {
        format!("{value}")
    }
}

/// Exactly `places` digits after the point; a value in the middle between two is rounded away from zero.
pub(super) fn fixed(value: f64, places: u16) -> String {
    if !value.is_finite() || value.abs() >= EXPONENT_FROM {
        return plain(value);
    }
    let digits = usize::from(places);
    // What lies in the middle has at most one binary digit more than `places`, so that one decimal digit more shows it
    // exactly; Rust would round it to even.
    let has_few_digits = (value * 2_f64.powi(i32::from(places) + 1)).fract() == 0.0;
    let in_the_middle = has_few_digits && format!("{value:.*}", digits + 1).ends_with('5');
    let beyond = if value < 0.0 { value.next_down() } else { value.next_up() };
    // Zero is added for JavaScript has no negative zero in text.
    format!("{:.digits$}", if in_the_middle { beyond } else { value + 0.0 })
}

/// At most `places` digits after the point, without zeros at the end.
pub(super) fn rounded(value: f64, places: u16) -> String {
    fixed(value, places).parse().map_or_else(|_| plain(value), plain)
}

/// As [`rounded`], but what does not fit is cut off.
pub(super) fn cut(value: f64, places: u16) -> String {
    let scale = 10_f64.powi(i32::from(places));
    rounded((scale * value).trunc() / scale, places)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_between_two_digits_go_away_from_zero() {
        assert_eq!(fixed(0.125, 2), "0.13");
        assert_eq!(fixed(-0.125, 2), "-0.13");
        assert_eq!(fixed(2.5, 0), "3");
        assert_eq!(fixed(1.005, 2), "1.00", "the double is below the middle");
        assert_eq!(fixed(0.0, 2), "0.00");
        assert_eq!(fixed(-0.0, 2), "0.00");
        assert_eq!(fixed(-0.001, 2), "-0.00");
        assert_eq!(fixed(1e21, 2), "1e+21");
    }

    #[test]
    fn short_numbers_have_no_zeros_at_the_end() {
        let shown = [3.0, 1.5, 0.1 + 0.2, 1.0 / 3.0, 8.5e-7, 1e-7, -2.25, 123_456_789.125];
        let wanted = ["3", "1.5", "0.3", "0.333333", "0.000001", "0", "-2.25", "123456789.125"];
        assert_eq!(shown.map(|value| rounded(value, 6)), wanted);
        assert_eq!(cut(1.239, 2), "1.23");
    }

    #[test]
    fn very_large_and_very_small_numbers_have_an_exponent() {
        assert_eq!(plain(1e21), "1e+21");
        assert_eq!(plain(1.5e-9), "1.5e-9");
        assert_eq!(plain(123e18), "123000000000000000000");
        assert_eq!(plain(f64::NAN), "NaN");
        assert_eq!(plain(f64::NEG_INFINITY), "-Infinity");
    }
}
