use proptest::prelude::*;

use super::*;
use crate::core::{ledger::tests::plain::percentile, tests::dice::Dice};

/// The stated bound: a class spans 1/512 of its lower end, and its middle is half of that off.
const ERROR: f64 = 1.0 / 1024.0;

fn sketch(values: &[f64]) -> Sketch {
    let mut sketch = Sketch::default();
    for value in values {
        sketch.add(*value);
    }
    sketch
}

fn list(sketch: &Sketch) -> Vec<(i32, u64)> {
    sketch.classes().collect()
}

fn value() -> impl Strategy<Value = f64> {
    prop_oneof![
        0.001..10_000.0_f64,
        -5.0..5.0_f64,
        Just(0.0),
        prop::num::f64::NORMAL,
        prop::num::f64::SUBNORMAL,
    ]
}

#[test]
fn the_middle_of_a_class_is_within_the_stated_bound() {
    let mut dice = Dice(1);
    for _ in 0..100_000 {
        let value = f64::from_bits(dice.roll());
        if value.is_normal() {
            let shown = middle(class(value));
            assert!(
                (shown - value).abs() <= value.abs() * ERROR,
                "{value:?} is shown as {shown:?}"
            );
        }
    }
}

#[test]
fn values_without_number_or_bound_are_taken_as_the_highest() {
    for value in [f64::NAN, f64::INFINITY, f64::MAX] {
        assert_eq!(list(&sketch(&[value])), [(CLASS_MAX, 1)]);
    }
}

#[test]
fn an_empty_sketch_has_no_percentile() {
    assert_eq!(Sketch::default().percentile(0.5, 0.0, 0.0), None);
    assert!(Sketch::default().encode(usize::MAX).is_empty());
}

#[test]
fn the_lowest_and_the_highest_are_exact() {
    let values = [1.234_567, 5.0, 9.876_543];
    let sketch = sketch(&values);
    assert_eq!(sketch.percentile(0.0, values[0], values[2]), Some(values[0]));
    assert_eq!(sketch.percentile(1.0, values[0], values[2]), Some(values[2]));
}

#[test]
fn a_thousand_latencies_take_little() {
    let mut dice = Dice(2);
    let values: Vec<_> = (0..100_000).map(|_| 5.0 + 200.0 * dice.unit() * dice.unit()).collect();
    let bytes = sketch(&values).encode(usize::MAX);
    assert!(bytes.len() < 12_000, "{} bytes", bytes.len());
}

#[test]
fn a_sketch_of_too_many_classes_is_made_coarser() {
    let mut dice = Dice(3);
    let values: Vec<_> =
        (0..20_000).map(|_| f64::from_bits(dice.roll())).filter(|v| v.is_finite()).collect();
    let fine = sketch(&values);
    for bytes_max in [fine.encode(usize::MAX).len() - 1, 10_000, 100, 10] {
        let bytes = fine.encode(bytes_max);
        assert!(bytes.len() <= bytes_max, "{} bytes of {bytes_max}", bytes.len());
        let mut coarse = Sketch::default();
        assert_eq!(check(&bytes), Ok(()));
        coarse.add_encoded(&bytes);
        assert_eq!(coarse.count(), fine.count());
    }
}

#[test]
fn bytes_that_are_no_sketch_are_refused() {
    let mut huge = Vec::new();
    for number in [1, u64::MAX, 1, 1] {
        put(&mut huge, number);
    }
    for bytes in [&[1][..], &[0, 1], &[1, 0], &[0x80], &[0xff; 11], &[1, 1, 0, 1], &huge] {
        assert_eq!(check(bytes), Err(NoSketch), "{bytes:?}");
    }
    assert_eq!(check(&sketch(&[1.0, 2.0]).encode(usize::MAX)), Ok(()));
}

proptest! {
    #[test]
    fn percentiles_are_within_the_stated_bound(
        mut values in prop::collection::vec(0.001..10_000.0_f64, 1..300), share in 0.0..=1.0_f64,
    ) {
        let sketch = sketch(&values);
        values.sort_by(f64::total_cmp);
        let wanted = percentile(&values, share);
        let found = sketch.percentile(share, values[0], values[values.len() - 1]).unwrap();
        prop_assert!((found - wanted).abs() <= wanted * ERROR, "{found} for {wanted}");
    }

    #[test]
    fn any_values_are_in_their_order(mut values in prop::collection::vec(value(), 1..100)) {
        let sketch = sketch(&values);
        values.sort_by(f64::total_cmp);
        let (min, max) = (values[0], values[values.len() - 1]);
        let found: Vec<_> = (0..=20).map(|i| sketch.percentile(f64::from(i) / 20.0, min, max).unwrap()).collect();
        // Interpolation rounds.
        prop_assert!(found.is_sorted_by(|a, b| a - b <= (a.abs() + b.abs()) * 1e-12), "{found:?}");
        prop_assert!(found.iter().all(|value| (min..=max).contains(value)));
        let (a, b) = (values[0], values[values.len() / 2]);
        prop_assert!(class(a) <= class(b));
    }

    #[test]
    fn merging_encoding_and_removing_lose_nothing(
        left in prop::collection::vec(value(), 0..100), right in prop::collection::vec(value(), 0..100),
    ) {
        let (one, two) = (sketch(&left), sketch(&right));
        let all = sketch(&[left, right].concat());
        let mut merged = one.clone();
        merged.merge(&two);
        prop_assert_eq!(list(&merged), list(&all));
        let mut read = Sketch::default();
        read.add_encoded(&two.encode(usize::MAX));
        prop_assert_eq!(list(&read), list(&two));
        read.add_encoded(&one.encode(usize::MAX));
        prop_assert_eq!(list(&read), list(&all));
        read.remove_encoded(&two.encode(usize::MAX));
        prop_assert_eq!(list(&read), list(&one));
        prop_assert_eq!(read.count(), one.count());
    }

    #[test]
    fn any_bytes_are_read_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
        let mut sketch = Sketch::default();
        sketch.add_encoded(&bytes);
        prop_assert!(check(&bytes).is_err() || bytes.is_empty() == (sketch.count() == 0));
        sketch.percentile(0.5, 0.0, 1.0);
        sketch.remove_encoded(&bytes);
    }
}
