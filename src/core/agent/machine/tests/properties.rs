//! What holds whatever comes in.

use proptest::prelude::*;

use super::*;

fn any_input() -> impl Strategy<Value = Input> {
    let stage = prop_oneof![
        Just(Stage::Initialising),
        Just(Stage::Paused),
        Just(Stage::Running),
        Just(Stage::Ended),
        Just(Stage::Interrupted),
        Just(Stage::MarkedAsFailed),
    ];
    let inputs = vec![
        version(),
        Input::Version(Err("none".to_owned())),
        bundled(),
        Input::Bundled(Err(Unbundled::Failed(exit(107)))),
        Input::Status(None),
        Input::SetupRan(Ok(None)),
        Input::SetupRan(Err("e".to_owned())),
        Input::SetupDataSet(Ok(())),
        Input::SetupDataSet(Err("e".to_owned())),
        Input::Resumed(Ok(())),
        Input::Resumed(Err("e".to_owned())),
        Input::TeardownRan(Ok(())),
        Input::SamplesEnded,
        Input::SamplesLost("e".to_owned()),
        Input::SessionUp,
        Input::SessionDown,
        Input::Terminate,
        Input::Tick,
        start(),
        stop(),
        run_setup(),
        setup_data(),
        run_teardown(),
        finish(),
        goodbye(),
        Input::Message(FromAggregator::Welcome(Welcome {})),
    ];
    prop_oneof![
        4 => prop::sample::select(inputs),
        3 => stage.prop_map(status),
        1 => prop::sample::select(vec![0, 103, 106, 107, 255]).prop_map(|c| Input::Exited(exit(c))),
    ]
}

proptest! {
    #[test]
    fn whatever_happens_the_life_goes_one_way(
        inputs in prop::collection::vec((any_input(), 0_i64..40_000), 0..60),
        ready in any::<bool>(),
    ) {
        let mut life = if ready { Life::ready() } else { Life::new() };
        let mut phase = life.machine.phase();
        let mut seen = BTreeMap::new();
        for (input, ms) in inputs {
            life.now.ms += ms;
            life.now.unix_ns += ms * 1_000_000;
            for action in life.machine.handle(input, life.now) {
                prop_assert!(!seen.contains_key("leave"), "{action:?} after leaving");
                let name = match action {
                    Action::Resume => "resume",
                    Action::RunSetup { .. } => "setup",
                    Action::RunTeardown { .. } => "teardown",
                    Action::Leave(_) => "leave",
                    _ => continue,
                };
                *seen.entry(name).or_insert(0) += 1;
            }
            prop_assert!(seen.values().all(|times| *times == 1), "{seen:?}");
            prop_assert!(life.machine.phase() >= phase, "{:?} after {phase:?}", life.machine.phase());
            phase = life.machine.phase();
        }
    }

    #[test]
    fn a_tick_is_never_asked_for_twice_at_the_same_time(
        inputs in prop::collection::vec((any_input(), 0_i64..40_000), 0..40),
    ) {
        let mut life = Life::ready();
        for (input, ms) in inputs {
            life.now.ms += ms;
            let left = |actions: &[Action]| actions.iter().any(|a| matches!(a, Action::Leave(_)));
            if left(&life.machine.handle(input, life.now)) {
                return Ok(());
            }
            for _ in 0..3 {
                if life.machine.wake_ms() <= life.now.ms && left(&life.machine.handle(Input::Tick, life.now)) {
                    return Ok(());
                }
            }
            prop_assert!(life.machine.wake_ms() > life.now.ms, "{:?}", life.machine);
        }
    }
}
