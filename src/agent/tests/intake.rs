//! What comes by k6's standard output, where it writes its samples there.

use std::{io::Write, sync::Arc, time::Instant};

use tokio::sync::mpsc;

use super::super::intake::{Intake, Shared};
use crate::{
    api::v1alpha1::OnFull,
    core::{
        agent::{events::Input, report::Account},
        dimensions::Kept,
        samples::{
            frame,
            framer::Framer,
            rollup::spec::Wanted,
            spool::{
                Limits, Spool,
                record::{FORMAT, SegmentHeader},
            },
        },
    },
};

const SAMPLE: &str = r#"{"metric":"m","type":"Point","data":{"time":"2026-01-02T03:04:05.6Z","value":1,"tags":{"a":"b"}}}"#;

/// What is known of samples after k6 has written these texts and ended.
async fn read(texts: &[&str]) -> Account {
    let dir = tempfile::tempdir().unwrap();
    let header = SegmentHeader {
        format: FORMAT,
        run: "r".into(),
        instance_id: 1,
        incarnation: "i".into(),
        segment: 0,
    };
    let spool = Spool::new(Limits::new(64 << 20, OnFull::Fail), header);
    let shared = Arc::new(Shared::new(spool, Instant::now()));
    let (inputs, mut happened) = mpsc::channel(4);
    let builder = Framer::new(1, frame::Limits::default(), [Kept::All], &Wanted::default());
    let mut intake = Intake::open(dir.path(), builder, true, shared.clone(), inputs).unwrap();
    let mut k6 = intake.writer().unwrap();
    for text in texts {
        k6.write_all(text.as_bytes()).unwrap();
    }
    intake.close();
    assert!(intake.writer().is_err(), "no other k6 may write");
    drop(k6);
    assert!(matches!(happened.recv().await, Some(Input::SamplesEnded)));
    shared.account()
}

#[tokio::test(flavor = "multi_thread")]
async fn lines_that_come_in_pieces_are_read_whole() {
    let (head, tail) = SAMPLE.split_at(30);
    let account = read(&[SAMPLE, "\n", head, tail, "\n", SAMPLE, "\n"]).await;
    assert_eq!((account.emitted, account.unparsable_lines), (3, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_line_that_k6_did_not_live_to_end_is_no_sample() {
    let account = read(&[SAMPLE, "\n", &SAMPLE[..40]]).await;
    assert_eq!((account.emitted, account.unparsable_lines), (1, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_else_is_printed_is_no_sample_and_one_that_it_breaks_is_counted() {
    let account = read(&[SAMPLE, "\nhello\n\n", SAMPLE, "\n"]).await;
    assert_eq!((account.emitted, account.unparsable_lines), (2, 0));
    let account = read(&["hello", SAMPLE, "\n", SAMPLE, "\n"]).await;
    assert_eq!((account.emitted, account.unparsable_lines), (1, 1));
    for at in 1..SAMPLE.len() {
        let (head, tail) = SAMPLE.split_at(at);
        let account = read(&[SAMPLE, "\n", head, "hello\n", tail, "\n", SAMPLE, "\n"]).await;
        // Its end may look like one of its own.
        let lines = if tail.starts_with('{') { 2 } else { 1 };
        assert_eq!((account.emitted, account.unparsable_lines), (2, lines), "printed at {at}");
    }
}
