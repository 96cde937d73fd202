use proptest::prelude::*;

use super::*;

fn closed(seq: u64, samples: usize) -> Closed {
    let frame = Frame { seq, value: vec![0.0; samples], ..Frame::default() };
    Closed { frame, memory_bytes: 100 }
}

fn ack(seq: u64, stored: u64, rejected: u64) -> Ack {
    let rejected = BTreeMap::from([("too old".to_owned(), rejected)]);
    Ack { seq, outputs: vec![OutputCounts { name: "timestream".to_owned(), stored, rejected }] }
}

fn sent(spool: &mut Spool, window: usize) -> Vec<u64> {
    std::iter::from_fn(|| spool.next(window)).map(|frame| frame.seq).collect()
}

#[test]
fn frames_go_out_in_order_within_the_window() {
    let mut spool = Spool::new(10_000);
    for seq in 1..=5 {
        spool.push(closed(seq, 1)).unwrap();
    }
    assert_eq!(sent(&mut spool, 2), [1, 2]);
    spool.ack(&ack(2, 1, 0));
    assert_eq!(sent(&mut spool, 2), [3]);
    spool.ack(&ack(1, 1, 0));
    spool.ack(&ack(3, 1, 0));
    assert_eq!(sent(&mut spool, 2), [4, 5]);
}

#[test]
fn a_new_session_gets_all_that_is_not_acknowledged_in_order() {
    let mut spool = Spool::new(10_000);
    for seq in 1..=4 {
        spool.push(closed(seq, 1)).unwrap();
    }
    assert_eq!(sent(&mut spool, 9), [1, 2, 3, 4]);
    spool.ack(&ack(2, 1, 0));
    spool.rewind();
    assert_eq!(sent(&mut spool, 9), [1, 3, 4]);
}

#[test]
fn an_acknowledgement_counts_once() {
    let mut spool = Spool::new(10_000);
    spool.push(closed(1, 10)).unwrap();
    spool.ack(&ack(1, 7, 3));
    spool.ack(&ack(1, 7, 3));
    spool.ack(&ack(9, 7, 3));
    assert_eq!((spool.totals().framed, spool.totals().acked), (10, 10));
    let counts = &spool.totals().output_counts()[0];
    assert_eq!((counts.stored, counts.rejected["too old"]), (7, 3));
}

#[test]
fn a_full_spool_is_an_error_and_counts_what_it_lost() {
    let mut spool = Spool::new(250);
    spool.push(closed(1, 5)).unwrap();
    spool.push(closed(2, 5)).unwrap();
    let overflow = spool.push(closed(3, 7)).unwrap_err();
    assert_eq!(overflow, Overflow { bytes_max: 250, acked: 0, framed: 17 });
    assert_eq!(spool.totals().dropped, 7);
    spool.ack(&ack(1, 5, 0));
    spool.push(closed(4, 1)).unwrap();
    assert_eq!(sent(&mut spool, 9), [2, 4]);
}

proptest! {
    #[test]
    fn any_order_of_acknowledgements_and_sessions_closes_the_books(
        frames in prop::collection::vec(1_usize..50, 1..30),
        steps in prop::collection::vec((0_u8..4, 0_u64..40), 0..200),
        window in 1_usize..8,
    ) {
        let mut spool = Spool::new(usize::MAX);
        let mut waiting = frames.iter().enumerate().map(|(at, n)| closed(at as u64 + 1, *n));
        let mut pushed = 0;
        let mut outstanding = Vec::new();
        let mut acked = std::collections::BTreeSet::new();
        let total: u64 = frames.iter().map(|n| *n as u64).sum();
        let answer = |spool: &mut Spool, seq: u64| {
            let n = frames[usize::try_from(seq).unwrap() - 1] as u64;
            spool.ack(&ack(seq, n - n / 3, n / 3));
        };
        for (step, pick) in steps {
            match step {
                0 => if let Some(closed) = waiting.next() {
                    pushed += closed.frame.value.len() as u64;
                    spool.push(closed).unwrap();
                },
                1 => if let Some(frame) = spool.next(window) {
                    prop_assert!(!acked.contains(&frame.seq), "an acknowledged frame was sent again");
                    outstanding.push(frame.seq);
                },
                2 if !outstanding.is_empty() => {
                    let at = usize::try_from(pick).unwrap() % outstanding.len();
                    let seq = outstanding[at];
                    answer(&mut spool, seq);
                    acked.insert(seq);
                }
                3 => spool.rewind(),
                _ => {}
            }
            prop_assert_eq!(spool.totals().framed, pushed);
            prop_assert!(spool.totals().acked <= pushed);
        }
        for closed in waiting {
            spool.push(closed).unwrap();
        }
        spool.rewind();
        while let Some(frame) = spool.next(window) {
            answer(&mut spool, frame.seq);
        }
        let totals = spool.totals();
        prop_assert!(spool.is_empty());
        prop_assert_eq!((totals.framed, totals.acked, totals.dropped), (total, total, 0));
        let counts = &totals.output_counts()[0];
        prop_assert_eq!(counts.stored + counts.rejected.values().sum::<u64>(), total);
    }
}
