//! Processor time and bytes.

use std::{fs, path::Path};

use nix::sys::resource::{UsageWho, getrusage};

/// What a run took, or one sample of it: processor time in microseconds.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Cost {
    pub(crate) k6: f64,
    pub(crate) agent: f64,
    pub(crate) aggregator: f64,
    pub(crate) wire_bytes: f64,
    /// Samples that came to the end of their way.
    pub(crate) stored: u64,
    /// The most of each.
    pub(crate) agent_memory: Memory,
    pub(crate) aggregator_memory: Memory,
}

impl Cost {
    pub(crate) fn total(&self) -> f64 {
        self.k6 + self.agent + self.aggregator
    }

    /// What each of `samples` more took.
    pub(crate) fn less(&self, few: &Self, samples: f64) -> Self {
        let each = |of: fn(&Self) -> f64| (of(self) - of(few)) / samples;
        Self {
            k6: each(|cost| cost.k6),
            agent: each(|cost| cost.agent),
            aggregator: each(|cost| cost.aggregator),
            wire_bytes: each(|cost| cost.wire_bytes),
            ..*self
        }
    }
}

/// Microseconds of processor time that `who` took so far.
pub(crate) fn cpu_us(who: UsageWho) -> f64 {
    let usage = getrusage(who).expect("the kernel tells");
    let us = |time: nix::sys::time::TimeVal| {
        std::time::Duration::new(time.tv_sec().unsigned_abs(), 0).as_secs_f64() * 1e6
            + f64::from(i32::try_from(time.tv_usec()).unwrap_or(0))
    };
    us(usage.user_time()) + us(usage.system_time())
}

/// Memory of a process at one time, in KiB.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Memory {
    /// The most so far, with the pages of its program.
    pub(crate) peak: u64,
    /// Now, without these: they are the page cache's.
    pub(crate) own: u64,
}

/// Memory of a process, and processor time of its own without that of its children; none when it is gone.
pub(crate) fn of_process(pid: u32) -> Option<(Memory, f64)> {
    let folder = Path::new("/proc").join(pid.to_string());
    let status = fs::read_to_string(folder.join("status")).ok()?;
    let kib = |name: &str| {
        let text = status.lines().find_map(|line| line.strip_prefix(name))?;
        text.split_whitespace().next()?.parse().ok()
    };
    let memory = Memory { peak: kib("VmHWM:")?, own: kib("RssAnon:")? };
    let stat = fs::read_to_string(folder.join("stat")).ok()?;
    // The name may hold anything, and ends with the last parenthesis.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = |at: usize| fields.get(at).and_then(|text| text.parse::<u32>().ok());
    // The fourteenth and fifteenth of the line (proc_pid_stat(5)): user and system time, 100 ticks a second.
    let own = f64::from(ticks(11)? + ticks(12)?) * 10_000.0;
    Some((memory, own))
}

/// Bytes received on loopback since the machine came up.
pub(crate) fn loopback_bytes() -> f64 {
    let text = fs::read_to_string("/proc/net/dev").unwrap_or_default();
    let line = text.lines().find_map(|line| line.trim().strip_prefix("lo:"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0.0)
}
