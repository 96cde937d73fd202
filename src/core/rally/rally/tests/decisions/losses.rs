//! Instances that are away, lost, or about to be.

use super::*;

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
