//! Answers of Timestream and of InfluxDB to a write of some records: what is refused is one of these, and nothing is held
//! to be stored that the server does not say it has stored.

use std::cell::OnceCell;

use weir::{
    core::pipeline::{
        batch::Batch,
        pipeline::{FrameKey, Pipeline},
        retry::{Failure, PATIENCE_MS_MAX, Written},
    },
    output::{influxdb, timestream},
};

use crate::{field::Field, valid};

thread_local! {
    static BATCH: OnceCell<Batch> = const { OnceCell::new() };
}

/// Names of errors as Timestream's header gives them.
const KINDS: [Option<&str>; 6] = [
    None,
    Some("RejectedRecordsException:http://x"),
    Some("#"),
    Some("com.amazonaws.timestream.v20181101#ValidationException"),
    Some("ThrottlingException"),
    Some("AccessDeniedException:"),
];

/// See the module: status, which header, and how many records; then a line for `retry-after`; then the body.
pub fn check(bytes: &[u8]) {
    let Some(([high, low, kind, records], rest)) = bytes.split_first_chunk() else { return };
    // Those that there are, most of all.
    let status = 100 + u16::from_be_bytes([*high, *low]) % 500;
    let line = rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len());
    let header = std::str::from_utf8(&rest[..line]).ok();
    let body = rest.get(line + 1..).unwrap_or_default();
    let kind = if usize::from(*kind) < KINDS.len() { KINDS[usize::from(*kind)] } else { header };
    BATCH.with(|batch| {
        let all = &batch.get_or_init(batch_of_lines).records;
        let some = &all[..=usize::from(*records) % all.len()];
        let answer = timestream::outcome::Answer::new(status, kind, body);
        let target = timestream::outcome::Target { database: "k6", table: "samples" };
        holds(&timestream::outcome::of_answer(&answer, some, target), status, some.len());
        let answer =
            influxdb::outcome::Answer { status, retry_after: header, location: header, body };
        holds(&influxdb::outcome::of_answer(answer, some.len(), "k6", 1_000), status, some.len());
    });
}

fn batch_of_lines() -> Batch {
    let mut pipeline: Pipeline = Field::new(None).pipeline;
    let (_, frames) = valid::measured(2);
    let key = FrameKey { instance_id: 1, incarnation: "i".into(), seq: 1 };
    pipeline.accept(key, &frames[0], 0);
    pipeline.set_hurry(true);
    pipeline.poll_write(0).expect("there are samples").batch.as_ref().clone()
}

fn holds(written: &Written, status: u16, records: usize) {
    match written {
        Written::Stored => assert!((200..300).contains(&status), "stored by {status}"),
        Written::Partly(refused) => {
            assert!(!(200..300).contains(&status) && !refused.is_empty());
            assert!(refused.iter().all(|(at, _)| *at < records), "{refused:?} of {records}");
        }
        Written::Failed(Failure::ThrottledFor(ms), _) => {
            assert!(i64::from(*ms) <= PATIENCE_MS_MAX);
        }
        Written::Invalid(text) | Written::Failed(_, text) | Written::Fatal(text) => {
            assert!(!text.is_empty());
        }
    }
}
