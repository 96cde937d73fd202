use super::*;

fn outputs(yaml: &str) -> Vec<v1alpha1::Output> {
    serde_saphyr::from_str(yaml).unwrap()
}

/// What each output says of itself, its token being looked for in `environment`.
async fn probes(environment: &[(&str, &str)]) -> Vec<String> {
    let three = outputs(
        "[{name: a, influxdb: {url: 'http://127.0.0.1:1', org: o, bucket: b, tokenSecret: {name: s, key: k}}},
          {name: b, influxdb: {url: 'http://127.0.0.1:1', api: V3, database: d, tokenSecret: {name: s, key: k}}},
          {name: c, influxdb: {url: 'http://127.0.0.1:1', org: o, bucket: b}}]",
    );
    let given = |variable: &str| {
        let found = environment.iter().find(|(name, _)| *name == variable);
        found.map(|(_, token)| (*token).to_owned())
    };
    let mut said = Vec::new();
    for open in open_with(&three, given) {
        said.push(match open.output.probe().await {
            Probe::Failed(why) => why,
            // Nobody listens: the call was made.
            Probe::Waiting(_) => "called".to_owned(),
            other => format!("{other:?}"),
        });
    }
    said
}

#[tokio::test]
async fn each_output_has_its_own_token_or_the_one_for_all() {
    assert_eq!(probes(&[("WEIR_INFLUXDB_TOKEN", "t")]).await, ["called"; 3]);
    let said = probes(&[("WEIR_INFLUXDB_TOKEN_1", "t"), ("WEIR_INFLUXDB_TOKEN", "")]).await;
    assert!(said[0].contains("WEIR_INFLUXDB_TOKEN_0 nor WEIR_INFLUXDB_TOKEN"), "{said:?}");
    assert_eq!(said[1..], ["called"; 2]);
}

#[test]
fn lines_and_records_are_known_by_their_kind() {
    let both = outputs(
        "[{timestream: {databaseName: abc, tableName: def, lingerMilliseconds: 20}},
          {influxdb: {url: 'http://host', org: o, bucket: b, maxConcurrentWrites: 3, dimensions: {exclude: [url]}}}]",
    );
    let lanes: Vec<LaneConfig> =
        open_with(&both, |_| None).into_iter().map(|open| open.lane).collect();
    assert_eq!((lanes[0].name.as_str(), lanes[0].linger_ms), ("timestream", 20));
    assert_eq!((lanes[1].name.as_str(), lanes[1].writes_max), ("influxdb", 3));
    assert_eq!([lanes[0].shape, lanes[1].shape], [Shape::Records, Shape::Lines]);
    assert!(lanes[0].kept.has("url") && !lanes[1].kept.has("url"));
}
