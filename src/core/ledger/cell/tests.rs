//! The cell against k6's percentile on plain sorted values.

use proptest::prelude::*;

use super::*;
use crate::core::{
    ledger::{expression::Operator, tests::plain::percentile},
    tests::dice::Dice,
};

const OPERATORS: [Operator; 6] = [
    Operator::Less,
    Operator::LessOrEqual,
    Operator::Greater,
    Operator::GreaterOrEqual,
    Operator::Equal,
    Operator::NotEqual,
];

/// A value that likely falls on a target, or just beside it.
fn value(dice: &mut Dice, target: f64) -> f64 {
    match dice.below(8) {
        0 | 1 => target,
        2 => target.next_up(),
        3 => target.next_down(),
        4 => target + dice.pick(&[-1.0, -0.5, 0.5, 1.0]),
        5 => dice.pick(&[0.0, -0.0, 1.0, -1.0, f64::MIN_POSITIVE, 1e300, -1e300]),
        6 => (dice.unit() - 0.5) * 1e4,
        _ => target * dice.unit() * 2.0,
    }
}

fn share(dice: &mut Dice) -> f64 {
    let percent = match dice.below(4) {
        0 => dice.pick(&[0.0, 100.0, 99.99, 50.0]),
        1 => dice.pick(&[90.0, 95.0, 99.0, 99.9, 99.999_999_999_999]),
        2 => count_f64(dice.roll() % 101),
        _ => dice.unit() * 100.0,
    };
    percent / 100.0
}

/// One case: a cell merged from shards in any order decides as k6 does on all values.
fn case(dice: &mut Dice, values: &mut Vec<f64>) {
    let target = dice.pick(&[200.0, 0.0, -0.0, 1e-3, -7.5, 500.0, 1.0 / 3.0, 1e300]);
    let share = share(dice);
    let count = if dice.below(16) == 0 { dice.below(200) } else { dice.below(12) };
    let mut shards = vec![Cell::default(); 1 + dice.below(6)];
    values.clear();
    for _ in 0..count {
        let value = value(dice, target);
        values.push(value);
        let at = dice.below(shards.len());
        shards[at].add(target, value);
    }
    let mut merged = Cell::default();
    while !shards.is_empty() {
        let next = dice.below(shards.len());
        merged.merge(&shards.swap_remove(next));
    }
    values.sort_by(f64::total_cmp);
    let wanted = percentile(values, share);
    let found = merged.find(share, target);
    for operator in OPERATORS {
        assert_eq!(
            operator.holds(found.order(target)),
            operator.holds(wanted.partial_cmp(&target)),
            "{operator:?} {target:?} for p({share}) of {values:?}: k6 has {wanted:?}, the cell {found:?}"
        );
    }
    // What is shown lies where the verdict says, even from a bad estimate.
    let shown = found.value(Some(target)).unwrap();
    assert_eq!(shown.partial_cmp(&target), wanted.partial_cmp(&target), "{values:?} {found:?}");
    if let Found::Exactly(value) = found {
        assert_eq!(value.partial_cmp(&wanted), Some(Ordering::Equal));
    }
}

#[test]
fn a_cell_decides_as_k6_does_on_all_values_of_all_shards() {
    let cases = std::env::var("WEIR_CASES").ok().and_then(|cases| cases.parse().ok());
    let mut dice = Dice(4);
    let mut values = Vec::new();
    for _ in 0..cases.unwrap_or(2_000_000_u64) {
        case(&mut dice, &mut values);
    }
}

#[test]
fn an_empty_trend_is_zero() {
    assert_eq!(Cell::default().find(0.95, 500.0), Found::Exactly(0.0));
    assert_eq!(Cell::default().find(0.95, f64::NAN), Found::Exactly(0.0));
}

#[test]
fn a_target_beyond_all_numbers_is_compared() {
    for (target, order) in [
        (f64::INFINITY, Some(Ordering::Less)),
        (f64::NEG_INFINITY, Some(Ordering::Greater)),
        (f64::NAN, None),
    ] {
        let mut cell = Cell::default();
        for value in [1.0, 2.0] {
            cell.add(target, value);
        }
        assert_eq!(cell.find(0.5, target).order(target), order);
    }
}

proptest! {
    #[test]
    fn merging_knows_no_order(values in prop::collection::vec(-3.0..3.0_f64, 0..20), cut in 0..20_usize, target in -3..3_i32) {
        let target = f64::from(target) / 2.0;
        let of = |values: &[f64]| {
            let mut cell = Cell::default();
            for value in values { cell.add(target, (value * 2.0).round() / 2.0); }
            cell
        };
        let (left, right) = values.split_at(cut.min(values.len()));
        let (mut one, mut two) = (of(left), of(right));
        one.merge(&of(right));
        two.merge(&of(left));
        prop_assert_eq!(one, two);
        prop_assert_eq!(one, of(&values));
    }
}
