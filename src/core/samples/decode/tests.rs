use proptest::prelude::*;
use serde_json::json;

use super::*;

const POINT: &str = r#"{"metric":"http_reqs","type":"Point","data":{"time":"2026-11-22T07:28:28.250116571Z","value":1.5,"tags":{"group":"","name":"a\"b"},"metadata":{"vu":"1"}}}"#;

fn point(line: &str) -> Point<'_> {
    match decode(line.as_bytes()).unwrap() {
        Line::Point(point) => point,
        Line::Metric(_) => panic!("a sample was expected"),
    }
}

#[test]
fn a_sample_is_read_whole() {
    let point = point(POINT);
    assert_eq!(point.metric, "http_reqs");
    assert_eq!(point.time_ns, 1_795_332_508_250_116_571);
    assert!((point.value - 1.5).abs() < f64::EPSILON);
    assert_eq!(point.tags.0, [("group".into(), "".into()), ("name".into(), "a\"b".into())]);
    assert_eq!(point.metadata.0, [("vu".into(), "1".into())]);
}

#[test]
fn text_without_escapes_is_borrowed_from_the_line() {
    let point = point(POINT);
    assert!(matches!(point.metric, Cow::Borrowed(_)));
    assert!(matches!(point.tags.0[0].0, Cow::Borrowed(_)));
    assert!(matches!(point.tags.0[1].1, Cow::Owned(_)), "an escape cannot be borrowed");
}

fn definition(line: &str) -> Definition<'_> {
    match decode(line.as_bytes()).unwrap() {
        Line::Metric(definition) => definition,
        Line::Point(_) => panic!("a metric was expected"),
    }
}

#[test]
fn a_metric_says_what_it_is() {
    let line = r#"{"type":"Metric","data":{"name":"vus","type":"gauge","contains":"default","thresholds":[],"submetrics":null},"metric":"vus"}"#;
    let vus =
        Definition { name: "vus".into(), kind: Some(Kind::Gauge), contains: Contains::Default };
    assert_eq!(definition(line), vus);
    let line = r#"{"type":"Metric","data":{"name":"t","type":"trend","contains":"time","more":[1]},"metric":"t"}"#;
    let t = Definition { name: "t".into(), kind: Some(Kind::Trend), contains: Contains::Time };
    assert_eq!(definition(line), t);
    let line = r#"{"type":"Metric","data":{"type":"new","contains":"new"},"metric":"t"}"#;
    let t = Definition { name: "t".into(), kind: None, contains: Contains::Default };
    assert_eq!(definition(line), t);
}

#[test]
fn a_sample_without_tags_is_a_sample() {
    let line = r#"{"metric":"vus","type":"Point","data":{"time":"2026-11-22T07:28:28Z","value":-0,"tags":null}}"#;
    assert!(point(line).tags.0.is_empty());
}

#[test]
fn anything_else_is_an_error() {
    for line in [
        "",
        "{}",
        "null",
        "text",
        r#"{"type":"Other","data":{}}"#,
        r#"{"type":"Metric","data":{}}"#,
        r#"{"type":"Point","metric":"a","data":{"time":"2026-11-22T07:28:28Z"}}"#,
        r#"{"type":"Point","metric":"a","data":{"time":"soon","value":1}}"#,
        r#"{"type":"Point","data":{"time":"2026-11-22T07:28:28Z","value":1}}"#,
        r#"{"type":"Point","metric":"a","data":{"time":"2026-11-22T07:28:28Z","value":1,"tags":{"a":1}}}"#,
        &POINT[..POINT.len() - 1],
    ] {
        assert!(decode(line.as_bytes()).is_err(), "{line}");
    }
}

proptest! {
    #[test]
    fn what_was_written_is_read_back(
        metric in "\\PC{1,12}",
        value in prop::num::f64::NORMAL | prop::num::f64::ZERO | prop::num::f64::SUBNORMAL,
        tags in prop::collection::btree_map("\\PC{1,6}", "\\PC{0,6}", 0..6),
    ) {
        let line = json!({"metric": metric, "type": "Point",
            "data": {"time": "2026-11-22T07:28:28.25Z", "value": value, "tags": tags}});
        let line = line.to_string();
        let read = point(&line);
        prop_assert_eq!(read.metric.as_ref(), metric);
        prop_assert_eq!(read.value.to_bits(), value.to_bits());
        let read_tags = read.tags.0.iter().map(|(n, v)| (n.to_string(), v.to_string()));
        prop_assert_eq!(read_tags.collect::<std::collections::BTreeMap<_, _>>(), tags);
    }

    #[test]
    fn any_bytes_are_read_without_panic(line in prop::collection::vec(any::<u8>(), 0..80)) {
        drop(decode(&line));
    }
}
