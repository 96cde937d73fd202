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
