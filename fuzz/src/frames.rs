//! Frames, and what becomes of their samples. The first piece of an input says how one write after the other ends, the
//! others are frames. Whatever they are, each call that is made can be read by its server, and in the end each sample is
//! stored or refused, once, by each output.

use std::collections::BTreeMap;

use influxdb_line_protocol::{FieldValue, parse_lines};
use serde_json::Value;
use weir::{
    core::{
        dimensions::Kept,
        pipeline::{
            batch::Batch,
            lane::LaneConfig,
            line,
            pipeline::{Accepted, FrameKey, Pipeline},
            retry::{Failure, Written},
            row::{DIMENSION_NAME_BYTES_MAX, DIMENSIONS_MAX, MEASURE_NAME_BYTES_MAX, Refusal},
            shape::Shape,
        },
    },
    output::timestream::body,
    wire::session::Frame,
};

use crate::{checks, pieces};

/// Writes and pauses of one input: many times what its frames can need.
const STEPS_MAX: usize = 100_000;

/// See the module.
pub fn check(bytes: &[u8]) {
    let mut pieces = pieces::split(bytes);
    let fates = pieces.next().unwrap_or_default();
    let frames: Vec<_> = pieces.filter_map(checks::opened).collect();
    write_all(&frames, fates);
}

fn lanes() -> Vec<LaneConfig> {
    let lane = |name: &str, kept, shape| LaneConfig {
        name: name.to_owned(),
        writes_max: 2,
        linger_ms: 200,
        kept,
        shape,
    };
    let few = Kept::Only(["scenario".into(), "check".into()].into());
    vec![
        lane("samples", Kept::All, Shape::Records),
        lane("rows", Kept::All, Shape::Rollup),
        lane("lines", Kept::All, Shape::Lines),
        lane("few", few, Shape::Records),
    ]
}

fn write_all(frames: &[Frame], fates: &[u8]) {
    let shapes: Vec<_> = lanes().iter().map(|lane| lane.shape).collect();
    let mut pipeline = Pipeline::new(lanes());
    let mut fates = fates.iter().copied();
    let mut held = BTreeMap::new();
    let mut now_ms = 0;
    for frame in frames {
        let key = FrameKey { instance_id: 1, incarnation: "i".into(), seq: frame.seq };
        match pipeline.accept(key.clone(), frame, now_ms) {
            Accepted::Held(samples) => assert_eq!(held.insert(key, samples), None),
            Accepted::HeldBefore | Accepted::AckedBefore => assert!(held.contains_key(&key)),
        }
        now_ms += 100;
    }
    let mut under_way = Vec::new();
    for step in 0.. {
        assert!(step < STEPS_MAX, "it has no end");
        while let Some(write) = pipeline.poll_write(now_ms) {
            readable(&write.batch, shapes[write.lane]);
            under_way.push(write);
        }
        if let Some(write) = under_way.pop() {
            let how = fate(&mut fates, write.batch.records.len());
            pipeline.finish(write.lane, write.batch.id, how, now_ms, 0);
        } else if pipeline.is_empty() {
            break;
        } else {
            let due_ms = pipeline.poll_timeout().expect("what is held has its time");
            assert!(due_ms > now_ms, "a time that came has no use");
            now_ms = due_ms;
        }
    }
    close_books(&mut pipeline, &held);
}

/// How a write of so many records ends.
fn fate(fates: &mut impl Iterator<Item = u8>, records: usize) -> Written {
    let text = || "no".to_owned();
    let failures = [
        Failure::Throttled,
        Failure::ThrottledFor(1500),
        Failure::Server,
        Failure::Timeout,
        Failure::Connection,
        Failure::Endpoint,
    ];
    let refusals = [Refusal::VersionConflict, Refusal::TooOld, Refusal::Other];
    let Some(fate) = fates.next() else { return Written::Stored };
    let which = usize::from(fate >> 2);
    match fate & 3 {
        0 => Written::Stored,
        1 => {
            let refused = (0..records).step_by(1 + which / refusals.len());
            Written::Partly(refused.map(|at| (at, refusals[which % refusals.len()])).collect())
        }
        2 if which == 63 => Written::Fatal(text()),
        2 => Written::Invalid(text()),
        _ => Written::Failed(failures[which % failures.len()], text()),
    }
}

/// A server finds in a call what was to be written.
fn readable(batch: &Batch, shape: Shape) {
    assert!((1..=shape.records_max()).contains(&batch.records.len()));
    match shape {
        Shape::Lines => lines(batch),
        Shape::Records | Shape::Rollup => records(batch),
    }
}

fn lines(batch: &Batch) {
    let body = line::body(&batch.records);
    let mut read = parse_lines(&body);
    for record in &batch.records {
        let line = read.next().expect("each record has a line").expect("a line can be read");
        assert_eq!(line.series.measurement.as_str(), &*record.row.measure);
        assert_eq!(line.timestamp, Some(record.time_ns));
        let [(name, FieldValue::F64(value))] = line.field_set.as_slice() else {
            panic!("one field: {line}")
        };
        assert_eq!((name.as_str(), *value), (line::FIELD, record.value));
        let tags = line.series.tag_set.unwrap_or_default();
        assert_eq!(tags.len(), record.row.dimensions.len());
        for ((name, value), (wanted_name, wanted_value)) in tags.iter().zip(&record.row.dimensions)
        {
            assert_eq!((name.as_str(), value.as_str()), (&**wanted_name, &**wanted_value));
        }
    }
    assert!(read.next().is_none());
}

fn records(batch: &Batch) {
    let body: Value = serde_json::from_slice(&body::write(batch, "k6", "a\"b")).unwrap();
    let common = &body["CommonAttributes"];
    let records = body["Records"].as_array().expect("a list");
    assert_eq!(records.len(), batch.records.len());
    for (read, wanted) in records.iter().zip(&batch.records) {
        let text = |name: &str| read[name].as_str().or_else(|| common[name].as_str());
        let measure = text("MeasureName").expect("a measure");
        assert_eq!(measure, &*wanted.row.measure);
        assert!((1..=MEASURE_NAME_BYTES_MAX).contains(&measure.len()));
        assert_eq!(text("Time").expect("a time").parse(), Ok(wanted.time_ns));
        assert!(wanted.time_ns >= 0 && wanted.samples() > 0);
        let dimensions = [&common["Dimensions"], &read["Dimensions"]];
        let dimensions = dimensions.into_iter().filter_map(Value::as_array).flatten();
        let mut dimensions: Vec<_> = dimensions
            .map(|pair| (pair["Name"].as_str().unwrap(), pair["Value"].as_str().unwrap()))
            .collect();
        dimensions.sort_unstable();
        let row = wanted.row.dimensions.iter().map(|(name, value)| (&**name, &**value));
        assert_eq!(dimensions, row.collect::<Vec<_>>());
        assert!(dimensions.len() <= DIMENSIONS_MAX);
        for (name, value) in &dimensions {
            assert!((1..=DIMENSION_NAME_BYTES_MAX).contains(&name.len()) && !value.is_empty());
        }
        assert!(dimensions.windows(2).all(|two| two[0].0 != two[1].0), "one name twice");
        let value = match &wanted.rolled {
            None => &read["MeasureValue"],
            Some(_) => &read["MeasureValues"][1]["Value"],
        };
        assert_eq!(value.as_str().expect("a value").parse(), Ok(wanted.value));
    }
}

/// Each sample of each frame is in the account of each output, and in the acknowledgement of its frame.
fn close_books(pipeline: &mut Pipeline, held: &BTreeMap<FrameKey, u64>) {
    let all: u64 = held.values().sum();
    for lane in pipeline.lanes() {
        assert_eq!(lane.counts().stored + lane.counts().rejected, all, "{}", lane.name());
        assert_eq!(lane.open_count(), 0, "{}", lane.name());
    }
    let mut acked = BTreeMap::new();
    while let Some(ack) = pipeline.poll_ack() {
        for output in &ack.outputs {
            let settled = output.stored + output.rejected.values().sum::<u64>();
            assert_eq!(settled, ack.sample_count, "{}", output.name);
        }
        if !ack.again {
            assert_eq!(acked.insert(ack.key, ack.sample_count), None, "acknowledged twice");
        }
    }
    assert_eq!(acked, *held);
}
