//! Runs in which something was found once.

use super::{Kind, RUNS, Weather, World, rough};
use crate::api::v1alpha1::Reason;

#[test]
fn of_a_lost_instance_the_writer_has_told_all_before_the_books_close() {
    let weather = Weather {
        agents_die: 67,
        writers_die: 23,
        leader_dies: 27,
        breaks: 5,
        overtakes: 10,
        repeats: 9,
        throttles: 39,
        fails: 29,
        loses_answers: 4,
        disk_fails: 3,
        dead: (5_098, 1_536),
        ..Weather::default()
    };
    World::new(11_419_142_574_395_032_990, 2, 2, &[Kind::Samples, Kind::Lines], weather).run();
}

#[test]
fn what_cannot_be_read_back_fails_the_run_though_nothing_else_was_waited_for() {
    let weather = Weather { rots: 15, dead: (1_500, 7_000), throttles: 10, ..Weather::default() };
    for seed in [88, 229, 684, 685, 836, 921] {
        let world = World::new(seed, 2, 2, &[Kind::Samples], weather.clone()).run();
        let result = world.result.as_ref().unwrap();
        assert!(result.outputs[0].rejected["SpoolUnreadable"] > 0);
        assert_eq!(result.outcome.as_ref().unwrap().reason, Reason::OutputFailed);
    }
}

#[test]
fn what_a_failed_output_refused_fails_the_run_though_who_gave_it_up_ended_before_it_said_so() {
    for seed in [84, 127, 174, 178, 212, 222] {
        let nth = i64::try_from(seed % 7).unwrap();
        let weather = Weather {
            agents_die: 0,
            writers_die: 60,
            leader_dies: if seed % 2 == 0 { 60 } else { 0 },
            disk_fails: 0,
            dead: (0, 0),
            refuses: (2_000 + nth * 700, 2_100 + nth * 900),
            ..rough()
        };
        let kinds = RUNS[usize::try_from(seed).unwrap() % RUNS.len()];
        let world = World::new(seed, 3, 2, kinds, weather).run();
        let result = world.result.as_ref().unwrap();
        assert!(result.outputs[0].rejected["OutputFailed"] > 0);
        assert_eq!(result.outcome.as_ref().unwrap().reason, Reason::OutputFailed);
    }
}
