//! Whatever comes over the wire is read without panic, and what is no ledger changes nothing.

use prost::Message;

use super::samples::{definition, point, rules};
use crate::{
    core::{
        ledger::{codec::Detail, ledger::Ledger, merged::Merged, view::Kind},
        tests::dice::Dice,
    },
    wire::session,
};

fn real() -> Vec<session::Ledger> {
    let rules = rules(&[
        ("mine", "p(95)<5"),
        ("mine{a:1}", "med>=2"),
        ("http_reqs", "count>0"),
        ("http_reqs{group:::g}", "rate>1"),
        ("checks", "rate>0.5"),
        ("vus", "value>1"),
    ]);
    let mut ledger = Ledger::new(&rules, true);
    ledger.define(&definition("mine", Kind::Trend));
    let mut dice = Dice(7);
    for n in 0..200 {
        let value = (dice.unit() - 0.3) * 10.0;
        let tags = [
            ("a", dice.pick(&["1", "2"])),
            ("group", dice.pick(&["", "::g"])),
            ("scenario", dice.pick(&["s", "default"])),
        ];
        ledger.add(&point("mine", n, value, &tags));
        ledger.add(&point("http_reqs", n, 1.0, &tags));
        let check = [("check", dice.pick(&["x", "y"])), tags[1], tags[2]];
        ledger.add(&point("checks", n, dice.pick(&[0.0, 1.0]), &check));
        ledger.add(&point("vus", n, value.round(), &[]));
        ledger.add(&point("unknown", n, value, &[]));
    }
    let mut messages = ledger.snapshot(Detail::Verdict, false);
    messages.extend(ledger.snapshot(Detail::Summary, true));
    messages
}

fn use_all(merged: &Merged) {
    merged.evaluate(1_000_000_000, true);
    let view = merged.view(1_000_000_000);
    for metric in view.metrics.values() {
        if let crate::core::ledger::view::Values::Trend(trend) = &metric.values {
            trend.percentile(0.3);
        }
    }
    merged.faults();
    merged.unseen();
}

#[test]
fn a_message_is_read_back_as_it_was_sent() {
    for message in real() {
        let bytes = message.encode_to_vec();
        let read = session::Ledger::decode(bytes.as_slice()).unwrap();
        assert_eq!(read, message);
        Merged::default().take(1, 1, read).unwrap();
    }
}

#[test]
fn changed_messages_are_read_without_panic() {
    let real: Vec<_> = real().iter().map(Message::encode_to_vec).collect();
    let mut dice = Dice(11);
    let mut taken = 0_u32;
    for _ in 0..3_000 {
        let mut merged = Merged::default();
        for instance_id in 0..3 {
            let mut bytes = real[dice.below(real.len())].clone();
            for _ in 0..dice.below(4) {
                let at = dice.below(bytes.len());
                match dice.below(4) {
                    0 => bytes[at] = u8::try_from(dice.roll() & 0xff).unwrap(),
                    1 => bytes[at] ^= 1 << dice.below(8),
                    2 => bytes.truncate(at.max(1)),
                    _ => bytes.splice(at..at, [0xff; 9]).for_each(drop),
                }
            }
            if let Ok(message) = session::Ledger::decode(bytes.as_slice()) {
                taken += u32::from(merged.take(instance_id, 1, message).is_ok());
            }
        }
        use_all(&merged);
    }
    assert!(taken > 1_000, "too few of the changed messages were still ledgers: {taken}");
}

#[test]
fn random_bytes_are_read_without_panic() {
    let mut dice = Dice(13);
    for _ in 0..20_000 {
        let bytes: Vec<_> =
            (0..dice.below(60)).map(|_| u8::try_from(dice.roll() & 0xff).unwrap()).collect();
        let Ok(message) = session::Ledger::decode(bytes.as_slice()) else { continue };
        let mut merged = Merged::default();
        if merged.take(1, 1, message).is_ok() {
            use_all(&merged);
        }
    }
}

#[test]
fn a_message_beyond_its_bounds_is_refused_and_changes_nothing() {
    let sink = |change: fn(&mut session::LedgerSink)| {
        let mut sink = session::LedgerSink { name: "vus".into(), count: 1, ..Default::default() };
        change(&mut sink);
        session::Ledger { parts: 1, sinks: vec![sink], ..Default::default() }
    };
    let wrong = [
        session::Ledger::default(),
        session::Ledger { parts: 1, part: 1, ..Default::default() },
        session::Ledger { parts: u32::MAX, ..Default::default() },
        session::Ledger {
            parts: 1,
            sinks: vec![session::LedgerSink::default(); 10_000],
            ..Default::default()
        },
        session::Ledger {
            parts: 1,
            tallies: vec![session::LedgerTally::default(); 20_000],
            ..Default::default()
        },
        session::Ledger {
            parts: 1,
            tallies: vec![session::LedgerTally { part: 9, ..Default::default() }],
            ..Default::default()
        },
        session::Ledger {
            parts: 1,
            tallies: vec![session::LedgerTally {
                check: Some("c".repeat(5000)),
                ..Default::default()
            }],
            ..Default::default()
        },
        sink(|sink| sink.name = "n".repeat(5000)),
        sink(|sink| sink.min = f64::NAN),
        sink(|sink| sink.sum = f64::NAN),
        sink(|sink| sink.last = f64::INFINITY),
        sink(|sink| sink.min = 1.0),
        sink(|sink| sink.trues = 2),
        sink(|sink| sink.kind = 9),
        sink(|sink| sink.contains = 9),
        sink(|sink| sink.part = 9),
        sink(|sink| sink.sketch = Some(vec![0, 0].into())),
        sink(|sink| {
            sink.thresholds =
                vec![session::LedgerThreshold { source: "nonsense".into(), ..Default::default() }];
        }),
        sink(|sink| sink.thresholds = vec![session::LedgerThreshold::default(); 2000]),
        sink(|sink| {
            let cell =
                session::LedgerCell { count: 1, below: u64::MAX, equal: 1, ..Default::default() };
            sink.name = "mine".into();
            sink.thresholds = vec![session::LedgerThreshold {
                source: "p(95)<1".into(),
                cell: Some(cell),
                ..Default::default()
            }];
        }),
    ];
    for message in wrong {
        let mut merged = Merged::default();
        let shown = format!("{message:.300?}");
        assert!(merged.take(1, 1, message).is_err(), "{shown}");
        assert_eq!(merged.instances(), 0);
    }
}
