//! How a run ends: which cause, when, and with which books.

use super::*;

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

#[test]
fn samples_that_a_failed_output_refused_fail_the_run_though_who_gave_it_up_ended_before_it_said_so()
{
    let mut field = Field::running(2, RunnerLoss::default());
    field.report(1, report(AgentPhase::Finished, 10, 10));
    let mut told = report(AgentPhase::Finished, 30, 30);
    told.outputs[0].stored = 25;
    told.outputs[0].rejected.insert("OutputFailed".to_owned(), 5);
    field.report(2, told);
    let (reason, message) = field.outcome();
    assert_eq!(reason, Reason::OutputFailed);
    assert!(message.starts_with("output timestream: 5 samples were refused"), "{message}");
    let output = &field.rally.result().outputs[0];
    assert_eq!((output.emitted, output.stored, output.rejected["OutputFailed"]), (40, 35, 5));
}
