//! One table of cases for the limits of a record.

use serde_json::{Value as Json, json};

use super::*;

/// What a case expects.
#[derive(Debug, PartialEq)]
enum Want {
    Ok,
    Malformed,
    Invalid,
    Rejected(Reason),
}

fn verdict(record: &Json, common: &Json) -> Want {
    let (record, common) = (record.to_string(), common.to_string());
    let record = serde_json::from_str(&record).expect("a record");
    let common = serde_json::from_str(&common).expect("common attributes");
    match check(&record, &common) {
        Ok(_) => Want::Ok,
        Err(Fault::Malformed(_)) => Want::Malformed,
        Err(Fault::Invalid(_)) => Want::Invalid,
        Err(Fault::Rejected(reject)) => Want::Rejected(reject.reason),
    }
}

/// A good record, with `change` laid over it; a null removes the field.
fn record(change: &Json) -> Json {
    let mut record = json!({
        "Dimensions": [{"Name": "instance_id", "Value": "1"}],
        "MeasureName": "http_reqs", "MeasureValue": "1", "MeasureValueType": "DOUBLE",
        "Time": "1700000000000",
    });
    for (key, value) in change.as_object().expect("an object") {
        record[key] = value.clone();
    }
    record
}

fn dimensions(pairs: &[(&str, &str)]) -> Json {
    let list: Vec<_> = pairs.iter().map(|(n, v)| json!({"Name": n, "Value": v})).collect();
    json!({ "Dimensions": list })
}

fn columns(list: &[(&str, &str, &str)]) -> Json {
    let list: Vec<_> =
        list.iter().map(|(n, v, t)| json!({"Name": n, "Value": v, "Type": t})).collect();
    json!({"MeasureValueType": "MULTI", "MeasureValue": null, "MeasureValues": list})
}

#[test]
fn dimension_rules() {
    let long = |n: usize| "x".repeat(n);
    let many: Vec<(String, String)> = (0..129).map(|i| (format!("d{i}"), "v".into())).collect();
    let many: Vec<(&str, &str)> = many.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
    let cases = [
        (dimensions(&[("a", "1")]), Want::Ok),
        (dimensions(&[]), Want::Malformed),
        (json!({"Dimensions": null}), Want::Malformed),
        (dimensions(&[("a", "")]), Want::Malformed),
        (dimensions(&[("", "1")]), Want::Malformed),
        (dimensions(&[("a", "1"), ("a", "2")]), Want::Malformed),
        (dimensions(&[("a", "1"), ("A", "2")]), Want::Ok),
        (dimensions(&many[..128]), Want::Ok),
        (dimensions(&many), Want::Malformed),
        (dimensions(&[("group", "1")]), Want::Ok),
        (dimensions(&[("time", "1")]), Want::Invalid),
        (dimensions(&[("times", "1")]), Want::Ok),
        (dimensions(&[("measure_value", "1")]), Want::Invalid),
        (dimensions(&[("measure_value_x", "1")]), Want::Invalid),
        (dimensions(&[("measure_name", "1")]), Want::Invalid),
        (dimensions(&[("measure_names", "1")]), Want::Invalid),
        (dimensions(&[("ts_non_existent_col", "1")]), Want::Invalid),
        (dimensions(&[("ts_x", "1")]), Want::Invalid),
        (dimensions(&[("tsx", "1")]), Want::Ok),
        (dimensions(&[("a:b", "1")]), Want::Invalid),
        (dimensions(&[(&long(60), "1")]), Want::Ok),
        (dimensions(&[(&long(61), "1")]), Want::Rejected(Reason::DimensionNameTooLong)),
        (dimensions(&[(&"\u{e9}".repeat(31), "1")]), Want::Rejected(Reason::DimensionNameTooLong)),
        (dimensions(&[("a", &long(2049))]), Want::Malformed),
        (dimensions(&[("a", &long(2048))]), Want::Rejected(Reason::DimensionsTooLarge)),
        (dimensions(&[("a", &long(2047))]), Want::Rejected(Reason::RecordTooLarge)),
        (dimensions(&[("a", &long(2048 - 1 - 8 - 9 - 8))]), Want::Ok),
        (dimensions(&[("a", &long(2048 - 8 - 9 - 8))]), Want::Rejected(Reason::RecordTooLarge)),
        (
            json!({"Dimensions": [{"Name": "a", "Value": "1", "DimensionValueType": "BIGINT"}]}),
            Want::Malformed,
        ),
    ];
    for (change, want) in cases {
        let shown: String = change.to_string().chars().take(90).collect();
        assert_eq!(verdict(&record(&change), &json!({})), want, "{shown}");
    }
}

#[test]
fn measure_time_and_version_rules() {
    let name = |n: usize| json!({"MeasureName": "m".repeat(n)});
    let typed = |kind: &str, value: &str| json!({"MeasureValueType": kind, "MeasureValue": value});
    let at = |time: &str, unit: &str| json!({"Time": time, "TimeUnit": unit});
    let cases = [
        (json!({"MeasureName": null}), Want::Malformed),
        (json!({"MeasureName": ""}), Want::Malformed),
        (name(256), Want::Ok),
        (name(257), Want::Rejected(Reason::MeasureNameTooLong)),
        (json!({"MeasureValue": null}), Want::Malformed),
        (json!({"MeasureValue": ""}), Want::Malformed),
        (json!({"MeasureValue": "NaN"}), Want::Invalid),
        (json!({"MeasureValue": "Infinity"}), Want::Invalid),
        (json!({"MeasureValueType": null}), Want::Ok),
        (typed("VARCHAR", &"v".repeat(1900)), Want::Ok),
        (typed("VARCHAR", &"v".repeat(2048)), Want::Rejected(Reason::RecordTooLarge)),
        (typed("VARCHAR", &"v".repeat(2049)), Want::Malformed),
        (typed("BIGINT", "1.5"), Want::Invalid),
        (typed("BOOLEAN", "yes"), Want::Invalid),
        (typed("TIMESTAMP", "1"), Want::Malformed),
        (typed("MULTI", "1"), Want::Malformed),
        (typed("FLOAT", "1"), Want::Invalid),
        (json!({"Time": null}), Want::Malformed),
        (json!({"Time": ""}), Want::Malformed),
        (json!({"Time": "1.5"}), Want::Malformed),
        (json!({"Time": "-1"}), Want::Malformed),
        (at("1700000000", "SECONDS"), Want::Ok),
        (at("1700000000000000", "MICROSECONDS"), Want::Ok),
        (at("1700000000000000000", "NANOSECONDS"), Want::Ok),
        (at("1700000000000000000", "SECONDS"), Want::Malformed),
        (at("1", "MINUTES"), Want::Malformed),
        (json!({"Version": 0}), Want::Malformed),
        (json!({"Version": i64::MAX}), Want::Ok),
    ];
    for (change, want) in cases {
        let shown: String = change.to_string().chars().take(90).collect();
        assert_eq!(verdict(&record(&change), &json!({})), want, "{shown}");
    }
}

#[test]
fn multi_measure_rules() {
    let names: Vec<String> = (0..257).map(|i| format!("c{i}")).collect();
    let flags: Vec<_> = names.iter().map(|n| (n.as_str(), "true", "BOOLEAN")).collect();
    let both = json!({"MeasureValueType": "MULTI",
                      "MeasureValues": [{"Name": "a", "Value": "1", "Type": "DOUBLE"}]});
    let cases = [
        (columns(&[("a", "1", "DOUBLE"), ("b", "1700000000000", "TIMESTAMP")]), Want::Ok),
        (columns(&[]), Want::Malformed),
        (both, Want::Malformed),
        (columns(&[("a", "1", "DOUBLE"), ("a", "2", "DOUBLE")]), Want::Malformed),
        (columns(&[("", "1", "DOUBLE")]), Want::Malformed),
        (columns(&[("a", "", "DOUBLE")]), Want::Malformed),
        (columns(&[("a", "NaN", "DOUBLE")]), Want::Invalid),
        (columns(&[("a", "1", "MULTI")]), Want::Invalid),
        (columns(&[("time", "1", "DOUBLE")]), Want::Invalid),
        (columns(&[("ts_a", "1", "DOUBLE")]), Want::Invalid),
        (columns(&[(&"n".repeat(257), "1", "DOUBLE")]), Want::Rejected(Reason::MeasureNameTooLong)),
        (columns(&flags[..256]), Want::Ok),
        (columns(&flags), Want::Rejected(Reason::TooManyMeasures)),
    ];
    for (change, want) in cases {
        let shown: String = change.to_string().chars().take(90).collect();
        assert_eq!(verdict(&record(&change), &json!({})), want, "{shown}");
    }
}

#[test]
fn common_attributes_fill_what_a_record_leaves_out() {
    let common = json!({
        "Dimensions": [{"Name": "testid", "Value": "t"}],
        "MeasureName": "m", "MeasureValue": "9", "MeasureValueType": "BIGINT",
        "Time": "5", "TimeUnit": "SECONDS", "Version": 7,
    });
    let own = json!({"Dimensions": [{"Name": "a", "Value": "1"}], "MeasureValue": "8"});
    let (own, shared) = (own.to_string(), common.to_string());
    let own: Record = serde_json::from_str(&own).expect("a record");
    let shared: Record = serde_json::from_str(&shared).expect("common attributes");
    let checked = check(&own, &shared).expect("a good record");
    assert_eq!(checked.dimensions[1], ("testid", "t"));
    assert_eq!(checked.value, Value::BigInt(8));
    assert_eq!((checked.time_ns, checked.version), (5_000_000_000, 7));
    assert_eq!(verdict(&json!({}), &common), Want::Ok);
    let twice = json!({"Dimensions": [{"Name": "testid", "Value": "t"}]});
    assert_eq!(verdict(&twice, &common), Want::Malformed);
}
