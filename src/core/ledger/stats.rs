//! Count, sum, extremes and last value of a metric's samples: what every kind but a trend's percentiles comes from.

/// A sum with what rounding took from it, so that neither the order of the values nor their shards change it visibly.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Sum {
    /// The sum, rounded.
    pub high: f64,
    /// What is missing from it.
    pub rest: f64,
}

impl Sum {
    /// Takes one value.
    pub fn add(&mut self, value: f64) {
        let sum = self.high + value;
        let part = sum - self.high;
        self.rest += (self.high - (sum - part)) + (value - part);
        self.high = sum;
        if !self.rest.is_finite() {
            self.rest = 0.0;
        }
    }

    /// Takes another sum.
    pub fn merge(&mut self, other: Self) {
        self.add(other.high);
        self.rest += other.rest;
    }

    /// The sum as one number.
    pub fn value(self) -> f64 {
        self.high + self.rest
    }
}

/// What was seen of a metric, of any kind: which part of it counts, the kind decides.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Stats {
    /// Samples.
    pub count: u64,
    /// Samples that were not zero.
    pub trues: u64,
    /// Sum of the values.
    pub sum: Sum,
    /// The lowest value; 0 without any.
    pub min: f64,
    /// The highest value; 0 without any.
    pub max: f64,
    /// The last value by time; 0 without any.
    pub last: f64,
    /// Its time.
    pub last_time_ns: i64,
}

impl Stats {
    /// Takes one sample.
    pub fn add(&mut self, time_ns: i64, value: f64) {
        let first = self.count == 0;
        self.count += 1;
        self.trues += u64::from(value != 0.0);
        self.sum.add(value);
        if first || value < self.min {
            self.min = value;
        }
        if first || value > self.max {
            self.max = value;
        }
        if first || time_ns >= self.last_time_ns {
            (self.last, self.last_time_ns) = (value, time_ns);
        }
    }

    /// Takes what another instance saw. Of two last values at the same time, the one merged later stays.
    pub fn merge(&mut self, other: &Self) {
        if other.count == 0 {
            return;
        }
        let first = self.count == 0;
        self.count = self.count.saturating_add(other.count);
        self.trues = self.trues.saturating_add(other.trues);
        self.sum.merge(other.sum);
        self.min = if first { other.min } else { self.min.min(other.min) };
        self.max = if first { other.max } else { self.max.max(other.max) };
        if first || other.last_time_ns >= self.last_time_ns {
            (self.last, self.last_time_ns) = (other.last, other.last_time_ns);
        }
    }

    /// Takes what another instance saw of a gauge of which each instance has its own part.
    pub fn merge_part(&mut self, other: &Self) {
        let parts = (self.last + other.last, self.min + other.min, self.max + other.max);
        self.merge(other);
        (self.last, self.min, self.max) = parts;
    }

    /// The mean; 0 without any value.
    pub fn avg(&self) -> f64 {
        if self.count == 0 { 0.0 } else { self.sum.value() / count_f64(self.count) }
    }
}

/// A count as k6 computes with it.
#[expect(clippy::cast_precision_loss, reason = "k6 counts in floats as well")]
pub const fn count_f64(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_rounding_takes_from_a_sum_is_kept() {
        let mut sum = Sum::default();
        for value in [1e16, 1.0, -1e16, 1.0] {
            sum.add(value);
        }
        assert_eq!(sum.value().to_bits(), 2.0_f64.to_bits());
        let (mut left, mut right) = (Sum::default(), Sum::default());
        for _ in 0..1_000_000 {
            left.add(0.1);
            right.add(1e9);
        }
        left.merge(right);
        assert!((left.value() - 1_000_000_000_100_000.0).abs() < 0.2);
    }

    #[test]
    fn a_sum_too_large_for_a_float_is_infinite_as_in_k6() {
        let mut sum = Sum::default();
        for value in [f64::MAX, f64::MAX, 1.0] {
            sum.add(value);
        }
        assert_eq!(sum.value().to_bits(), f64::INFINITY.to_bits());
    }

    #[test]
    fn the_last_value_is_the_last_by_time_and_then_by_order() {
        let seen = |samples: &[(i64, f64)]| {
            let mut stats = Stats::default();
            for (time_ns, value) in samples {
                stats.add(*time_ns, *value);
            }
            stats
        };
        let (one, two) = (seen(&[(5, 1.0), (3, 9.0)]), seen(&[(5, 2.0), (4, -3.0)]));
        let mut merged = one;
        merged.merge(&two);
        assert_eq!((merged.last, merged.min, merged.max, merged.count), (2.0, -3.0, 9.0, 4));
        let mut other = two;
        other.merge(&Stats::default());
        other.merge(&one);
        assert_eq!((other.last, other.min, other.max, other.count), (1.0, -3.0, 9.0, 4));
    }

    #[test]
    fn parts_of_one_gauge_add_up() {
        let mut all = Stats::default();
        for vus in [3.0, 4.0] {
            let mut one = Stats::default();
            one.add(1, vus);
            one.add(2, vus - 1.0);
            all.merge_part(&one);
        }
        assert_eq!((all.last, all.min, all.max), (5.0, 5.0, 7.0));
    }
}
