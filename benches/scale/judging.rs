//! What the aggregator's own work on the ledgers costs, without any transport.

use std::{hint::black_box, time::Instant};

use serde_json::{Value, json};
use weir::{
    core::ledger::{
        codec::{Detail, decode},
        merged::Merged,
    },
    wire::session::Ledger,
};

use crate::{
    load::{self, Dice},
    usage::{self, Usage},
};

/// Different ledgers; every so many instances have the same.
const DIFFERENT: u32 = 50;
const TIMES: usize = 21;

pub(crate) fn measure(instances: u32) -> Value {
    let snapshots = |detail| -> Vec<Vec<Ledger>> {
        let one = |seed| {
            let mut dice = Dice::new(seed);
            let mut ledger = load::ledger(&mut dice);
            load::second(&mut ledger, &mut dice);
            ledger.snapshot(detail, false)
        };
        (0..DIFFERENT).map(one).collect()
    };
    let (whole, verdict) = (snapshots(Detail::Summary), snapshots(Detail::Verdict));
    let mut merged = Merged::default();
    let before = Usage::now().rss_kib;
    take(&mut merged, instances, &whole);
    let held = Usage::now().rss_kib.saturating_sub(before);
    let elapsed_ns = 10_000_000_000;
    let evaluate = spread(|| drop(black_box(merged.evaluate(elapsed_ns, false))));
    let evaluate_last = spread(|| drop(black_box(merged.evaluate(elapsed_ns, true))));
    let view = spread(|| drop(black_box(merged.view(elapsed_ns))));
    json!({
        "evaluate": evaluate,
        "evaluate_last": evaluate_last,
        "view": view,
        "read": format!("{} / {}", each(instances, || read(instances, &verdict)), each(instances, || read(instances, &whole))),
        "take": each(instances, || take(&mut merged, instances, &verdict)),
        "take_summary": each(instances, || take(&mut merged, instances, &whole)),
        "held": usage::mib(held),
    })
}

fn take(merged: &mut Merged, instances: u32, snapshots: &[Vec<Ledger>]) -> i64 {
    let mut took_ns = 0;
    for (instance_id, snapshot) in (1..=instances).zip(snapshots.iter().cycle()) {
        for message in snapshot {
            let message = decode(message.clone()).expect("the ledger is one");
            let began = Instant::now();
            merged.merge(instance_id, 1, message).expect("the ledger is one of these");
            took_ns += ns(began);
        }
    }
    took_ns
}

fn read(instances: u32, snapshots: &[Vec<Ledger>]) -> i64 {
    let mut took_ns = 0;
    for (_, snapshot) in (1..=instances).zip(snapshots.iter().cycle()) {
        for message in snapshot {
            let message = message.clone();
            let began = Instant::now();
            black_box(decode(message).expect("the ledger is one"));
            took_ns += ns(began);
        }
    }
    took_ns
}

fn each(instances: u32, mut work: impl FnMut() -> i64) -> String {
    let best = (0..3).map(|_| work()).min().unwrap_or(0) / i64::from(instances);
    usage::time(best)
}

fn spread(mut work: impl FnMut()) -> String {
    let mut took: Vec<i64> = (0..TIMES)
        .map(|_| {
            let began = Instant::now();
            work();
            ns(began)
        })
        .collect();
    took.sort_unstable();
    let [first, middle, last] = [0, TIMES / 2, TIMES - 1].map(|at| usage::time(took[at]));
    format!("{first} / {middle} / {last}")
}

fn ns(began: Instant) -> i64 {
    i64::try_from(began.elapsed().as_nanos()).unwrap_or(i64::MAX)
}
