use super::*;
use crate::core::{dimensions::Kept, pipeline::row::Series};

fn row(name: &str) -> Arc<Row> {
    let series = Series { metric: name.into(), dimensions: Vec::new() };
    Arc::new(line::line_row(&series, &Kept::All).unwrap())
}

/// A frame with so many samples of `row`.
fn push(fifo: &mut Fifo, row: &Arc<Row>, frame: u64, count: usize, now_ms: i64) {
    fifo.arrive(FrameId(frame), now_ms);
    let samples: Vec<Waiting> = (0..count)
        .map(|at| Waiting {
            frame: FrameId(frame),
            time_ns: at.try_into().unwrap(),
            value: 1.0,
            rolled: None,
        })
        .collect();
    fifo.push(row, samples);
}

#[test]
fn what_does_not_fill_a_call_waits_for_its_time() {
    let mut fifo = Fifo::default();
    assert_eq!((fifo.due_ms(100), fifo.cut(1000, 100, true)), (None, None));
    push(&mut fifo, &row("a"), 1, 3, 50);
    push(&mut fifo, &row("b"), 2, 2, 90);
    assert_eq!(fifo.due_ms(100), Some(150));
    assert_eq!(fifo.cut(149, 100, false), None);
    let call = fifo.cut(150, 100, false).unwrap();
    let frames: Vec<u64> = call.iter().map(|record| record.frame.0).collect();
    assert_eq!(frames, [1, 1, 1, 2, 2], "all that waits, in the order in which it came");
    assert_eq!((fifo.len(), fifo.due_ms(100)), (0, None));
}

#[test]
fn in_a_hurry_nothing_waits() {
    let mut fifo = Fifo::default();
    push(&mut fifo, &row("a"), 1, 3, 50);
    assert_eq!(fifo.cut(50, 100, true).map(|call| call.len()), Some(3));
}

#[test]
fn a_full_call_goes_out_at_once_and_the_rest_waits_for_its_own_time() {
    let mut fifo = Fifo::default();
    push(&mut fifo, &row("a"), 1, LINES_MAX - 1, 0);
    assert_eq!(fifo.cut(0, 100, false), None);
    push(&mut fifo, &row("a"), 2, 2, 30);
    assert_eq!(fifo.cut(30, 100, false).map(|call| call.len()), Some(LINES_MAX));
    assert_eq!((fifo.len(), fifo.due_ms(100)), (1, Some(130)));
}

#[test]
fn a_call_is_bounded_by_its_bytes() {
    let mut fifo = Fifo::default();
    let large = row(&"m".repeat(line::SERIES_BYTES_MAX));
    let fit = BYTES_MAX / line::bytes_max(&large);
    push(&mut fifo, &large, 1, 3 * fit, 0);
    for _ in 0..2 {
        let call = fifo.cut(0, 100, false).unwrap();
        assert_eq!(call.len(), fit);
        assert!(line::body(&call).len() <= BYTES_MAX);
    }
    assert_eq!(fifo.cut(0, 100, true).map(|call| call.len()), Some(fit));
    assert_eq!((fifo.len(), fifo.bytes), (0, 0));
}

#[test]
fn all_that_waits_can_be_taken() {
    let mut fifo = Fifo::default();
    push(&mut fifo, &row("a"), 1, 2 * LINES_MAX, 0);
    assert_eq!(fifo.take_all().len(), 2 * LINES_MAX);
    assert_eq!((fifo.len(), fifo.bytes, fifo.due_ms(100)), (0, 0, None));
}
