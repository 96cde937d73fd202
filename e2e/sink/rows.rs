//! What the runs emit, and the rows that it must become.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{SystemTime, UNIX_EPOCH},
};

use serde_json::Value;
use weir::{
    api::v1alpha1::Reason,
    wire::{
        result::RunResult,
        session::{Frame, Series},
    },
};

use crate::{FRAMES, INSTANCES, SAMPLES, server::Server};

/// What the server has stored.
pub(crate) fn stored_rows(server: &Server) -> BTreeSet<Row> {
    let text = server.ask("GET", "/rows", "");
    let rows: Vec<Row> = text.lines().map(Row::read).collect();
    let set: BTreeSet<Row> = rows.iter().cloned().collect();
    assert_eq!(set.len(), rows.len(), "no row twice");
    set
}

/// A row, the value as its bits.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Row {
    pub(crate) dimensions: BTreeMap<String, String>,
    pub(crate) measure: String,
    pub(crate) value: u64,
    pub(crate) time_ns: i64,
}

impl Row {
    fn read(line: &str) -> Self {
        let row: Value = serde_json::from_str(line).unwrap();
        // The JSON parser may be off by the last bit; the text is not.
        let (_, value) = line.split_once("\"value\":").unwrap();
        let text = value.split([',', '}']).next().unwrap().trim().trim_matches('"');
        let value: f64 = text.parse().unwrap();
        Self {
            dimensions: serde_json::from_value(row["dimensions"].clone()).unwrap(),
            measure: row["measure_name"].as_str().unwrap().to_owned(),
            value: f64::to_bits(value),
            time_ns: row["time_ns"].as_i64().unwrap(),
        }
    }
}

pub(crate) fn now_ns() -> i64 {
    i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos()).unwrap()
}

/// Frames of one instance, and the rows they must become.
pub(crate) fn frames(instance_id: u32) -> (Vec<Frame>, BTreeSet<Row>) {
    let tags: [&[(&str, &str)]; 4] = [
        &[
            ("method", "GET"),
            ("status", "200"),
            ("url", "http://shop/?q=ä"),
            ("vu", "1"),
            ("iter", "0"),
        ],
        &[("method", "GET"), ("status", "500"), ("group", "::checkout"), ("error", "")],
        &[("time", "renamed"), ("ts_x", "renamed too")],
        &[],
    ];
    let metrics = ["http_req_duration", "my_counter", "my_gauge", "my_rate"];
    let mut frames = Vec::new();
    let mut rows = BTreeSet::new();
    for seq in 1..=FRAMES {
        let mut strings: Vec<String> = metrics.map(str::to_owned).into();
        let mut index = |text: &str| {
            strings.push(text.to_owned());
            u32::try_from(strings.len() - 1).unwrap()
        };
        let id = instance_id.to_string();
        let series: Vec<Series> = (0..16u32)
            .map(|at| {
                let own = tags[usize::try_from(at / 4).unwrap()];
                let all = own.iter().copied().chain([("instance_id", id.as_str())]);
                let dimensions =
                    all.flat_map(|(name, value)| [index(name), index(value)]).collect();
                Series { metric: at % 4, dimensions }
            })
            .collect();
        let base_time_ns = now_ns() - 60_000_000_000;
        let mut frame = Frame { seq, strings, series, base_time_ns, ..Frame::default() };
        for at in 0..SAMPLES {
            let value = f64::from(at) / 7.0 + f64::from(instance_id);
            let time_ns = base_time_ns + 1001 * i64::from(at);
            frame.sample_series.push(at % 16);
            frame.time_delta_ns.push(if at == 0 { 0 } else { 1001 });
            frame.value.push(value);
            let mut dimensions: BTreeMap<String, String> = tags
                [usize::try_from(at % 16 / 4).unwrap()]
            .iter()
            .filter(|(_, value)| !value.is_empty())
            .map(|(name, value)| match *name {
                "time" | "ts_x" => (format!("k6_{name}"), (*value).to_owned()),
                _ => ((*name).to_owned(), (*value).to_owned()),
            })
            .collect();
            dimensions.insert("instance_id".to_owned(), id.clone());
            let measure = metrics[usize::try_from(at % 4).unwrap()].to_owned();
            rows.insert(Row { dimensions, measure, value: value.to_bits(), time_ns });
        }
        frames.push(frame);
    }
    (frames, rows)
}

pub(crate) fn everyone() -> (Vec<Vec<Frame>>, BTreeSet<Row>) {
    let (frames, rows): (Vec<_>, Vec<_>) = (1..=INSTANCES).map(frames).unzip();
    (frames, rows.into_iter().flatten().collect())
}

pub(crate) fn verify_whole(server: &Server, result: &RunResult, rows: &BTreeSet<Row>) {
    assert_eq!(
        result.outcome.as_ref().unwrap().reason,
        Reason::ThresholdsMet,
        "{}",
        result.message
    );
    let output = &result.outputs[0];
    let count = u64::from(INSTANCES) * FRAMES * u64::from(SAMPLES);
    assert_eq!((output.emitted, output.stored, output.rejected.len()), (count, count, 0));
    let stored = stored_rows(server);
    assert_eq!(stored.len(), rows.len());
    if let Some(missing) = rows.difference(&stored).next() {
        let near = stored.iter().find(|row| row.time_ns == missing.time_ns);
        panic!("not as it was emitted: {missing:?}, but {near:?}");
    }
}
