//! How a k6 process ended, and what its exit code says.

use crate::api::v1alpha1::Reason;

/// k6's exit code for a stop over its REST API.
pub const STOPPED_OVER_REST: i32 = 103;
/// k6's exit code for a signal.
pub const INTERRUPTED: i32 = 105;
/// k6's exit code when its REST API could not listen.
pub const REST_FAILED: i32 = 106;

/// How a k6 process ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exit {
    /// Exit code; 128 and the signal's number for a process that a signal ended.
    pub code: i32,
    /// Signal that ended the process.
    pub signal: Option<i32>,
    /// The kernel killed it because the container's memory ran out.
    pub oom_killed: bool,
    /// The last error that k6 wrote.
    pub error: Option<String>,
}

impl Exit {
    /// What ended the process, for people: `code 107 (an exception in the script)`.
    pub fn describe(&self) -> String {
        match self.signal {
            Some(9) if self.oom_killed => {
                "signal 9: the container's memory ran out (raise spec.k6.resources.limits.memory)"
                    .to_owned()
            }
            Some(9) => "signal 9 (killed, as the kernel does when memory runs out)".to_owned(),
            Some(signal) => format!("signal {signal}"),
            None => match meaning(self.code) {
                Some(meaning) => format!("code {} ({meaning})", self.code),
                None => format!("code {}", self.code),
            },
        }
    }

    /// One word for an instance that is lost with it, as Kubernetes names such an end.
    pub fn word(&self) -> String {
        if self.oom_killed { "OOMKilled".to_owned() } else { format!("ExitCode{}", self.code) }
    }

    /// The reason that the exit code stands for, where it stands for one.
    pub const fn reason(&self) -> Option<Reason> {
        if self.signal.is_some() {
            return None;
        }
        match self.code {
            99 => Some(Reason::ThresholdsCrossed),
            100 => Some(Reason::SetupFailed),
            101 => Some(Reason::TeardownFailed),
            97 | 98 | 102 | 104 | 107 => Some(Reason::ScriptFailed),
            108 | 110 => Some(Reason::Aborted),
            _ => None,
        }
    }
}

const fn meaning(code: i32) -> Option<&'static str> {
    Some(match code {
        97 => "the cloud test failed",
        98 => "no progress from the cloud",
        99 => "thresholds crossed",
        100 => "setup() timed out",
        101 => "teardown() timed out",
        102 => "a timeout",
        STOPPED_OVER_REST => "stopped over the REST API",
        104 => "invalid options",
        INTERRUPTED => "stopped by a signal",
        REST_FAILED => "the REST API could not listen",
        107 => "an exception in the script",
        108 => "test.abort()",
        109 => "k6 itself crashed",
        110 => "marked as failed by the script",
        _ => return None,
    })
}
