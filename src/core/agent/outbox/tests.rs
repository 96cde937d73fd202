use std::collections::BTreeMap;

use super::*;
use crate::core::{
    ledger::threshold::Rules,
    samples::decode::{Line, decode},
};
use crate::{
    api::v1alpha1::OnFull,
    core::{
        agent::{
            config::Config,
            events::{Input, Now},
        },
        k6::{args::UserArgs, environment::Environment, version::Version},
        plan::RunRef,
        samples::{
            frame::Closed,
            spool::{Limits, record::SegmentHeader, totals::Totals},
        },
    },
    wire::session::{Ack, Frame, Outcome},
};

struct Desk {
    outbox: Outbox,
    machine: Machine,
    spool: Spool,
    ledger: Ledger,
    account: Account,
}

const NOW: Now = Now { ms: 0, unix_ns: 0, drained: true };

impl Desk {
    fn new() -> Self {
        let config = Config {
            run: RunRef { namespace: "ns".into(), name: "r-1".into(), uid: "u".into() },
            instances: 1,
            instance_id: 1,
            incarnation: "i".to_owned(),
            born_unix_ns: 1,
            user: UserArgs::default(),
            environment: Environment::new(),
            thresholds: BTreeMap::new(),
            tags: BTreeMap::new(),
            orphan_ms: 1000,
            grace_ms: 1000,
        };
        let mut machine = Machine::new(config, NOW);
        machine.handle(Input::Version(Ok(Version::parse("k6 v2.2.0"))), NOW);
        let limits = Limits::new(1 << 20, OnFull::Fail);
        let spool = Spool::new(limits, SegmentHeader::default());
        let ledger = Ledger::new(&Rules::default(), false);
        Self { outbox: Outbox::default(), machine, spool, ledger, account: Account::default() }
    }

    fn up() -> Self {
        let mut desk = Self::new();
        desk.outbox.dialled();
        assert_eq!(desk.sent(0), ["hello"]);
        desk.outbox.welcomed();
        desk
    }

    fn add(&mut self, seq: u64) {
        let frame = Frame { seq, value: vec![0.0], ..Frame::default() };
        assert_eq!(self.spool.push(Closed::new(frame), 0), None);
    }

    fn sent(&mut self, now_ms: i64) -> Vec<String> {
        let mut sent = Vec::new();
        while let Some(message) = self.outbox.next(
            &self.machine,
            &self.account,
            &mut self.spool,
            &mut self.ledger,
            now_ms,
        ) {
            sent.push(match message {
                Message::Hello(_) => "hello".to_owned(),
                Message::Report(_) => "report".to_owned(),
                Message::Frame(frame) => format!("frame {}", frame.seq),
                Message::Setup(_) => "setup".to_owned(),
                Message::Teardown(_) => "teardown".to_owned(),
                Message::Ledger(ledger) if ledger.last => "last ledger".to_owned(),
                Message::Ledger(_) => "ledger".to_owned(),
                Message::Terms(_) => "terms".to_owned(),
                Message::Summary(_) => "summary".to_owned(),
                Message::Bundle(_) => "bundle".to_owned(),
                Message::WantBundle(_) => "want bundle".to_owned(),
            });
        }
        let has_next = self.outbox.has_next(&self.machine, &self.account, &self.spool, now_ms);
        assert!(!has_next, "nothing is left when nothing more is sent");
        sent
    }
}

#[test]
fn nothing_but_the_greeting_goes_out_before_the_welcome() {
    let mut desk = Desk::new();
    desk.add(1);
    assert!(desk.sent(0).is_empty());
    desk.outbox.dialled();
    assert_eq!(desk.sent(0), ["hello"]);
    desk.outbox.answer(Message::Setup(Outcome::default()));
    assert!(desk.sent(5000).is_empty());
    desk.outbox.welcomed();
    assert_eq!(desk.sent(5000), ["report", "frame 1"]);
}

#[test]
fn an_answer_goes_before_reports_and_frames() {
    let mut desk = Desk::up();
    desk.add(1);
    desk.outbox.answer(Message::Setup(Outcome::default()));
    assert_eq!(desk.sent(0), ["setup", "report", "frame 1"]);
}

#[test]
fn counts_are_told_once_a_second_and_a_change_of_state_at_once() {
    let mut desk = Desk::up();
    assert_eq!(desk.sent(0), ["report"]);
    desk.account.emitted = 5;
    assert!(desk.sent(999).is_empty());
    assert_eq!(desk.outbox.due_ms(), 1000);
    assert_eq!(desk.sent(1000), ["report"]);
    desk.machine.handle(Input::SamplesLost("how".to_owned()), NOW);
    assert_eq!(desk.sent(1001), ["report"]);
    assert!(desk.sent(1002).is_empty());
}

#[test]
fn the_last_acknowledgement_is_told_at_once() {
    let mut desk = Desk::up();
    let exit =
        crate::core::k6::exit::Exit { code: 107, signal: None, oom_killed: false, error: None };
    let failed = crate::core::agent::events::Unbundled::Failed(exit);
    desk.machine.handle(Input::Bundled(Err(failed)), NOW);
    desk.machine.handle(Input::SamplesEnded, NOW);
    desk.account = Account {
        emitted: 2,
        totals: Totals { framed: 2, ..Totals::default() },
        ..Account::default()
    };
    assert_eq!(desk.sent(0), ["report", "last ledger"]);
    desk.account.totals.acked = 1;
    assert!(desk.sent(1).is_empty(), "one of two is a count as any other");
    desk.account.totals.acked = 2;
    assert_eq!(desk.sent(2), ["report"]);
}

#[test]
fn a_new_session_begins_anew() {
    let mut desk = Desk::up();
    desk.add(1);
    desk.add(2);
    assert_eq!(desk.sent(0), ["report", "frame 1", "frame 2"]);
    desk.spool.ack(&Ack { seq: 1, outputs: Vec::new() });
    desk.outbox.down();
    assert!(desk.sent(0).is_empty());
    desk.outbox.dialled();
    assert_eq!(desk.sent(0), ["hello"]);
    desk.outbox.welcomed();
    assert_eq!(desk.sent(0), ["report", "frame 2"]);
}

#[test]
fn a_window_of_frames_waits_for_acknowledgements() {
    let mut desk = Desk::up();
    for seq in 1..=20 {
        desk.add(seq);
    }
    assert_eq!(desk.sent(0).len(), 1 + 16);
    desk.spool.ack(&Ack { seq: 3, outputs: Vec::new() });
    assert_eq!(desk.sent(0), ["frame 17"]);
}

#[test]
fn a_ledger_comes_once_a_second_while_there_is_something_new() {
    let mut desk = Desk::up();
    assert_eq!(desk.sent(0), ["report"]);
    let measure = |desk: &mut Desk| {
        let line = br#"{"metric":"m","type":"Point","data":{"time":"2026-11-22T07:28:28Z","value":1,"tags":null}}"#;
        let Ok(Line::Point(point)) = decode(line) else { panic!("a sample") };
        desk.ledger.add(&point);
        desk.account.measured = desk.ledger.samples();
    };
    measure(&mut desk);
    assert_eq!(desk.sent(1), ["ledger"]);
    measure(&mut desk);
    assert!(desk.sent(500).is_empty());
    assert_eq!(desk.sent(1000), ["report", "ledger"]);
    assert_eq!(desk.sent(2000), ["report"], "nothing was measured");
    desk.outbox.dialled();
    assert_eq!(desk.sent(2001), ["hello"]);
    desk.outbox.welcomed();
    assert_eq!(desk.sent(2002), ["report", "ledger"], "a new session knows nothing");
}
