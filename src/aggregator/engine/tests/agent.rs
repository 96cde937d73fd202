//! An agent that is a task: it says and does what agents do, but for what a test has it do otherwise.

use std::collections::BTreeMap;

use super::*;
use crate::{
    io::link::DialError,
    wire::session::{
        AgentPhase, Ledger, LedgerSink, LedgerThreshold, MetricKind, OutputCounts, Report,
        Requirements, Series, to_agent::Message as Down,
    },
};

/// What an agent does otherwise than to run and end well.
#[derive(Clone, Copy, Default, PartialEq)]
pub(super) enum Manner {
    #[default]
    EndsWell,
    Fails,
    NeverReady,
    SetupFails,
    RunsOn,
    Dies,
}

pub(super) struct FakeAgent {
    id: u32,
    /// Where its frames go, where that is not the aggregator.
    pub(super) writer: Option<(u32, Dialer)>,
    manner: Manner,
    pub(super) report: Report,
    data: Option<Vec<u8>>,
    pub(super) unacked: BTreeMap<u64, Frame>,
    pub(super) setups: u32,
    pub(super) teardowns: u32,
    pub(super) refused: bool,
}

/// Which frames are acknowledged.
pub(super) fn note(report: &mut Report, unacked: &BTreeMap<u64, Frame>) {
    report.acked_to = report.acked_to.max(unacked.keys().last().copied().unwrap_or(0));
    report.acked_but = unacked.keys().copied().collect();
}

impl FakeAgent {
    pub(super) fn new(id: u32, manner: Manner) -> Self {
        let phase =
            if manner == Manner::NeverReady { AgentPhase::Preparing } else { AgentPhase::Ready };
        Self {
            id,
            writer: None,
            manner,
            report: Report {
                phase: phase.into(),
                requirements: Some(Requirements {
                    max_vus: 10,
                    total_duration_ms: 5000,
                    setup_timeout_ms: 1000,
                    teardown_timeout_ms: 1000,
                    ..Requirements::default()
                }),
                ..Report::default()
            },
            data: None,
            unacked: BTreeMap::new(),
            setups: 0,
            teardowns: 0,
            refused: false,
        }
    }

    /// Dials until it is let go.
    pub(super) async fn live(mut self, dialer: Dialer) -> Self {
        let mut link = self.writer.take().map(|writer| writers::Link::start(self.id, writer));
        loop {
            let mut end = match dialer.dial().await {
                Ok(end) => end,
                Err(DialError::Gone) => return self,
                Err(DialError::Unreachable(_) | DialError::Denied(_)) => {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    continue;
                }
            };
            let hello = Up::Hello(Hello {
                protocol: PROTOCOL,
                run: "ns/run/uid".to_owned(),
                instance_id: self.id,
                incarnation: format!("agent-{}", self.id),
                report: Some(self.report.clone()),
                setup_data: self.data.clone().map(Into::into),
                ..Hello::default()
            });
            let mut letters = vec![hello];
            if link.is_none() {
                letters.extend(self.unacked.values().cloned().map(Up::Frame));
            }
            let mut beat = tokio::time::interval(Duration::from_millis(20));
            'session: loop {
                for letter in letters.drain(..) {
                    if let (Some(link), Up::Frame(frame)) = (&link, &letter) {
                        link.frames.send(frame.clone()).unwrap();
                        continue;
                    }
                    if end.tx.send(ToAggregator { message: Some(letter) }).await.is_err() {
                        break 'session;
                    }
                }
                if self.manner == Manner::Dies && self.report.last_seq == 3 {
                    return self;
                }
                tokio::select! {
                    _ = beat.tick() => letters = self.go_on(),
                    Some(ack) = writers::next_ack(&mut link) => letters = self.obey(Down::Ack(ack)),
                    message = end.rx.recv() => match message.and_then(|m| m.message) {
                        Some(Down::Goodbye(_)) => return self,
                        Some(Down::Refused(_)) => {
                            self.refused = true;
                            return self;
                        }
                        Some(message) => letters = self.obey(message),
                        None => break 'session,
                    },
                }
            }
            tokio::time::sleep(Duration::from_millis(30)).await;
        }
    }

    fn is(&self, phase: AgentPhase) -> bool {
        self.report.phase == i32::from(phase)
    }

    fn go_on(&mut self) -> Vec<Up> {
        let mut letters = Vec::new();
        if self.is(AgentPhase::Running) {
            if self.report.last_seq < FRAMES || self.manner == Manner::RunsOn {
                letters.push(Up::Frame(self.frame()));
            } else {
                self.report.phase = AgentPhase::Ended.into();
                self.report.ended_unix_ns = clock::unix_ns();
            }
            letters.push(Up::Ledger(self.ledger(false)));
            if self.manner == Manner::Fails && self.report.last_seq == 3 {
                self.report.failure = Some(crate::wire::session::Failure {
                    reason: "ScriptFailed".to_owned(),
                    message: "TypeError: x is not a function".to_owned(),
                    exit_code: Some(107),
                    ..crate::wire::session::Failure::default()
                });
            }
        }
        letters.push(Up::Report(self.report.clone()));
        letters
    }

    fn ledger(&self, last: bool) -> Ledger {
        let judged = LedgerThreshold { source: "count>0".to_owned(), ..LedgerThreshold::default() };
        let ticks = LedgerSink {
            name: "ticks".to_owned(),
            kind: MetricKind::Counter.into(),
            count: self.report.emitted,
            sum: f64::from(u32::try_from(self.report.emitted).unwrap()),
            thresholds: vec![judged],
            ..LedgerSink::default()
        };
        let seq = self.report.last_seq + u64::from(last);
        Ledger { seq, parts: 1, last, sinks: vec![ticks], ..Ledger::default() }
    }

    fn frame(&mut self) -> Frame {
        self.report.last_seq += 1;
        self.report.emitted += SAMPLES;
        self.report.framed += SAMPLES;
        let count = usize::try_from(SAMPLES).unwrap();
        let frame = Frame {
            seq: self.report.last_seq,
            strings: ["http_reqs", "instance_id", &self.id.to_string(), "team", "checkout"]
                .map(str::to_owned)
                .into(),
            series: vec![Series { metric: 0, dimensions: vec![1, 2, 3, 4] }],
            base_time_ns: 1_800_000_000_000_000_000
                + i64::try_from(self.report.last_seq * SAMPLES).unwrap(),
            sample_series: vec![0; count],
            time_delta_ns: std::iter::once(0).chain(vec![1; count - 1]).collect(),
            value: (0..u32::try_from(SAMPLES).unwrap()).map(f64::from).collect(),
            ..Frame::default()
        };
        self.unacked.insert(frame.seq, frame.clone());
        note(&mut self.report, &self.unacked);
        frame
    }

    fn obey(&mut self, message: Down) -> Vec<Up> {
        match message {
            Down::RunSetup(_) => {
                self.setups += 1;
                self.data = Some(b"{\"token\":1}".to_vec());
                return vec![Up::Setup(Answer {
                    ok: self.manner != Manner::SetupFails,
                    data: self.data.clone().map(Into::into),
                    failure: (self.manner == Manner::SetupFails).then(|| {
                        crate::wire::session::Failure {
                            reason: "SetupFailed".to_owned(),
                            message: "setup() threw".to_owned(),
                            ..crate::wire::session::Failure::default()
                        }
                    }),
                })];
            }
            Down::SetupData(data) => self.data = Some(data.data.to_vec()),
            Down::Start(_) if self.is(AgentPhase::Ready) => {
                assert!(self.data.is_some(), "started without the data of setup()");
                self.report.phase = AgentPhase::Running.into();
                self.report.started_unix_ns = clock::unix_ns();
            }
            Down::Stop(_) => {
                let phase = if self.is(AgentPhase::Preparing) {
                    AgentPhase::Finished
                } else {
                    AgentPhase::Ended
                };
                self.report.phase = self.report.phase.max(phase.into());
            }
            Down::RunTeardown(_) => {
                self.teardowns += 1;
                return vec![Up::Teardown(Answer { ok: true, ..Answer::default() })];
            }
            Down::Finish(_) => {
                self.report.phase = AgentPhase::Finished.into();
                self.report.k6_exit_code = Some(0);
                return vec![Up::Ledger(self.ledger(true)), Up::Report(self.report.clone())];
            }
            Down::Ack(ack) => {
                if self.unacked.remove(&ack.seq).is_some() {
                    self.report.acked += SAMPLES;
                    self.count(&ack.outputs);
                    note(&mut self.report, &self.unacked);
                }
            }
            Down::Start(_)
            | Down::Welcome(_)
            | Down::Refused(_)
            | Down::Goodbye(_)
            | Down::Bundle(_)
            | Down::RunSummary(_)
            | Down::SendBundle(_) => {}
        }
        vec![Up::Report(self.report.clone())]
    }

    fn count(&mut self, outputs: &[OutputCounts]) {
        for counts in outputs {
            if self.report.outputs.is_empty() {
                self.report
                    .outputs
                    .push(OutputCounts { name: counts.name.clone(), ..OutputCounts::default() });
            }
            let own = &mut self.report.outputs[0];
            own.stored += counts.stored;
            for (reason, count) in &counts.rejected {
                *own.rejected.entry(reason.clone()).or_default() += count;
            }
        }
    }
}
