//! Outputs that take nothing for a while, and disks that take nothing at all.

use std::{fs, path::Path};

use super::harness::{Ended, Rig};
use crate::{
    agent::Exit,
    api::v1alpha1::OnFull,
    core::samples::spool::Limits,
    wire::session::{AgentPhase, Frame},
};

/// 60,000 samples in some 3 seconds: a frame is closed every 200 ms.
const SCRIPT: &str = r#"
    import { Counter } from "k6/metrics";
    import { sleep } from "k6";
    const mine = new Counter("mine");
    export const options = { vus: 1, iterations: 60 };
    export default function () { for (let i = 0; i < 1000; i++) mine.add(1); sleep(0.05); }
"#;

/// A small window, and nothing that waits for more than the disk.
fn limits() -> Limits {
    Limits {
        window: 3,
        linger_ms: 50,
        segment_bytes: 128 << 10,
        ..Limits::new(64 << 20, OnFull::Fail)
    }
}

/// Files of all agents that work in this folder.
fn segments(dir: &Path) -> Vec<std::path::PathBuf> {
    let list = |dir: &Path| -> Vec<_> {
        fs::read_dir(dir).into_iter().flatten().map(|entry| entry.unwrap().path()).collect()
    };
    list(&dir.join("work/spool")).iter().flat_map(|folder| list(folder)).collect()
}

/// Runs the load without a single acknowledgement.
async fn backlog(limits: Limits) -> Rig {
    let mut rig = Rig::start(SCRIPT, |settings| settings.spool = limits);
    rig.acknowledges = false;
    rig.until_phase(AgentPhase::Ready).await;
    rig.start_load().await;
    rig.until_phase(AgentPhase::Ended).await;
    rig.until("all samples are read", |rig| rig.report.framed >= 60_000).await;
    rig
}

/// Takes everything from now on, what came already as well.
async fn catch_up(mut rig: Rig) -> Ended {
    rig.acknowledges = true;
    let waiting: Vec<Frame> = rig.frames.values().cloned().collect();
    for frame in &waiting {
        rig.acknowledge(frame).await;
    }
    rig.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_outputs_do_not_take_waits_on_disk_and_arrives_exactly_once() {
    let mut rig = backlog(limits()).await;
    assert_eq!(rig.frames.len(), 3, "no more than the window is sent");
    assert!(segments(rig.dir.path()).len() > 1, "{:?}", segments(rig.dir.path()));
    let dir = std::mem::replace(&mut rig.dir, tempfile::tempdir().unwrap());
    let ended = catch_up(rig).await;
    assert_eq!(ended.exit, Exit::HandedOver);
    assert_eq!(ended.report.failure, None);
    assert_eq!(ended.of("mine").len(), 60_000);
    assert_eq!(ended.frames, (1..=ended.report.last_seq).collect::<Vec<_>>());
    assert!(ended.report.last_seq > 6, "{}", ended.report.last_seq);
    assert_eq!(ended.frames_received as u64, ended.report.last_seq, "each came once");
    assert_eq!(ended.report.outputs[0].stored, ended.report.emitted);
    assert_eq!((ended.report.acked, ended.report.dropped), (ended.report.emitted, 0));
    assert_eq!(segments(dir.path()), Vec::<std::path::PathBuf>::new(), "no file is left");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_session_in_the_middle_of_a_backlog_changes_nothing() {
    let mut rig = backlog(limits()).await;
    rig.cut();
    rig.until("the agent greets again", |rig| rig.hellos.len() == 2).await;
    let frames = |rig: &Rig| rig.frames_received;
    rig.until("the window came again", |rig| frames(rig) >= 6).await;
    let ended = catch_up(rig).await;
    assert_eq!(ended.of("mine").len(), 60_000);
    assert_eq!(ended.report.outputs[0].stored, ended.report.emitted);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_spool_fails_the_run_and_does_not_hold_k6_up() {
    let rig = backlog(Limits { bytes_max: 200_000, ..limits() }).await;
    let failure = rig.report.failure.clone().unwrap();
    assert_eq!(failure.reason, "OutputFailed");
    assert!(failure.message.contains("spool of 200000 bytes is full"), "{}", failure.message);
    assert!(rig.report.dropped > 0 && rig.report.dropped < rig.report.framed);
    let ended = catch_up(rig).await;
    assert_eq!(ended.samples.len() as u64 + ended.report.dropped, ended.report.emitted);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_spool_that_drops_counts_and_goes_on() {
    let rig = backlog(Limits { bytes_max: 200_000, on_full: OnFull::Drop, ..limits() }).await;
    assert!(rig.report.dropped > 0 && rig.report.dropped < rig.report.framed);
    assert!(rig.report.dropped_why.contains("is full"), "{}", rig.report.dropped_why);
    let ended = catch_up(rig).await;
    assert_eq!((ended.exit, ended.report.failure), (Exit::HandedOver, None));
    assert_eq!(ended.report.k6_exit_code, Some(0));
    assert_eq!(ended.samples.len() as u64, ended.report.acked);
    assert_eq!(ended.report.acked + ended.report.dropped, ended.report.emitted);
    assert_eq!(ended.report.outputs[0].stored, ended.report.acked);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_fails_is_named_when_memory_ends_and_not_before() {
    let mut rig = Rig::start(SCRIPT, |settings| {
        settings.spool = Limits { queue_bytes: 300_000, ..limits() };
    });
    rig.acknowledges = false;
    rig.until_phase(AgentPhase::Ready).await;
    fs::remove_dir_all(rig.dir.path().join("work/spool")).unwrap();
    rig.start_load().await;
    rig.until("the loss is told", |rig| rig.report.failure.is_some()).await;
    let failure = rig.report.failure.clone().unwrap();
    assert_eq!(failure.reason, "OutputFailed");
    let named = "the spool cannot be written (No such file or directory";
    assert!(failure.message.contains(named), "{}", failure.message);
    assert!(rig.report.framed - rig.report.dropped > 5_000, "{:?}", rig.report);
    rig.until_phase(AgentPhase::Ended).await;
    rig.until("all samples are read", |rig| rig.report.framed >= 60_000).await;
    let ended = catch_up(rig).await;
    assert_eq!(ended.samples.len() as u64 + ended.report.dropped, ended.report.emitted);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_segment_that_rots_fails_the_run_and_its_samples_are_counted() {
    let rig = backlog(limits()).await;
    let mut files = segments(rig.dir.path());
    files.sort();
    // Whole, while the last may still be written; and past what was sent, which is also in memory.
    let [_, .., file, _] = &files[..] else { panic!("too few files: {files:?}") };
    let mut bytes = fs::read(file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(file, bytes).unwrap();
    let ended = catch_up(rig).await;
    let failure = ended.report.failure.clone().unwrap();
    assert_eq!(failure.reason, "OutputFailed");
    assert!(failure.message.contains("could not be read back"), "{}", failure.message);
    assert!(ended.report.unreadable > 0);
    assert_eq!(ended.report.unreadable, ended.report.dropped);
    assert_eq!(ended.samples.len() as u64 + ended.report.dropped, ended.report.emitted);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_agent_could_not_hand_over_is_left_readable() {
    use crate::core::samples::spool::record;
    let mut rig = backlog(limits()).await;
    rig.forget();
    let exit = (&mut rig.agent).await.unwrap();
    assert!(matches!(exit, Exit::Failed(_)), "{exit:?}");
    let mut seqs = Vec::new();
    let mut files = segments(rig.dir.path());
    files.sort();
    for (number, file) in (1..).zip(&files) {
        let bytes = fs::read(file).unwrap();
        let (header, at) = record::head(&bytes).unwrap();
        assert_eq!((header.run.as_str(), header.instance_id), ("ns/checkout-1/u", 1));
        assert_eq!(
            (header.incarnation.as_str(), header.segment),
            (rig.hellos[0].incarnation.as_str(), number)
        );
        let found = record::chunk(&bytes[at..], true);
        assert!(!found.is_lost);
        seqs.extend(found.frames.iter().map(|frame| frame.seq));
    }
    assert!(seqs.len() > 6);
    assert_eq!(seqs, (1..=seqs.len() as u64).collect::<Vec<_>>());
}
