use super::*;

#[test]
fn pauses_grow_to_their_limit_and_stay_short_while_throttled() {
    let longest = |failure, tries| {
        (0..5000u64).map(|random| delay_ms(failure, tries, random * 7919)).max().unwrap()
    };
    assert!(longest(Failure::Throttled, 1) <= 50);
    assert!((900..=1000).contains(&longest(Failure::Throttled, 99)));
    assert!((4900..=5000).contains(&longest(Failure::Connection, 99)));
    assert_eq!(delay_ms(Failure::Server, 3, 0), 0);
}

#[test]
fn an_output_that_says_how_long_is_left_alone_for_so_long_within_bounds() {
    for (asked_ms, least_ms) in [(0, 0), (2_000, 2_000), (u32::MAX, PATIENCE_MS_MAX)] {
        for random in [0, 49, u64::MAX] {
            let pause_ms = delay_ms(Failure::ThrottledFor(asked_ms), 1, random);
            assert!((least_ms..=least_ms + 50).contains(&pause_ms), "{asked_ms}: {pause_ms}");
        }
    }
    assert!(Failure::ThrottledFor(1).is_throttle() && !Failure::ThrottledFor(1).costs());
}

#[test]
fn answers_earn_what_failures_cost_and_the_floor_is_never_taken_away() {
    let mut budget = Budget::new(2);
    let taken: Vec<_> = std::iter::from_fn(|| budget.take()).collect();
    let tokens = taken.iter().filter(|leave| **leave == Leave::Token).count();
    assert_eq!((tokens, taken.len() - tokens), (2 * BURST_PER_WRITE, 2));
    assert_eq!(budget.take(), None);
    budget.answered(false);
    assert_eq!([budget.take(), budget.take()], [Some(Leave::Token), None]);
    budget.answered(true);
    assert_eq!([budget.take(), budget.take()], [Some(Leave::Token), Some(Leave::Floor)]);
    let mut budget = Budget::new(1);
    for _ in 0..100 {
        budget.answered(true);
    }
    assert_eq!(budget, Budget::new(1), "nothing is saved up beyond the burst");
}
