//! An agent without k6.

use std::{collections::BTreeMap, time::Duration};

use tokio::sync::mpsc;
use weir::{
    core::samples::rollup::samples_in,
    io::link::Dialer,
    wire::{
        PROTOCOL,
        session::{
            Ack, AgentPhase, Frame, Hello, Ledger, OutputCounts, Report, Requirements,
            ToAggregator, to_agent::Message as Down, to_aggregator::Message as Up,
        },
    },
};

use crate::rows::now_ns;

/// An agent without k6: it sends what it is given once the run starts.
pub(crate) async fn agent(
    dialer: Dialer,
    writer: Option<(u32, Dialer)>,
    instance_id: u32,
    frames: Vec<Frame>,
) {
    let mut end = dialer.dial().await.unwrap();
    let (to_writer, mut acks) = ship(writer, instance_id);
    let emitted: u64 = frames.iter().map(samples_in).sum();
    let sizes: BTreeMap<u64, u64> =
        frames.iter().map(|frame| (frame.seq, samples_in(frame))).collect();
    let mut report = Report {
        phase: AgentPhase::Ready.into(),
        requirements: Some(Requirements {
            max_vus: 100,
            total_duration_ms: 60_000,
            no_setup: true,
            no_teardown: true,
            ..Requirements::default()
        }),
        ..Report::default()
    };
    let hello = Up::Hello(Hello {
        protocol: PROTOCOL,
        run: "ns/run/uid".to_owned(),
        instance_id,
        incarnation: "i".to_owned(),
        report: Some(report.clone()),
        ..Hello::default()
    });
    end.tx.send(ToAggregator { message: Some(hello) }).await.unwrap();
    loop {
        let message = tokio::select! {
            message = end.rx.recv() => message.and_then(|message| message.message),
            Some(ack) = acks.recv() => Some(Down::Ack(ack)),
        };
        let Some(message) = message else { return };
        match message {
            Down::Start(_) => {
                report.emitted = emitted;
                report.started_unix_ns = now_ns();
                report.acked_to = frames.last().map_or(0, |frame| frame.seq);
                report.acked_but = sizes.keys().copied().collect();
                for frame in &frames {
                    if let Some(to_writer) = &to_writer {
                        to_writer.send(frame.clone()).unwrap();
                        continue;
                    }
                    let frame = Up::Frame(frame.clone());
                    end.tx.send(ToAggregator { message: Some(frame) }).await.unwrap();
                }
                report.phase = AgentPhase::Ended.into();
            }
            Down::Stop(_) => report.phase = report.phase.max(AgentPhase::Ended.into()),
            Down::Finish(_) => {
                report.phase = AgentPhase::Finished.into();
                let last = Ledger { seq: 1, parts: 1, last: true, ..Ledger::default() };
                end.tx.send(ToAggregator { message: Some(Up::Ledger(last)) }).await.unwrap();
            }
            Down::Ack(ack) => {
                report.acked += sizes[&ack.seq];
                report.acked_but.retain(|seq| *seq != ack.seq);
                add(&mut report.outputs, ack.outputs);
            }
            Down::Goodbye(_) => return,
            Down::Refused(refused) => panic!("refused: {}", refused.message),
            Down::Welcome(_)
            | Down::RunSetup(_)
            | Down::SetupData(_)
            | Down::RunTeardown(_)
            | Down::RunSummary(_)
            | Down::Bundle(_)
            | Down::SendBundle(_) => {}
        }
        let report = Up::Report(report.clone());
        drop(end.tx.send(ToAggregator { message: Some(report) }).await);
    }
}

/// What it sends to the writer of its samples, which it dials again as often as it must.
fn ship(
    writer: Option<(u32, Dialer)>,
    instance_id: u32,
) -> (Option<mpsc::UnboundedSender<Frame>>, mpsc::Receiver<Ack>) {
    let (acked, acks) = mpsc::channel(64);
    let Some((replica, dialer)) = writer else { return (None, acks) };
    let (frames, mut new) = mpsc::unbounded_channel::<Frame>();
    tokio::spawn(async move {
        let mut waiting: BTreeMap<u64, Frame> = BTreeMap::new();
        let mut report = Report::default();
        loop {
            let Ok(mut end) = dialer.dial().await else { return };
            let hello = Up::Hello(Hello {
                protocol: PROTOCOL,
                run: "ns/run/uid".to_owned(),
                instance_id,
                incarnation: "i".to_owned(),
                report: Some(report.clone()),
                replica,
                ..Hello::default()
            });
            let again = waiting.values().cloned().map(Up::Frame);
            for message in std::iter::once(hello).chain(again).collect::<Vec<_>>() {
                drop(end.tx.send(ToAggregator { message: Some(message) }).await);
            }
            loop {
                tokio::select! {
                    Some(frame) = new.recv() => {
                        report.acked_to = frame.seq;
                        report.acked_but.push(frame.seq);
                        waiting.insert(frame.seq, frame.clone());
                        let message = ToAggregator { message: Some(Up::Frame(frame)) };
                        drop(end.tx.send(message).await);
                    }
                    message = end.rx.recv() => match message.and_then(|message| message.message) {
                        Some(Down::Ack(ack)) => {
                            if let Some(frame) = waiting.remove(&ack.seq) {
                                report.acked += samples_in(&frame);
                                report.acked_but.retain(|seq| *seq != ack.seq);
                                add(&mut report.outputs, ack.outputs.clone());
                                drop(acked.send(ack).await);
                            }
                        }
                        Some(Down::Refused(refused)) => panic!("refused: {}", refused.message),
                        Some(_) => {}
                        None => break,
                    },
                }
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
    (Some(frames), acks)
}

fn add(to: &mut Vec<OutputCounts>, counts: Vec<OutputCounts>) {
    for counts in counts {
        match to.iter_mut().find(|own| own.name == counts.name) {
            None => to.push(counts),
            Some(own) => {
                own.stored += counts.stored;
                for (reason, count) in counts.rejected {
                    *own.rejected.entry(reason).or_default() += count;
                }
            }
        }
    }
}
