//! Waiting with a deadline.

use std::{
    future::Future,
    time::{Duration, Instant},
};

/// Asks `probe` four times a second until it answers `Ok`; panics with its last answer after `seconds`.
pub(crate) async fn eventually<T, F, Fut>(what: &str, seconds: u64, mut probe: F) -> T
where
    F: FnMut() -> Fut,
    Fut: Future<Output = Result<T, String>>,
{
    let deadline = Instant::now() + Duration::from_secs(seconds);
    loop {
        match probe().await {
            Ok(value) => return value,
            Err(last) if Instant::now() > deadline => {
                panic!("{what} did not come within {seconds} s; last: {last}")
            }
            Err(_) => tokio::time::sleep(Duration::from_millis(250)).await,
        }
    }
}
