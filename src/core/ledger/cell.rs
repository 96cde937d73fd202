//! A threshold on a percentile, decided exactly from 40 bytes.
//!
//! k6 interpolates between two neighbours among the sorted values. Either both lie on one side of the target, and so does
//! what is between them; or they are the target itself, the highest value below it, the lowest above it: all of them kept.

use std::cmp::Ordering;

use super::stats::count_f64;

/// The values of a trend as one target sees them.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Cell {
    /// Values.
    pub count: u64,
    /// Of these, values below the target.
    pub below: u64,
    /// Of these, values that are the target.
    pub equal: u64,
    /// The highest value below; 0 without any.
    pub highest_below: f64,
    /// The lowest value above; 0 without any.
    pub lowest_above: f64,
}

/// Where a percentile lies.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Found {
    /// It is this.
    Exactly(f64),
    /// Below the target, and not above this.
    Below(f64),
    /// Above the target, and not below this.
    Above(f64),
    /// The target is no number.
    Nowhere,
}

impl Cell {
    /// Takes one value.
    pub fn add(&mut self, target: f64, value: f64) {
        self.count += 1;
        match value.partial_cmp(&target) {
            Some(Ordering::Less) => {
                if self.below == 0 || value > self.highest_below {
                    self.highest_below = value;
                }
                self.below += 1;
            }
            Some(Ordering::Equal) => self.equal += 1,
            Some(Ordering::Greater) if self.above() == 1 || value < self.lowest_above => {
                self.lowest_above = value;
            }
            Some(Ordering::Greater) | None => {}
        }
    }

    /// Values above the target, where the target is a number.
    const fn above(&self) -> u64 {
        self.count.saturating_sub(self.below).saturating_sub(self.equal)
    }

    /// Takes what another cell of the same target saw.
    pub fn merge(&mut self, other: &Self) {
        if other.below > 0 && (self.below == 0 || other.highest_below > self.highest_below) {
            self.highest_below = other.highest_below;
        }
        if other.above() > 0 && (self.above() == 0 || other.lowest_above < self.lowest_above) {
            self.lowest_above = other.lowest_above;
        }
        self.count = self.count.saturating_add(other.count);
        self.below = self.below.saturating_add(other.below);
        self.equal = self.equal.saturating_add(other.equal);
    }

    /// Where k6's percentile for `share` from 0 to 1 lies.
    pub fn find(&self, share: f64, target: f64) -> Found {
        if self.count == 0 {
            return Found::Exactly(0.0);
        }
        if target.is_nan() {
            return Found::Nowhere;
        }
        let last = count_f64(self.count) - 1.0;
        let at = (share * last).clamp(0.0, last);
        let (below, not_above) =
            (count_f64(self.below), count_f64(self.below.saturating_add(self.equal)));
        if at.ceil() < below {
            return Found::Below(self.highest_below);
        }
        if at.floor() >= not_above {
            return Found::Above(self.lowest_above);
        }
        let ordered = |place: f64| {
            if place < below {
                self.highest_below
            } else if place < not_above {
                target
            } else {
                self.lowest_above
            }
        };
        let (low, high) = (ordered(at.floor()), ordered(at.ceil()));
        Found::Exactly(low + (high - low) * (at - at.floor()))
    }
}

impl Found {
    /// How it compares with the target.
    pub fn order(self, target: f64) -> Option<Ordering> {
        match self {
            Self::Exactly(value) => value.partial_cmp(&target),
            Self::Below(_) => Some(Ordering::Less),
            Self::Above(_) => Some(Ordering::Greater),
            Self::Nowhere => None,
        }
    }

    /// The percentile to show, from one that is about right: on the side of the target on which it lies.
    pub fn value(self, about: Option<f64>) -> Option<f64> {
        match self {
            Self::Exactly(value) => Some(value),
            Self::Below(highest) => about.map(|about| about.min(highest)),
            Self::Above(lowest) => about.map(|about| about.max(lowest)),
            Self::Nowhere => about,
        }
    }
}

#[cfg(test)]
mod tests;
