//! Calls into the script and the start: setup, its data, teardown. Each runs at most once, and is answered as often
//! as it is asked for.

use prost::bytes::Bytes;

use super::{
    events::{Action, Now},
    failure,
    machine::{Call, Load, Machine, Process},
};
use crate::{
    api::v1alpha1::Reason,
    core::k6::exit::Exit,
    wire::{
        MESSAGE_BYTES_MAX,
        session::{Outcome, to_aggregator::Message as ToAggregator},
    },
};

/// Time past k6's own deadline for setup() and teardown().
const CALL_MARGIN_MS: u64 = 10_000;
/// Bytes of setup data that fit into a message with room for all else.
const SETUP_DATA_MAX: usize = MESSAGE_BYTES_MAX - (64 << 10);

impl Machine {
    pub(super) fn on_run_setup(&mut self) {
        match &self.setup {
            Call::Idle => self.setup = Call::Wanted,
            Call::Wanted | Call::Running => {}
            Call::Done(outcome) => {
                let outcome = outcome.clone();
                self.actions.push(Action::Send(ToAggregator::Setup(outcome)));
            }
        }
    }

    pub(super) fn on_run_teardown(&mut self) {
        match &self.teardown {
            Call::Idle => self.teardown = Call::Wanted,
            Call::Wanted | Call::Running => {}
            Call::Done(outcome) => {
                let outcome = outcome.clone();
                self.actions.push(Action::Send(ToAggregator::Teardown(outcome)));
            }
        }
    }

    pub(super) fn on_run_summary(&mut self, data: Bytes) {
        match &self.summary {
            Call::Idle => {
                self.summary = Call::Wanted;
                self.summary_data = data;
            }
            Call::Wanted | Call::Running => {}
            Call::Done(outcome) => {
                let outcome = outcome.clone();
                self.actions.push(Action::Send(ToAggregator::Summary(outcome)));
            }
        }
    }

    pub(super) fn on_summary_ran(&mut self, result: Result<Bytes, String>) {
        let outcome = match result {
            Ok(data) if data.len() > SETUP_DATA_MAX => {
                let text = format!("handleSummary() returned {} bytes", data.len());
                failed(Reason::ScriptFailed, format!("{text}; {SETUP_DATA_MAX} is the most"), None)
            }
            Ok(data) => Outcome { ok: true, data: Some(data), failure: None },
            Err(text) => failed(Reason::ScriptFailed, text, None),
        };
        self.summary = Call::Done(outcome.clone());
        self.actions.push(Action::Send(ToAggregator::Summary(outcome)));
    }

    /// Data comes before the start; afterwards the VUs have theirs.
    pub(super) fn on_setup_data(&mut self, data: Bytes) {
        if self.load < Load::Starting && self.process == Process::Alive {
            self.setup_data = Some(data.clone());
            self.setting_data = true;
            self.actions.push(Action::SetSetupData(data));
        }
    }

    pub(super) fn on_setup_ran(&mut self, result: Result<Option<Bytes>, String>) {
        if self.setup != Call::Running {
            return;
        }
        let outcome = match result {
            Ok(data) if data.as_ref().is_some_and(|data| data.len() > SETUP_DATA_MAX) => {
                let bytes = data.map_or(0, |data| data.len());
                let text = format!(
                    "setup() returned {bytes} bytes, at most {SETUP_DATA_MAX} can be given to all instances"
                );
                failed(Reason::SetupFailed, text, Some(107))
            }
            Ok(data) => {
                // Empty stands for `undefined`: no JSON is empty.
                self.setup_data = Some(data.clone().unwrap_or_default());
                Outcome { ok: true, data, failure: None }
            }
            Err(_) if self.stopped => {
                failed(Reason::Stopped, "the run was stopped during setup()".to_owned(), None)
            }
            Err(text) => {
                let (reason, code) = ending(&text, Reason::SetupFailed, 100);
                failed(reason, format!("setup() failed: {text}"), Some(code))
            }
        };
        self.setup = Call::Done(outcome.clone());
        self.actions.push(Action::Send(ToAggregator::Setup(outcome)));
    }

    pub(super) fn on_setup_data_set(&mut self, result: Result<(), String>, now: Now) {
        self.setting_data = false;
        match result {
            Err(text) if self.load < Load::Over && !self.stopped => {
                self.fail(
                    Reason::SetupFailed,
                    format!("k6 did not take the data of setup(): {text}"),
                    None,
                );
                self.stop(now);
            }
            Ok(()) | Err(_) => {}
        }
    }

    pub(super) fn on_teardown_ran(&mut self, result: Result<(), String>) {
        if self.teardown != Call::Running {
            return;
        }
        let outcome = match result {
            Ok(()) => Outcome { ok: true, data: None, failure: None },
            Err(text) => {
                let (reason, code) = ending(&text, Reason::TeardownFailed, 101);
                failed(reason, format!("teardown() failed: {text}"), Some(code))
            }
        };
        self.teardown = Call::Done(outcome.clone());
        self.actions.push(Action::Send(ToAggregator::Teardown(outcome)));
    }

    /// A new session: an answer may have been lost with the old one.
    pub(super) fn repeat_outcomes(&mut self) {
        if let Call::Done(outcome) = &self.setup {
            self.actions.push(Action::Send(ToAggregator::Setup(outcome.clone())));
        }
        if let Call::Done(outcome) = &self.teardown {
            self.actions.push(Action::Send(ToAggregator::Teardown(outcome.clone())));
        }
    }

    /// Makes the calls whose time has come, and the start.
    pub(super) fn go_on_with_calls(&mut self, now: Now) {
        if self.setup == Call::Wanted {
            match (self.load, self.process) {
                (Load::Paused, Process::Alive) if !self.stopped => {
                    self.setup = Call::Running;
                    let timeout_ms = self.requirements.as_ref().map_or(0, |r| r.setup_timeout_ms);
                    self.actions.push(Action::RunSetup { timeout_ms: timeout_ms + CALL_MARGIN_MS });
                }
                (Load::Initialising, _) if !self.stopped => {}
                _ => {
                    self.setup = Call::Running;
                    self.on_setup_ran(Err("k6 no longer waits for its start".to_owned()));
                }
            }
        }
        if self.teardown == Call::Wanted && self.load == Load::Over {
            self.teardown = Call::Running;
            if self.process == Process::Alive {
                let timeout_ms = self.requirements.as_ref().map_or(0, |r| r.teardown_timeout_ms);
                self.actions.push(Action::RunTeardown { timeout_ms: timeout_ms + CALL_MARGIN_MS });
            } else {
                self.on_teardown_ran(Err("k6 has ended before".to_owned()));
            }
        }
        if self.summary == Call::Wanted && matches!(self.process, Process::Gone | Process::Never) {
            self.summary = Call::Running;
            let data = std::mem::take(&mut self.summary_data);
            let timeout_ms = self.requirements.as_ref().map_or(0, |r| r.summary_timeout_ms);
            let timeout_ms = timeout_ms + CALL_MARGIN_MS;
            self.actions.push(Action::RunSummary { data, timeout_ms });
        }
        let settled = !self.setting_data && !matches!(self.setup, Call::Wanted | Call::Running);
        if self.start_wanted && self.load == Load::Paused && settled && !self.stopped {
            self.load = Load::Starting;
            self.started_unix_ns = now.unix_ns;
            self.actions.push(Action::Resume);
        }
    }

    /// Whether no call is in k6's hands or on its way there.
    pub(super) const fn calls_are_idle(&self) -> bool {
        !matches!(self.setup, Call::Running)
            && !matches!(self.teardown, Call::Wanted | Call::Running)
    }

    /// k6 is gone: calls in its hands will not be answered.
    pub(super) fn lose_calls(&mut self, exit: &Exit) {
        let text = format!("k6 ended with {}", exit.describe());
        self.setting_data = false;
        self.on_setup_ran(Err(text.clone()));
        self.on_teardown_ran(Err(text));
    }
}

/// What k6's error of a call means for the run, and the code that one k6 would end with.
fn ending(text: &str, otherwise: Reason, timed_out: i32) -> (Reason, i32) {
    if text.contains("test aborted: ") {
        return (Reason::Aborted, 108);
    }
    (otherwise, if text.contains("timed out") { timed_out } else { 107 })
}

fn failed(reason: Reason, text: String, exit_code: Option<i32>) -> Outcome {
    Outcome { ok: false, data: None, failure: Some(failure::new(reason, text, exit_code)) }
}
