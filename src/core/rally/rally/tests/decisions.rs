//! Single decisions, one at a time: here those before the start.

mod ends;
mod losses;

use crate::core::rally::rally::*;
use crate::{
    api::v1alpha1::{LossPolicy, RunnerLoss},
    core::verdict::Judgement,
    wire::{
        PROTOCOL,
        session::{AgentPhase, Failure, Hello, Outcome as Answer, OutputCounts, Report},
    },
};

struct Field {
    rally: Rally,
    now_ms: i64,
    sent: Vec<(u64, Message)>,
    closed: Vec<u64>,
}

impl Field {
    fn new(instances: u32, runner_loss: RunnerLoss) -> Self {
        Self::with(instances, runner_loss, false)
    }

    fn with(instances: u32, runner_loss: RunnerLoss, has_writers: bool) -> Self {
        let config = RallyConfig {
            run: "ns/run/uid".to_owned(),
            instances,
            ready_deadline_ms: 60_000,
            drain_ms: 30_000,
            runner_loss,
            outputs: vec!["timestream".to_owned()],
            has_writers,
        };
        Self { rally: Rally::new(config, None, 0), now_ms: 0, sent: Vec::new(), closed: Vec::new() }
    }

    fn tell(&mut self, input: Input) {
        self.rally.handle(input, self.now_ms);
        while let Some(action) = self.rally.poll_action() {
            match action {
                Action::Send(session, message) => self.sent.push((session.0, message)),
                Action::Close(session) => self.closed.push(session.0),
                Action::Judge => {
                    self.rally.handle(Input::Judged(Judgement::default()), self.now_ms);
                }
                Action::End => {}
            }
        }
    }

    fn hello(&mut self, session: u64, id: u32, incarnation: &str, report: Report) {
        let hello = Hello {
            protocol: PROTOCOL,
            run: "ns/run/uid".to_owned(),
            instance_id: id,
            incarnation: incarnation.to_owned(),
            report: Some(report),
            ..Hello::default()
        };
        self.tell(Input::Opened(SessionId(session), hello));
    }

    /// Who has finished has told its last ledger.
    fn report(&mut self, session: u64, report: Report) {
        let is_last = report.phase == i32::from(AgentPhase::Finished);
        self.tell(Input::Ledgered { session: SessionId(session), is_last });
        self.tell(Input::Reported(SessionId(session), report));
    }

    fn wait_until(&mut self, at_ms: i64) {
        while let Some(due_ms) = self.rally.poll_timeout().filter(|due_ms| *due_ms <= at_ms) {
            self.now_ms = self.now_ms.max(due_ms);
            self.tell(Input::Timeout { held_back: false });
        }
        self.now_ms = at_ms;
    }

    fn count(&self, is: impl Fn(&Message) -> bool) -> usize {
        self.sent.iter().filter(|(_, message)| is(message)).count()
    }

    fn outcome(&self) -> (Reason, String) {
        let outcome = self.rally.result().outcome.expect("the run is over");
        (outcome.reason, outcome.message)
    }

    /// All instances ready and started, without setup and teardown.
    fn running(instances: u32, runner_loss: RunnerLoss) -> Self {
        Self::new(instances, runner_loss).run(instances)
    }

    fn run(self, instances: u32) -> Self {
        let mut field = self;
        field.tell(Input::OutputReady(0));
        for id in 1..=instances {
            field.hello(id.into(), id, "a", report(AgentPhase::Ready, 0, 0));
        }
        assert_eq!(field.count(|m| matches!(m, Message::Start(_))), instances as usize);
        for id in 1..=instances {
            field.report(id.into(), report(AgentPhase::Running, 0, 0));
        }
        field
    }
}

fn report(phase: AgentPhase, emitted: u64, acked: u64) -> Report {
    Report {
        phase: phase.into(),
        emitted,
        acked,
        outputs: vec![OutputCounts {
            name: "timestream".to_owned(),
            stored: acked,
            ..OutputCounts::default()
        }],
        requirements: Some(Requirements {
            max_vus: 100,
            total_duration_ms: 20_000,
            no_setup: true,
            no_teardown: true,
            ..Requirements::default()
        }),
        started_unix_ns: i64::from(phase >= AgentPhase::Running),
        ..Report::default()
    }
}

/// Of an instance that was stopped before the start.
fn unstarted() -> Report {
    Report { started_unix_ns: 0, ..report(AgentPhase::Finished, 0, 0) }
}

fn failure(reason: &str, exit_code: i32) -> Failure {
    Failure {
        reason: reason.to_owned(),
        message: "why".to_owned(),
        exit_code: Some(exit_code),
        ..Failure::default()
    }
}

fn tolerate(max_percent: u32) -> RunnerLoss {
    RunnerLoss { policy: LossPolicy::Tolerate, max_percent }
}

#[test]
fn nobody_starts_before_the_outputs_are_ready() {
    let mut field = Field::new(1, RunnerLoss::default());
    field.hello(1, 1, "a", report(AgentPhase::Ready, 0, 0));
    assert_eq!(field.count(|m| matches!(m, Message::Start(_))), 0);
    field.tell(Input::OutputReady(0));
    assert_eq!(field.count(|m| matches!(m, Message::Start(_))), 1);
}

#[test]
fn the_ready_deadline_names_who_is_missing_and_where_they_stand() {
    let mut field = Field::new(3, RunnerLoss::default());
    field.tell(Input::OutputReady(0));
    field.hello(1, 1, "a", report(AgentPhase::Ready, 0, 0));
    field.hello(2, 2, "a", report(AgentPhase::Preparing, 0, 0));
    assert_eq!(
        field.rally.result().message,
        "waiting for 2 of 3 instances: 2 (preparing), 3 (not connected)"
    );
    field.wait_until(60_000);
    assert_eq!(field.count(|m| matches!(m, Message::Stop(_))), 2);
    field.report(1, unstarted());
    field.report(2, unstarted());
    let expected = "not ready in time: 2 of 3 instances: 2 (preparing), 3 (not connected)";
    assert_eq!(field.outcome(), (Reason::DeadlineExceeded, expected.to_owned()));
}

#[test]
fn an_output_that_never_answers_is_named_at_the_ready_deadline() {
    let mut field = Field::new(1, RunnerLoss::default());
    field.hello(1, 1, "a", report(AgentPhase::Ready, 0, 0));
    field.tell(Input::OutputTrouble(0, "connection refused".to_owned()));
    let waiting = "waiting for the outputs; output timestream: connection refused";
    assert_eq!(field.rally.result().message, waiting);
    field.wait_until(60_000);
    field.report(1, unstarted());
    let expected = "not ready in time: output timestream: connection refused";
    assert_eq!(field.outcome(), (Reason::OutputFailed, expected.to_owned()));
}

#[test]
fn more_instances_than_vus_are_a_fault_of_the_spec() {
    let mut field = Field::new(2, RunnerLoss::default());
    let mut small = report(AgentPhase::Ready, 0, 0);
    small.requirements = Some(Requirements { max_vus: 1, ..Requirements::default() });
    field.hello(1, 1, "a", small);
    field.report(1, unstarted());
    let (reason, message) = field.outcome();
    assert_eq!(reason, Reason::InvalidSpec);
    assert!(message.contains("spec.parallelism is 2") && message.contains("1 VUs"), "{message}");
}

#[test]
fn before_the_start_a_second_process_takes_the_first_ones_place_after_it_never() {
    let mut field = Field::new(2, RunnerLoss::default());
    field.tell(Input::OutputReady(0));
    field.hello(1, 1, "a", report(AgentPhase::Preparing, 0, 0));
    field.hello(2, 1, "b", report(AgentPhase::Ready, 0, 0));
    assert!(matches!(&field.sent[1], (1, Message::Refused(_))), "{:?}", field.sent);
    assert_eq!(field.closed, [1]);
    field.hello(3, 2, "a", report(AgentPhase::Ready, 0, 0));
    assert_eq!(field.count(|m| matches!(m, Message::Start(_))), 2);
    field.hello(4, 1, "c", report(AgentPhase::Preparing, 0, 0));
    assert!(matches!(field.sent.last(), Some((4, Message::Refused(_)))));
    assert_eq!(field.rally.result().lost, [], "the one that runs has its session still");
}

#[test]
fn setup_runs_once_and_its_data_goes_to_all_before_the_start() {
    let mut field = Field::new(2, RunnerLoss::default());
    let with_setup = || {
        let mut ready = report(AgentPhase::Ready, 0, 0);
        ready.requirements = Some(Requirements { max_vus: 9, ..Requirements::default() });
        ready
    };
    field.tell(Input::OutputReady(0));
    field.hello(1, 1, "a", with_setup());
    field.hello(2, 2, "a", with_setup());
    field.tell(Input::Closed(SessionId(1)));
    field.hello(3, 1, "a", with_setup());
    assert_eq!(
        field.count(|m| matches!(m, Message::RunSetup(_))),
        2,
        "told again to the same process"
    );
    let answer =
        Answer { ok: true, data: Some(b"{\"a\":1}".as_slice().into()), ..Answer::default() };
    field.tell(Input::SetupAnswered(SessionId(2), answer.clone()));
    assert_eq!(field.count(|m| matches!(m, Message::Start(_))), 0, "only the one asked may answer");
    field.tell(Input::SetupAnswered(SessionId(3), answer));
    let order: Vec<&Message> = field.sent.iter().rev().take(4).map(|(_, m)| m).collect();
    assert!(matches!(
        order[..],
        [Message::Start(_), Message::Start(_), Message::SetupData(_), Message::SetupData(_)]
    ));
}

#[test]
fn setup_data_that_came_with_a_redial_goes_to_all_as_well() {
    let mut field = Field::new(2, RunnerLoss::default());
    let mut ready = report(AgentPhase::Ready, 0, 0);
    ready.requirements = Some(Requirements { max_vus: 9, ..Requirements::default() });
    field.tell(Input::OutputReady(0));
    field.hello(1, 1, "a", ready.clone());
    field.hello(2, 2, "a", ready.clone());
    field.tell(Input::Closed(SessionId(1)));
    let data = Some(b"{}".as_slice().into());
    let redial = Hello {
        protocol: PROTOCOL,
        run: "ns/run/uid".to_owned(),
        instance_id: 1,
        incarnation: "a".to_owned(),
        report: Some(ready),
        setup_data: data.clone(),
        ..Hello::default()
    };
    field.tell(Input::Opened(SessionId(3), redial));
    let answer = Answer { ok: true, data, ..Answer::default() };
    field.tell(Input::SetupAnswered(SessionId(3), answer));
    let to_second: Vec<&Message> =
        field.sent.iter().filter(|(to, _)| *to == 2).map(|(_, message)| message).collect();
    assert!(matches!(
        to_second[..],
        [Message::Welcome(_), Message::SetupData(_), Message::Start(_)]
    ));
}

#[test]
fn a_setup_that_is_half_done_is_not_done_again_elsewhere() {
    let mut field = Field::new(1, RunnerLoss::default());
    field.tell(Input::OutputReady(0));
    let mut ready = report(AgentPhase::Ready, 0, 0);
    ready.requirements = Some(Requirements { max_vus: 9, ..Requirements::default() });
    field.hello(1, 1, "a", ready.clone());
    field.tell(Input::Closed(SessionId(1)));
    field.hello(2, 1, "b", ready);
    field.report(2, unstarted());
    let expected = "instance 1 was lost while setup() ran on it".to_owned();
    assert_eq!(field.outcome(), (Reason::SetupFailed, expected));
    assert_eq!(field.count(|m| matches!(m, Message::RunSetup(_))), 1);
}
