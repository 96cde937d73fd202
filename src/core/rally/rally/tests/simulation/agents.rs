//! Agents: born and replaced, dialling, told what to do, saying what they did, and dying.

use super::*;

impl World {
    pub(super) fn be_born(&mut self, id: u32) {
        self.next_incarnation += 1;
        let incarnation = format!("i{}", self.next_incarnation);
        let mut report = Report { phase: AgentPhase::Preparing.into(), ..Report::default() };
        report.requirements = None;
        self.agents.insert(
            id,
            Agent {
                incarnation: incarnation.clone(),
                born_ms: self.now_ms,
                life: Life::Lives,
                report,
                measures: Some(Measures::new(&self.thresholds)),
                ..Agent::default()
            },
        );
        self.dial(id, &incarnation);
        if id == 1 {
            let delay = 50 + self.dice.ms(2000);
            self.later(delay, Event::Bundled(id, incarnation.clone()));
        }
        self.later(1000, Event::Tick(id, incarnation));
    }

    /// Now and then a script is another one when a replaced pod reads it again.
    pub(super) fn bundled(&mut self, id: u32, incarnation: &str) {
        let script: &[u8] = if self.dice.percent(5) { b"changed" } else { b"script" };
        let bundle = Bundle::new(script.to_vec(), b"{}".to_vec()).unwrap();
        let Some(agent) = self.agent(id, incarnation) else { return };
        let wanted = agent.part_wanted.take().map(|offset| bundle.part(offset));
        self.have_bundle(id, bundle);
        if let Some(part) = wanted {
            self.say(id, Up::Bundle(part));
        }
    }

    fn have_bundle(&mut self, id: u32, bundle: Bundle) {
        let agent = self.agents.get_mut(&id).unwrap();
        agent.report.bundle_sha256 = bundle.sha256.clone();
        agent.bundle = Some(bundle);
        let incarnation = agent.incarnation.clone();
        let delay = 500 + self.dice.ms(8000);
        self.later(delay, Event::Phase(id, incarnation, AgentPhase::Ready));
    }

    pub(super) fn agent(&mut self, id: u32, incarnation: &str) -> Option<&mut Agent> {
        let agent = self.agents.get_mut(&id)?;
        let is_it = agent.incarnation == incarnation && agent.life == Life::Lives;
        is_it.then_some(agent)
    }

    pub(super) fn dial(&mut self, id: u32, incarnation: &str) {
        let (has_rally, breaks) = (self.rally.is_some(), self.weather.session_breaks);
        let Some(agent) = self.agent(id, incarnation) else { return };
        if agent.session.is_some() {
            return;
        }
        if !has_rally {
            let delay = 500 + self.dice.ms(1500);
            self.later(delay, Event::Dial(id, incarnation.to_owned()));
            return;
        }
        self.next_session += 1;
        let session = SessionId(self.next_session);
        self.ends.insert(session, (id, incarnation.to_owned()));
        let agent = self.agents.get_mut(&id).unwrap();
        agent.session = Some(session);
        let hello = Hello {
            protocol: PROTOCOL,
            run: "ns/run/uid".to_owned(),
            instance_id: id,
            incarnation: incarnation.to_owned(),
            k6_version: String::new(),
            report: Some(agent.report.clone()),
            setup_data: agent.data.clone().map(Into::into),
            born_unix_ns: agent.born_ms * 1_000_000,
            replica: 0,
        };
        let frames: Vec<u64> = agent.frames.keys().copied().collect();
        self.up(session, Up::Hello(hello));
        for seq in frames {
            self.up(session, Up::Frame(seq));
        }
        self.up(session, Up::Terms);
        self.say_ledger(id, Detail::Summary);
        if self.dice.percent(breaks) {
            let delay = self.dice.ms(40_000);
            self.later(delay, Event::Break(session));
        }
    }

    fn up(&mut self, session: SessionId, up: Up) {
        let delay = 1 + self.dice.ms(40);
        let at = self.last_up.get(&session).copied().unwrap_or(0).max(self.now_ms + delay);
        self.last_up.insert(session, at);
        self.at(at, Event::ToRally(session, Box::new(up)));
    }

    fn say(&mut self, id: u32, up: Up) {
        if let Some(session) = self.agents.get(&id).and_then(|agent| agent.session) {
            self.up(session, up);
        }
    }

    fn say_ledger(&mut self, id: u32, detail: Detail) {
        let agent = self.agents.get_mut(&id).unwrap();
        let is_last = agent.report.phase == i32::from(AgentPhase::Finished);
        let Some(measures) = &mut agent.measures else { return };
        for part in measures.ledger.snapshot(detail, is_last) {
            self.say(id, Up::Ledger(part));
        }
    }

    fn report(&mut self, id: u32) {
        let report = self.agents[&id].report.clone();
        self.say(id, Up::Report(report));
    }

    pub(super) fn die(&mut self, id: u32) {
        let agent = self.agents.get_mut(&id).unwrap();
        if agent.life != Life::Lives {
            return;
        }
        agent.life = Life::Dead;
        self.agent_deaths += 1;
        writeln!(self.trace, "{} instance {id} dies", self.now_ms).unwrap();
        let (session, started) = (agent.session.take(), agent.has_started);
        if let Some(session) = session {
            self.ends.remove(&session);
            let delay = self.dice.ms(9000);
            self.later(delay, Event::Closed(session));
        }
        if started && self.dice.percent(50) {
            let delay = self.dice.ms(20_000);
            self.later(delay, Event::Named(id));
        }
        if self.dice.percent(70) {
            let delay = 1000 + self.dice.ms(20_000);
            self.later(delay, Event::Replace(id));
        }
    }

    pub(super) fn enter(&mut self, id: u32, incarnation: &str, phase: AgentPhase) {
        let (now_ms, no_setup) = (self.now_ms, !self.wants_setup);
        let fails = self.dice.percent(self.weather.script_fails);
        let Some(agent) = self.agent(id, incarnation) else { return };
        if agent.report.phase >= phase.into() {
            return;
        }
        agent.report.phase = phase.into();
        match phase {
            AgentPhase::Ready => {
                agent.report.requirements = Some(Requirements {
                    max_vus: 100,
                    total_duration_ms: 30_000,
                    no_setup,
                    setup_timeout_ms: 10_000,
                    teardown_timeout_ms: 10_000,
                    ..Requirements::default()
                });
            }
            AgentPhase::Running if fails => {
                agent.report.failure = Some(crate::wire::session::Failure {
                    reason: "ScriptFailed".to_owned(),
                    message: "TypeError".to_owned(),
                    exit_code: Some(107),
                    ..crate::wire::session::Failure::default()
                });
            }
            AgentPhase::Running => {
                let load = 20_000 + self.dice.ms(10_000);
                let ended = Event::Phase(id, incarnation.to_owned(), AgentPhase::Ended);
                self.later(load, ended);
            }
            AgentPhase::Ended => agent.report.ended_unix_ns = now_ms * 1_000_000,
            AgentPhase::Finished => agent.report.k6_exit_code = Some(0),
            AgentPhase::Unspecified | AgentPhase::Preparing | AgentPhase::Starting => {}
        }
        self.report(id);
        if phase == AgentPhase::Finished {
            self.say_ledger(id, Detail::Summary);
        }
    }

    pub(super) fn tick(&mut self, id: u32, incarnation: &str) {
        let now_ms = self.now_ms;
        let values: Vec<f64> = (0..3)
            .map(|_| {
                let low = if self.dice.percent(self.fast) { 0 } else { 50 };
                f64::from(u32::try_from(low + self.dice.below(50)).unwrap())
            })
            .collect();
        let Some(agent) = self.agent(id, incarnation) else { return };
        if agent.report.phase == i32::from(AgentPhase::Running) {
            let seq = agent.report.last_seq + 1;
            agent.report.last_seq = seq;
            agent.report.emitted += seq % 7 + 1;
            agent.frames.insert(seq, seq % 7 + 1);
            agent.report.acked_to = seq;
            agent.report.acked_but.push(seq);
            if let Some(measures) = &mut agent.measures {
                measures.seen += 1;
                measures.add("seen", 1.0, now_ms);
                for value in values {
                    measures.took.push(value);
                    measures.add("took", value, now_ms);
                }
            }
            self.say(id, Up::Frame(seq));
            self.say_ledger(id, Detail::Verdict);
        }
        self.report(id);
        self.later(1000, Event::Tick(id, incarnation.to_owned()));
    }

    pub(super) fn deliver(&mut self, session: SessionId, message: Message) {
        let Some((id, incarnation)) = self.ends.get(&session).cloned() else { return };
        let now_ms = self.now_ms;
        let setup_fails = self.dice.percent(self.weather.setup_fails);
        let Some(agent) = self.agent(id, &incarnation) else { return };
        match message {
            Message::RunSetup(_) => {
                let is_new = agent.setup.is_none();
                let answer = agent.setup.clone().unwrap_or(Answer {
                    ok: !setup_fails,
                    data: Some(b"{}".to_vec().into()),
                    failure: setup_fails.then(Default::default),
                });
                if answer.ok {
                    agent.data = Some(b"{}".to_vec());
                }
                agent.setup = Some(answer.clone());
                self.setups += u32::from(is_new);
                self.say(id, Up::Setup(answer));
            }
            Message::SetupData(data) => agent.data = Some(data.data.to_vec()),
            Message::Start(_) if agent.report.phase == i32::from(AgentPhase::Ready) => {
                assert!(
                    agent.data.is_some() || !self.wants_setup,
                    "instance {id} is started without the data of setup()"
                );
                let agent = self.agents.get_mut(&id).unwrap();
                agent.has_started = true;
                agent.report.phase = AgentPhase::Starting.into();
                agent.report.started_unix_ns = now_ms * 1_000_000;
                *self.starts.entry(id).or_default() += 1;
                self.report(id);
                self.later(20, Event::Phase(id, incarnation, AgentPhase::Running));
            }
            Message::Stop(_) => {
                let is_up = agent.report.phase >= AgentPhase::Ready.into();
                let delay = 10 + self.dice.ms(3000);
                let phase = if is_up { AgentPhase::Ended } else { AgentPhase::Finished };
                self.later(delay, Event::Phase(id, incarnation, phase));
            }
            Message::RunTeardown(_) => {
                let is_new = !agent.teardown;
                agent.teardown = true;
                self.teardowns += u32::from(is_new);
                self.say(id, Up::Teardown(Answer { ok: true, ..Answer::default() }));
            }
            Message::RunSummary(_) => {
                let is_new = agent.summary.is_none();
                agent.summary.get_or_insert_default();
                self.summaries += u32::from(is_new);
                self.say(id, Up::Summary);
            }
            Message::Finish(_) => {
                let delay = 10 + self.dice.ms(500);
                self.later(delay, Event::Phase(id, incarnation, AgentPhase::Finished));
            }
            Message::Ack(ack) => {
                if let Some(count) = agent.frames.remove(&ack.seq) {
                    agent.report.acked += count;
                    agent.report.acked_but.retain(|seq| *seq != ack.seq);
                    match agent.report.outputs.first_mut() {
                        Some(counts) => counts.stored += count,
                        None => agent.report.outputs.push(OutputCounts {
                            name: OUTPUT.to_owned(),
                            stored: count,
                            rejected: BTreeMap::new(),
                        }),
                    }
                    self.report(id);
                }
            }
            Message::Goodbye(_) | Message::Refused(_) => {
                agent.life = Life::Gone;
                agent.session = None;
                self.ends.remove(&session);
                self.later(5, Event::Closed(session));
            }
            Message::Welcome(_) => {
                agent.part_wanted = None;
                if id != 1 && agent.bundle.is_none() {
                    let offset = agent.assembly.wanted();
                    self.say(id, Up::WantBundle(offset));
                }
            }
            Message::SendBundle(wanted) => {
                match agent.bundle.as_ref().map(|b| b.part(wanted.offset)) {
                    Some(part) => self.say(id, Up::Bundle(part)),
                    None => agent.part_wanted = Some(wanted.offset),
                }
            }
            Message::Bundle(part) => {
                let taken = agent.assembly.take(&part).unwrap();
                if agent.bundle.is_none()
                    && let Progress::Whole(bundle) = taken
                {
                    self.have_bundle(id, bundle);
                }
            }
            Message::Start(_) => {}
        }
    }
}
