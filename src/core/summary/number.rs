//! Numbers as k6 computes with them, and in JSON as JavaScript prints them.

use serde_json::{Number, Value};

use crate::core::ledger::stats::count_f64;

/// Nanoseconds of the units in which k6 tells how long a test took.
pub(super) const MS: f64 = 1e6;
pub(super) const SECOND: f64 = 1e9;

/// Whole numbers up to here are exact in a double.
const EXACT_MAX: f64 = 9_007_199_254_740_992.0;

/// A duration in nanoseconds, in units of so many.
#[expect(clippy::cast_precision_loss, reason = "k6 divides by a float as well")]
pub(super) const fn duration(ns: i64, unit_ns: f64) -> f64 {
    ns as f64 / unit_ns
}

/// Share of values that were not zero; 0 without any.
pub(super) fn share(trues: u64, total: u64) -> f64 {
    if total == 0 { 0.0 } else { count_f64(trues) / count_f64(total) }
}

/// A number: a whole one without a fraction, and null for what JSON cannot say.
pub(super) fn number(value: f64) -> Value {
    if value.fract() == 0.0 && value.abs() <= EXACT_MAX {
        #[expect(clippy::cast_possible_truncation, reason = "whole, and not too large")]
        return Value::from(value as i64);
    }
    Number::from_f64(value).map_or(Value::Null, Value::Number)
}
