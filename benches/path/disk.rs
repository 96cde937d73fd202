//! What a sample takes in the spool's segment files.

use std::fs;

use weir::core::samples::{
    decode::Line,
    frame::{Closed, FrameBuilder, Limits},
    lines::{Known, Lines, Read},
    spool::record,
};

use crate::{peers, scripts::Load};

/// Bytes of a sample, those of its frame's record among them, of samples that a real k6 wrote.
pub(crate) fn bytes(load: Load) -> f64 {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("samples");
    peers::k6(load, Some(&format!("json={}", file.display())));
    let text = fs::read(&file).expect("k6's samples");
    let mut builder = FrameBuilder::new(1, Limits::default());
    let mut lines: Lines<weir::core::samples::frame::Memo> = Lines::default();
    let (mut count, mut segment) = (0_u32, Vec::new());
    let mut put = |closed: Option<Closed>| {
        if let Some(closed) = closed {
            record::put_frame(&closed.frame, &mut segment);
        }
    };
    for line in text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        let closed = match lines.read(line, &[]).expect("a line of k6's") {
            Read::Known(Known { point, memo }) => builder.push_again(point, memo, 0),
            Read::Line(Line::Point(point)) => builder.push(&point, 0),
            Read::Line(Line::Metric(_)) => continue,
        };
        count += 1;
        put(closed);
    }
    put(builder.close());
    f64::from(u32::try_from(segment.len()).unwrap_or(u32::MAX)) / f64::from(count)
}
