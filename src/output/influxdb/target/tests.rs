use super::*;
use crate::api::v1alpha1::SecretKey;

fn v2(url: &str) -> InfluxDb {
    InfluxDb {
        url: url.to_owned(),
        org: Some("our org".to_owned()),
        bucket: Some("k6&more".to_owned()),
        token_secret: Some(SecretKey { name: "influx".to_owned(), key: "token".to_owned() }),
        ..InfluxDb::default()
    }
}

fn v3() -> InfluxDb {
    let api = InfluxDbApi::V3;
    InfluxDb { api, database: Some("k6".to_owned()), ..v2("https://host:8181/") }
}

#[test]
fn version_2_is_asked_with_organization_bucket_and_nanoseconds() {
    let target = Target::new(&v2("http://host:8086/influx/"), "V", Some("s3\n")).unwrap();
    assert_eq!(
        target.uri.to_string(),
        "http://host:8086/influx/api/v2/write?org=our+org&bucket=k6%26more&precision=ns"
    );
    assert_eq!(target.authorization.unwrap(), "Token s3");
}

#[test]
fn version_3_is_asked_for_each_lines_fate_on_disk() {
    let target = Target::new(&v3(), "V", Some("s3")).unwrap();
    assert_eq!(
        target.uri.to_string(),
        "https://host:8181/api/v3/write_lp?db=k6&precision=nanosecond&accept_partial=true&no_sync=false"
    );
    assert_eq!(target.authorization.unwrap(), "Bearer s3");
}

#[test]
fn the_token_does_not_show() {
    let target = Target::new(&v2("http://host"), "V", Some("s3cret")).unwrap();
    assert!(!format!("{target:?}").contains("s3cret"));
    let error = Target::new(&v2("http://host"), "V", Some("s3\0cret")).unwrap_err();
    assert!(!format!("{error} {error:?}").contains("cret\""), "{error:?}");
}

#[test]
fn a_token_that_is_wanted_and_not_there_is_named_with_its_place() {
    for token in [None, Some(""), Some(" \n")] {
        let error = Target::new(&v2("http://host"), "WEIR_INFLUXDB_TOKEN_1", token).unwrap_err();
        assert_eq!(error, TargetError::NoToken("WEIR_INFLUXDB_TOKEN_1".to_owned()));
    }
}

#[test]
fn a_token_that_is_not_wanted_is_not_sent() {
    let spec = InfluxDb { token_secret: None, ..v2("http://host") };
    assert_eq!(Target::new(&spec, "V", Some("s3")).unwrap().authorization, None);
}

#[test]
fn a_url_that_is_none_is_named() {
    let error = Target::new(&v2("http://ho st"), "V", Some("s3")).unwrap_err().to_string();
    assert!(error.contains("spec.outputs[].influxdb.url \"http://ho st\""), "{error}");
}
