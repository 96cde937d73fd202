//! What an agent sends next in a session: greeting, answers, reports, frames.

use std::collections::VecDeque;

use super::{machine::Machine, report::Account};
use crate::{
    core::{
        ledger::{codec::Detail, ledger::Ledger},
        samples::spool::Spool,
    },
    wire::session::{self, Report, to_aggregator::Message},
};

/// Time between two reports when nothing but counts has changed.
const REPORT_MS: i64 = 1000;
/// Shortest time between two ledgers: less than between two reports, so that one comes with each.
const LEDGER_MS: i64 = 900;
/// Time between two ledgers with all that the summary needs, which are larger: what is lost with an instance is what its
/// percentiles were after the last of them.
const SUMMARY_MS: i64 = 10_000;
/// Time that the first greeting waits for k6's version: it is told once in a session, and comes in milliseconds.
const GREET_MS: i64 = 1000;
/// Answers that wait to be sent: for setup, teardown, parts of the bundle; each at most twice.
const ANSWERS_MAX: usize = 8;

/// Where the session stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Stage {
    /// No session.
    #[default]
    Down,
    /// Dialled; the greeting is to be sent.
    Dialled,
    /// Greeted; the aggregator has not answered.
    Greeted,
    /// Welcomed.
    Up,
}

/// What is to be sent, in the order in which it matters.
#[derive(Debug, Default)]
pub struct Outbox {
    /// Frames go elsewhere.
    is_without_frames: bool,
    stage: Stage,
    answers: VecDeque<Message>,
    said: Option<Report>,
    said_ms: i64,
    ledgers: VecDeque<session::Ledger>,
    ledger_due_ms: i64,
    /// When the next ledger is one with all that the summary needs; none before the first of a session.
    summary_due_ms: Option<i64>,
    /// Samples in the ledger that was said last.
    measured_said: u64,
    last_ledger_said: bool,
}

impl Outbox {
    /// For an agent whose frames go to another than the aggregator.
    pub fn without_frames() -> Self {
        Self { is_without_frames: true, ..Self::default() }
    }

    /// A session was dialled.
    pub fn dialled(&mut self) {
        self.down();
        self.stage = Stage::Dialled;
    }

    /// The aggregator welcomed this agent.
    pub const fn welcomed(&mut self) {
        self.stage = Stage::Up;
    }

    /// The session is over.
    pub fn down(&mut self) {
        let is_without_frames = self.is_without_frames;
        *self = Self { is_without_frames, ..Self::default() };
    }

    /// Whether the aggregator has welcomed this agent.
    pub fn is_up(&self) -> bool {
        self.stage == Stage::Up
    }

    /// Takes an answer. Without a session it is dropped: the machine repeats it in the next.
    pub fn answer(&mut self, message: Message) {
        if self.is_up() && self.answers.len() < ANSWERS_MAX {
            self.answers.push_back(message);
        }
    }

    /// Whether [`next`](Self::next) has something.
    pub fn has_next(
        &self,
        machine: &Machine,
        account: &Account,
        spool: &Spool,
        now_ms: i64,
    ) -> bool {
        match self.stage {
            Stage::Down | Stage::Greeted => false,
            Stage::Dialled => machine.knows_k6() || now_ms >= GREET_MS,
            Stage::Up => {
                !self.answers.is_empty()
                    || !self.ledgers.is_empty()
                    || self.ledger_is_due(machine, account.measured, now_ms)
                    || self.report_is_due(&machine.report(account), now_ms)
                    || (!self.is_without_frames && spool.has_next())
            }
        }
    }

    /// The next message.
    pub fn next(
        &mut self,
        machine: &Machine,
        account: &Account,
        spool: &mut Spool,
        ledger: &mut Ledger,
        now_ms: i64,
    ) -> Option<Message> {
        match self.stage {
            Stage::Down | Stage::Greeted => None,
            Stage::Dialled => {
                self.stage = Stage::Greeted;
                if !self.is_without_frames {
                    spool.rewind();
                }
                Some(Message::Hello(machine.hello(account)))
            }
            Stage::Up => {
                if self.ledgers.is_empty() && self.ledger_is_due(machine, ledger.samples(), now_ms)
                {
                    self.open_ledger(machine, ledger, now_ms);
                }
                self.next_of_session(machine.report(account), spool, now_ms)
            }
        }
    }

    /// When there will be something to send though nothing happens; `i64::MAX` for never. Times count from the
    /// agent's start.
    pub fn due_ms(&self) -> i64 {
        match self.stage {
            Stage::Up => self.said_ms + REPORT_MS,
            Stage::Dialled => GREET_MS,
            Stage::Down | Stage::Greeted => i64::MAX,
        }
    }

    fn next_of_session(
        &mut self,
        report: Report,
        spool: &mut Spool,
        now_ms: i64,
    ) -> Option<Message> {
        if let Some(answer) = self.answers.pop_front() {
            return Some(answer);
        }
        if self.report_is_due(&report, now_ms) {
            self.said = Some(report.clone());
            self.said_ms = now_ms;
            return Some(Message::Report(report));
        }
        if let Some(ledger) = self.ledgers.pop_front() {
            return Some(Message::Ledger(ledger));
        }
        if self.is_without_frames {
            return None;
        }
        spool.next_frame().map(Message::Frame)
    }

    /// Once a second while there is something new, and at once when nothing more will come.
    fn ledger_is_due(&self, machine: &Machine, measured: u64, now_ms: i64) -> bool {
        if machine.is_finished() {
            return !self.last_ledger_said;
        }
        measured != self.measured_said && now_ms >= self.ledger_due_ms
    }

    /// The large ledgers of all instances are spread over the time between two of one: together they would keep the
    /// aggregator from everything else for as long as it takes to read them.
    fn open_ledger(&mut self, machine: &Machine, ledger: &mut Ledger, now_ms: i64) {
        let is_last = machine.is_finished();
        let due_ms =
            *self.summary_due_ms.get_or_insert_with(|| now_ms + machine.turn_ms(SUMMARY_MS));
        let detail = if is_last || now_ms >= due_ms {
            self.summary_due_ms = Some(now_ms + SUMMARY_MS);
            Detail::Summary
        } else {
            Detail::Verdict
        };
        self.ledger_due_ms = now_ms + LEDGER_MS;
        self.measured_said = ledger.samples();
        self.last_ledger_said = is_last;
        self.ledgers = ledger.snapshot(detail, is_last).into();
    }

    /// A change of state is told at once; counts are when all of them are final, and once a second otherwise.
    fn report_is_due(&self, report: &Report, now_ms: i64) -> bool {
        let Some(said) = &self.said else { return true };
        if now_ms >= self.said_ms + REPORT_MS || state(said) != state(report) {
            return true;
        }
        let is_final =
            report.k6_exit_code.is_some() && report.acked + report.dropped == report.framed;
        is_final && (said.acked, said.dropped) != (report.acked, report.dropped)
    }
}

/// A report without what changes all the time.
fn state(report: &Report) -> Report {
    Report {
        emitted: 0,
        framed: 0,
        acked: 0,
        unparsable_lines: 0,
        outputs: Vec::new(),
        vus: 0,
        vus_max: 0,
        last_seq: 0,
        dropped: 0,
        unreadable: 0,
        acked_to: 0,
        acked_but: Vec::new(),
        ..report.clone()
    }
}

#[cfg(test)]
mod tests;
