//! Failed writes of one output until they are tried again: after a pause, or once another write was answered.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use super::{
    batch::{Batch, BatchId},
    retry::{Budget, Failure, Leave, delay_ms},
};

/// A batch on its way to the output.
#[derive(Clone, Debug)]
pub(super) struct Attempt {
    pub(super) batch: Arc<Batch>,
    tries: u32,
    /// An earlier try may have stored its records.
    pub(super) ambiguous: bool,
    /// It goes on though the budget is used up.
    on_floor: bool,
}

impl Attempt {
    pub(super) fn new(batch: Arc<Batch>, ambiguous: bool) -> Self {
        Self { batch, tries: 0, ambiguous, on_floor: false }
    }
}

/// The failed writes.
#[derive(Debug)]
pub(super) struct Retries {
    waiting: BTreeMap<(i64, BatchId), Attempt>,
    /// Those for which the budget had nothing: they have no time, only a turn.
    held_back: VecDeque<Attempt>,
    budget: Budget,
}

impl Retries {
    pub(super) fn new(writes_max: usize) -> Self {
        let budget = Budget::new(writes_max);
        Self { waiting: BTreeMap::new(), held_back: VecDeque::new(), budget }
    }

    pub(super) fn len(&self) -> usize {
        self.waiting.len() + self.held_back.len()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Attempt> {
        self.waiting.values().chain(&self.held_back)
    }

    /// When the first of them may go.
    pub(super) fn due_ms(&self) -> Option<i64> {
        self.waiting.keys().next().map(|(due_ms, _)| *due_ms)
    }

    pub(super) fn pop_due(&mut self, now_ms: i64) -> Option<Attempt> {
        let is_due = self.due_ms().is_some_and(|due_ms| due_ms <= now_ms);
        is_due.then(|| self.waiting.pop_first()).flatten().map(|(_, attempt)| attempt)
    }

    /// Takes a write that failed; tells whether it has to wait until another is answered.
    pub(super) fn put(
        &mut self,
        mut attempt: Attempt,
        failure: Failure,
        now_ms: i64,
        random: u64,
    ) -> bool {
        attempt.tries += 1;
        attempt.ambiguous |= failure.is_ambiguous();
        if failure.costs() && !attempt.on_floor {
            let Some(leave) = self.budget.take() else {
                self.held_back.push_back(attempt);
                return true;
            };
            attempt.on_floor = leave == Leave::Floor;
        }
        let due_ms = now_ms + delay_ms(failure, attempt.tries, random);
        self.waiting.insert((due_ms, attempt.batch.id), attempt);
        false
    }

    /// This write was answered: those that were held back go, as far as the budget now allows.
    pub(super) fn answered(&mut self, attempt: &Attempt, now_ms: i64) {
        self.budget.answered(attempt.on_floor);
        while let Some(mut attempt) = self.held_back.pop_front() {
            let Some(leave) = self.budget.take() else {
                self.held_back.push_front(attempt);
                return;
            };
            attempt.on_floor = leave == Leave::Floor;
            self.waiting.insert((now_ms, attempt.batch.id), attempt);
        }
    }

    pub(super) fn take_all(&mut self) -> Vec<Attempt> {
        let waiting = std::mem::take(&mut self.waiting).into_values();
        waiting.chain(std::mem::take(&mut self.held_back)).collect()
    }
}
