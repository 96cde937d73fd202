use proptest::prelude::*;

use super::*;
use crate::wire::session::Series;

fn frame(seq: u64, samples: usize) -> Frame {
    Frame {
        seq,
        strings: vec!["http_reqs".to_owned(), "url".to_owned(), format!("http://{seq}")],
        series: vec![Series { metric: 0, dimensions: vec![1, 2] }],
        base_time_ns: 1_800_000_000_000_000_000,
        sample_series: vec![0; samples],
        time_delta_ns: vec![250; samples],
        value: vec![0.1; samples],
        ..Frame::default()
    }
}

fn header() -> SegmentHeader {
    SegmentHeader {
        format: FORMAT,
        run: "ns/checkout-1/uid".to_owned(),
        instance_id: 7,
        incarnation: "1f-2e".to_owned(),
        segment: 3,
    }
}

/// A segment of these frames, and where each of its records begins.
fn segment(frames: &[Frame]) -> (Vec<u8>, Vec<usize>) {
    let mut bytes = Vec::new();
    put_head(&header(), &mut bytes);
    let mut starts = Vec::new();
    for frame in frames {
        starts.push(bytes.len());
        put_frame(frame, &mut bytes);
    }
    (bytes, starts)
}

fn frames() -> Vec<Frame> {
    (1..=4).map(|seq| frame(seq, 10)).collect()
}

fn seqs(chunk: &Chunk) -> Vec<u64> {
    chunk.frames.iter().map(|frame| frame.seq).collect()
}

/// What decoded frames take, as far as their lists go.
fn memory(chunk: &Chunk) -> usize {
    let of_frame = |frame: &Frame| {
        let strings: usize = frame.strings.iter().map(|text| text.capacity() + 24).sum();
        let series: usize = frame.series.iter().map(|s| 4 * s.dimensions.capacity() + 32).sum();
        strings
            + series
            + 4 * frame.sample_series.capacity()
            + 8 * (frame.time_delta_ns.capacity() + frame.value.capacity())
    };
    chunk.frames.iter().map(of_frame).sum()
}

#[test]
fn what_was_put_comes_back_with_whose_it_is() {
    let (bytes, starts) = segment(&frames());
    let (found, at) = head(&bytes).unwrap();
    assert_eq!((found, at), (header(), starts[0]));
    assert_eq!(head_bytes(&header()), starts[0] as u64);
    let chunk = chunk(&bytes[at..], true);
    assert_eq!(chunk.frames, frames());
    assert_eq!((chunk.bytes, chunk.is_lost), ((bytes.len() - at) as u64, false));
    assert_eq!(record_bytes(frames()[0].encoded_len()), (starts[1] - starts[0]) as u64);
}

#[test]
fn the_check_is_the_castagnoli_crc() {
    let mut bytes = Vec::new();
    put(b"123456789", &mut bytes);
    assert_eq!(bytes[..4], 9_u32.to_le_bytes());
    // The published check value is that of the text alone; the length stands before it.
    assert_eq!(crc32c::crc32c(b"123456789"), 0xe306_9283);
    let whole = crc32c::crc32c(b"\x09\x00\x00\x00123456789");
    assert_eq!(bytes[4..8], whole.to_le_bytes());
}

#[test]
fn a_piece_that_ends_within_a_record_says_how_much_it_needs() {
    let (bytes, starts) = segment(&frames());
    let two = chunk(&bytes[starts[0]..starts[2] + 5], false);
    assert_eq!((seqs(&two), two.bytes), (vec![1, 2], (starts[2] - starts[0]) as u64));
    assert_eq!((two.wanted, two.is_lost), (8, false), "not even the length is there");
    let part = chunk(&bytes[starts[2]..starts[2] + 20], false);
    assert_eq!((part.frames.len(), part.bytes), (0, 0));
    assert_eq!(part.wanted, (starts[3] - starts[2]) as u64);
    assert!(chunk(&bytes[starts[2]..starts[2] + 20], true).is_lost, "nothing more will come");
}

#[test]
fn a_flipped_bit_costs_the_record_that_it_is_in() {
    let (mut bytes, starts) = segment(&frames());
    bytes[starts[1] + 30] ^= 4;
    let found = chunk(&bytes[starts[0]..], true);
    assert_eq!((seqs(&found), found.broken, found.is_lost), (vec![1, 3, 4], 1, false));
}

#[test]
fn a_length_that_cannot_be_costs_what_is_behind_it() {
    for length in [0, u32::MAX] {
        let (mut bytes, starts) = segment(&frames());
        bytes[starts[2]..starts[2] + 4].copy_from_slice(&length.to_le_bytes());
        let found = chunk(&bytes[starts[0]..], false);
        assert_eq!((seqs(&found), found.is_lost), (vec![1, 2], true), "{length}");
    }
}

#[test]
fn another_format_is_told_and_not_guessed_at() {
    let mut bytes = Vec::new();
    put_head(&SegmentHeader { format: 2, ..header() }, &mut bytes);
    assert_eq!(head(&bytes), Err(NoSegment::Format(2)));
    assert_eq!(head(b"weirspol"), Err(NoSegment::Damaged));
    assert_eq!(head(b"#!/bin/sh"), Err(NoSegment::Foreign));
}

proptest! {
    #[test]
    fn any_bytes_are_read_without_a_panic_and_in_bounded_memory(
        bytes in prop::collection::vec(any::<u8>(), 0..2000),
        is_last: bool,
        framed: bool,
    ) {
        // With a true check in front, the bytes reach the decoder of frames.
        let mut record = Vec::new();
        if framed { put(&bytes, &mut record) } else { record.clone_from(&bytes) }
        let found = chunk(&record, is_last);
        prop_assert!(found.bytes <= record.len() as u64);
        prop_assert!(found.wanted <= record_bytes(PAYLOAD_BYTES_MAX));
        prop_assert!(found.frames.len() + usize::try_from(found.broken).unwrap() <= record.len() / 9 + 1);
        prop_assert!(memory(&found) <= 64 * record.len() + 64, "{} of {}", memory(&found), record.len());
        drop(head(&record));
    }

    #[test]
    fn a_changed_segment_gives_back_what_was_put_or_nothing(
        sizes in prop::collection::vec(0_usize..30, 1..8),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0_u8..4), 1..6),
    ) {
        let original: Vec<Frame> = (1_u64..).zip(&sizes).map(|(seq, n)| frame(seq, *n)).collect();
        let (mut bytes, starts) = segment(&original);
        for (at, value, how) in changes {
            let at = at.index(bytes.len());
            match how {
                0 => bytes[at] ^= 1 << (value % 8),
                1 => bytes[at] = value,
                2 => bytes.truncate(at.max(1)),
                _ => bytes.insert(at, value),
            }
        }
        drop(head(&bytes));
        let from = starts[0].min(bytes.len());
        let found = chunk(&bytes[from..], true);
        prop_assert!(found.bytes <= bytes.len() as u64);
        for frame in &found.frames {
            prop_assert!(original.contains(frame), "{frame:?} was never put");
        }
        prop_assert!(seqs(&found).is_sorted());
    }
}
