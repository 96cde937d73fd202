use std::borrow::Cow;

use proptest::prelude::*;
use prost::Message;

use super::*;
use crate::core::samples::decode::Pairs;

/// A sample as a reader of frames sees it: metric, dimensions, time, bits of the value.
type Seen = (String, Vec<(String, String)>, i64, u64);

fn expand(frame: &Frame) -> Vec<Seen> {
    let text = |index: u32| frame.strings[index as usize].clone();
    let mut time_ns = frame.base_time_ns;
    let mut seen = Vec::new();
    for (at, index) in frame.sample_series.iter().enumerate() {
        let series = &frame.series[*index as usize];
        time_ns += frame.time_delta_ns[at];
        let pairs = series.dimensions.chunks(2).map(|pair| (text(pair[0]), text(pair[1])));
        let value = frame.value[at].to_bits();
        seen.push((text(series.metric), pairs.collect(), time_ns, value));
    }
    seen
}

fn point<'a>(metric: &'a str, time_ns: i64, value: f64, tags: &'a [(String, String)]) -> Point<'a> {
    let pairs = tags.iter().map(|(n, v)| (Cow::Borrowed(n.as_str()), Cow::Borrowed(v.as_str())));
    let tags = Pairs(pairs.collect());
    Point { metric: metric.into(), time_ns, value, tags, metadata: Pairs::default() }
}

fn limits(samples_max: usize) -> Limits {
    Limits { samples_max, ..Limits::default() }
}

#[test]
fn a_frame_closes_by_its_number_of_samples() {
    let mut builder = FrameBuilder::new(1, limits(3));
    assert!(builder.push(&point("m", 1, 1.0, &[]), 0).is_none());
    assert!(builder.push(&point("m", 2, 2.0, &[]), 0).is_none());
    let closed = builder.push(&point("m", 3, 3.0, &[]), 0).unwrap();
    assert_eq!((closed.frame.seq, closed.frame.value.len()), (1, 3));
    assert_eq!(builder.close(), None);
}

#[test]
fn a_frame_closes_by_its_bytes() {
    let mut builder = FrameBuilder::new(1, Limits { bytes_max: 10_000, ..Limits::default() });
    let closed = (0_u32..).find_map(|i| {
        let tags = [("url".to_owned(), format!("http://example.test/{i}"))];
        builder.push(&point("m", i64::from(i), 0.0, &tags), 0)
    });
    let bytes = closed.unwrap().frame.encoded_len();
    assert!((2_000..10_000).contains(&bytes), "{bytes}");
}

#[test]
fn a_frame_closes_by_the_age_of_its_first_sample() {
    let mut builder = FrameBuilder::new(1, Limits::default());
    assert_eq!(builder.due_ms(), None);
    builder.push(&point("m", 1, 1.0, &[]), 1000);
    builder.push(&point("m", 2, 1.0, &[]), 1150);
    assert_eq!(builder.due_ms(), Some(1200));
    assert_eq!(builder.poll(1199), None);
    assert_eq!(builder.poll(1200).unwrap().frame.value.len(), 2);
    assert_eq!(builder.due_ms(), None);
}

#[test]
fn every_frame_defines_its_own_series() {
    let mut builder = FrameBuilder::new(1, limits(1));
    let tags = [("a".to_owned(), "b".to_owned())];
    let first = builder.push(&point("m", 1, 1.0, &tags), 0).unwrap();
    let second = builder.push(&point("m", 2, 1.0, &tags), 0).unwrap();
    assert_eq!(first.frame.strings, second.frame.strings);
    assert_eq!((first.frame.seq, second.frame.seq), (1, 2));
}

#[test]
fn no_frame_exceeds_what_a_message_may_hold() {
    let mut builder = FrameBuilder::new(1, Limits::default());
    let mut largest = 0;
    for i in 0..20_000_u32 {
        let tags = [("url".to_owned(), format!("{i:0>2000}"))];
        if let Some(closed) = builder.push(&point("m", i64::from(i), 0.0, &tags), 0) {
            largest = largest.max(closed.frame.encoded_len());
        }
    }
    assert!(largest > 0 && largest < MESSAGE_BYTES_MAX / 2, "{largest}");
}

fn tags() -> impl Strategy<Value = Vec<(String, String)>> {
    let pairs = prop::collection::btree_map("[a-c]{1,2}", "[a-c]{0,2}", 0..4);
    pairs.prop_map(|pairs| pairs.into_iter().collect())
}

proptest! {
    #[test]
    fn what_goes_into_frames_comes_out_of_them(
        samples in prop::collection::vec(
            ("[m-o]", 0_i64..i64::MAX / 2, any::<f64>().prop_map(f64::to_bits), tags()), 0..80,
        ),
        samples_max in 1_usize..20,
    ) {
        let mut builder = FrameBuilder::new(7, limits(samples_max));
        let mut frames = Vec::new();
        let mut wanted = Vec::new();
        let mut nudge = Nudge::default();
        for (metric, time_ns, bits, tags) in &samples {
            let point = point(metric, *time_ns, f64::from_bits(*bits), tags);
            let mut canon = Canon::new(7, []);
            let series = canon.series(&point);
            let at = nudge.place(series.rows, *time_ns);
            let mut dimensions = tags.iter().filter(|(_, v)| !v.is_empty()).cloned().collect::<Vec<_>>();
            dimensions.push(("instance_id".to_owned(), "7".to_owned()));
            dimensions.sort();
            wanted.push((metric.clone(), dimensions, at, *bits));
            frames.extend(builder.push(&point, 0));
        }
        frames.extend(builder.close());
        let mut found = Vec::new();
        for (at, closed) in frames.iter().enumerate() {
            prop_assert_eq!(closed.frame.seq, at as u64 + 1);
            prop_assert!(closed.frame.value.len() <= samples_max);
            // Over the wire and back.
            let frame = Frame::decode(closed.frame.encode_to_vec().as_slice()).unwrap();
            found.extend(expand(&frame));
        }
        prop_assert_eq!(found, wanted);
    }

    #[test]
    fn a_series_that_is_remembered_makes_the_same_frames(
        samples in prop::collection::vec(("[mn]", 0_i64..40, tags(), any::<bool>()), 0..80),
        samples_max in 1_usize..20,
    ) {
        let mut memos = std::collections::BTreeMap::new();
        let mut told = |remembers: bool| {
            let mut builder = FrameBuilder::new(7, limits(samples_max));
            let mut frames = Vec::new();
            for (metric, time_ns, tags, again) in &samples {
                let point = point(metric, *time_ns, 0.5, tags);
                frames.extend(if remembers && *again {
                    let memo = memos.entry((metric, tags)).or_insert_with(Memo::default);
                    builder.push_again(&point, memo, 0)
                } else {
                    builder.push(&point, 0)
                });
            }
            frames.extend(builder.close());
            frames
        };
        prop_assert_eq!(told(false), told(true));
    }

    #[test]
    fn no_output_gets_two_samples_of_one_identity_and_a_second_telling_is_the_same(
        samples in prop::collection::vec(("[mn]", 0_i64..6, tags()), 0..60),
        left_out in prop::collection::vec(prop::collection::btree_set("[a-c]", 0..3), 1..4),
        is_inclusive in any::<bool>(),
        samples_max in 1_usize..20,
    ) {
        let kept: Vec<Kept> = left_out
            .into_iter()
            .map(|names| names.into_iter().map(Into::into).collect())
            .map(|names| if is_inclusive { Kept::Only(names) } else { Kept::AllBut(names) })
            .collect();
        let told = || {
            let mut builder = FrameBuilder::keeping(7, limits(samples_max), kept.clone());
            let mut frames = Vec::new();
            for (at, (metric, time_ns, tags)) in samples.iter().enumerate() {
                let value = f64::from(u32::try_from(at).unwrap());
                frames.extend(builder.push(&point(metric, *time_ns, value, tags), 0));
            }
            frames.extend(builder.close());
            frames
        };
        let frames = told();
        prop_assert_eq!(&frames, &told());
        let seen: Vec<Seen> = frames.iter().flat_map(|closed| expand(&closed.frame)).collect();
        prop_assert_eq!(seen.len(), samples.len());
        for kept in &kept {
            let mut rows = std::collections::BTreeSet::new();
            for ((metric, dimensions, time_ns, _), (_, before_ns, tags)) in seen.iter().zip(&samples) {
                let row = kept.of_series(dimensions);
                // What a row has is what the sample had, and no output misses what it keeps.
                let wanted = tags.iter().filter(|(n, v)| !v.is_empty() && kept.has(n)).count();
                prop_assert_eq!(row.len(), wanted + 1);
                prop_assert!(time_ns >= before_ns);
                prop_assert!(rows.insert((metric, row, time_ns)), "two samples at {time_ns}");
            }
        }
        let travels = |name: &str| kept.iter().any(|kept| kept.has(name));
        prop_assert!(seen.iter().all(|(_, dimensions, ..)| dimensions.iter().all(|(n, _)| travels(n))));
    }
}
