//! Free loopback ports for k6's REST API.

use std::{
    collections::BTreeSet,
    net::{Ipv4Addr, TcpListener},
    sync::{Mutex, PoisonError},
};

/// Ports given out in this process: agents of `weir run` start at once, and a port is free until its k6 listens.
static GIVEN: Mutex<BTreeSet<u16>> = Mutex::new(BTreeSet::new());

/// Times that the kernel is asked before a port of this process's own is given again.
const TRIES: u32 = 64;

/// A loopback port that nobody listens on.
///
/// # Errors
/// When the kernel has none.
pub(super) fn free() -> std::io::Result<u16> {
    let mut given = GIVEN.lock().unwrap_or_else(PoisonError::into_inner);
    // Held until one is chosen, so that the kernel answers another each time.
    let mut tried = Vec::new();
    for _ in 0..TRIES {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let port = listener.local_addr()?.port();
        if given.insert(port) {
            return Ok(port);
        }
        tried.push(listener);
    }
    given.clear();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    Ok(listener.local_addr()?.port())
}
