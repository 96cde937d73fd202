//! Which worlds are lived through: any weather, and some of which it is known what they must reach.

use proptest::prelude::*;

use super::*;
use crate::core::tests::seeds;

const CALM: Weather = Weather {
    session_breaks: 0,
    agent_dies: 0,
    aggregator_dies: 0,
    script_fails: 0,
    setup_fails: 0,
    user_stops: 0,
    output_fails: 0,
    tolerates: false,
};

fn weather() -> impl Strategy<Value = Weather> {
    (0..60u64, 0..30u64, 0..70u64, 0..10u64, 0..10u64, 0..20u64, 0..10u64, any::<bool>()).prop_map(
        |(breaks, dies, aggregator, script, setup, stops, output, tolerates)| Weather {
            session_breaks: breaks,
            agent_dies: dies,
            aggregator_dies: aggregator,
            script_fails: script,
            setup_fails: setup,
            user_stops: stops,
            output_fails: output,
            tolerates,
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_a_run_keeps_its_promises(
        seed in any::<u64>(),
        instances in 1..12u32,
        weather in weather(),
    ) {
        World::new(seed, instances, weather).run().verify();
    }

    #[test]
    fn broken_sessions_and_killed_aggregators_cost_time_but_no_sample(
        seed in any::<u64>(),
        instances in 1..8u32,
        breaks in 0..80u64,
        kills in 0..80u64,
    ) {
        let weather = Weather { session_breaks: breaks, aggregator_dies: kills, ..CALM };
        let world = World::new(seed, instances, weather).run();
        world.verify();
        let outcome = world.result.unwrap().outcome.unwrap();
        let is_verdict =
            matches!(outcome.reason, Reason::ThresholdsMet | Reason::ThresholdsCrossed);
        prop_assert!(is_verdict, "{}: {}", outcome.reason.as_str(), outcome.message);
    }
}

/// The aggregator dies right after it has sent the start, and the next one is told to stop before it hears of any instance.
#[test]
fn a_start_that_nobody_alive_knows_of_is_followed_by_teardown() {
    let weather = Weather { aggregator_dies: 11, user_stops: 2, ..CALM };
    World::new(13_664_430_250_611_678_459, 1, weather).run().verify();
}

#[test]
fn the_same_seed_gives_the_same_bytes() {
    let rough = Weather {
        session_breaks: 50,
        agent_dies: 20,
        aggregator_dies: 50,
        script_fails: 5,
        setup_fails: 5,
        user_stops: 10,
        output_fails: 5,
        tolerates: true,
    };
    for seed in 0..20 {
        let first = World::new(seed, 9, rough).run();
        let second = World::new(seed, 9, rough).run();
        assert_eq!(first.trace, second.trace);
        assert_eq!(
            serde_json::to_string(&first.result).unwrap(),
            serde_json::to_string(&second.result).unwrap()
        );
    }
}

#[test]
fn the_simulated_weather_reaches_every_kind_of_end() {
    let rough = Weather {
        session_breaks: 40,
        agent_dies: 15,
        aggregator_dies: 40,
        script_fails: 2,
        setup_fails: 10,
        user_stops: 10,
        output_fails: 10,
        tolerates: true,
    };
    let mut reasons: BTreeMap<&str, u32> = BTreeMap::new();
    let (mut survived_kills, mut tolerated) = (0, 0);
    for seed in seeds(400) {
        let rough = Weather { tolerates: seed % 2 == 0, ..rough };
        let world = World::new(seed, 5, rough).run();
        world.verify();
        let result = world.result.unwrap();
        let reason = result.outcome.unwrap().reason;
        *reasons.entry(reason.as_str()).or_default() += 1;
        if reason == Reason::ThresholdsMet {
            survived_kills += u32::from(world.aggregator_deaths > 0);
            tolerated += u32::from(!result.lost.is_empty());
        }
    }
    for reason in [
        "ThresholdsMet",
        "ThresholdsCrossed",
        "ScriptFailed",
        "SetupFailed",
        "RunnersLost",
        "Stopped",
    ] {
        assert!(reasons.contains_key(reason), "{reasons:?}");
    }
    assert!(reasons.contains_key("OutputFailed"), "{reasons:?}");
    assert!(survived_kills > 20 && tolerated > 2, "{survived_kills} {tolerated} {reasons:?}");
}

#[test]
fn thousands_of_agents_keep_the_promises_of_a_few() {
    let rough =
        Weather { session_breaks: 5, agent_dies: 1, aggregator_dies: 60, tolerates: true, ..CALM };
    for (seed, weather) in [(1, CALM), (2, rough), (3, rough)] {
        World::new(seed, 2000, weather).run().verify();
    }
}
