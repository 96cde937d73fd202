//! Condition types, reasons, phases: the words that users and their tools match on.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Type of a condition on `LoadTest` and `LoadTestRun`.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
pub enum ConditionType {
    /// All k6 instances have initialised their VUs.
    RunnersReady,
    /// The load has begun.
    Started,
    /// The run is over, whatever its verdict.
    Complete,
    /// The verdict: Unknown while running, then True or False.
    Succeeded,
}

impl ConditionType {
    /// The `type` string of the condition.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::RunnersReady => "RunnersReady",
            Self::Started => "Started",
            Self::Complete => "Complete",
            Self::Succeeded => "Succeeded",
        }
    }
}

/// Why a run ended as it did: the reason of `Complete` and `Succeeded`.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
pub enum Reason {
    /// Every threshold held (also when there is none).
    ThresholdsMet,
    /// At least one threshold was crossed (k6's exit code 99).
    ThresholdsCrossed,
    /// The script could not be loaded or threw an exception (107), or k6 refused its options (104).
    ScriptFailed,
    /// `setup()` failed or timed out (107, 100).
    SetupFailed,
    /// `teardown()` failed or timed out (107, 101).
    TeardownFailed,
    /// More runners were lost than the policy tolerates.
    RunnersLost,
    /// The script aborted the test (108) or marked it as failed (110).
    Aborted,
    /// A user stopped the run (105).
    Stopped,
    /// A wait passed its deadline.
    DeadlineExceeded,
    /// Not every sample could be written.
    OutputFailed,
    /// The spec cannot be run as it is.
    InvalidSpec,
}

impl Reason {
    /// The `reason` string of the condition.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ThresholdsMet => "ThresholdsMet",
            Self::ThresholdsCrossed => "ThresholdsCrossed",
            Self::ScriptFailed => "ScriptFailed",
            Self::SetupFailed => "SetupFailed",
            Self::TeardownFailed => "TeardownFailed",
            Self::RunnersLost => "RunnersLost",
            Self::Aborted => "Aborted",
            Self::Stopped => "Stopped",
            Self::DeadlineExceeded => "DeadlineExceeded",
            Self::OutputFailed => "OutputFailed",
            Self::InvalidSpec => "InvalidSpec",
        }
    }

    /// Whether a run that ends for this reason has passed.
    pub const fn passed(self) -> bool {
        matches!(self, Self::ThresholdsMet)
    }
}

/// A summary of the conditions for people; never read back by Weir.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
pub enum Phase {
    /// Nothing of the run exists yet, or it waits for its turn.
    #[default]
    Pending,
    /// Pods start, scripts load, VUs initialise.
    Preparing,
    /// The load is on.
    Running,
    /// The load is over; samples drain.
    Finishing,
    /// Over, and the verdict is a pass.
    Passed,
    /// Over, and the verdict is a failure.
    Failed,
}

impl Phase {
    /// The string shown in the printer column.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "Pending",
            Self::Preparing => "Preparing",
            Self::Running => "Running",
            Self::Finishing => "Finishing",
            Self::Passed => "Passed",
            Self::Failed => "Failed",
        }
    }
}

/// A user's wish that the run end early.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum StopRequest {
    /// Run to the end.
    #[default]
    None,
    /// Stop gracefully: teardown, drain and result, as after Ctrl-C in k6.
    Requested,
}
