//! Ledgers of instances, and what an aggregator keeps of them. Of each piece of an input the first byte is the instance,
//! the second when its process began, the rest a ledger or what was kept of one.

use std::hint::black_box;

use prost::Message;
use weir::{
    core::{
        ledger::{codec, keep},
        verdict::{Surroundings, Verdict},
    },
    wire::session::{Ledger, Terms},
};

use crate::{bounded::bounded, pieces};

const SUMMARY: &[u8] = br#"{"mode":"full","trend_stats":["avg","p(95)","count"],"time_unit":""}"#;

/// Whatever is taken, the run is judged and summed up, and another aggregator learns all of it from what is kept.
pub fn check(bytes: &[u8]) {
    let mut verdict = Verdict::new(false, false);
    let summary = SUMMARY.into();
    verdict.learn(Terms { summary, handles_summary: true, ..Terms::default() });
    let mut now_ms = 0;
    for piece in pieces::split(bytes) {
        let Some(([instance, born], message)) = piece.split_first_chunk() else { continue };
        if let Ok(kept) = bounded(message, keep::read) {
            verdict.take_kept(kept).ok();
        }
        let read = bounded(message, |bytes| codec::decode(Ledger::decode(bytes).ok()?).ok());
        if let Some(ledger) = read {
            verdict.take(u32::from(instance % 4), i64::from(*born), ledger).ok();
        }
        drop(verdict.look(Some(now_ms), now_ms));
        now_ms += 1_000;
    }
    let around = Surroundings { duration_ns: now_ms * 1_000_000, ..Surroundings::default() };
    drop(verdict.judge(&around, true));
    drop(verdict.sum_up(&around, None));
    drop(verdict.thresholds());
    black_box(verdict.metrics());
    for instance in verdict.instances_after(0, 4) {
        learns_again(&verdict, instance);
    }
}

/// What was kept of an instance says to another aggregator what it said to this one.
fn learns_again(verdict: &Verdict, instance: u32) {
    let bytes = verdict.keep(instance, false).expect("there is something of it");
    let mut other = Verdict::new(false, false);
    let kept = keep::read(&bytes).expect("it was written a moment ago");
    other.take_kept(kept).expect("nothing contradicts it");
    let again = other.keep(instance, false).expect("there is something of it");
    assert!(again == bytes, "what is kept of instance {instance} changes on its way");
}
