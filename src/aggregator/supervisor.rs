//! The first process of a replica's container: starts the replica, and at once again when it is killed. What lies in the
//! container's folders is still there for the next one.

use std::{
    ffi::OsString,
    os::unix::process::ExitStatusExt,
    path::Path,
    process::ExitStatus,
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tokio::process::{Child, Command};
use tokio_util::sync::CancellationToken;

use crate::core::respawn::{End, Next, Respawn};

/// Runs `program` with these arguments to the end of the last process: its exit code. A `shutdown` is passed on to it.
///
/// # Errors
/// When it cannot be started.
pub async fn supervise(
    program: &Path,
    args: &[OsString],
    shutdown: &CancellationToken,
) -> std::io::Result<u8> {
    let mut respawn = Respawn::default();
    loop {
        let began = Instant::now();
        let mut child = Command::new(program).args(args).kill_on_drop(true).spawn()?;
        let status = tokio::select! {
            status = child.wait() => status?,
            () = shutdown.cancelled() => {
                pass_on(&child);
                child.wait().await?
            }
        };
        let (end, lived) = (end(status), began.elapsed());
        match respawn.ended(end, millis(lived), shutdown.is_cancelled()) {
            Next::Leave(code) => return Ok(code),
            Next::Again => {
                let lived_ms = millis(lived);
                tracing::warn!(?end, lived_ms, times = respawn.count(), "killed; started again");
            }
        }
    }
}

fn pass_on(child: &Child) {
    let Some(id) = child.id().and_then(|id| i32::try_from(id).ok()) else { return };
    if let Err(error) = kill(Pid::from_raw(id), Signal::SIGTERM) {
        tracing::warn!(%error, "SIGTERM could not be passed on");
    }
}

fn end(status: ExitStatus) -> End {
    let byte = |number: i32| u8::try_from(number).unwrap_or(u8::MAX);
    match (status.code(), status.signal()) {
        (Some(code), _) => End::Exit(byte(code)),
        (None, signal) => End::Signal(byte(signal.unwrap_or_default())),
    }
}

fn millis(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs a shell script under the supervisor; the script sees the folder `$0`.
    async fn supervised(script: &str, dir: &Path, shutdown: &CancellationToken) -> u8 {
        let args = ["-c", script].map(OsString::from).into_iter().chain([dir.into()]);
        let args: Vec<OsString> = args.collect();
        supervise(Path::new("/bin/sh"), &args, shutdown).await.unwrap()
    }

    #[tokio::test]
    async fn a_process_that_is_killed_is_followed_by_another() {
        let dir = tempfile::tempdir().unwrap();
        let script = "test -e $0/second && exit 7; touch $0/second; kill -9 $$";
        assert_eq!(supervised(script, dir.path(), &CancellationToken::new()).await, 7);
    }

    #[tokio::test]
    async fn a_process_that_is_killed_whenever_it_starts_ends_it() {
        let dir = tempfile::tempdir().unwrap();
        let script = "echo >>$0/starts; kill -9 $$";
        assert_eq!(supervised(script, dir.path(), &CancellationToken::new()).await, 137);
        assert_eq!(std::fs::read(dir.path().join("starts")).unwrap().len(), 3);
    }

    #[tokio::test]
    async fn an_order_to_end_reaches_the_process_and_its_answer_stands() {
        let dir = tempfile::tempdir().unwrap();
        let shutdown = CancellationToken::new();
        let script = "trap 'exit 143' TERM; touch $0/up; while :; do sleep 0.05; done";
        let order = async {
            while !dir.path().join("up").exists() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            shutdown.cancel();
        };
        let (code, ()) = tokio::join!(supervised(script, dir.path(), &shutdown), order);
        assert_eq!(code, 143);
    }
}
