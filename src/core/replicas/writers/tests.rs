use super::*;

fn state(replica: u32, change: impl FnOnce(&mut WriterOutput)) -> WriterState {
    let mut output = WriterOutput { ready: true, ..WriterOutput::default() };
    change(&mut output);
    WriterState {
        protocol: PROTOCOL,
        run: "ns/run/uid".to_owned(),
        replica,
        outputs: vec![output],
        ..WriterState::default()
    }
}

fn plain(replica: u32) -> WriterState {
    state(replica, |_| {})
}

fn writers(replicas: u32) -> Writers {
    Writers::new("ns/run/uid", replicas, false, 0)
}

const ONE: SessionId = SessionId(1);
const TWO: SessionId = SessionId(2);

#[test]
fn an_output_is_ready_when_it_is_for_every_writer() {
    assert!(writers(1).are_ready(0), "there are none");
    let mut writers = writers(3);
    assert_eq!(writers.trouble(0), "replica 1 of the aggregator is not connected");
    writers.take(ONE, &plain(1)).unwrap();
    assert!(!writers.are_ready(0));
    assert_eq!(writers.trouble(0), "replica 2 of the aggregator is not connected");
    writers.take(TWO, &state(2, |output| output.ready = false)).unwrap();
    assert!(!writers.are_ready(0));
    writers.take(TWO, &state(2, |output| output.trouble = "throttled".to_owned())).unwrap();
    assert!(writers.are_ready(0));
    assert_eq!(writers.trouble(0), "throttled (replica 2)");
    writers.take(TWO, &plain(2)).unwrap();
    assert_eq!(writers.trouble(0), "");
    assert!(!writers.are_ready(1), "an output that they do not know");
}

#[test]
fn who_is_no_writer_of_the_run_is_told_so() {
    let mut writers = writers(2);
    let mut refused = |change: fn(&mut WriterState)| {
        let mut state = plain(1);
        change(&mut state);
        writers.take(ONE, &state).unwrap_err()
    };
    assert!(refused(|state| state.replica = 2).contains("no replica 2"));
    assert!(refused(|state| state.replica = 0).contains("no replica 0"));
    assert!(refused(|state| state.protocol = 1).contains("different versions"));
    assert!(refused(|state| state.run = "other".to_owned()).contains("not other"));
    assert_eq!(writers.sessions().count(), 0);
}

#[test]
fn a_new_session_replaces_the_old_one() {
    let mut writers = writers(2);
    let news = writers.take(ONE, &plain(1)).unwrap();
    assert_eq!((news.opened, news.replaced), (true, None));
    assert_eq!(writers.take(ONE, &plain(1)).unwrap(), News::default());
    let news = writers.take(TWO, &plain(1)).unwrap();
    assert_eq!((news.opened, news.replaced), (true, Some(ONE)));
    writers.closed(ONE, 0);
    assert!(writers.are_ready(0), "the old one's end says nothing");
    assert_eq!(writers.sessions().collect::<Vec<_>>(), [TWO]);
    writers.closed(TWO, 0);
    assert!(!writers.are_ready(0));
}

#[test]
fn a_failure_is_told_once() {
    let mut writers = writers(2);
    let failed = state(1, |output| output.failed = "access denied".to_owned());
    let news = writers.take(ONE, &failed).unwrap();
    assert_eq!(news.failed, [(0, "access denied".to_owned())]);
    assert_eq!(writers.take(ONE, &failed).unwrap().failed, []);
}

#[test]
fn frames_are_in_flight_until_told_otherwise_or_their_writer_is_long_gone() {
    let mut writers = writers(2);
    assert!(!writers.are_in_flight(0));
    writers.take(ONE, &WriterState { in_flight: true, ..plain(1) }).unwrap();
    assert!(writers.are_in_flight(1_000_000));
    writers.closed(ONE, 1_000_000);
    assert!(writers.are_in_flight(1_000_000 + AWAY_MS - 1));
    assert!(!writers.are_in_flight(1_000_000 + AWAY_MS), "nobody waits for ever");
    writers.take(TWO, &WriterState { in_flight: true, ..plain(1) }).unwrap();
    assert!(writers.are_in_flight(2_000_000));
    writers.take(TWO, &plain(1)).unwrap();
    assert!(!writers.are_in_flight(2_000_000));
}

#[test]
fn a_writer_that_is_away_may_hold_what_it_has_not_told() {
    let mut writers = writers(2);
    writers.take(ONE, &plain(1)).unwrap();
    assert!(!writers.are_in_flight(0));
    writers.closed(ONE, 0);
    assert!(writers.are_in_flight(AWAY_MS - 1), "frames may have come since");
    assert!(!writers.are_in_flight(AWAY_MS));
    let mut successor = Writers::new("ns/run/uid", 2, true, 1000);
    assert!(successor.are_in_flight(1000 + AWAY_MS - 1), "it told the former one");
    assert!(!successor.are_in_flight(1000 + AWAY_MS));
    successor.take(ONE, &plain(1)).unwrap();
    assert!(!successor.are_in_flight(1000));
}

#[test]
fn duplicates_of_all_processes_of_a_writer_count_once() {
    let of = |duplicates| state(1, |output| output.duplicates = duplicates);
    let mut writers = writers(2);
    for (duplicates, sum) in [(5, 5), (5, 5), (8, 8), (2, 10), (3, 11)] {
        writers.take(ONE, &of(duplicates)).unwrap();
        assert_eq!(writers.duplicates(0), sum);
    }
    let mut successor = Writers::new("ns/run/uid", 2, true, 0);
    for (duplicates, sum) in [(5, 0), (7, 2), (1, 3)] {
        successor.take(ONE, &of(duplicates)).unwrap();
        assert_eq!(successor.duplicates(0), sum, "what there was before is in the former account");
    }
}

#[test]
fn of_lost_instances_every_writer_that_is_here_is_asked_and_of_others_none() {
    let heard = |order| WriterState { order, ..plain(1) };
    let mut writers = writers(2);
    writers.take(ONE, &plain(1)).unwrap();
    assert_eq!(writers.finish_said(), None);
    let first = Finish { order: 1, lost: vec![] };
    assert_eq!(writers.finish(&BTreeSet::new()), Some(first));
    assert_eq!(writers.finish(&BTreeSet::new()), None, "it is said once");
    assert!(!writers.are_in_flight(0), "nobody is lost");
    let second = Finish { order: 2, lost: vec![3, 5] };
    assert_eq!(writers.finish(&BTreeSet::from([5, 3])), Some(second.clone()));
    assert_eq!(writers.finish_said(), Some(&second));
    assert!(writers.are_in_flight(0));
    writers.take(ONE, &heard(1)).unwrap();
    assert!(writers.are_in_flight(0), "it was said before that was heard");
    writers.take(ONE, &WriterState { in_flight: true, ..heard(2) }).unwrap();
    assert!(writers.are_in_flight(0));
    writers.take(ONE, &heard(2)).unwrap();
    assert!(!writers.are_in_flight(0));
    writers.take(TWO, &heard(0)).unwrap();
    assert!(writers.are_in_flight(0), "a new session is asked anew");
    writers.closed(TWO, 0);
    assert!(!writers.are_in_flight(AWAY_MS), "nobody waits for ever");
    assert_eq!(writers.finish(&BTreeSet::new()).map(|finish| finish.order), Some(3));
}
