//! Why a run ends other than by itself, in the API's words and with k6's exit codes.

use crate::{
    api::v1alpha1::Reason,
    wire::{result::Outcome, session::Failure},
};

/// k6's exit code where it has no special one.
const GENERIC: i32 = 255;

const REASONS: [Reason; 11] = [
    Reason::ThresholdsMet,
    Reason::ThresholdsCrossed,
    Reason::ScriptFailed,
    Reason::SetupFailed,
    Reason::TeardownFailed,
    Reason::RunnersLost,
    Reason::Aborted,
    Reason::Stopped,
    Reason::DeadlineExceeded,
    Reason::OutputFailed,
    Reason::InvalidSpec,
];

/// Longest message of an instance that is passed on, in bytes: the result must fit an object of Kubernetes.
const MESSAGE_BYTES_MAX: usize = 4096;

/// The longest prefix of at most `bytes_max` bytes that ends between characters.
pub fn clip(text: &str, bytes_max: usize) -> &str {
    let mut end = text.len().min(bytes_max);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or_default()
}

/// The exit code of a reason where the instance did not give one.
pub const fn exit_code(reason: Reason) -> i32 {
    match reason {
        Reason::ThresholdsMet => 0,
        Reason::ThresholdsCrossed => 99,
        Reason::ScriptFailed | Reason::SetupFailed | Reason::TeardownFailed => 107,
        Reason::Aborted => 108,
        Reason::Stopped => 105,
        Reason::DeadlineExceeded => 102,
        Reason::InvalidSpec => 104,
        Reason::RunnersLost | Reason::OutputFailed => GENERIC,
    }
}

/// An outcome with the reason's own exit code.
pub fn outcome(reason: Reason, message: impl Into<String>) -> Outcome {
    Outcome { reason, message: message.into(), exit_code: exit_code(reason) }
}

/// What an instance's failure means for the run. A word that is no reason of the API counts as `otherwise`.
pub fn of_failure(instance_id: u32, failure: &Failure, otherwise: Reason) -> Outcome {
    let reason =
        REASONS.into_iter().find(|reason| reason.as_str() == failure.reason).unwrap_or(otherwise);
    // One line, though k6's errors may carry a stack.
    let words: Vec<&str> = clip(&failure.message, MESSAGE_BYTES_MAX).split_whitespace().collect();
    Outcome {
        reason,
        message: format!("instance {instance_id}: {}", words.join(" ")),
        exit_code: failure.exit_code.unwrap_or_else(|| exit_code(reason)),
    }
}

/// What k6's exit code means for the run when the agent named no failure; nothing where k6 was told to go.
pub fn of_exit_code(instance_id: u32, code: i32) -> Option<Outcome> {
    let reason = match code {
        0 | 99 | 103 | 105 => return None,
        100 => Reason::SetupFailed,
        101 => Reason::TeardownFailed,
        104 | 107 => Reason::ScriptFailed,
        108 | 110 => Reason::Aborted,
        _ => Reason::RunnersLost,
    };
    let message = format!("instance {instance_id}: k6 ended with exit code {code}");
    Some(Outcome { reason, message, exit_code: code })
}
