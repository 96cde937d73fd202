use std::collections::BTreeMap;

use influxdb_line_protocol::{FieldValue, parse_lines};
use proptest::prelude::*;

use super::*;
use crate::core::pipeline::batch::FrameId;

fn series(metric: &str, dimensions: &[(&str, &str)]) -> Series {
    let mut dimensions: Vec<(Arc<str>, Arc<str>)> =
        dimensions.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
    dimensions.sort();
    Series { metric: metric.into(), dimensions }
}

fn row(metric: &str, dimensions: &[(&str, &str)]) -> Row {
    line_row(&series(metric, dimensions), &Kept::All).unwrap()
}

fn lines(row: Row, samples: &[(f64, i64)]) -> String {
    let row = Arc::new(row);
    let record = |&(value, time_ns): &(f64, i64)| Record {
        row: row.clone(),
        value,
        time_ns,
        rolled: None,
        frame: FrameId(1),
    };
    body(&samples.iter().map(record).collect::<Vec<_>>())
}

fn names(row: &Row) -> Vec<&str> {
    row.dimensions.iter().map(|(name, _)| &**name).collect()
}

#[test]
fn a_sample_is_a_line_as_k6_itself_writes_it() {
    let row = row(
        "http_req_duration",
        &[
            ("status", "200"),
            ("instance_id", "3"),
            ("url", "http://shop/?a=b"),
            ("group", "::a, b"),
        ],
    );
    assert_eq!(
        lines(row, &[(1.5, 1_700_000_000_000_000_001), (0.0, 2)]),
        "http_req_duration,group=::a\\,\\ b,instance_id=3,status=200,url=http://shop/?a\\=b \
         value=1.5 1700000000000000001\n\
         http_req_duration,group=::a\\,\\ b,instance_id=3,status=200,url=http://shop/?a\\=b value=0 2\n"
    );
}

#[test]
fn a_series_without_tags_is_a_line_as_well() {
    assert_eq!(lines(row("m", &[]), &[(-1e-7, 1)]), "m value=-1e-7 1\n");
}

#[test]
fn lines_of_several_rows_keep_their_order() {
    let (a, b) = (Arc::new(row("a", &[])), Arc::new(row("b", &[])));
    let records = [(&a, 1), (&b, 2), (&a, 3)].map(|(row, time_ns)| Record {
        row: row.clone(),
        value: 1.0,
        time_ns,
        rolled: None,
        frame: FrameId(1),
    });
    assert_eq!(body(&records), "a value=1 1\nb value=1 2\na value=1 3\n");
}

#[test]
fn what_an_output_leaves_out_is_no_tag() {
    let kept = Kept::AllBut(["url", "vu"].map(Into::into).into());
    let row = line_row(&series("m", &[("url", "u"), ("vu", "1"), ("status", "200")]), &kept);
    assert_eq!(names(&row.unwrap()), ["status"]);
}

#[test]
fn reserved_tags_are_prefixed_and_take_no_other_tags_name() {
    let plain = row("m", &[("time", "1"), ("value", "2"), ("_field", "3"), ("times", "4")]);
    assert_eq!(names(&plain), ["k6__field", "k6_time", "k6_value", "times"]);
    let both = row("m", &[("time", "renamed"), ("k6_time", "own")]);
    assert_eq!(both.dimensions.len(), 2);
    assert_eq!(both.dimensions[0], ("k6_time".into(), "own".into()));
}

#[test]
fn what_the_protocol_cannot_carry_is_replaced_and_stays_distinct() {
    let value = |text: &str| row("m", &[("t", text)]).dimensions[0].1.to_string();
    for (text, kept) in [
        ("two\nlines", "two_lines~"),
        ("tab\there", "tab_here~"),
        ("ends\\", "ends_~"),
        ("a\\,b", "a_,b~"),
        ("a\\\\b", "a_\\b~"),
    ] {
        let written = value(text);
        assert!(written.starts_with(kept) && written.len() == kept.len() + 16, "{written}");
    }
    assert_ne!(value("a\nb"), value("a\rb"));
    assert_eq!(value("C:\\temp, a=b"), "C:\\temp, a=b", "what can be carried is left as it is");
    let names = row("m", &[("a\nb", "1"), ("a\rb", "2"), ("", "3")]);
    assert_eq!(names.dimensions.len(), 3);
    assert!(names.dimensions.iter().all(|(name, _)| name.starts_with("k6_")));
}

#[test]
fn a_metric_is_no_comment() {
    let row = row("#m", &[]);
    assert!(row.measure.starts_with("k6_#m_"), "{}", row.measure);
}

#[test]
fn a_value_that_is_too_long_is_cut_and_stays_distinct() {
    let long = |end: &str| format!("{}{end}", "a".repeat(100_000));
    let cut = |end: &str| row("m", &[("url", &long(end)), ("name", "short")]);
    assert!(cut("1").shortened);
    assert_ne!(cut("1").dimensions, cut("2").dimensions);
    assert!(head(&cut("1")).len() <= SERIES_BYTES_MAX + TIME_VALUE_BYTES);
}

#[test]
fn what_no_rule_makes_fit_is_refused_with_a_reason() {
    assert_eq!(line_row(&series(&"m".repeat(30_000), &[]), &Kept::All), Err(Refusal::TooLarge));
    let many: Vec<(String, String)> =
        (0..1000).map(|at| (format!("n{at}"), "v".repeat(40))).collect();
    let many: Vec<(&str, &str)> = many.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
    assert_eq!(line_row(&series("m", &many), &Kept::All), Err(Refusal::TooLarge));
}

/// Anything, with what makes trouble more often than it is.
fn text(least: usize) -> impl Strategy<Value = String> {
    let one = prop_oneof![
        any::<char>(),
        prop::sample::select(vec!['\\', ',', ' ', '=', '"', '#', '_', '\n', '\r', '\t', '\0', 'a']),
    ];
    prop::collection::vec(one, least..12).prop_map(|chars| chars.into_iter().collect())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// InfluxDB's own parser reads every line as what was put in.
    #[test]
    fn influxdb_reads_back_what_was_written(
        metric in text(1),
        tags in prop::collection::btree_map(
            prop_oneof![text(0), prop::sample::select(vec!["time".to_owned(), "value".to_owned()])],
            text(1),
            0..6,
        ),
        samples in prop::collection::vec(
            (any::<f64>().prop_filter("finite", |v| v.is_finite()), 0..i64::MAX),
            1..4,
        ),
    ) {
        let tags: Vec<(&str, &str)> = tags.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        let row = row(&metric, &tags);
        prop_assert_eq!(row.dimensions.len(), tags.len(), "a tag is lost or doubled");
        let put: BTreeMap<String, String> =
            row.dimensions.iter().map(|(n, v)| (n.to_string(), v.to_string())).collect();
        let (measure, bytes) = (row.measure.clone(), bytes_max(&row));
        let text = lines(row, &samples);
        prop_assert_eq!(text.lines().count(), samples.len());
        let mut read = parse_lines(&text);
        for (value, time_ns) in &samples {
            let line = read.next().expect("a line for each sample").unwrap();
            prop_assert_eq!(line.series.measurement.to_string(), &*measure);
            let tags = line.series.tag_set.iter().flatten();
            let tags: BTreeMap<String, String> =
                tags.map(|(name, value)| (name.to_string(), value.to_string())).collect();
            prop_assert_eq!(&tags, &put);
            prop_assert_eq!(line.field_set.len(), 1);
            let (name, field) = &line.field_set[0];
            prop_assert_eq!(name.to_string(), FIELD);
            let FieldValue::F64(number) = field else { panic!("{field:?} is no number") };
            prop_assert_eq!(number.to_bits(), value.to_bits());
            prop_assert_eq!(line.timestamp, Some(*time_ns));
        }
        prop_assert!(read.next().is_none());
        prop_assert!(text.lines().all(|line| line.len() < bytes));
    }

    /// No two series become one: then one's samples would take the place of the other's.
    #[test]
    fn series_that_differ_stay_different(
        a in (text(1), prop::collection::btree_map(text(0), text(1), 0..3)),
        b in (text(1), prop::collection::btree_map(text(0), text(1), 0..3)),
    ) {
        let of = |(metric, tags): &(String, BTreeMap<String, String>)| {
            let tags: Vec<(&str, &str)> = tags.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
            row(metric, &tags)
        };
        prop_assert_eq!(a == b, of(&a) == of(&b));
    }
}
