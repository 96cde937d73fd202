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
    let report = Report { acked, outputs: counts(acked), ..Report::default() };
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

/// Settled, held and stored of each tally that is told now.
fn told(writer: &mut Writer) -> Vec<(u32, u64, u64, u64)> {
    let state = writer.state(false, 0);
    let of = |tally: &Tally| {
        let stored = tally.outputs.iter().map(|counts| counts.stored).sum();
        (tally.instance_id, tally.settled, tally.held, stored)
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
    assert_eq!(told(&mut writer), [(2, 100, 30, 100)]);
    writer.settled(2, &incarnation(), 20, &counts(20));
    writer.closed(SessionId(1));
    assert_eq!(told(&mut writer), [(2, 120, 10, 120)]);
    // It has not heard of all acknowledgements, which changes nothing: they are in the tally.
    writer.opened(SessionId(2), &hello(2, 110)).unwrap();
    writer.settled(2, &incarnation(), 10, &counts(10));
    assert_eq!(told(&mut writer), [(2, 130, 0, 130)]);
    assert_eq!(told(&mut writer), [], "nothing has changed");
    writer.dialled();
    assert_eq!(told(&mut writer), [(2, 130, 0, 130)], "a new session hears all");
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
    writer.settled_early(&BTreeMap::from([((2, incarnation()), early)]));
    let [tally] = &writer.state(true, 0).tallies[..] else { panic!() };
    assert_eq!((tally.settled, tally.held, tally.settled_early), (0, 30, 7));
    assert_eq!(tally.outputs[0].stored, 7);
    writer.settled(2, &incarnation(), 30, &counts(30));
    writer.settled_early(&BTreeMap::new());
    assert_eq!(told(&mut writer), [(2, 30, 0, 30)]);
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
