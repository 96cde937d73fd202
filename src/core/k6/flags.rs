//! Every flag of `k6 run`, 1.x and 2.x, with its arity and with what Weir makes of it.

/// What follows a flag on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arity {
    /// Nothing; a value only by `=`.
    Switch,
    /// A value, by `=` or as the next argument.
    Value,
}

/// What becomes of a flag that a user gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Goes to `k6 run`.
    Run,
    /// An option of the test: goes to `k6 run` and to `k6 archive`, which keeps it.
    Test,
    /// Goes to `k6 run`, to `k6 archive` and to `k6 inspect`.
    Every,
    /// Goes to `k6 archive`, the only one that reads the script as it is.
    Archive,
    /// As `Test`, and decides what `k6 inspect` computes: handed to it through the environment.
    Load,
    /// A wish for the run as a whole, which Weir fulfils itself.
    Wish,
    /// Refused, with the remedy.
    Refused(&'static str),
}

/// One flag of k6.
#[derive(Clone, Copy, Debug)]
pub struct Flag {
    /// Long name, without dashes.
    pub name: &'static str,
    /// Short name.
    pub short: Option<char>,
    /// What follows it.
    pub arity: Arity,
    /// What becomes of it.
    pub role: Role,
}

const fn flag(name: &'static str, short: Option<char>, arity: Arity, role: Role) -> Flag {
    Flag { name, short, arity, role }
}

use Arity::{Switch, Value};
use Role::{Archive, Every, Load, Refused, Run, Test, Wish};

const SEGMENTS: &str = "Weir gives each instance its own segment; set spec.parallelism instead";

/// The flags of `k6 run`.
pub const FLAGS: &[Flag] = &[
    // Options.
    flag("vus", Some('u'), Value, Load),
    flag("duration", Some('d'), Value, Load),
    flag("iterations", Some('i'), Value, Load),
    flag("stage", Some('s'), Value, Load),
    flag("execution-segment", None, Value, Refused(SEGMENTS)),
    flag("execution-segment-sequence", None, Value, Refused(SEGMENTS)),
    flag("paused", Some('p'), Switch, Refused("Weir starts all instances together; remove it")),
    flag("no-setup", None, Switch, Wish),
    flag("no-teardown", None, Switch, Wish),
    flag("max-redirects", None, Value, Test),
    flag("batch", None, Value, Test),
    flag("batch-per-host", None, Value, Test),
    flag("rps", None, Value, Test),
    flag("user-agent", None, Value, Test),
    flag("http-debug", None, Switch, Test),
    flag("insecure-skip-tls-verify", None, Switch, Test),
    flag("no-connection-reuse", None, Switch, Test),
    flag("no-vu-connection-reuse", None, Switch, Test),
    flag("min-iteration-duration", None, Value, Test),
    flag("throw", Some('w'), Switch, Test),
    flag("blacklist-ip", None, Value, Test),
    flag("block-hostnames", None, Value, Test),
    flag("summary-trend-stats", None, Value, Test),
    flag("summary-time-unit", None, Value, Test),
    flag("system-tags", None, Value, Test),
    flag("tag", None, Value, Wish),
    flag("console-output", None, Value, Run),
    flag("discard-response-bodies", None, Switch, Test),
    flag("local-ips", None, Value, Test),
    flag("dns", None, Value, Test),
    // Runtime options.
    flag("include-system-env-vars", None, Switch, Every),
    flag("compatibility-mode", None, Value, Every),
    flag("type", Some('t'), Value, Archive),
    flag("env", Some('e'), Value, Every),
    flag("no-thresholds", None, Switch, Wish),
    flag("no-summary", None, Switch, Wish),
    flag("summary-mode", None, Value, Wish),
    flag("summary-export", None, Value, Wish),
    flag("new-machine-readable-summary", None, Switch, Run),
    flag("traces-output", None, Value, Run),
    // Configuration.
    flag("out", Some('o'), Value, Wish),
    flag("linger", Some('l'), Switch, Refused("Weir ends k6 when the run is over; remove it")),
    flag("no-usage-report", None, Switch, Run),
    flag("features", None, Value, Run),
    // Of every command. Logging flags go to `k6 run` alone: Weir must be able to read the errors of the others.
    flag("secret-source", None, Value, Every),
    flag("log-output", None, Value, Run),
    flag("log-format", None, Value, Run),
    flag("config", Some('c'), Value, Every),
    flag("no-color", None, Switch, Run),
    flag("verbose", Some('v'), Switch, Run),
    flag("quiet", Some('q'), Switch, Run),
    flag("address", Some('a'), Value, Refused("Weir drives k6 through it; remove it")),
    flag("profiling-enabled", None, Switch, Run),
    flag("help", Some('h'), Switch, Refused("it prints help and runs nothing; remove it")),
];

/// The flag of a long name.
pub fn by_name(name: &str) -> Option<&'static Flag> {
    FLAGS.iter().find(|flag| flag.name == name)
}

/// The flag of a short name.
pub fn by_short(short: char) -> Option<&'static Flag> {
    FLAGS.iter().find(|flag| flag.short == Some(short))
}

/// The value that a switch has when it is given without one.
pub fn value_of_bare(name: &str) -> &'static str {
    if name == "http-debug" { "headers" } else { "true" }
}
