//! What a process takes of the machine.

use std::{fs, thread};

use nix::sys::resource::{Resource, UsageWho, getrlimit, getrusage, setrlimit};

/// Memory and processor time so far.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Usage {
    pub(crate) cpu_ms: i64,
    pub(crate) rss_kib: u64,
    pub(crate) peak_kib: u64,
}

impl Usage {
    /// Of this process.
    pub(crate) fn now() -> Self {
        let usage = getrusage(UsageWho::RUSAGE_SELF).expect("the kernel tells");
        let ms = |time: nix::sys::time::TimeVal| time.tv_sec() * 1000 + time.tv_usec() / 1000;
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
        };
        Self {
            cpu_ms: ms(usage.user_time()) + ms(usage.system_time()),
            rss_kib: field("VmRSS:"),
            peak_kib: field("VmHWM:"),
        }
    }
}

/// As many file descriptors as may be had, and how many these are.
pub(crate) fn raise_descriptors() -> u64 {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).expect("the kernel tells");
    if setrlimit(Resource::RLIMIT_NOFILE, hard, hard).is_ok() { hard } else { soft }
}

pub(crate) fn processors() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}

/// Bytes received on loopback since the machine came up: of every connection counted once.
pub(crate) fn loopback_bytes() -> u64 {
    let text = fs::read_to_string("/proc/net/dev").unwrap_or_default();
    let line = text.lines().find_map(|line| line.trim().strip_prefix("lo:"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

/// KiB as people read them.
pub(crate) fn mib(kib: u64) -> String {
    format!("{} MiB", kib / 1024)
}

/// Nanoseconds as people read them.
pub(crate) fn time(ns: i64) -> String {
    if ns < 10_000_000 {
        format!("{}.{:03} ms", ns / 1_000_000, ns / 1000 % 1000)
    } else {
        format!("{} ms", ns / 1_000_000)
    }
}
