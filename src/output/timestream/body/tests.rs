use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::Value;

use crate::{
    core::{
        dimensions::Kept,
        pipeline::{
            lane::LaneConfig,
            pipeline::{FrameKey, Pipeline},
            retry::Written,
            shape::Shape,
        },
        samples::{
            decode::{Pairs, Point},
            frame::{FrameBuilder, Limits},
        },
    },
    output::timestream::body,
};

/// A row as Timestream sees it: measure, dimensions, time, bits of the value.
type Seen = (String, BTreeMap<String, String>, i64, u64);

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

/// The rows of a call, each record with what is common to all.
fn read(body: &[u8]) -> Vec<Seen> {
    let call: Value = serde_json::from_slice(body).unwrap();
    assert_eq!((&call["DatabaseName"], &call["TableName"]), (&"d\"b".into(), &"täble".into()));
    let common = &call["CommonAttributes"];
    assert_eq!(
        (&common["MeasureValueType"], &common["TimeUnit"]),
        (&"DOUBLE".into(), &"NANOSECONDS".into())
    );
    let read = |record: &Value| {
        let mut dimensions = BTreeMap::new();
        for of in [common, record] {
            for pair in of["Dimensions"].as_array().into_iter().flatten() {
                let before = dimensions.insert(text(&pair["Name"]), text(&pair["Value"]));
                assert!(before.is_none(), "a dimension twice: Timestream refuses it");
            }
        }
        let measures: Vec<&Value> =
            [common, record].iter().filter_map(|of| of.get("MeasureName")).collect();
        assert_eq!(measures.len(), 1, "one measure");
        let value: f64 = text(&record["MeasureValue"]).parse().unwrap();
        (text(measures[0]), dimensions, text(&record["Time"]).parse().unwrap(), value.to_bits())
    };
    call["Records"].as_array().unwrap().iter().map(read).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_a_sample_holds_arrives_in_a_call(
        samples in prop::collection::vec(
            (
                "[a-b]{1,3}|\\PC{1,8}",
                prop::collection::btree_map("[a-d]{1,2}|[a-z\"\\\\/ü\u{1}]{1,5}", any::<String>(), 0..5),
                0..i64::MAX / 2,
                any::<f64>().prop_filter("finite", |value| value.is_finite()),
            ),
            1..60,
        ),
    ) {
        let mut builder = FrameBuilder::new(7, Limits::default());
        let mut wanted = Vec::new();
        for (metric, tags, time_ns, value) in &samples {
            let pairs = tags.iter().map(|(n, v)| (n.as_str().into(), v.as_str().into()));
            let point = Point {
                metric: metric.as_str().into(),
                time_ns: *time_ns,
                value: *value,
                tags: Pairs(pairs.collect()),
                metadata: Pairs::default(),
            };
            prop_assert!(builder.push(&point, 0).is_none());
            wanted.push((metric.clone(), value.to_bits()));
        }
        let frame = builder.close().unwrap().frame;
        let lane = LaneConfig { name: "a".to_owned(), writes_max: 1, linger_ms: 0, kept: Kept::All, shape: Shape::Records };
        let mut pipeline = Pipeline::new(vec![lane]);
        pipeline.set_hurry(true);
        pipeline.accept(FrameKey { instance_id: 7, incarnation: "i".into(), seq: 1 }, &frame, 0);
        let mut found = Vec::new();
        while let Some(write) = pipeline.poll_write(0) {
            let rows = read(&body::write(&write.batch, "d\"b", "täble"));
            prop_assert_eq!(rows.len(), write.batch.records.len());
            for (row, record) in rows.iter().zip(&write.batch.records) {
                let pairs = record.row.dimensions.iter().map(|(n, v)| (n.to_string(), v.to_string()));
                let dimensions: BTreeMap<_, _> = pairs.collect();
                let own = (record.row.measure.to_string(), dimensions, record.time_ns, record.value.to_bits());
                prop_assert_eq!(row, &own);
                found.push((row.0.clone(), row.3));
            }
            pipeline.finish(write.lane, write.batch.id, Written::Stored, 0, 0);
        }
        found.sort();
        wanted.sort();
        prop_assert_eq!(found, wanted);
    }
}
