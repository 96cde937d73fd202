//! An agent whose samples another replica writes than the aggregator itself.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use tokio::sync::{mpsc, watch};

use super::harness::Rig;
use crate::{
    agent::Exit,
    io::link::{AggregatorEnd, Dialer},
    wire::session::{
        Ack, AgentPhase, Frame, Hello, OutputCounts, Refused, ToAgent, Welcome,
        to_agent::Message as Down, to_aggregator::Message as Up,
    },
};

/// Some 20,000 samples in two seconds.
const SCRIPT: &str = r#"
    import { Counter } from "k6/metrics";
    import { sleep } from "k6";
    const mine = new Counter("mine");
    export const options = { vus: 1, iterations: 40 };
    export default function () { for (let i = 0; i < 500; i++) mine.add(1); sleep(0.05); }
"#;

/// What a writer does.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Manner {
    Acknowledges,
    IsSilent,
    Refuses,
    IsAway,
}

/// A writer that does what a test tells it.
struct FakeWriter {
    manner: watch::Sender<Manner>,
    seen: Arc<Mutex<Seen>>,
}

#[derive(Default)]
struct Seen {
    hellos: Vec<Hello>,
    frames: BTreeMap<u64, Frame>,
    received: usize,
}

impl FakeWriter {
    fn start(manner: Manner) -> (Self, Dialer) {
        let (dialled, mut dials) = mpsc::channel::<AggregatorEnd>(4);
        let (manner, now) = watch::channel(manner);
        let seen = Arc::new(Mutex::new(Seen::default()));
        let its_seen = seen.clone();
        tokio::spawn(async move {
            while let Some(end) = dials.recv().await {
                let mut changes = now.clone();
                let manner = *changes.borrow_and_update();
                tokio::select! {
                    () = serve(end, manner, &its_seen) => {}
                    turned = changes.changed() => if turned.is_err() { return },
                }
            }
        });
        (Self { manner, seen }, Dialer::Local(dialled))
    }

    /// From now on; the session there is ends.
    fn turn(&self, manner: Manner) {
        self.manner.send_replace(manner);
    }

    fn samples(&self) -> usize {
        self.seen.lock().unwrap().frames.values().map(|frame| frame.value.len()).sum()
    }

    fn hellos(&self) -> Vec<Hello> {
        self.seen.lock().unwrap().hellos.clone()
    }
}

async fn serve(mut end: AggregatorEnd, manner: Manner, seen: &Mutex<Seen>) {
    if manner == Manner::IsAway {
        return;
    }
    while let Some(message) = end.rx.recv().await {
        let answer = match message.message.unwrap() {
            Up::Hello(hello) => {
                seen.lock().unwrap().hellos.push(hello);
                match manner {
                    Manner::Refuses => Down::Refused(Refused { message: "not mine".to_owned() }),
                    _ => Down::Welcome(Welcome {}),
                }
            }
            Up::Frame(frame) => {
                let stored = frame.value.len() as u64;
                let name = "timestream".to_owned();
                let outputs = vec![OutputCounts { name, stored, ..OutputCounts::default() }];
                let ack = Ack { seq: frame.seq, outputs };
                {
                    let mut seen = seen.lock().unwrap();
                    seen.received += 1;
                    let before = seen.frames.insert(frame.seq, frame.clone());
                    assert!(before.is_none_or(|before| before == frame), "the same frame again");
                }
                if manner == Manner::IsSilent {
                    continue;
                }
                Down::Ack(ack)
            }
            other => panic!("only frames are for a writer, not {other:?}"),
        };
        drop(end.tx.send(ToAgent { message: Some(answer) }).await);
        if manner == Manner::Refuses {
            return;
        }
    }
}

/// An agent whose load runs, and its writer.
async fn running(manner: Manner) -> (Rig, FakeWriter) {
    let (writer, dialer) = FakeWriter::start(manner);
    let mut rig = Rig::start(SCRIPT, |settings| settings.writer = Some((3, dialer)));
    rig.until_phase(AgentPhase::Ready).await;
    rig.start_load().await;
    rig.until_phase(AgentPhase::Running).await;
    (rig, writer)
}

/// Lets the agent end, once all is acknowledged.
async fn verify_whole(mut rig: Rig, writer: &FakeWriter) {
    rig.until_phase(AgentPhase::Ended).await;
    let ended = rig.finish().await;
    assert_eq!(ended.exit, Exit::HandedOver);
    assert_eq!(ended.report.failure, None);
    assert_eq!(ended.frames_received, 0, "the aggregator gets none");
    assert_eq!(writer.samples() as u64, ended.report.emitted);
    assert_eq!(ended.report.outputs[0].stored, ended.report.emitted);
    assert!(ended.report.emitted >= 20_000, "{:?}", ended.report);
}

#[tokio::test(flavor = "multi_thread")]
async fn frames_go_to_the_writer_and_all_else_to_the_aggregator() {
    let (rig, writer) = running(Manner::Acknowledges).await;
    let [hello] = &writer.hellos()[..] else { panic!("one session") };
    assert_eq!((hello.replica, hello.instance_id), (3, 1));
    assert_eq!(hello.incarnation, rig.hellos[0].incarnation);
    assert_eq!((rig.hellos[0].replica, rig.hellos.len()), (0, 1));
    verify_whole(rig, &writer).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_writer_that_dies_gets_what_it_did_not_acknowledge_once_more() {
    let (mut rig, writer) = running(Manner::IsSilent).await;
    rig.until("frames were sent", |_| writer.samples() > 1000).await;
    assert_eq!(rig.report.acked, 0);
    writer.turn(Manner::IsAway);
    rig.until("samples wait", |rig| rig.report.framed > 5000).await;
    assert_eq!(rig.hellos.len(), 1, "the aggregator's session goes on");
    writer.turn(Manner::Acknowledges);
    rig.until_phase(AgentPhase::Ended).await;
    assert_eq!(writer.hellos().len(), 2);
    let acked = writer.hellos()[1].report.as_ref().map(|report| report.acked);
    assert_eq!(acked, Some(0), "it is told what was acknowledged before");
    verify_whole(rig, &writer).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_session_with_the_aggregator_does_not_touch_the_writers() {
    let (mut rig, writer) = running(Manner::Acknowledges).await;
    rig.cut();
    rig.until("the agent greets again", |rig| rig.hellos.len() == 2).await;
    rig.until_phase(AgentPhase::Ended).await;
    assert_eq!(writer.hellos().len(), 1);
    let (received, frames) = {
        let seen = writer.seen.lock().unwrap();
        (seen.received, seen.frames.len())
    };
    assert_eq!(received, frames, "no frame is sent twice");
    verify_whole(rig, &writer).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_its_writer_refuses_keeps_its_samples_and_goes_on() {
    let (mut rig, writer) = running(Manner::Refuses).await;
    rig.until("it asks again", |_| writer.hellos().len() > 1).await;
    rig.until_phase(AgentPhase::Ended).await;
    assert_eq!((rig.report.acked, writer.samples()), (0, 0));
    assert_eq!(rig.report.failure, None);
    writer.turn(Manner::Acknowledges);
    verify_whole(rig, &writer).await;
}
