//! Rows of a second.

use std::{borrow::Cow, collections::BTreeSet, sync::Arc};

use serde_json::Value;
use weir::{
    api::v1alpha1::{Dimensions, Timestream, TimestreamMode},
    core::{
        ledger::view::{Contains, Kind},
        samples::{
            decode::{Definition, Pairs, Point},
            frame::Limits,
            framer::Framer,
            rollup::spec::{RollupSpec, Wanted},
        },
    },
    wire::session::Frame,
};

use crate::{
    INSTANCES,
    rows::now_ns,
    runs::{output, run},
    server::Server,
};

/// Frames of rows of one instance, with all that a record has no room for or may not be called. They are of so many samples.
fn folded(instance_id: u32) -> (Vec<Frame>, u64) {
    let all = Some(Dimensions { include: None, exclude: Some(Vec::new()) });
    let rollups = vec![RollupSpec { output: 0, dimensions: all }];
    let mut maker =
        Framer::new(instance_id, Limits::default(), [], &Wanted { rollups, only: true });
    let kinds = [("trend", Kind::Trend), ("gauge", Kind::Gauge), ("rate", Kind::Rate)];
    for (name, kind) in kinds {
        let (name, kind) = (Cow::Borrowed(name), Some(kind));
        maker.define(&Definition { name, kind, contains: Contains::default() });
    }
    let began_ns = now_ns() - 60_000_000_000;
    let long = "ü".repeat(2000);
    let tags = [
        vec![("url", long.as_str()), ("error", &long)],
        vec![("count", "a tag"), ("histogram", "another"), ("time", "a third"), ("a:b", "c")],
        vec![],
    ];
    let mut frames = Vec::new();
    let mut samples = 0;
    // A second of values that fall into every class, one of many in few, and some that come late.
    for second in [0, 1, 2, 1] {
        for at in 0..2000 {
            for (metric, _) in kinds {
                let pairs = tags.get(at % tags.len()).unwrap().iter();
                let pairs = pairs.map(|(name, value)| ((*name).into(), (*value).into()));
                let size = 1.02_f64.powi(i32::try_from(at).unwrap()) * 1e-8;
                let point = Point {
                    metric: metric.into(),
                    time_ns: began_ns + second * 1_000_000_000,
                    value: if second == 0 {
                        -size
                    } else {
                        f64::from(u32::try_from(at % 3).unwrap())
                    },
                    tags: Pairs(pairs.collect()),
                    metadata: Pairs::default(),
                };
                samples += 1;
                frames
                    .extend(maker.push(&point, 0).map(|closed| Arc::unwrap_or_clone(closed.frame)));
            }
        }
        if second == 1 {
            frames.extend(maker.close().map(|closed| Arc::unwrap_or_clone(closed.frame)));
        }
    }
    frames.extend(maker.close().map(|closed| Arc::unwrap_or_clone(closed.frame)));
    (frames, samples)
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_of_a_second_fit_every_limit() {
    let server = Server::standin(&[
        "--table",
        "loadtests.samples",
        "--throttle-percent",
        "20",
        "--cut-after-apply-percent",
        "20",
    ]);
    let (frames, samples): (Vec<_>, Vec<_>) = (1..=INSTANCES).map(folded).unzip();
    let output = Timestream { mode: TimestreamMode::Rollup, ..output(&server.endpoint()) };
    let result = run(output, frames).await;
    let (output, samples) = (&result.outputs[0], samples.iter().sum::<u64>());
    assert_eq!((output.emitted, output.stored, output.rejected.len()), (samples, samples, 0));
    let text = server.ask("GET", "/rows", "");
    let rows: Vec<Value> = text.lines().map(|row| serde_json::from_str(row).unwrap()).collect();
    let count = |row: &Value| row["value"]["count"]["value"].as_u64().unwrap();
    assert_eq!(rows.iter().map(count).sum::<u64>(), samples);
    for row in &rows {
        let is = |name: &str| row["measure_name"] == name;
        assert_eq!(row["value"]["histogram"].is_null(), !is("trend"), "{row}");
        assert_eq!(row["value"]["last"].is_null(), !is("gauge"), "{row}");
    }
    let names = |row: &Value| row["dimensions"].as_object().unwrap().keys().cloned().collect();
    let seen: BTreeSet<String> = rows.iter().flat_map::<Vec<String>, _>(names).collect();
    for name in ["k6_count", "k6_histogram", "k6_time", "url", "error"] {
        assert!(seen.contains(name), "{name} of {seen:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn moto_takes_rows_of_a_second_too() {
    let server = Server::start("WEIR_MOTO", &["--table", "loadtests.samples"]);
    let (frames, samples) = folded(1);
    let frames = [vec![frames], vec![Vec::new(); usize::try_from(INSTANCES - 1).unwrap()]].concat();
    let output = Timestream { mode: TimestreamMode::Rollup, ..output(&server.endpoint()) };
    let result = run(output, frames).await;
    assert_eq!(result.outputs[0].stored, samples);
    let data: Value = serde_json::from_str(&server.ask("GET", "/moto-api/data.json", "")).unwrap();
    let records = data["timestreamwrite"]["TimestreamTable"][0]["records"].as_array().unwrap();
    let count = |record: &Value| {
        let columns = record["MeasureValues"].as_array().unwrap();
        let column = columns.iter().find(|column| column["Name"] == "count").unwrap();
        assert_eq!(column["Type"], "BIGINT");
        column["Value"].as_str().unwrap().parse::<u64>().unwrap()
    };
    assert_eq!(records.iter().map(count).sum::<u64>(), samples);
}
