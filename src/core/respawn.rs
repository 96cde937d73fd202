//! Whether a process of ours that has ended is started again at once, in its place.
//!
//! Kubernetes does so too, but with pauses of 10 s, 20 s and so on up to minutes: a kubelet for a container that ends again
//! (`CrashLoopBackOff`), a Job's controller for a pod that fails, whatever `podFailurePolicy` says of it. A load test cannot
//! be without its aggregator for so long. What a process decided itself is left as it is, and what cannot live is left to
//! Kubernetes, which ends the run by name when its own tries are used up.

/// A process that lived shorter than this, in milliseconds, had no time to do anything.
pub const SHORT_MS: i64 = 1_000;
/// So many short lives in a row are no accident.
pub const SHORT_LIVES_MAX: u32 = 3;
/// Starts in a process's place at most.
pub const AGAIN_MAX: u32 = 30;
/// The exit code of a process that panicked, by Rust's runtime: no decision of its own.
const PANICKED: u8 = 101;
/// What shells add to the number of the signal that ended a process.
const SIGNALLED: u8 = 128;

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// By itself, with this exit code.
    Exit(u8),
    /// By this signal.
    Signal(u8),
}

/// What follows from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// It is started again at once.
    Again,
    /// Whoever started this ends too, with this exit code.
    Leave(u8),
}

/// The starts so far.
#[derive(Debug, Default)]
pub struct Respawn {
    again: u32,
    short_lives: u32,
}

impl Respawn {
    /// The process ended after `lived_ms`. `is_told`: it had been told to end.
    pub fn ended(&mut self, end: End, lived_ms: i64, is_told: bool) -> Next {
        let code = match end {
            End::Exit(PANICKED) => PANICKED,
            End::Exit(code) => return Next::Leave(code),
            End::Signal(signal) => SIGNALLED.saturating_add(signal),
        };
        self.short_lives = if lived_ms < SHORT_MS { self.short_lives + 1 } else { 0 };
        if is_told || self.short_lives >= SHORT_LIVES_MAX || self.again >= AGAIN_MAX {
            return Next::Leave(code);
        }
        self.again += 1;
        Next::Again
    }

    /// How often it was started again.
    pub const fn count(&self) -> u32 {
        self.again
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KILLED: End = End::Signal(9);

    #[test]
    fn a_process_that_is_killed_is_started_again_but_not_for_ever() {
        let mut respawn = Respawn::default();
        for count in 1..=AGAIN_MAX {
            assert_eq!(respawn.ended(KILLED, SHORT_MS, false), Next::Again);
            assert_eq!(respawn.count(), count);
        }
        assert_eq!(respawn.ended(KILLED, 3_600_000, false), Next::Leave(137));
    }

    #[test]
    fn a_process_that_cannot_live_is_left_to_kubernetes() {
        let mut respawn = Respawn::default();
        let crash = End::Signal(11);
        for _ in 1..SHORT_LIVES_MAX {
            assert_eq!(respawn.ended(crash, 10, false), Next::Again);
        }
        assert_eq!(respawn.ended(crash, SHORT_MS, false), Next::Again, "it lived");
        for _ in 1..SHORT_LIVES_MAX {
            assert_eq!(respawn.ended(crash, 10, false), Next::Again);
        }
        assert_eq!(respawn.ended(crash, 10, false), Next::Leave(139));
    }

    #[test]
    fn what_a_process_decided_itself_stands() {
        for code in [0, 2, 143] {
            assert_eq!(Respawn::default().ended(End::Exit(code), 0, false), Next::Leave(code));
        }
        let mut respawn = Respawn::default();
        for _ in 1..SHORT_LIVES_MAX {
            assert_eq!(respawn.ended(End::Exit(PANICKED), 0, false), Next::Again, "no decision");
        }
        assert_eq!(respawn.ended(End::Exit(PANICKED), 0, false), Next::Leave(PANICKED));
    }

    #[test]
    fn a_process_that_was_told_to_end_is_not_started_again() {
        assert_eq!(Respawn::default().ended(KILLED, 60_000, true), Next::Leave(137));
    }
}
