//! Lines that differ from an earlier one in time and value alone, as most of k6's do: they are known by their bytes and not
//! read as JSON again.
//!
//! k6 writes `{"metric":"m","type":"Point","data":{"time":"…","value":…,"tags":{…}}}`. What stands before the time and
//! behind the value is one string of bytes for each series; a JSON reader would make the same of it each time. A line is
//! taken this way only where the text between them is a time and a number as JSON has them: what is read is the same
//! whichever way it takes. A series is kept from its second line on, since many are seen only once.

use std::{borrow::Cow, hash::BuildHasher, hash::Hasher};

use foldhash::fast::FixedState;

use super::{
    decode::{DecodeError, Line, Pairs, Point, decode},
    time::LastSecond,
};

/// Series kept at once. A test without metadata has some hundreds.
const SLOTS: usize = 4096;
/// Series that are remembered to have been seen once.
const MARKS: usize = 1 << 14;
/// Longest text that names a series that is kept, in bytes: bounds the memory of all.
const KEY_BYTES_MAX: usize = 2048;

const AFTER_METRIC: &[u8] = br#"","type":"Point","data":{"time":""#;
const BEFORE_METRIC: &[u8] = br#"{"metric":""#;
const BEFORE_VALUE: &[u8] = br#"","value":"#;

/// What was read of a line.
#[derive(Debug)]
pub enum Read<'a, M> {
    /// A sample of a series that is kept.
    Known(&'a mut Known<M>),
    /// Anything else.
    Line(Line<'a>),
}

/// The last sample of a series, and what its readers keep beside it.
#[derive(Debug)]
pub struct Known<M> {
    /// The sample.
    pub point: Point<'static>,
    /// What belongs to the series as long as it is kept.
    pub memo: M,
}

/// Reads lines, and keeps what may come again.
#[derive(Debug)]
pub struct Lines<M> {
    /// None before its first series: most tests have few.
    slots: Vec<Option<Box<Slot<M>>>>,
    marks: Vec<u32>,
    last_second: LastSecond,
}

#[derive(Debug)]
struct Slot<M> {
    hash: u64,
    head_bytes: usize,
    /// Head and tail of the line.
    key: Box<[u8]>,
    known: Known<M>,
}

/// A line taken apart at its time and its value.
#[derive(Clone, Copy, Debug)]
struct Parts<'a> {
    head: &'a [u8],
    time: &'a [u8],
    value: f64,
    tail: &'a [u8],
}

impl<M> Default for Lines<M> {
    fn default() -> Self {
        Self {
            slots: std::iter::repeat_with(|| None).take(SLOTS).collect(),
            marks: vec![0; MARKS],
            last_second: LastSecond::default(),
        }
    }
}

impl<M: Default> Lines<M> {
    /// Reads one line, without its line feed. A sample gets those of `added`, names and values, of which it has none; they
    /// are the same for all lines.
    ///
    /// # Errors
    /// When the line is neither a sample nor a metric.
    pub fn read<'a>(
        &'a mut self,
        line: &'a [u8],
        added: &'a [(String, String)],
    ) -> Result<Read<'a, M>, DecodeError> {
        let decode = |line| {
            let mut read = decode(line)?;
            if let Line::Point(point) = &mut read {
                point.tags.add(added);
            }
            Ok(read)
        };
        let Some(parts) = split(line) else { return decode(line).map(Read::Line) };
        let hash = parts.hash();
        if let Some(at) = self.find(hash, &parts) {
            let time_ns = self.last_second.parse(parts.time);
            return match (time_ns, self.slots.get_mut(at)) {
                (Some(time_ns), Some(Some(slot))) => {
                    slot.known.point.time_ns = time_ns;
                    slot.known.point.value = parts.value;
                    Ok(Read::Known(&mut slot.known))
                }
                _ => decode(line).map(Read::Line),
            };
        }
        let read = decode(line)?;
        match read {
            Line::Point(point) if self.comes_again(hash) && parts.is_kept() => {
                Ok(match self.keep(hash, &parts, &point) {
                    Some(known) => Read::Known(known),
                    None => Read::Line(Line::Point(point)),
                })
            }
            _ => Ok(Read::Line(read)),
        }
    }

    fn slot(&self, at: usize) -> Option<&Slot<M>> {
        self.slots.get(at)?.as_deref()
    }

    fn find(&self, hash: u64, parts: &Parts<'_>) -> Option<usize> {
        places(hash).find(|at| self.slot(*at).is_some_and(|slot| slot.is_of(hash, parts)))
    }

    /// Whether the series was seen before, as far as is remembered.
    fn comes_again(&mut self, hash: u64) -> bool {
        let at = usize::try_from(hash >> 32).unwrap_or(0) % MARKS;
        let sign = low(hash) | 1;
        let Some(mark) = self.marks.get_mut(at) else { return false };
        let is_known = *mark == sign;
        *mark = sign;
        is_known
    }

    /// Keeps a series.
    fn keep(&mut self, hash: u64, parts: &Parts<'_>, point: &Point<'_>) -> Option<&mut Known<M>> {
        let free = places(hash).find(|at| self.slot(*at).is_none());
        // One of two, by a bit that did not choose them.
        let usual = if hash >> 63 == 0 { places(hash).next() } else { places(hash).last() };
        let slot = Slot {
            hash,
            head_bytes: parts.head.len(),
            key: [parts.head, parts.tail].concat().into(),
            known: Known { point: owned(point), memo: M::default() },
        };
        let place = self.slots.get_mut(free.or(usual)?)?;
        Some(&mut place.insert(Box::new(slot)).known)
    }
}

impl<M> Slot<M> {
    fn is_of(&self, hash: u64, parts: &Parts<'_>) -> bool {
        self.hash == hash
            && self.head_bytes == parts.head.len()
            && self
                .key
                .split_at_checked(self.head_bytes)
                .is_some_and(|(head, tail)| same(tail, parts.tail) && same(head, parts.head))
    }
}

impl Parts<'_> {
    fn hash(&self) -> u64 {
        let mut hasher = FixedState::default().build_hasher();
        hasher.write(self.head);
        hasher.write(self.tail);
        hasher.finish()
    }

    const fn is_kept(&self) -> bool {
        self.head.len() + self.tail.len() <= KEY_BYTES_MAX
    }
}

/// Whether two texts are one. In large steps: the C library of the static binary goes byte by byte.
fn same(one: &[u8], other: &[u8]) -> bool {
    let ((steps, rest), (other_steps, other_rest)) =
        (one.as_chunks::<32>(), other.as_chunks::<32>());
    one.len() == other.len()
        && steps.iter().zip(other_steps).all(|(step, other)| step == other)
        && rest == other_rest
}

/// Where a series may stand.
fn places(hash: u64) -> impl Iterator<Item = usize> {
    [hash, hash >> 32].into_iter().map(|bits| usize::try_from(bits & 0xffff).unwrap_or(0) % SLOTS)
}

fn low(hash: u64) -> u32 {
    u32::try_from(hash & u64::from(u32::MAX)).unwrap_or(0)
}

fn owned(point: &Point<'_>) -> Point<'static> {
    let text = |text: &Cow<'_, str>| Cow::Owned(text.clone().into_owned());
    let pairs = |pairs: &Pairs<'_>| {
        Pairs(pairs.0.iter().map(|(name, value)| (text(name), text(value))).collect())
    };
    Point {
        metric: text(&point.metric),
        time_ns: point.time_ns,
        value: point.value,
        tags: pairs(&point.tags),
        metadata: pairs(&point.metadata),
    }
}

/// Takes a line apart; none where it does not look as k6 writes samples, whatever it is then.
fn split(line: &[u8]) -> Option<Parts<'_>> {
    let rest = line.strip_prefix(BEFORE_METRIC)?;
    let quote = memchr::memchr2(b'"', b'\\', rest)?;
    let rest = rest.get(quote..)?.strip_prefix(AFTER_METRIC)?;
    let head = line.get(..line.len() - rest.len())?;
    let quote = memchr::memchr2(b'"', b'\\', rest)?;
    let (time, rest) = rest.split_at_checked(quote)?;
    let rest = rest.strip_prefix(BEFORE_VALUE)?;
    let (value, bytes) = number(rest)?;
    let tail = rest.get(bytes..).filter(|tail| matches!(tail.first(), Some(b',' | b'}')))?;
    Some(Parts { head, time, value, tail })
}

/// Powers of ten that a float has exactly.
const TENS: [f64; 23] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16,
    1e17, 1e18, 1e19, 1e20, 1e21, 1e22,
];
/// Digits that fit 64 bits whatever they are.
const DIGITS_MAX: usize = 19;
/// Up to here a float has every whole number.
const WHOLE_MAX: u64 = 1 << f64::MANTISSA_DIGITS;

/// The number that a text begins with, as JSON has numbers, and the bytes that it takes.
///
/// Most of k6's have few digits. Those are a whole number that a float has exactly, divided by a power of ten that it has
/// exactly as well: rounded once, as it is when the text is read (Clinger, "How to read floating point numbers accurately").
fn number(text: &[u8]) -> Option<(f64, usize)> {
    let from = usize::from(text.first() == Some(&b'-'));
    let mut number = 0;
    let whole = digits(text, from, &mut number);
    if whole == 0 || (whole > 1 && text.get(from) == Some(&b'0')) {
        return None;
    }
    let (mut end, mut fraction) = (from + whole, 0);
    if text.get(end) == Some(&b'.') {
        fraction = digits(text, end + 1, &mut number);
        end += 1 + fraction;
        if fraction == 0 {
            return None;
        }
    }
    let has_exponent = matches!(text.get(end), Some(b'e' | b'E'));
    if !has_exponent && whole + fraction <= DIGITS_MAX && number <= WHOLE_MAX {
        #[expect(clippy::cast_precision_loss, reason = "a float has it exactly")]
        let value = number as f64 / TENS.get(fraction)?;
        return Some((if from > 0 { -value } else { value }, end));
    }
    if has_exponent {
        end += 1 + usize::from(matches!(text.get(end + 1), Some(b'+' | b'-')));
        let exponent = digits(text, end, &mut 0);
        end += exponent;
        if exponent == 0 {
            return None;
        }
    }
    let value: f64 = std::str::from_utf8(text.get(..end)?).ok()?.parse().ok()?;
    value.is_finite().then_some((value, end))
}

/// How many digits stand there, each put behind those of `number`.
fn digits(text: &[u8], from: usize, number: &mut u64) -> usize {
    let rest = text.get(from..).unwrap_or_default();
    let digits = rest.iter().map(|byte| byte.wrapping_sub(b'0')).take_while(|digit| *digit < 10);
    digits.fold(0, |count, digit| {
        *number = number.wrapping_mul(10).wrapping_add(u64::from(digit));
        count + 1
    })
}

#[cfg(test)]
mod tests;
