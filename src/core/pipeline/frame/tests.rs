use proptest::prelude::*;

use super::*;
use crate::wire::session::Series as WireSeries;

fn frame() -> Frame {
    Frame {
        seq: 1,
        strings: ["http_reqs", "instance_id", "3", "status", "200", "", "url"]
            .map(Into::into)
            .into(),
        series: vec![
            WireSeries { metric: 0, dimensions: vec![1, 2, 3, 4] },
            WireSeries { metric: 0, dimensions: vec![1, 2, 3, 4, 6, 5] },
        ],
        base_time_ns: 1000,
        sample_series: vec![0, 1, 0],
        time_delta_ns: vec![0, 0, 5],
        value: vec![1.0, 2.0, 3.0],
        ..Frame::default()
    }
}

#[test]
fn a_tag_without_value_is_no_dimension() {
    let opened = open(&frame(), 3);
    assert_eq!(opened.series.len(), 1);
    assert_eq!(opened.series[0].dimensions.len(), 2);
}

#[test]
fn samples_of_one_identity_are_told_apart_by_a_nanosecond() {
    let opened = open(&frame(), 3);
    let times: Vec<i64> = opened.samples.iter().map(|sample| sample.time_ns).collect();
    assert_eq!(times, [1000, 1001, 1005]);
}

#[test]
fn a_sample_without_tags_gets_its_instance() {
    let mut frame = frame();
    frame.series[0].dimensions.clear();
    let opened = open(&frame, 7);
    assert_eq!(opened.series[0].dimensions, [("instance_id".into(), "7".into())]);
}

#[test]
fn indices_that_point_nowhere_are_counted() {
    let mut frame = frame();
    frame.sample_series = vec![0, 9, 0];
    frame.series[1].dimensions = vec![1];
    assert_eq!(open(&frame, 3).malformed_count, 1);
    frame.value.push(4.0);
    assert_eq!(open(&frame, 3).malformed_count, 2);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_frame_is_too_odd_to_be_opened_and_every_sample_is_counted(
        strings in proptest::collection::vec("[a-c]{0,2}", 0..4),
        series in proptest::collection::vec((0..5u32, proptest::collection::vec(0..5u32, 0..6)), 0..4),
        samples in proptest::collection::vec((0..5u32, any::<i64>()), 0..40),
        extra in 0..3usize,
    ) {
        let frame = Frame {
            seq: 1,
            strings,
            series: series
                .into_iter()
                .map(|(metric, dimensions)| WireSeries { metric, dimensions })
                .collect(),
            base_time_ns: 0,
            sample_series: samples.iter().map(|(at, _)| *at).collect(),
            time_delta_ns: samples.iter().map(|(_, delta)| delta % 3).collect(),
            value: vec![1.0; samples.len() + extra],
            ..Frame::default()
        };
        let opened = open(&frame, 1);
        prop_assert_eq!(
            opened.samples.len() as u64 + opened.malformed_count,
            (samples.len() + extra) as u64
        );
        let identities: std::collections::BTreeSet<_> =
            opened.samples.iter().map(|sample| (sample.series, sample.time_ns)).collect();
        prop_assert_eq!(identities.len(), opened.samples.len());
    }
}
