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
        k6::version::Version,
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
        Self::of(1, 1)
    }

    fn of(instance_id: u32, instances: u32) -> Self {
        let config = Config::plain(instance_id, instances);
        let mut machine = Machine::new(config, NOW);
        machine.handle(Input::Version(Ok(Version::parse("k6 v2.2.0"))), NOW);
        let limits = Limits::new(1 << 20, OnFull::Fail);
        let spool = Spool::new(limits, SegmentHeader::default());
        let ledger = Ledger::new(&Rules::default(), false);
        Self { outbox: Outbox::default(), machine, spool, ledger, account: Account::default() }
    }

    fn up() -> Self {
        Self::new().welcomed()
    }

    fn welcomed(mut self) -> Self {
        let desk = &mut self;
        desk.outbox.dialled();
        assert_eq!(desk.sent(0), ["hello"]);
        desk.outbox.welcomed();
        self
    }

    /// One more value of a trend.
    fn measure(&mut self) {
        for line in [
            r#"{"type":"Metric","data":{"name":"t","type":"trend","contains":"default","thresholds":[],"submetrics":null},"metric":"t"}"#,
            r#"{"metric":"t","type":"Point","data":{"time":"2026-11-22T07:28:28Z","value":1,"tags":null}}"#,
        ] {
            match decode(line.as_bytes()) {
                Ok(Line::Point(point)) => self.ledger.add(&point),
                Ok(Line::Metric(metric)) => self.ledger.define(&metric),
                other => panic!("{other:?}"),
            }
        }
        self.account.measured = self.ledger.samples();
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
                Message::Ledger(ledger)
                    if ledger.sinks.iter().any(|sink| sink.sketch.is_some()) =>
                {
                    "large ledger".to_owned()
                }
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
                Message::Writer(_) => "state of a writer".to_owned(),
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
    desk.measure();
    assert_eq!(desk.sent(1), ["large ledger"]);
    desk.measure();
    assert!(desk.sent(500).is_empty());
    assert_eq!(desk.sent(1000), ["report", "ledger"]);
    assert_eq!(desk.sent(2000), ["report"], "nothing was measured");
    desk.outbox.dialled();
    assert_eq!(desk.sent(2001), ["hello"]);
    desk.outbox.welcomed();
    assert_eq!(desk.sent(2002), ["report", "large ledger"], "a new session knows nothing");
}

#[test]
fn large_ledgers_of_all_instances_are_spread_over_their_period() {
    let large_at = |instance_id| {
        let mut desk = Desk::of(instance_id, 4).welcomed();
        let mut at = Vec::new();
        for now_s in 0..25 {
            desk.measure();
            if desk.sent(now_s * 1000).contains(&"large ledger".to_owned()) {
                at.push(now_s);
            }
        }
        at
    };
    assert_eq!(large_at(1), [0, 10, 20]);
    assert_eq!(large_at(2), [3, 13, 23], "the first ledger after 2.5 s");
    assert_eq!(large_at(3), [5, 15]);
    assert_eq!(large_at(4), [8, 18]);
}

#[test]
fn an_agent_whose_frames_go_to_a_writer_tells_the_aggregator_all_else() {
    let mut desk = Desk::new();
    desk.outbox = Outbox::without_frames();
    for seq in 1..=2 {
        desk.outbox.dialled();
        assert_eq!(desk.sent(0), ["hello"]);
        desk.outbox.welcomed();
        desk.add(seq);
        assert_eq!(desk.sent(0), ["report"], "also in the next session");
        desk.outbox.down();
    }
    assert!(desk.spool.has_next(), "they wait for the writer");
}
