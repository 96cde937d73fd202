//! Single decisions, one at a time.

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

#[test]
fn an_instance_that_is_away_too_long_is_lost_and_named_better_when_more_is_known() {
    let mut field = Field::running(2, RunnerLoss::default());
    field.tell(Input::Closed(SessionId(2)));
    field.wait_until(AWAY_MS - 1);
    assert_eq!(field.rally.result().lost, []);
    field.wait_until(AWAY_MS);
    assert_eq!(field.rally.result().lost[0].reason, "SessionLost");
    assert_eq!(field.count(|m| matches!(m, Message::Stop(_))), 1);
    field.tell(Input::Gone(2, "OOMKilled".to_owned()));
    field.report(1, report(AgentPhase::Finished, 0, 0));
    let expected = "lost 1 of 2 instances: 2 (OOMKilled)".to_owned();
    assert_eq!(field.outcome(), (Reason::RunnersLost, expected));
}

#[test]
fn an_instance_whose_network_was_cut_for_half_a_minute_is_as_if_it_had_been_there() {
    let mut field = Field::running(2, RunnerLoss::default());
    field.report(1, report(AgentPhase::Running, 10, 10));
    field.report(2, report(AgentPhase::Running, 10, 10));
    field.tell(Input::Closed(SessionId(2)));
    field.wait_until(30_000);
    field.hello(3, 2, "a", report(AgentPhase::Finished, 40, 10));
    field.report(1, report(AgentPhase::Finished, 40, 40));
    field.report(3, report(AgentPhase::Finished, 40, 40));
    assert_eq!(field.outcome().0, Reason::ThresholdsMet);
    let result = field.rally.result();
    assert_eq!(
        (result.lost.len(), result.outputs[0].emitted, result.outputs[0].stored),
        (0, 80, 80)
    );
}

#[test]
fn a_silent_instance_whose_pod_is_gone_is_lost_without_a_wait() {
    let mut field = Field::running(2, RunnerLoss::default());
    field.tell(Input::Closed(SessionId(2)));
    field.wait_until(1_000);
    field.tell(Input::Gone(2, "Evicted".to_owned()));
    assert_eq!(field.rally.result().lost[0].reason, "Evicted");
    assert_eq!(field.count(|m| matches!(m, Message::Stop(_))), 1);
}

#[test]
fn a_tolerated_loss_lets_the_run_pass_and_its_samples_are_accounted_for() {
    let mut field = Field::running(4, tolerate(25));
    field.report(2, report(AgentPhase::Running, 100, 0));
    let outputs =
        vec![OutputCounts { name: "timestream".to_owned(), stored: 60, ..OutputCounts::default() }];
    let incarnation = "a".to_owned();
    field.tell(Input::Acked { instance_id: 2, incarnation, seq: 1, samples: 60, outputs });
    field.tell(Input::Gone(2, "Evicted".to_owned()));
    field.tell(Input::Closed(SessionId(2)));
    for session in [1, 3, 4] {
        field.report(session, report(AgentPhase::Ended, 10, 10));
    }
    for session in [1, 3, 4] {
        field.report(session, report(AgentPhase::Finished, 10, 10));
    }
    let (reason, message) = field.outcome();
    assert_eq!(reason, Reason::ThresholdsMet, "{message}");
    let output = &field.rally.result().outputs[0];
    assert_eq!((output.emitted, output.stored, output.rejected["RunnerLost"]), (130, 90, 40));
}

#[test]
fn the_books_stay_open_until_writers_were_asked_for_those_that_are_lost() {
    let running = || Field::with(2, tolerate(50), true).run(2);
    let is_over = |field: &Field| field.rally.result().outcome.is_some();

    let mut field = running();
    (1..=2).for_each(|id| field.report(id, report(AgentPhase::Finished, 10, 10)));
    assert!(is_over(&field), "nobody is lost");

    let mut field = running();
    field.tell(Input::Gone(2, "Evicted".to_owned()));
    field.tell(Input::Closed(SessionId(2)));
    field.tell(Input::InFlight(false));
    field.report(1, report(AgentPhase::Finished, 10, 10));
    assert_eq!(field.rally.silent(), &BTreeSet::from([2]));
    assert!(field.rally.is_in_flight() && !is_over(&field), "they were not asked at the end");
    field.tell(Input::InFlight(false));
    assert!(is_over(&field));

    let mut field = running();
    field.report(1, report(AgentPhase::Finished, 10, 10));
    field.tell(Input::InFlight(false));
    field.tell(Input::Gone(2, "Evicted".to_owned()));
    field.tell(Input::Closed(SessionId(2)));
    assert!(!is_over(&field), "what they said before does not count");
    field.wait_until(30_000);
    assert_eq!(field.outcome().0, Reason::ThresholdsMet, "nobody waits for ever");
}

#[test]
fn one_loss_more_than_tolerated_ends_the_run() {
    let mut field = Field::running(4, tolerate(25));
    field.tell(Input::Gone(2, "Evicted".to_owned()));
    assert_eq!(field.count(|m| matches!(m, Message::Stop(_))), 0);
    field.tell(Input::Gone(3, "Evicted".to_owned()));
    assert_eq!(field.count(|m| matches!(m, Message::Stop(_))), 4);
}

#[test]
fn an_instance_that_says_it_must_go_is_lost_but_may_hand_over() {
    let mut field = Field::running(2, tolerate(50));
    let mut going = report(AgentPhase::Running, 50, 20);
    going.failure = Some(failure("RunnersLost", 143));
    field.report(2, going.clone());
    assert_eq!(field.rally.result().lost[0].reason, "ExitCode143");
    field.report(1, report(AgentPhase::Ended, 5, 5));
    field.report(1, report(AgentPhase::Finished, 5, 5));
    assert_eq!(field.rally.result().outcome, None, "its samples are still on their way");
    going.acked = 50;
    going.outputs[0].stored = 50;
    going.phase = AgentPhase::Finished.into();
    field.report(2, going);
    assert_eq!(field.outcome().0, Reason::ThresholdsMet);
    assert_eq!(field.rally.result().outputs[0].stored, 55);
}

#[test]
fn the_first_cause_wins_over_what_follows_from_it() {
    let mut field = Field::running(2, RunnerLoss::default());
    let mut failed = report(AgentPhase::Running, 0, 0);
    failed.failure = Some(failure("Aborted", 108));
    field.report(2, failed);
    field.tell(Input::Stop("a user stopped the run".to_owned()));
    field.tell(Input::Gone(1, "OOMKilled".to_owned()));
    field.tell(Input::Closed(SessionId(1)));
    let mut failed = report(AgentPhase::Finished, 0, 0);
    failed.failure = Some(failure("ScriptFailed", 107));
    field.report(2, failed);
    let outcome = field.rally.result().outcome.unwrap();
    assert_eq!((outcome.reason, outcome.exit_code), (Reason::Aborted, 108));
    assert_eq!(outcome.message, "instance 2: why");
}

#[test]
fn exit_codes_that_follow_from_our_own_stop_are_no_failure() {
    for (code, reason) in [
        (0, Reason::ThresholdsMet),
        (103, Reason::ThresholdsMet),
        (105, Reason::ThresholdsMet),
        (99, Reason::ThresholdsMet),
        (107, Reason::ScriptFailed),
        (108, Reason::Aborted),
        (110, Reason::Aborted),
        (137, Reason::ThresholdsMet),
    ] {
        let mut field = Field::running(1, RunnerLoss::default());
        field.report(1, report(AgentPhase::Ended, 0, 0));
        let mut finished = report(AgentPhase::Finished, 0, 0);
        finished.k6_exit_code = Some(code);
        field.report(1, finished);
        assert_eq!(field.outcome().0, reason, "exit code {code}");
    }
    let mut field = Field::running(1, RunnerLoss::default());
    let mut finished = report(AgentPhase::Finished, 0, 0);
    finished.k6_exit_code = Some(137);
    field.report(1, finished);
    let expected = "instance 1: k6 ended with exit code 137".to_owned();
    assert_eq!(field.outcome(), (Reason::RunnersLost, expected), "before it was told to go");
}

#[test]
fn books_that_do_not_close_name_how_many_are_missing_and_whose() {
    let mut field = Field::running(2, RunnerLoss::default());
    field.report(1, report(AgentPhase::Finished, 10, 10));
    let framed = Report { framed: 30, ..report(AgentPhase::Finished, 30, 10) };
    field.report(2, framed);
    field.tell(Input::Held { instance_id: 2, samples: 7 });
    field.tell(Input::OutputTrouble(0, "connection refused".to_owned()));
    field.wait_until(30_000);
    let expected = "20 samples are not stored, of 1 of 2 instances: 2 (finished): \
                    7 in the aggregator's memory (instance 2: 7), 13 in the agent's spool (instance 2: 13); \
                    output timestream: connection refused";
    assert_eq!(field.outcome(), (Reason::OutputFailed, expected.to_owned()));
    let output = &field.rally.result().outputs[0];
    assert_eq!((output.emitted, output.stored, output.in_flight), (40, 20, 20));
}

#[test]
fn an_instance_that_does_not_end_because_outputs_take_nothing_is_their_failure() {
    let mut field = Field::running(1, RunnerLoss::default());
    field.report(1, report(AgentPhase::Ended, 0, 0));
    let ended = Report { framed: 25, ..report(AgentPhase::Ended, 30, 10) };
    field.report(1, ended);
    field.wait_until(29_000);
    field.tell(Input::OutputTrouble(0, "no answer".to_owned()));
    field.wait_until(31_000);
    let expected = "not finished in time: 1 of 1 instances: 1 (ended); 20 samples are not stored: \
                    15 in the agent's spool (instance 1: 15), \
                    5 read from k6 but in no frame yet (instance 1: 5), \
                    more may be in k6's pipe (instance 1); output timestream: no answer";
    assert_eq!(field.outcome(), (Reason::OutputFailed, expected.to_owned()));
}

#[test]
fn a_load_that_does_not_end_is_stopped_unless_agents_are_only_held_back() {
    let mut field = Field::running(1, RunnerLoss::default());
    let due_ms = 20_000 + RUN_SLACK_MS;
    field.now_ms = due_ms;
    field.tell(Input::Timeout { held_back: true });
    assert_eq!(field.count(|m| matches!(m, Message::Stop(_))), 0);
    field.wait_until(due_ms + 60_000);
    assert_eq!(field.count(|m| matches!(m, Message::Stop(_))), 1);
    let mut field = Field::running(1, RunnerLoss::default());
    for _ in 0..100 {
        field.now_ms += 10_000;
        field.tell(Input::Timeout { held_back: true });
    }
    assert_eq!(field.count(|m| matches!(m, Message::Stop(_))), 1, "not for ever");
}

#[test]
fn a_restarted_aggregator_starts_who_waited_and_refuses_who_came_after_the_start() {
    let mut field = Field::new(3, RunnerLoss::default());
    field.now_ms = 10_000;
    let mut running = report(AgentPhase::Running, 0, 0);
    running.started_unix_ns = 9_000_000_000;
    field.hello(1, 1, "a", running);
    field.hello(2, 2, "a", report(AgentPhase::Ready, 0, 0));
    assert!(matches!(field.sent.last(), Some((2, Message::Start(_)))));
    let born_late = Hello {
        protocol: PROTOCOL,
        run: "ns/run/uid".to_owned(),
        instance_id: 3,
        incarnation: "b".to_owned(),
        report: Some(report(AgentPhase::Ready, 0, 0)),
        born_unix_ns: 9_500_000_000,
        ..Hello::default()
    };
    field.tell(Input::Opened(SessionId(3), born_late));
    assert_eq!(field.count(|m| matches!(m, Message::Refused(_))), 1);
    assert_eq!(field.rally.result().lost[0].instance_id, 3);
}

#[test]
fn a_shutdown_ends_every_wait_in_time() {
    let mut field = Field::running(2, RunnerLoss::default());
    field.tell(Input::Shutdown(45_000, "the aggregator was told to end".to_owned()));
    assert_eq!(field.count(|m| matches!(m, Message::Stop(_))), 2);
    field.report(1, report(AgentPhase::Finished, 0, 0));
    field.wait_until(45_000);
    let (reason, message) = field.outcome();
    assert_eq!(reason, Reason::Stopped);
    let expected =
        "the aggregator was told to end; not finished in time: 1 of 2 instances: 2 (running)";
    assert_eq!(message, expected);
}

#[test]
fn what_an_instance_guessed_gives_way_to_what_it_knows_and_only_to_that() {
    let mut field = Field::running(2, RunnerLoss::default());
    let mut guess = report(AgentPhase::Running, 0, 0);
    guess.failure = Some(Failure { provisional: true, ..failure("ScriptFailed", 107) });
    field.report(1, guess);
    let mut other = report(AgentPhase::Running, 0, 0);
    other.failure = Some(failure("Aborted", 110));
    field.report(2, other);
    assert_eq!(field.rally.result().cause.unwrap().reason, Reason::ScriptFailed);
    let mut exact = report(AgentPhase::Finished, 0, 0);
    exact.failure = Some(failure("Aborted", 108));
    field.report(1, exact);
    field.report(2, report(AgentPhase::Finished, 0, 0));
    let outcome = field.rally.result().outcome.unwrap();
    assert_eq!((outcome.reason, outcome.exit_code), (Reason::Aborted, 108));
    assert_eq!(outcome.message, "instance 1: why");
}

#[test]
fn samples_for_which_an_agent_had_no_room_are_accounted_for() {
    let mut field = Field::running(1, RunnerLoss::default());
    let mut full = report(AgentPhase::Finished, 100, 70);
    full.dropped = 30;
    full.failure = Some(failure("OutputFailed", 255));
    field.report(1, full);
    assert_eq!(field.outcome().0, Reason::OutputFailed);
    let output = &field.rally.result().outputs[0];
    assert_eq!((output.emitted, output.stored, output.rejected["SpoolFull"]), (100, 70, 30));
}

#[test]
fn a_run_that_drops_samples_as_it_was_asked_to_passes_and_says_how_many() {
    let mut field = Field::running(2, RunnerLoss::default());
    let full = "the spool of 64 MiB is full";
    let dropped = |why: &str| {
        let mut dropped = report(AgentPhase::Finished, 100, 70);
        (dropped.dropped, dropped.dropped_why) = (30, why.to_owned());
        dropped
    };
    field.report(1, dropped(full));
    field.report(2, report(AgentPhase::Finished, 10, 10));
    let (reason, message) = field.outcome();
    assert_eq!(reason, Reason::ThresholdsMet);
    let note = format!("; 30 samples were dropped by instance 1: {full}");
    assert!(message.ends_with(&note), "{message}");
    let output = &field.rally.result().outputs[0];
    assert_eq!((output.emitted, output.stored, output.rejected["SpoolFull"]), (110, 80, 30));

    let mut field = Field::running(2, RunnerLoss::default());
    field.report(1, dropped(full));
    field.report(2, dropped("another"));
    let message = field.outcome().1;
    let note = format!("; 60 samples were dropped by 2 instances (1, …): {full}");
    assert!(message.ends_with(&note), "{message}");
}

#[test]
fn samples_that_an_agent_could_not_read_back_have_a_word_of_their_own() {
    let mut field = Field::running(1, RunnerLoss::default());
    let mut rotten = report(AgentPhase::Finished, 100, 70);
    (rotten.dropped, rotten.unreadable) = (30, 20);
    rotten.dropped_why = "why".to_owned();
    rotten.failure = Some(failure("OutputFailed", 255));
    field.report(1, rotten);
    let (reason, message) = field.outcome();
    assert_eq!(reason, Reason::OutputFailed);
    let told = "instance 1: why; 30 samples were dropped by instance 1";
    assert_eq!(message, told, "the reason is told once");
    let output = &field.rally.result().outputs[0];
    assert_eq!((output.rejected["SpoolFull"], output.rejected["SpoolUnreadable"]), (10, 20));
    assert_eq!(output.emitted, output.stored + 30);
}

#[test]
fn who_may_have_run_teardown_for_a_former_aggregator_is_waited_for() {
    let mut field = Field::new(3, RunnerLoss::default());
    field.tell(Input::OutputReady(0));
    let ended = || {
        let mut ended = report(AgentPhase::Ended, 0, 0);
        ended.requirements = Some(Requirements { max_vus: 9, ..Requirements::default() });
        ended.started_unix_ns = 0;
        ended
    };
    let hello = |id, session| {
        let hello = Hello {
            protocol: PROTOCOL,
            run: "ns/run/uid".to_owned(),
            instance_id: id,
            incarnation: "a".to_owned(),
            report: Some(ended()),
            setup_data: Some(b"{}".as_slice().into()),
            ..Hello::default()
        };
        Input::Opened(SessionId(session), hello)
    };
    field.tell(hello(2, 2));
    field.tell(hello(3, 3));
    assert_eq!(field.count(|m| matches!(m, Message::RunTeardown(_))), 0);
    field.tell(hello(1, 1));
    assert!(matches!(field.sent.last(), Some((1, Message::RunTeardown(_)))), "{:?}", field.sent);
    assert_eq!(field.rally.result().cause.unwrap().reason, Reason::Stopped);
}

#[test]
fn a_run_that_a_former_aggregator_stopped_before_its_start_does_not_pass() {
    let mut field = Field::new(1, RunnerLoss::default());
    field.tell(Input::OutputReady(0));
    field.hello(1, 1, "a", Report { started_unix_ns: 0, ..report(AgentPhase::Ended, 0, 0) });
    field.report(1, unstarted());
    assert_eq!(field.outcome().0, Reason::Stopped);
    assert_eq!(field.count(|m| matches!(m, Message::Start(_))), 0);
}
