//! Numbers as Go reads them: what k6 takes in a threshold.

/// A number in any form that Go's float parser takes: decimal or hexadecimal, underscores between digits, infinities,
/// NaN. None for anything else, and for a number that is too large.
pub fn parse(text: &str) -> Option<f64> {
    if let Some(special) = special(text) {
        return Some(special);
    }
    let (negative, digits) = match text.as_bytes().first() {
        Some(b'-') => (true, text.get(1..)?),
        Some(b'+') => (false, text.get(1..)?),
        _ => (false, text),
    };
    let hexadecimal =
        digits.len() > 2 && digits.get(..2).is_some_and(|head| head.eq_ignore_ascii_case("0x"));
    if !underscores_part_digits(digits, hexadecimal) {
        return None;
    }
    let plain: String = digits.chars().filter(|c| *c != '_').collect();
    let size = if hexadecimal { hex(plain.get(2..)?)? } else { decimal(&plain)? };
    size.is_finite().then_some(if negative { -size } else { size })
}

fn special(text: &str) -> Option<f64> {
    if text.eq_ignore_ascii_case("nan") {
        return Some(f64::NAN);
    }
    let (sign, word) = match text.as_bytes().first()? {
        b'-' => (-1.0, text.get(1..)?),
        b'+' => (1.0, text.get(1..)?),
        _ => (1.0, text),
    };
    (word.eq_ignore_ascii_case("inf") || word.eq_ignore_ascii_case("infinity"))
        .then_some(sign * f64::INFINITY)
}

/// Each underscore stands between two digits, or between the base prefix and a digit.
fn underscores_part_digits(text: &str, hexadecimal: bool) -> bool {
    let is_digit =
        |byte: u8| if hexadecimal { byte.is_ascii_hexdigit() } else { byte.is_ascii_digit() };
    let bytes = text.as_bytes();
    bytes.iter().enumerate().filter(|(_, byte)| **byte == b'_').all(|(at, _)| {
        let before = at.checked_sub(1).and_then(|at| bytes.get(at));
        let prefix = hexadecimal && at == 2;
        let digit_before = prefix || before.is_some_and(|byte| is_digit(*byte));
        digit_before && bytes.get(at + 1).is_some_and(|byte| is_digit(*byte))
    })
}

fn decimal(text: &str) -> Option<f64> {
    let (mantissa, exponent) = match text.find(['e', 'E']) {
        Some(at) => (text.get(..at)?, Some(text.get(at + 1..)?)),
        None => (text, None),
    };
    let digits = mantissa.bytes().filter(u8::is_ascii_digit).count();
    let dots = mantissa.bytes().filter(|byte| *byte == b'.').count();
    if digits == 0 || dots > 1 || digits + dots != mantissa.len() {
        return None;
    }
    if let Some(exponent) = exponent {
        signed_digits(exponent)?;
    }
    text.parse().ok()
}

/// An optional sign and at least one digit; what exceeds 10,000 stays about there.
fn signed_digits(text: &str) -> Option<i64> {
    let (sign, digits) = match text.as_bytes().first()? {
        b'-' => (-1, text.get(1..)?),
        b'+' => (1, text.get(1..)?),
        _ => (1, text),
    };
    if digits.is_empty() {
        return None;
    }
    let mut value = 0;
    for byte in digits.bytes() {
        let digit = char::from(byte).to_digit(10)?;
        if value < 10_000 {
            value = value * 10 + i64::from(digit);
        }
    }
    Some(sign * value)
}

/// What stands behind `0x`. The binary exponent must be there.
fn hex(text: &str) -> Option<f64> {
    let (mantissa, exponent) = text.split_once(['p', 'P'])?;
    let mut exponent = signed_digits(exponent)?;
    let (mut bits, mut inexact, mut after_dot, mut any) = (0_u64, false, false, false);
    for c in mantissa.chars() {
        if c == '.' {
            if after_dot {
                return None;
            }
            after_dot = true;
            continue;
        }
        let digit = u64::from(c.to_digit(16)?);
        any = true;
        if bits >> 59 == 0 {
            bits = bits << 4 | digit;
            exponent -= if after_dot { 4 } else { 0 };
        } else {
            inexact |= digit != 0;
            exponent += if after_dot { 0 } else { 4 };
        }
    }
    any.then(|| scale(bits, inexact, exponent))
}

/// `bits` (and a little more when `inexact`) times two to the power of `exponent`, to the nearest, ties to even.
fn scale(bits: u64, inexact: bool, exponent: i64) -> f64 {
    if bits == 0 {
        return 0.0;
    }
    // Normalised so that the highest bit is set, then cut to the bits that a float of this size has.
    let shift = bits.leading_zeros();
    let (bits, exponent) = (bits << shift, exponent - i64::from(shift));
    let top = exponent + 63;
    if top > 1023 {
        return f64::INFINITY;
    }
    // Bits to drop: 11 for a normal number, more for a subnormal one.
    let drop = 11 + (-1022 - top).max(0);
    if drop > 64 {
        return 0.0;
    }
    let wide = u128::from(bits);
    let (kept, rest) = (wide >> drop, wide & ((1 << drop) - 1));
    let half = 1_u128 << (drop - 1);
    let up = rest > half || rest == half && (inexact || kept & 1 == 1);
    let kept = u64::try_from(kept).unwrap_or(u64::MAX) + u64::from(up);
    // The highest bit kept of a normal number, and a carry out of the mantissa, add to the exponent as they should.
    let exponent = u64::try_from(top + 1022).unwrap_or(0);
    f64::from_bits(kept + (exponent << 52))
}

#[cfg(test)]
mod tests;
