use super::*;
use crate::core::{
    ledger::{
        codec::Detail,
        ledger::Ledger,
        tests::samples::{definition, point, rules},
        view::Kind,
    },
    tests::dice::Dice,
};

const S: i64 = 1_000_000_000;

fn filled(dice: &mut Dice) -> Ledger {
    let rules = rules(&[
        ("mine", "p(95)<5"),
        ("mine{a:1}", "med>=2"),
        ("http_reqs", "count>0"),
        ("checks", "rate>0.5"),
        ("vus", "value>1"),
    ]);
    let mut ledger = Ledger::new(&rules, true);
    ledger.define(&definition("mine", Kind::Trend));
    for n in 0..i64::try_from(dice.below(300)).unwrap() {
        let tags = [
            ("a", dice.pick(&["1", "2"])),
            ("group", dice.pick(&["", "::g"])),
            ("scenario", dice.pick(&["s", "default"])),
        ];
        ledger.add(&point("mine", n, (dice.unit() - 0.3) * 10.0, &tags));
        ledger.add(&point("http_reqs", n, 1.0, &tags));
        let check = [("check", dice.pick(&["x", "y"])), tags[1], tags[2]];
        ledger.add(&point("checks", n, dice.pick(&[0.0, 1.0]), &check));
        ledger.add(&point("vus", n, 2.0, &[]));
    }
    ledger
}

fn take(merged: &mut Merged, kept: Kept) {
    for part in kept.parts {
        merged.merge(kept.instance_id, kept.born_unix_ns, part).unwrap();
    }
}

fn seen(merged: &Merged) -> String {
    let all = format!("{:?} {:?}", merged.evaluate(S, true), merged.view(S));
    // Where a sketch looks first for the next value's place.
    let mut pieces = all.split("hot: ");
    let first = pieces.next().unwrap_or_default().to_owned();
    pieces.fold(first, |text, piece| text + piece.trim_start_matches(|c: char| c.is_ascii_digit()))
}

#[test]
fn the_next_aggregator_knows_what_this_one_knew() {
    let mut dice = Dice(3);
    for _ in 0..20 {
        let (mut before, mut after) = (Merged::default(), Merged::default());
        let mut ledgers: Vec<Ledger> = (0..3).map(|_| filled(&mut dice)).collect();
        for (id, ledger) in (1..).zip(&mut ledgers) {
            // Large and small ledgers, as they come.
            for detail in [Detail::Summary, Detail::Verdict] {
                for message in ledger.snapshot(detail, false) {
                    before.take(id, 7, message).unwrap();
                }
            }
        }
        for id in [2, 3, 1] {
            let kept = read(&before.keep(id, id == 2).unwrap()).unwrap();
            assert_eq!((kept.instance_id, kept.born_unix_ns, kept.is_whole), (id, 7, id == 2));
            take(&mut after, kept);
        }
        assert_eq!(seen(&before), seen(&after));
        // What the instance says next goes on from there, on both.
        ledgers[0].add(&point("mine", 1000, 99.0, &[("a", "1")]));
        for message in ledgers[0].snapshot(Detail::Summary, true) {
            before.take(1, 7, message.clone()).unwrap();
            after.take(1, 7, message).unwrap();
        }
        assert_eq!(seen(&before), seen(&after));
        assert!(after.is_complete(1) && !after.is_complete(2));
    }
}

#[test]
fn an_instance_that_said_nothing_is_not_kept() {
    assert_eq!(Merged::default().keep(1, true), None);
}

#[test]
fn what_is_damaged_is_not_taken() {
    let mut merged = Merged::default();
    for message in filled(&mut Dice(5)).snapshot(Detail::Summary, false) {
        merged.take(9, 7, message).unwrap();
    }
    let whole = merged.keep(9, false).unwrap();
    let mut dice = Dice(1);
    for _ in 0..500 {
        let mut bytes = whole.clone();
        if dice.below(2) == 0 {
            bytes.truncate(dice.below(bytes.len()));
        } else {
            let at = dice.below(bytes.len());
            bytes[at] ^= 1 << dice.below(8);
        }
        assert!(read(&bytes).is_err());
    }
    read(&whole).unwrap();
}

#[test]
fn instances_are_gone_through_in_a_circle() {
    let mut merged = Merged::default();
    for id in [1, 4, 9] {
        for message in filled(&mut Dice(5)).snapshot(Detail::Verdict, false) {
            merged.take(id, 7, message).unwrap();
        }
    }
    let ids = |after, count| merged.instances_after(after, count);
    assert_eq!(ids(0, 2), [1, 4]);
    assert_eq!(ids(4, 2), [9, 1]);
    assert_eq!(ids(9, 9), [1, 4, 9]);
    assert_eq!(ids(u32::MAX, 1), [1]);
}
