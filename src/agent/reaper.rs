//! Children: how they are started, and, where this process is the first of its container, how those that nobody
//! waits for are laid to rest.

use std::{
    collections::BTreeSet,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use nix::{
    sys::wait::{Id, WaitPidFlag, WaitStatus, waitid, waitpid},
    unistd::{Pid, getpid},
};
use tokio::{
    process::{Child, Command},
    signal::unix::{SignalKind, signal},
};

/// Children that somebody waits for. Held while one is started, so that it is never taken for an orphan.
static OWN: Mutex<BTreeSet<i32>> = Mutex::new(BTreeSet::new());

/// Time between two looks for orphans that no signal told of.
const LOOK: Duration = Duration::from_secs(5);

/// Starts a child that the caller waits for.
///
/// # Errors
/// When it cannot be started.
pub(super) fn spawn(command: &mut Command) -> std::io::Result<Child> {
    let mut own = OWN.lock().unwrap_or_else(PoisonError::into_inner);
    let child = command.spawn()?;
    own.extend(child.id().and_then(|id| i32::try_from(id).ok()));
    Ok(child)
}

/// The caller has waited for its child.
pub(super) fn waited(pid: Option<u32>) {
    if let Some(pid) = pid.and_then(|pid| i32::try_from(pid).ok()) {
        OWN.lock().unwrap_or_else(PoisonError::into_inner).remove(&pid);
    }
}

/// Lays orphans to rest for as long as it is polled, if this process is the first of its container; does nothing
/// otherwise.
pub async fn reap() {
    if getpid() != Pid::from_raw(1) {
        return;
    }
    let Ok(mut died) = signal(SignalKind::child()) else { return };
    loop {
        tokio::select! {
            _ = died.recv() => {}
            () = tokio::time::sleep(LOOK) => {}
        }
        while reap_one() {}
    }
}

/// Whether an orphan was found. Looks without taking first: the ends of our own children are not to be taken.
fn reap_one() -> bool {
    let own = OWN.lock().unwrap_or_else(PoisonError::into_inner);
    let look = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
    let found = waitid(Id::All, look).ok().and_then(|status: WaitStatus| status.pid());
    match found {
        Some(pid) if !own.contains(&pid.as_raw()) => {
            waitpid(pid, Some(WaitPidFlag::WNOHANG)).is_ok()
        }
        _ => false,
    }
}
