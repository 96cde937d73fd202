use super::*;
use crate::{
    api::v1alpha1::{Output, RunnerLoss},
    core::plan::RunRef,
    wire::session::Report,
};

const OUTPUT: &str = "timestream";

fn plan() -> RunPlan {
    RunPlan {
        run: RunRef { namespace: "ns".into(), name: "run".into(), uid: "uid".into() },
        instances: 4,
        created_unix_ms: 0,
        ready_ms: 1000,
        drain_ms: 1000,
        runner_loss: RunnerLoss::default(),
        outputs: vec![Output::default()],
        replicas: 2,
    }
}

fn writer() -> Writer {
    Writer::new(&plan(), 1)
}

fn counts(stored: u64) -> Vec<OutputCounts> {
    vec![OutputCounts { name: OUTPUT.to_owned(), stored, ..OutputCounts::default() }]
}

fn hello(instance_id: u32, acked: u64) -> Hello {
    let acked_to = acked;
    let report = Report { acked, acked_to, outputs: counts(acked), ..Report::default() };
    Hello {
        protocol: PROTOCOL,
        run: "ns/run/uid".to_owned(),
        instance_id,
        incarnation: "i".to_owned(),
        report: Some(report),
        replica: 1,
        ..Hello::default()
    }
}

fn incarnation() -> Arc<str> {
    "i".into()
}

/// Of each tally that is told now: samples that the agent knows to be acknowledged, what is held, and the samples of each
/// frame that is settled besides.
fn told(writer: &mut Writer) -> Vec<(u32, u64, u64, Vec<u64>)> {
    let state = writer.state(false, 0);
    let of = |tally: &Tally| {
        let stored = |outputs: &[OutputCounts]| outputs.iter().map(|of| of.stored).sum::<u64>();
        assert_eq!(stored(&tally.outputs), tally.acked);
        let frames = tally.settled.iter().inspect(|f| assert_eq!(stored(&f.outputs), f.samples));
        let frames = frames.map(|frame| frame.samples).collect();
        (tally.instance_id, tally.acked, tally.held, frames)
    };
    state.tallies.iter().map(of).collect()
}

#[test]
fn only_agents_whose_samples_it_writes_are_served() {
    let mut writer = writer();
    let mut refused = |change: fn(&mut Hello)| {
        let mut hello = hello(2, 0);
        change(&mut hello);
        writer.opened(SessionId(1), &hello).unwrap_err()
    };
    assert!(refused(|hello| hello.replica = 0).contains("this is replica 1, not 0"));
    assert!(refused(|hello| hello.instance_id = 3).contains("instance 3 is not one of those"));
    assert!(refused(|hello| hello.instance_id = 6).contains("instance 6"));
    assert!(refused(|hello| hello.instance_id = 0).contains("instance 0"));
    assert!(refused(|hello| hello.protocol = 1).contains("different versions"));
    assert!(refused(|hello| hello.run = "other".to_owned()).contains("not other"));
    assert_eq!(writer.session_count(), 0);
    assert_eq!(writer.opened(SessionId(1), &hello(2, 0)), Ok(None));
    assert_eq!(writer.source_of(SessionId(1)), Some((2, incarnation())));
    assert_eq!(writer.session_of(2, &incarnation()), Some(SessionId(1)));
}

#[test]
fn a_tally_begins_with_what_the_agent_knew_and_outlives_its_sessions() {
    let mut writer = writer();
    writer.opened(SessionId(1), &hello(2, 100)).unwrap();
    writer.held(2, &incarnation(), 30);
    assert_eq!(told(&mut writer), [(2, 100, 30, vec![])]);
    writer.settled(2, &incarnation(), (101, 20), &counts(20));
    writer.closed(SessionId(1));
    assert_eq!(told(&mut writer), [(2, 100, 10, vec![20])]);
    // It has not heard of all acknowledgements: what it has not is told as it was.
    writer.opened(SessionId(2), &hello(2, 100)).unwrap();
    writer.settled(2, &incarnation(), (102, 10), &counts(10));
    assert_eq!(told(&mut writer), [(2, 100, 0, vec![10])], "what is new");
    assert_eq!(told(&mut writer), [], "nothing has changed");
    writer.dialled();
    assert_eq!(told(&mut writer), [(2, 100, 0, vec![20, 10])], "a new session hears all");
}

#[test]
fn a_frame_that_the_agent_knows_to_be_acknowledged_is_told_no_more() {
    let mut writer = writer();
    writer.opened(SessionId(1), &hello(2, 0)).unwrap();
    for seq in 1..=3 {
        writer.held(2, &incarnation(), 10);
        writer.settled(2, &incarnation(), (seq, 10), &counts(10));
    }
    let acked_but = vec![2];
    let report =
        Report { acked: 20, acked_to: 3, acked_but, outputs: counts(20), ..Report::default() };
    writer.reported(SessionId(1), &report);
    assert_eq!(told(&mut writer), [(2, 20, 0, vec![10])]);
    // It came again after it was forgotten that it had been here.
    writer.held(2, &incarnation(), 10);
    writer.settled(2, &incarnation(), (3, 10), &counts(10));
    writer.dialled();
    assert_eq!(told(&mut writer), [(2, 20, 0, vec![10])]);
    writer.reported(SessionId(9), &Report { acked: 99, ..Report::default() });
    assert_eq!(told(&mut writer), [], "there is no such session");
}

#[test]
fn a_second_session_of_an_agent_ends_the_first() {
    let mut writer = writer();
    writer.opened(SessionId(1), &hello(2, 0)).unwrap();
    assert_eq!(writer.opened(SessionId(2), &hello(2, 0)), Ok(Some(SessionId(1))));
    assert_eq!(writer.source_of(SessionId(1)), None);
    writer.closed(SessionId(1));
    assert_eq!(writer.session_of(2, &incarnation()), Some(SessionId(2)));
}

#[test]
fn of_an_agent_without_samples_nothing_is_kept() {
    let mut writer = writer();
    for id in 1..=100 {
        let other = Hello { incarnation: id.to_string(), ..hello(2, 0) };
        writer.opened(SessionId(id), &other).unwrap();
        writer.closed(SessionId(id));
    }
    assert!(writer.agents.is_empty() && writer.sessions.is_empty() && writer.untold.is_empty());
}

#[test]
fn what_is_settled_early_is_told_with_the_rest() {
    let mut writer = writer();
    writer.opened(SessionId(1), &hello(2, 0)).unwrap();
    writer.held(2, &incarnation(), 30);
    let early = Early { samples: 7, outputs: counts(7) };
    let early = BTreeMap::from([((2, incarnation()), BTreeMap::from([(5, early)]))]);
    writer.settled_early(&early);
    let [tally] = &writer.state(true, 0).tallies[..] else { panic!() };
    let told_early = vec![SettledFrame { seq: 5, samples: 7, outputs: counts(7) }];
    assert_eq!((tally.acked, tally.held, &tally.early), (0, 30, &told_early));
    writer.settled(2, &incarnation(), (5, 30), &counts(30));
    writer.settled_early(&BTreeMap::new());
    let [tally] = &writer.state(true, 0).tallies[..] else { panic!() };
    assert_eq!((tally.settled[0].samples, &tally.early[..]), (30, &[][..]));
}

#[test]
fn changes_are_told_soon_and_without_any_a_beat() {
    let mut writer = writer();
    assert_eq!(writer.state_due_ms(false), i64::MIN, "nothing was told yet");
    writer.state(false, 1000);
    assert_eq!(writer.state_due_ms(false), 1000 + BEAT_MS);
    assert_eq!(writer.state_due_ms(true), 1000 + STATE_MS);
    writer.set_output(0, |output| output.ready = true);
    assert_eq!(writer.state_due_ms(false), 1000 + STATE_MS);
    assert!(writer.state(false, 2000).outputs[0].ready);
    writer.opened(SessionId(1), &hello(4, 0)).unwrap();
    assert_eq!(writer.state_due_ms(false), 2000 + STATE_MS);
}

#[test]
fn many_tallies_travel_in_several_messages_and_hold_the_end_back() {
    let mut writer = writer();
    let count = u64::try_from(TALLIES_MAX).unwrap() + 5;
    for id in 1..=count {
        let other = Hello { incarnation: id.to_string(), ..hello(2, 1) };
        writer.opened(SessionId(id), &other).unwrap();
    }
    let first = writer.state(false, 1000);
    assert_eq!((first.tallies.len(), first.in_flight), (TALLIES_MAX, true));
    assert!(writer.state_due_ms(false) <= 1000, "the rest follows at once");
    let second = writer.state(false, 1000);
    assert_eq!((second.tallies.len(), second.in_flight), (5, false));
}

#[test]
fn frames_may_come_of_a_lost_instance_until_its_session_is_over() {
    let mut writer = writer();
    for (session, id) in [(1, 2), (2, 4)] {
        writer.opened(SessionId(session), &hello(id, 0)).unwrap();
    }
    let order_and_in_flight = |writer: &mut Writer| {
        let state = writer.state(false, 1000);
        (state.order, state.in_flight)
    };
    assert_eq!(order_and_in_flight(&mut writer), (0, false));
    writer.finished(Finish { order: 1, lost: vec![] });
    assert_eq!(writer.state_due_ms(false), 1000 + STATE_MS, "that it has heard is news");
    assert_eq!(order_and_in_flight(&mut writer), (1, false));
    writer.finished(Finish { order: 2, lost: vec![1, 2] });
    assert_eq!(order_and_in_flight(&mut writer), (2, true));
    assert_eq!(writer.state_due_ms(false), 1000 + BEAT_MS);
    writer.closed(SessionId(1));
    assert_eq!(writer.state_due_ms(false), 1000 + STATE_MS, "so is that nothing can come any more");
    assert_eq!(order_and_in_flight(&mut writer), (2, false));
    writer.dialled();
    assert_eq!(order_and_in_flight(&mut writer), (0, false), "orders are those of a session");
}
