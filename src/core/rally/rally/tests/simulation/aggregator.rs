//! The aggregator's end: what arrives there, what it stores, sessions that break, and its death.

use super::*;

impl World {
    pub(super) fn arrive(&mut self, session: SessionId, up: Up) {
        if self.rally.is_none() || !self.ends.contains_key(&session) {
            return;
        }
        match up {
            Up::Hello(hello) => self.tell(Input::Opened(session, hello)),
            Up::Report(report) => self.tell(Input::Reported(session, report)),
            Up::Setup(answer) => self.tell(Input::SetupAnswered(session, answer)),
            Up::Teardown(answer) => self.tell(Input::TeardownAnswered(session, answer)),
            Up::Terms => {
                let handles_summary = self.handles_summary;
                self.verdict.learn(Terms { handles_summary, ..Terms::default() });
            }
            Up::Ledger(ledger) => {
                let source = self.rally.as_ref().and_then(|rally| rally.ledger_source(session));
                let Some((id, born_unix_ns)) = source else { return };
                let is_last = self.verdict.take(id, born_unix_ns, decode(ledger).unwrap()).unwrap();
                self.tell(Input::Ledgered { session, is_last });
            }
            Up::Summary => self.tell(Input::SummaryAnswered(session)),
            Up::Bundle(part) => self.tell(Input::BundleSent(session, part)),
            Up::WantBundle(offset) => self.tell(Input::BundleWanted(session, offset)),
            Up::Frame(seq) => {
                let source = self.rally.as_ref().and_then(|rally| rally.frame_source(session));
                let Some((id, incarnation)) = source else { return };
                self.in_flight += 1;
                self.tell(Input::InFlight(true));
                self.tell(Input::Held { instance_id: id, samples: seq % 7 + 1 });
                let delay = 5 + self.dice.ms(400);
                self.later(delay, Event::Stored(id, incarnation.to_string(), seq));
            }
        }
    }

    pub(super) fn stored(&mut self, id: u32, incarnation: &str, seq: u64) {
        // What a dead aggregator had in flight may be stored, but nobody says so.
        if self.in_flight == 0 || self.rally.is_none() {
            return;
        }
        self.in_flight -= 1;
        let outputs = vec![OutputCounts {
            name: OUTPUT.to_owned(),
            stored: seq % 7 + 1,
            rejected: BTreeMap::new(),
        }];
        self.tell(Input::Acked {
            instance_id: id,
            incarnation: incarnation.to_owned(),
            seq,
            samples: seq % 7 + 1,
            outputs,
        });
        let idle = self.in_flight == 0;
        self.tell(Input::InFlight(!idle));
        let session = self.rally.as_ref().and_then(|rally| rally.session_of(id, incarnation));
        let Some(session) = session else { return };
        let ack = crate::wire::session::Ack { seq, outputs: Vec::new() };
        let at = self.last_down.get(&session).copied().unwrap_or(0).max(self.now_ms + 5);
        self.last_down.insert(session, at);
        self.at(at, Event::ToAgent(session, Message::Ack(ack)));
    }

    pub(super) fn break_session(&mut self, session: SessionId) {
        let Some((id, incarnation)) = self.ends.remove(&session) else { return };
        // Both ends notice, each in its own time.
        let delay = self.dice.ms(9000);
        self.later(delay, Event::Closed(session));
        let delay = self.dice.ms(3000);
        if let Some(agent) = self.agent(id, &incarnation)
            && agent.session == Some(session)
        {
            agent.session = None;
            self.later(delay, Event::Dial(id, incarnation));
        }
    }

    pub(super) fn aggregator_dies(&mut self) {
        if self.rally.take().is_none() {
            return;
        }
        writeln!(self.trace, "{} aggregator dies", self.now_ms).unwrap();
        self.aggregator_deaths += 1;
        self.in_flight = 0;
        let sessions: Vec<SessionId> = self.ends.keys().copied().collect();
        for session in sessions {
            self.break_session(session);
        }
        let delay = 500 + self.dice.ms(8000);
        self.later(delay, Event::AggregatorComes);
    }
}
