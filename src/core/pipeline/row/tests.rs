use proptest::prelude::*;

use super::{samples_row as row_of, *};

fn samples_row(series: &Series) -> Result<Row, Refusal> {
    row_of(series, &Kept::All)
}

fn series(metric: &str, dimensions: &[(&str, &str)]) -> Series {
    let mut dimensions: Vec<(Arc<str>, Arc<str>)> =
        dimensions.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
    dimensions.sort();
    Series { metric: metric.into(), dimensions }
}

fn names(row: &Row) -> Vec<&str> {
    row.dimensions.iter().map(|(name, _)| &**name).collect()
}

#[test]
fn a_series_that_timestream_takes_is_left_as_it_is() {
    let series = series(
        "http_req_duration",
        &[("instance_id", "3"), ("url", "http://shop/"), ("group", "::checkout"), ("vu", "1")],
    );
    let row = samples_row(&series).unwrap();
    assert_eq!(&*row.measure, "http_req_duration");
    assert_eq!(row.dimensions, series.dimensions);
    assert!(!row.shortened);
}

#[test]
fn what_an_output_leaves_out_is_no_dimension_and_counts_for_no_limit() {
    let long = "x".repeat(3000);
    let series = series("m", &[("url", &long), ("vu", "1"), ("status", "200"), ("time", "5")]);
    let kept = Kept::AllBut(["url", "vu"].map(Into::into).into());
    let row = row_of(&series, &kept).unwrap();
    assert_eq!(names(&row), ["k6_time", "status"]);
    assert!(!row.shortened);
}

#[test]
fn reserved_names_are_prefixed() {
    let row = samples_row(&series(
        "m",
        &[
            ("time", "1"),
            ("measure_value", "2"),
            ("measure_value::double", "3"),
            ("measure_name_x", "4"),
            ("ts_non_existent_col", "5"),
            ("ts_x", "6"),
            ("timeout", "7"),
        ],
    ))
    .unwrap();
    assert_eq!(
        names(&row),
        [
            "k6_measure_name_x",
            "k6_measure_value",
            "k6_measure_value__double_709d1068",
            "k6_time",
            "k6_ts_non_existent_col",
            "k6_ts_x",
            "timeout"
        ]
    );
}

#[test]
fn a_renamed_tag_does_not_take_the_name_of_another() {
    let row = samples_row(&series("m", &[("time", "renamed"), ("k6_time", "own")])).unwrap();
    assert_eq!(row.dimensions.len(), 2);
    let own = row.dimensions.iter().find(|(name, _)| &**name == "k6_time").unwrap();
    assert_eq!(&*own.1, "own");
}

#[test]
fn long_names_that_differ_stay_different() {
    let (a, b) = ("x".repeat(70) + "a", "x".repeat(70) + "b");
    let row = samples_row(&series("m", &[(&a, "1"), (&b, "2")])).unwrap();
    let names = names(&row);
    assert_eq!(names.len(), 2);
    assert_ne!(names[0], names[1]);
    assert!(names.iter().all(|name| name.len() <= DIMENSION_NAME_BYTES_MAX));
}

#[test]
fn a_url_that_is_too_long_is_cut_and_stays_distinct() {
    let long = |end: &str| format!("http://shop/?q={}{end}", "a".repeat(3000));
    let row = |url: &str| samples_row(&series("m", &[("url", url), ("name", "short")])).unwrap();
    let (a, b) = (row(&long("1")), row(&long("2")));
    assert!(a.shortened);
    assert_ne!(a.dimensions, b.dimensions);
    assert_eq!(&*a.dimensions[0].1, "short");
    assert!(a.dimensions[1].1.starts_with("http://shop/?q=aaa"));
}

#[test]
fn what_no_rule_makes_fit_is_refused_with_a_reason() {
    let many: Vec<(String, String)> =
        (0..129).map(|at| (format!("n{at}"), "v".to_owned())).collect();
    let many: Vec<(&str, &str)> = many.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
    assert_eq!(samples_row(&series("m", &many)), Err(Refusal::TooManyDimensions));
    let wide: Vec<(String, String)> =
        (0..100).map(|at| (format!("n{at}"), "v".repeat(40))).collect();
    let wide: Vec<(&str, &str)> = wide.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
    assert_eq!(samples_row(&series("m", &wide)), Err(Refusal::TooLarge));
}

fn text(value: f64) -> String {
    value_text(value, &mut zmij::Buffer::new()).to_owned()
}

#[test]
fn numbers_are_written_shortly() {
    assert_eq!(text(1.0), "1");
    assert_eq!(text(0.1), "0.1");
    assert_eq!(text(123.456_789), "123.456789");
    assert_eq!(text(1e300), "1e+300");
    assert_eq!(text(5e-324), "5e-324");
    assert_eq!(text(0.0), "0");
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_number_reads_back_as_itself(value in any::<f64>().prop_filter("finite", |v| v.is_finite())) {
        let text = text(value);
        prop_assert!(text.len() <= TIME_VALUE_BYTES - 8, "{text}");
        prop_assert_eq!(text.parse::<f64>().unwrap().to_bits(), value.to_bits());
    }

    #[test]
    fn every_mapped_series_is_within_the_limits_and_maps_alike_again(
        metric in "[a-z:]{1,300}",
        tags in proptest::collection::btree_map(
            "(time|ts_[a-z]{0,4}|measure_(name|value)[:a-z]{0,4}|k6_time|[a-zé:]{1,80})",
            "[a-zé]{1,900}",
            0..12,
        ),
    ) {
        let tags: Vec<(&str, &str)> = tags.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        let series = series(&metric, &tags);
        let mapped = samples_row(&series);
        prop_assert_eq!(&mapped, &samples_row(&series));
        let Ok(row) = mapped else { return Ok(()) };
        prop_assert_eq!(row.dimensions.len(), series.dimensions.len());
        prop_assert!(row.dimensions.windows(2).all(|pair| pair[0].0 < pair[1].0));
        for (name, value) in &row.dimensions {
            prop_assert!(is_plain(name), "{name}");
            prop_assert!(!value.is_empty());
        }
        let bytes: usize = row.dimensions.iter().map(|(n, v)| n.len() + v.len()).sum();
        prop_assert!(bytes + row.measure.len() + TIME_VALUE_BYTES <= RECORD_BYTES_MAX);
        prop_assert!(row.measure.len() <= MEASURE_NAME_BYTES_MAX);
    }
}
