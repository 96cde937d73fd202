//! Which key is due when. A key is never worked on twice at once, nor more often than the shortest period.

use std::collections::{BTreeMap, BTreeSet};

/// Shortest time between two reconciles of one key: thousands of pods that change together become a few looks.
const PERIOD_MS: i64 = 100;
/// Pause after the first failure; it doubles with each further one.
const RETRY_MS: i64 = 250;
/// Longest pause after failures.
const RETRY_MS_MAX: i64 = 30_000;

/// Keys and when they are due.
#[derive(Debug)]
pub(super) struct Queue<K> {
    due: BTreeMap<K, i64>,
    order: BTreeSet<(i64, K)>,
    busy: BTreeSet<K>,
    last: BTreeMap<K, i64>,
    failures: BTreeMap<K, u32>,
}

impl<K: Ord + Clone> Queue<K> {
    pub(super) fn new() -> Self {
        Self {
            due: BTreeMap::new(),
            order: BTreeSet::new(),
            busy: BTreeSet::new(),
            last: BTreeMap::new(),
            failures: BTreeMap::new(),
        }
    }

    /// The key is to be looked at, at `at_ms` at the latest. What has changed waits out the pause after a failure.
    pub(super) fn push(&mut self, key: K, at_ms: i64) {
        let pause_ms = match self.failures.get(&key) {
            Some(times) => retry_ms(*times),
            None => PERIOD_MS,
        };
        let earliest_ms = self.last.get(&key).map_or(at_ms, |last_ms| last_ms + pause_ms);
        let at_ms = at_ms.max(earliest_ms);
        if let Some(before_ms) = self.due.get(&key).copied() {
            if before_ms <= at_ms {
                return;
            }
            self.order.remove(&(before_ms, key.clone()));
        }
        self.order.insert((at_ms, key.clone()));
        self.due.insert(key, at_ms);
    }

    /// A key that is due and not being worked on; it is being worked on from now.
    pub(super) fn pop(&mut self, now_ms: i64) -> Option<K> {
        let found = self.order.iter().take_while(|(at_ms, _)| *at_ms <= now_ms);
        let (at_ms, key) = found.into_iter().find(|(_, key)| !self.busy.contains(key))?.clone();
        self.order.remove(&(at_ms, key.clone()));
        self.due.remove(&key);
        self.busy.insert(key.clone());
        self.last.insert(key.clone(), now_ms);
        Some(key)
    }

    /// The work on the key is done.
    pub(super) fn done(&mut self, key: &K, good: bool) {
        self.busy.remove(key);
        if good {
            self.failures.remove(key);
        } else {
            let times = self.failures.entry(key.clone()).or_default();
            *times = times.saturating_add(1);
        }
    }

    /// All work was given up; nothing is being worked on.
    pub(super) fn abandon(&mut self) {
        self.busy.clear();
    }

    /// The key is gone for good.
    pub(super) fn forget(&mut self, key: &K) {
        if let Some(at_ms) = self.due.remove(key) {
            self.order.remove(&(at_ms, key.clone()));
        }
        self.last.remove(key);
        self.failures.remove(key);
    }

    /// When the next key that is not being worked on is due.
    pub(super) fn next_ms(&self) -> Option<i64> {
        self.order.iter().find(|(_, key)| !self.busy.contains(key)).map(|(at_ms, _)| *at_ms)
    }

    /// Number of keys being worked on.
    pub(super) fn busy(&self) -> usize {
        self.busy.len()
    }
}

fn retry_ms(times: u32) -> i64 {
    RETRY_MS
        .saturating_mul(1_i64.checked_shl(times.saturating_sub(1).min(16)).unwrap_or(i64::MAX))
        .min(RETRY_MS_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_never_worked_on_twice_at_once() {
        let mut queue = Queue::new();
        queue.push("a", 0);
        assert_eq!(queue.pop(0), Some("a"));
        queue.push("a", 1);
        assert_eq!(queue.pop(1_000), None);
        queue.done(&"a", true);
        assert_eq!(queue.pop(1_000), Some("a"));
    }

    #[test]
    fn many_changes_become_one_look() {
        let mut queue = Queue::new();
        queue.push("a", 0);
        assert_eq!(queue.pop(0), Some("a"));
        queue.done(&"a", true);
        for at_ms in 1..50 {
            queue.push("a", at_ms);
        }
        assert_eq!(queue.next_ms(), Some(100));
        assert_eq!(queue.pop(100), Some("a"));
        queue.done(&"a", true);
        assert_eq!(queue.next_ms(), None);
    }

    #[test]
    fn the_earliest_wish_counts() {
        let mut queue = Queue::new();
        queue.push("a", 500);
        queue.push("a", 200);
        queue.push("a", 900);
        assert_eq!(queue.next_ms(), Some(200));
    }

    #[test]
    fn failures_are_tried_again_later_each_time_and_not_too_late() {
        let mut queue = Queue::new();
        let mut now_ms = 0;
        let mut pauses = Vec::new();
        for _ in 0..10 {
            queue.push("a", now_ms);
            let at_ms = queue.next_ms().unwrap();
            pauses.push(at_ms - now_ms);
            now_ms = at_ms;
            assert_eq!(queue.pop(now_ms), Some("a"));
            queue.done(&"a", false);
        }
        assert_eq!(pauses, [0, 250, 500, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000]);
        queue.push("a", now_ms);
        now_ms = queue.next_ms().unwrap();
        queue.pop(now_ms);
        queue.done(&"a", true);
        queue.push("a", now_ms);
        assert_eq!(queue.next_ms(), Some(now_ms + 100), "a success forgets the failures");
    }
}
