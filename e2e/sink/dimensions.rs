//! Outputs that leave dimensions out.

use std::{borrow::Cow, collections::BTreeSet, sync::Arc};

use weir::{
    api::v1alpha1::{Dimensions, Timestream},
    core::{
        dimensions::Kept,
        samples::{
            decode::{Pairs, Point},
            frame::{FrameBuilder, Limits},
        },
    },
    wire::session::Frame,
};

use crate::{
    FRAMES, INSTANCES, SAMPLES,
    rows::{Row, everyone, now_ns, stored_rows, verify_whole},
    runs::{output, run},
    server::Server,
};

/// Frames of one instance as its agent makes them for outputs that leave out `dimensions`: of every ten samples, all
/// would be one row without the tags that tell them apart.
fn alike(instance_id: u32, dimensions: &Dimensions) -> Vec<Frame> {
    let kept = Kept::of(Some(dimensions));
    let limits = Limits { samples_max: usize::try_from(SAMPLES).unwrap(), ..Limits::default() };
    let mut builder = FrameBuilder::keeping(instance_id, limits, [kept]);
    let began_ns = now_ns() - 60_000_000_000;
    let tag = |name, value: u32| (Cow::Borrowed(name), Cow::Owned(value.to_string()));
    let mut frames = Vec::new();
    for at in 0..SAMPLES * u32::try_from(FRAMES).unwrap() {
        let point = Point {
            metric: Cow::Borrowed("http_req_duration"),
            time_ns: began_ns + 20 * i64::from(at / 10),
            value: f64::from(at % 4),
            tags: Pairs(vec![tag("status", 200), tag("url", at % 10 / 5)]),
            metadata: Pairs(vec![tag("vu", at % 5), tag("iter", at / 10)]),
        };
        frames.extend(builder.push(&point, 0).map(|closed| Arc::unwrap_or_clone(closed.frame)));
    }
    frames.extend(builder.close().map(|closed| Arc::unwrap_or_clone(closed.frame)));
    frames
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_leaving_out_dimensions_makes_alike_are_all_stored() {
    let server = Server::standin(&[
        "--table",
        "loadtests.samples",
        "--throttle-percent",
        "20",
        "--cut-after-apply-percent",
        "20",
    ]);
    let names = |names: &[&str]| Some(names.iter().map(|name| (*name).to_owned()).collect());
    let dimensions = Dimensions { exclude: names(&["url", "vu", "iter"]), include: None };
    let frames: Vec<_> = (1..=INSTANCES).map(|id| alike(id, &dimensions)).collect();
    let output = Timestream { dimensions: Some(dimensions), ..output(&server.endpoint()) };
    let result = run(output, frames).await;
    let count = u64::from(INSTANCES) * FRAMES * u64::from(SAMPLES);
    let output = &result.outputs[0];
    assert_eq!((output.emitted, output.stored, output.rejected.len()), (count, count, 0));
    let stored = stored_rows(&server);
    assert_eq!(stored.len() as u64, count);
    for row in stored {
        let names: Vec<&str> = row.dimensions.keys().map(String::as_str).collect();
        assert_eq!(names, ["instance_id", "status"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_output_leaves_out_dimensions_that_another_wants() {
    let server = Server::standin(&["--table", "loadtests.samples"]);
    let (frames, rows) = everyone();
    let include = Some(vec!["status".to_owned(), "time".to_owned()]);
    let dimensions = Dimensions { include, exclude: None };
    let output = Timestream { dimensions: Some(dimensions), ..output(&server.endpoint()) };
    let result = run(output, frames).await;
    let kept = ["status", "k6_time", "instance_id"];
    let rows: BTreeSet<Row> = rows
        .into_iter()
        .map(|mut row| {
            row.dimensions.retain(|name, _| kept.contains(&name.as_str()));
            row
        })
        .collect();
    verify_whole(&server, &result, &rows);
}
