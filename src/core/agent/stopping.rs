//! How k6 is brought to its end: politely, then by signals, each step with its own deadline.

/// Time from a stop over REST until k6 must have ended its load.
const REST_MS: i64 = 30_000;
/// Time from the first SIGINT until k6 must be gone: its outputs flush in it.
const FIRST_SIGNAL_MS: i64 = 60_000;
/// Time from the second SIGINT, which k6 obeys at once.
const SECOND_SIGNAL_MS: i64 = 5_000;

/// Rungs on the way down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Rung {
    /// Nothing was asked.
    None,
    /// The load was stopped over REST.
    Rest,
    /// SIGINT was sent.
    Interrupted,
    /// SIGINT was sent a second time.
    InterruptedTwice,
    /// SIGKILL was sent.
    Killed,
}

/// What to do to k6 now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Push {
    /// `stopped: true` over REST.
    Rest,
    /// SIGINT.
    Interrupt,
    /// SIGKILL.
    Kill,
}

/// The way down: steps in one direction only.
#[derive(Clone, Debug)]
pub struct Stopping {
    rung: Rung,
    due_ms: i64,
}

impl Default for Stopping {
    fn default() -> Self {
        Self { rung: Rung::None, due_ms: i64::MAX }
    }
}

impl Stopping {
    /// Asks for the end of the load. A second call changes nothing.
    pub fn stop_load(&mut self, now_ms: i64) -> Option<Push> {
        (self.rung == Rung::None).then(|| self.step(Rung::Rest, now_ms + REST_MS, Push::Rest))
    }

    /// Asks for the end of the process. A second call changes nothing.
    pub fn end(&mut self, now_ms: i64) -> Option<Push> {
        (self.rung < Rung::Interrupted)
            .then(|| self.step(Rung::Interrupted, now_ms + FIRST_SIGNAL_MS, Push::Interrupt))
    }

    /// The load is over: it needs no further push, though the process may go on.
    pub fn load_over(&mut self) {
        if self.rung == Rung::Rest {
            self.due_ms = i64::MAX;
        }
    }

    /// Ends the process at once. A second call changes nothing.
    pub fn kill(&mut self) -> Option<Push> {
        (self.rung < Rung::Killed).then(|| self.step(Rung::Killed, i64::MAX, Push::Kill))
    }

    /// The next step, if its time has come.
    pub fn poll(&mut self, now_ms: i64) -> Option<Push> {
        if now_ms < self.due_ms {
            return None;
        }
        let push = match self.rung {
            Rung::None | Rung::Killed => return None,
            Rung::Rest => self.step(Rung::Interrupted, now_ms + FIRST_SIGNAL_MS, Push::Interrupt),
            Rung::Interrupted => {
                self.step(Rung::InterruptedTwice, now_ms + SECOND_SIGNAL_MS, Push::Interrupt)
            }
            Rung::InterruptedTwice => self.step(Rung::Killed, i64::MAX, Push::Kill),
        };
        Some(push)
    }

    /// When [`poll`](Self::poll) has something to do; `i64::MAX` for never.
    pub const fn due_ms(&self) -> i64 {
        self.due_ms
    }

    /// Whether Weir has asked for any end of the load.
    pub fn begun(&self) -> bool {
        self.rung != Rung::None
    }

    fn step(&mut self, rung: Rung, due_ms: i64, push: Push) -> Push {
        self.rung = rung;
        self.due_ms = due_ms;
        push
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_k6_that_obeys_nothing_is_killed_step_by_step() {
        let mut stopping = Stopping::default();
        assert_eq!(stopping.stop_load(0), Some(Push::Rest));
        assert_eq!(stopping.stop_load(1), None);
        assert_eq!(stopping.poll(29_999), None);
        assert_eq!(stopping.poll(30_000), Some(Push::Interrupt));
        assert_eq!(stopping.poll(90_000), Some(Push::Interrupt));
        assert_eq!(stopping.poll(95_000), Some(Push::Kill));
        assert_eq!(stopping.poll(i64::MAX), None);
        assert_eq!(stopping.end(100_000), None);
    }

    #[test]
    fn a_k6_that_ended_its_load_lingers_as_long_as_it_is_needed() {
        let mut stopping = Stopping::default();
        stopping.stop_load(0);
        stopping.load_over();
        assert_eq!(stopping.poll(1_000_000), None);
        assert_eq!(stopping.end(1_000_000), Some(Push::Interrupt));
        assert_eq!(stopping.due_ms(), 1_060_000);
    }
}
