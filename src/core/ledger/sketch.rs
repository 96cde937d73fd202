//! Values by size class: enough of a trend for any of its percentiles, to within 1/1024 of its value.
//!
//! A class is the sign, the exponent and the highest nine bits of the mantissa of a float, and stands for its middle.

use super::stats::count_f64;

/// Bits of the mantissa that a class does not see.
const HIDDEN_BITS: u32 = 52 - 9;
/// Classes in a page: an eighth of those with the same exponent.
const PAGE: usize = 64;
/// The highest class of a finite number.
const CLASS_MAX: i32 = (2047 << 9) - 1;

/// How many values of each class there were.
#[derive(Clone, Debug, Default)]
pub struct Sketch {
    /// By their first class.
    pages: Vec<Page>,
    /// The page of the last value: the next is likely in the same.
    hot: usize,
    count: u64,
}

#[derive(Clone, Debug)]
struct Page {
    first: i32,
    count: u64,
    counts: Box<[u64; PAGE]>,
}

/// Bytes that are no sketch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a sketch")]
pub struct NoSketch;

/// The class of a value. Zero and the smallest subnormal numbers share class 0.
fn class(value: f64) -> i32 {
    let size = i32::try_from(value.abs().to_bits() >> HIDDEN_BITS).unwrap_or(CLASS_MAX);
    let size = size.min(CLASS_MAX);
    if value < 0.0 { -size } else { size }
}

/// The middle of a class.
fn middle(class: i32) -> f64 {
    if class == 0 {
        return 0.0;
    }
    let size = u64::from(class.unsigned_abs()) << HIDDEN_BITS | 1 << (HIDDEN_BITS - 1);
    let size = f64::from_bits(size);
    if class < 0 { -size } else { size }
}

/// Page and place in it of a class.
fn place(class: i32) -> (i32, usize) {
    let page = i32::try_from(PAGE).unwrap_or(1);
    (class.div_euclid(page) * page, usize::try_from(class.rem_euclid(page)).unwrap_or(0))
}

impl Sketch {
    /// Takes one value. One that is no number is taken as the highest.
    pub fn add(&mut self, value: f64) {
        self.add_many(class(value), 1);
    }

    /// Takes another sketch.
    pub fn merge(&mut self, other: &Self) {
        for (class, count) in other.classes() {
            self.add_many(class, count);
        }
    }

    /// How many values.
    pub const fn count(&self) -> u64 {
        self.count
    }

    fn add_many(&mut self, class: i32, count: u64) {
        let (first, at) = place(class);
        self.count = self.count.saturating_add(count);
        let page = self.page(first);
        page.count = page.count.saturating_add(count);
        if let Some(slot) = page.counts.get_mut(at) {
            *slot = slot.saturating_add(count);
        }
    }

    fn page(&mut self, first: i32) -> &mut Page {
        if self.pages.get(self.hot).is_none_or(|page| page.first != first) {
            self.hot = match self.pages.binary_search_by_key(&first, |page| page.first) {
                Ok(at) => at,
                Err(at) => {
                    let counts = Box::new([0; PAGE]);
                    self.pages.insert(at, Page { first, count: 0, counts });
                    at
                }
            };
        }
        &mut self.pages[self.hot]
    }

    /// Classes that have values, lowest first.
    fn classes(&self) -> impl Iterator<Item = (i32, u64)> + '_ {
        self.pages.iter().flat_map(|page| {
            (page.first..).zip(page.counts.iter().copied()).filter(|(_, count)| *count > 0)
        })
    }

    /// k6's percentile for `share` from 0 to 1 of values that lie between `min` and `max`; none without values.
    pub fn percentile(&self, share: f64, min: f64, max: f64) -> Option<f64> {
        if self.count == 0 {
            return None;
        }
        let last = count_f64(self.count - 1);
        let at = (share * last).clamp(0.0, last);
        let low = self.ordered(at.floor(), min, max);
        let high = self.ordered(at.ceil(), min, max);
        Some((low + (high - low) * (at - at.floor())).clamp(min, max.max(min)))
    }

    /// The value at a place of the sorted values, from 0.
    fn ordered(&self, at: f64, min: f64, max: f64) -> f64 {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a whole number, not negative"
        )]
        let rank = at as u64;
        if rank == 0 {
            return min;
        }
        if rank >= self.count - 1 {
            return max;
        }
        let mut before = 0_u64;
        for page in &self.pages {
            if before.saturating_add(page.count) <= rank {
                before += page.count;
                continue;
            }
            for (class, count) in (page.first..).zip(page.counts.iter()) {
                before = before.saturating_add(*count);
                if before > rank {
                    return middle(class).clamp(min, max.max(min));
                }
            }
        }
        max
    }

    /// As bytes: for each class that has values, its distance from the one before and its count. Where that would be
    /// more than `bytes_max`, neighbouring classes are taken together until it is not.
    pub fn encode(&self, bytes_max: usize) -> Vec<u8> {
        let mut step = 1;
        loop {
            let bytes = self.encode_by(step);
            if bytes.len() <= bytes_max || step > CLASS_MAX {
                return bytes;
            }
            step *= 2;
        }
    }

    fn encode_by(&self, step: i32) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut before = -CLASS_MAX - 1;
        let mut open: Option<(i32, u64)> = None;
        let joined =
            |class: i32| (class.div_euclid(step) * step + step / 2).clamp(-CLASS_MAX, CLASS_MAX);
        let mut close = |entry: Option<(i32, u64)>| {
            if let Some((class, count)) = entry {
                put(&mut bytes, u64::from(class.abs_diff(before)));
                put(&mut bytes, count);
                before = class;
            }
        };
        for (class, count) in self.classes() {
            open = match open {
                Some((last, sum)) if last == joined(class) => {
                    Some((last, sum.saturating_add(count)))
                }
                entry => {
                    close(entry);
                    Some((joined(class), count))
                }
            };
        }
        close(open);
        bytes
    }

    /// Takes the values of an encoded sketch: of bytes that are none, those before the first mistake.
    pub fn add_encoded(&mut self, bytes: &[u8]) {
        for (class, count) in decode(bytes).flatten() {
            self.add_many(class, count);
        }
    }

    /// Gives back the values of an encoded sketch that was taken before.
    pub fn remove_encoded(&mut self, bytes: &[u8]) {
        for (class, count) in decode(bytes).flatten() {
            let (first, at) = place(class);
            let page = self.page(first);
            page.count = page.count.saturating_sub(count);
            if let Some(slot) = page.counts.get_mut(at) {
                *slot = slot.saturating_sub(count);
            }
            self.count = self.count.saturating_sub(count);
        }
    }
}

/// Whether the bytes are a sketch.
///
/// # Errors
/// When they are not.
pub fn check(bytes: &[u8]) -> Result<(), NoSketch> {
    decode(bytes).try_fold(0_u64, |sum, entry| sum.checked_add(entry?.1).ok_or(NoSketch))?;
    Ok(())
}

fn decode(mut bytes: &[u8]) -> impl Iterator<Item = Result<(i32, u64), NoSketch>> {
    let mut before = i64::from(-CLASS_MAX - 1);
    std::iter::from_fn(move || {
        if bytes.is_empty() {
            return None;
        }
        let entry = entry(&mut bytes, before);
        match entry {
            Some((class, _)) => before = i64::from(class),
            None => bytes = &[],
        }
        Some(entry.ok_or(NoSketch))
    })
}

fn entry(bytes: &mut &[u8], before: i64) -> Option<(i32, u64)> {
    let step = i64::try_from(take(bytes)?).ok()?;
    let count = take(bytes)?;
    let class = i32::try_from(before.checked_add(step)?).ok()?;
    (step > 0 && count > 0 && class <= CLASS_MAX).then_some((class, count))
}

fn put(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        bytes.push(u8::try_from(number & 0x7f).unwrap_or(0) | 0x80);
        number >>= 7;
    }
    bytes.push(u8::try_from(number).unwrap_or(0));
}

fn take(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0_u64;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        let part = u64::from(byte & 0x7f);
        if part << shift >> shift != part {
            return None;
        }
        number |= part << shift;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

#[cfg(test)]
mod tests;
