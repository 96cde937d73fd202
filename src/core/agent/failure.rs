//! Failures in the words of the API.

use crate::{
    api::v1alpha1::Reason,
    core::k6::exit::{Exit, INTERRUPTED, STOPPED_OVER_REST},
    wire::session::Failure,
};

/// What k6 logs when the script calls `exec.test.fail()`.
const MARKED_AS_FAILED: &str = "test marked as failed";

/// A failure of this instance.
pub fn new(reason: Reason, message: impl Into<String>, exit_code: Option<i32>) -> Failure {
    let (reason, message) = (reason.as_str().to_owned(), message.into());
    Failure { reason, message, exit_code, provisional: false, word: String::new() }
}

/// When k6 ended, as far as a failure depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// Before all VUs were initialised.
    BeforeReady,
    /// Afterwards, before Weir let it go.
    BeforeFinish,
    /// After Weir let it go.
    AfterFinish,
}

/// What the end of k6 says of this instance; none when all is well. `stopped`: Weir itself had stopped the load.
pub fn of_exit(exit: &Exit, when: When, stopped: bool) -> Option<Failure> {
    // k6 has decided on its code before teardown(), but not yet when the script fails the test in it.
    if exit.code == 0 && when == When::AfterFinish && !stopped {
        let marked = exit.error.as_deref().filter(|error| error.contains(MARKED_AS_FAILED))?;
        return Some(new(Reason::Aborted, marked, Some(110)));
    }
    let ours = matches!(exit.code, STOPPED_OVER_REST | INTERRUPTED) || exit.signal.is_some();
    if (stopped && ours) || (exit.code == 0 && when == When::AfterFinish) {
        return None;
    }
    let reason = match (exit.reason(), when) {
        (Some(reason), _) => reason,
        // Options and outputs that k6 refuses end it with no code of their own.
        (None, When::BeforeReady) if exit.signal.is_none() => Reason::ScriptFailed,
        (None, _) => Reason::RunnersLost,
    };
    let text = exit.error.as_deref().map(|error| format!(": {error}")).unwrap_or_default();
    let message = format!("k6 ended with {}{text}", exit.describe());
    Some(Failure { word: exit.word(), ..new(reason, message, Some(exit.code)) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exit(code: i32, signal: Option<i32>) -> Exit {
        Exit { code, signal, oom_killed: false, error: None }
    }

    fn reason(code: i32, signal: Option<i32>, when: When, stopped: bool) -> Option<String> {
        of_exit(&exit(code, signal), when, stopped).map(|failure| failure.reason)
    }

    #[test]
    fn each_end_has_its_reason() {
        use When::{AfterFinish, BeforeFinish, BeforeReady};
        for (code, signal, when, stopped, wanted) in [
            (0, None, AfterFinish, false, None),
            (103, None, AfterFinish, true, None),
            (105, None, BeforeReady, true, None),
            (130, Some(2), BeforeReady, true, None),
            (0, None, BeforeFinish, false, Some("RunnersLost")),
            (107, None, BeforeReady, false, Some("ScriptFailed")),
            (104, None, BeforeReady, false, Some("ScriptFailed")),
            (255, None, BeforeReady, false, Some("ScriptFailed")),
            (137, Some(9), BeforeReady, false, Some("RunnersLost")),
            (137, Some(9), BeforeFinish, false, Some("RunnersLost")),
            (109, None, BeforeFinish, false, Some("RunnersLost")),
            (107, None, AfterFinish, false, Some("ScriptFailed")),
            (107, None, AfterFinish, true, Some("ScriptFailed")),
            (108, None, AfterFinish, false, Some("Aborted")),
            (110, None, AfterFinish, false, Some("Aborted")),
            (105, None, AfterFinish, false, Some("RunnersLost")),
        ] {
            let found = reason(code, signal, when, stopped);
            assert_eq!(found.as_deref(), wanted, "{code} {signal:?} {when:?} {stopped}");
        }
    }

    #[test]
    fn a_test_that_teardown_marks_as_failed_has_failed() {
        let marked = |when| {
            let error = Some("test marked as failed: in teardown".to_owned());
            of_exit(&Exit { error, ..exit(0, None) }, when, false)
        };
        let failure = marked(When::AfterFinish).unwrap();
        assert_eq!((failure.reason.as_str(), failure.exit_code), ("Aborted", Some(110)));
    }

    #[test]
    fn the_message_carries_k6s_own_error() {
        let exit = Exit {
            code: 107,
            signal: None,
            oom_killed: false,
            error: Some("Error: boom".to_owned()),
        };
        let failure = of_exit(&exit, When::AfterFinish, false).unwrap();
        let wanted = "k6 ended with code 107 (an exception in the script): Error: boom";
        assert_eq!((failure.message.as_str(), failure.exit_code), (wanted, Some(107)));
        let killed = of_exit(&super::tests::exit(137, Some(9)), When::BeforeFinish, false).unwrap();
        assert_eq!(
            killed.message,
            "k6 ended with signal 9 (killed, as the kernel does when memory runs out)"
        );
        let starved = Exit { oom_killed: true, ..super::tests::exit(137, Some(9)) };
        let failure = of_exit(&starved, When::BeforeFinish, false).unwrap();
        assert_eq!(failure.word, "OOMKilled");
        assert!(failure.message.contains("spec.k6.resources.limits.memory"));
    }
}
