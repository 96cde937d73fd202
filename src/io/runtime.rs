//! Runtimes. How many threads a process has decides what a sample costs: whatever one thread hands to another wakes it, and
//! to wake a thread takes longer than most of what it then does.

use std::{io, num::NonZero, thread};

use tokio::runtime::{Builder, Runtime};

/// Most threads of a replica: one stores about a million samples a second, and who wants more has replicas.
const THREADS_MAX: usize = 4;

/// For a process whose work fits one thread: an agent, which waits for k6 and sends what other threads have made.
///
/// # Errors
/// When the system has nothing to wait with.
pub fn of_one_thread() -> io::Result<Runtime> {
    Builder::new_current_thread().enable_all().build()
}

/// For a replica of the aggregator: a thread for every two processors that this process may use. What it runs is to be
/// spawned, so that it runs where its tasks do.
///
/// # Errors
/// When the system has nothing to wait with, or no threads.
pub fn of_replica() -> io::Result<Runtime> {
    let processors = thread::available_parallelism().map_or(1, NonZero::get);
    Builder::new_multi_thread().worker_threads(threads(processors)).enable_all().build()
}

fn threads(processors: usize) -> usize {
    (processors / 2).clamp(1, THREADS_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replica_has_a_thread_for_two_processors() {
        assert_eq!([1, 2, 3, 4, 7, 64].map(threads), [1, 1, 1, 2, 3, 4]);
    }
}
