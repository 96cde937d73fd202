//! The values of one row by size class, as a text that SQL can take apart.
//!
//! A class holds the values between two neighbouring powers of 101/99, so that its middle is at most 1 % from any of them.
//! Classes count from the smallest size, 1e-8, upwards; those of negative values downwards:
//!
//! ```text
//! class 2048: sizes below 1e-8, taken as 0
//! class 2048 + k, k from 1: 0.99e-8 · (101/99)^k       class 2048 - k: the negative of it
//! ```
//! Sizes above 6e9 fall into the last class. The text has three characters for each class that has values, lowest class
//! first: two for the class and one for how many, as digits of [`DIGITS`]. A last digit below 32 is the number itself, and
//! one from 32 stands for 2^(digit - 27); a class stands there again for what is left. So texts merge by being taken
//! together, and a percentile of any set of rows is one query (`dashboards/README.md`).

use std::collections::BTreeMap;

/// The digits of the text, from 0.
pub const DIGITS: &[u8; 64] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-_";
/// Longest text of a row, in bytes: it has to fit into a record of 2 KB with everything else.
pub const TEXT_BYTES_MAX: usize = 3 * 250;
/// By how much the middle of a class can be off, as a part of the value.
pub const ERROR_MAX: f64 = 0.01;
/// The class of zero.
const ZERO: u16 = 2048;
/// The smallest size that is told from zero.
const LEAST: f64 = 1e-8;
/// How much larger the values of the next class are.
const GROWTH: f64 = (1.0 + ERROR_MAX) / (1.0 - ERROR_MAX);
/// Values of a class from which a digit stands for a power of two.
const EXACT: u64 = 32;

/// How many values of each class there were.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Histogram {
    counts: BTreeMap<u16, u64>,
}

/// The class of a finite value.
fn class(value: f64) -> u16 {
    let size = value.abs();
    if size < LEAST {
        return ZERO;
    }
    let steps = (size / LEAST).ln() / GROWTH.ln();
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a whole number within the bounds"
    )]
    let steps = steps.ceil().clamp(1.0, f64::from(ZERO - 1)) as u16;
    if value < 0.0 { ZERO - steps } else { ZERO + steps }
}

/// What a class stands for.
pub fn middle(class: u16) -> f64 {
    let steps = i32::from(class) - i32::from(ZERO);
    if steps == 0 {
        return 0.0;
    }
    let size = LEAST * (1.0 - ERROR_MAX) * GROWTH.powi(steps.abs());
    if steps < 0 { -size } else { size }
}

impl Histogram {
    /// Takes a finite value; true if it is the first of its class.
    pub fn add(&mut self, value: f64) -> bool {
        let count = self.counts.entry(class(value)).or_insert(0);
        *count = count.saturating_add(1);
        *count == 1
    }

    /// The text, in parts of at most [`TEXT_BYTES_MAX`], each with the number of values that it stands for.
    pub fn parts(&self) -> Vec<(String, u64)> {
        let mut parts = Vec::new();
        let (mut text, mut values) = (String::new(), 0_u64);
        for (class, count) in &self.counts {
            let mut left = *count;
            while left > 0 {
                let (last, taken) = last_digit(left);
                if text.len() + 3 > TEXT_BYTES_MAX {
                    parts.push((std::mem::take(&mut text), std::mem::take(&mut values)));
                }
                text.extend([digit(class >> 6), digit(*class), digit(last)]);
                values += taken;
                left -= taken;
            }
        }
        if values > 0 {
            parts.push((text, values));
        }
        parts
    }

    /// Reads what [`parts`](Self::parts) wrote: classes with how many values each; none when it is no such text.
    pub fn read(text: &str) -> Option<Vec<(u16, u64)>> {
        let place = |byte: &u8| DIGITS.iter().position(|digit| digit == byte);
        let mut read = Vec::with_capacity(text.len() / 3);
        let entries = text.as_bytes().chunks_exact(3);
        if !entries.remainder().is_empty() {
            return None;
        }
        for entry in entries {
            let [high, low, last] = entry else { return None };
            let class = u16::try_from(place(high)? * 64 + place(low)?).ok()?;
            let last = u64::try_from(place(last)?).ok()?;
            read.push((class, if last < EXACT { last } else { 1 << (last - 27) }));
        }
        Some(read)
    }
}

/// The digit for as many of `count` values as one can stand for, and how many these are.
fn last_digit(count: u64) -> (u16, u64) {
    let power = count.checked_ilog2().unwrap_or(0).min(36);
    match u16::try_from(count) {
        Ok(few) if count < EXACT => (few, count),
        _ => (u16::try_from(power + 27).unwrap_or(63), 1 << power),
    }
}

/// The digit for the six lowest bits.
fn digit(number: u16) -> char {
    DIGITS.get(usize::from(number & 63)).map_or('0', |digit| char::from(*digit))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(values: &[f64]) -> Histogram {
        let mut histogram = Histogram::default();
        for value in values {
            histogram.add(*value);
        }
        histogram
    }

    #[test]
    fn a_text_names_class_and_count() {
        // 12.5 = 0.99e-8 * (101/99)^1047.6…, so k is 1048 and the class 3096 = 48 * 64 + 24.
        assert_eq!(of(&[12.5, 12.5]).parts(), [("mO2".to_owned(), 2)]);
        assert_eq!(of(&[0.0]).parts(), [("W01".to_owned(), 1)]);
        assert_eq!(of(&[0.0; 100]).parts(), [("W0XW0WW04".to_owned(), 100)]);
        assert!(of(&[]).parts().is_empty());
    }

    #[test]
    fn the_largest_numbers_fall_into_the_last_classes() {
        for value in [f64::MAX, f64::MIN, 1e10, -1e10, 5e-324, -0.0] {
            let read = Histogram::read(&of(&[value]).parts()[0].0).unwrap();
            assert_eq!(read.len(), 1, "{value}");
            let middle = middle(read[0].0);
            assert!(middle == 0.0 || middle.is_sign_negative() == value.is_sign_negative());
        }
    }

    #[test]
    fn what_is_no_text_is_not_read() {
        for text in ["a", "ab", "abcd", "ab.", "äb"] {
            assert_eq!(Histogram::read(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn the_middle_of_a_class_is_within_the_error(size in -17.9_f64..22.4, is_negative: bool) {
            let value = if is_negative { -size.exp() } else { size.exp() };
            let middle = middle(class(value));
            prop_assert!((middle - value).abs() <= value.abs() * (ERROR_MAX + 1e-9), "{value} as {middle}");
        }

        #[test]
        fn parts_fit_and_hold_every_value_once(
            counts in prop::collection::btree_map(-2000_i32..2000, 1_u64..1 << 40, 0..600),
        ) {
            let counts: BTreeMap<u16, u64> =
                counts.into_iter().map(|(at, n)| (u16::try_from(at + 2048).unwrap(), n)).collect();
            let histogram = Histogram { counts: counts.clone() };
            let mut read = BTreeMap::new();
            for (text, values) in histogram.parts() {
                prop_assert!(!text.is_empty() && text.len() <= TEXT_BYTES_MAX);
                let part = Histogram::read(&text).unwrap();
                prop_assert_eq!(part.iter().map(|(_, count)| count).sum::<u64>(), values);
                for (class, count) in part {
                    *read.entry(class).or_insert(0) += count;
                }
            }
            prop_assert_eq!(read, counts);
        }

        #[test]
        fn any_text_is_read_without_panic(text in ".{0,40}") {
            drop(Histogram::read(&text));
        }
    }
}
