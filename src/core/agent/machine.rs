//! One agent's life: from the first look at the script to the last acknowledged sample.

use prost::bytes::Bytes;

use super::{
    config::Config,
    events::{Action, Input, Leave, Now},
    failure,
    stopping::{Push, Stopping},
};
use crate::{
    api::v1alpha1::Reason,
    core::{
        bundle::{Assembly, Bundle},
        k6::{options::Options, version::Version},
    },
    wire::session::{
        AgentPhase, Failure, Outcome, Requirements, Terms, to_agent::Message as FromAggregator,
    },
};

/// Where the load stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Load {
    /// k6 is not started, or initialises.
    Initialising,
    /// All VUs are initialised.
    Paused,
    /// The aggregator said start.
    Starting,
    /// k6 took the order to go.
    Running,
    /// Over.
    Over,
}

/// The k6 process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Process {
    /// Not started yet.
    Awaited,
    /// Started.
    Alive,
    /// Ended.
    Gone,
    /// It will never be started.
    Never,
}

/// A call into the script that runs at most once.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) enum Call {
    /// Not asked for.
    #[default]
    Idle,
    /// Asked for, but k6 is not there yet.
    Wanted,
    /// In k6's hands.
    Running,
    /// Over.
    Done(Outcome),
}

/// The state machine. Feed it with [`handle`](Self::handle) whatever happens, and at [`wake_ms`](Self::wake_ms).
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "facts that do not exclude each other")]
pub struct Machine {
    pub(super) config: Config,
    pub(super) actions: Vec<Action>,
    pub(super) process: Process,
    pub(super) load: Load,
    pub(super) stopping: Stopping,
    /// The load was stopped by Weir, not by its own end.
    pub(super) stopped: bool,
    pub(super) finish_wanted: bool,
    pub(super) samples_ended: bool,
    pub(super) setup: Call,
    pub(super) setup_data: Option<Bytes>,
    pub(super) setting_data: bool,
    pub(super) start_wanted: bool,
    pub(super) teardown: Call,
    pub(super) summary: Call,
    pub(super) summary_data: Bytes,
    pub(super) version: Option<Version>,
    pub(super) requirements: Option<Requirements>,
    pub(super) failure: Option<Failure>,
    pub(super) exit_code: Option<i32>,
    pub(super) started_unix_ns: i64,
    pub(super) ended_unix_ns: i64,
    pub(super) vus: u64,
    pub(super) vus_max: u64,
    pub(super) options: Option<Options>,
    pub(super) assembly: Assembly,
    pub(super) bundle: Option<Bundle>,
    /// The bundle lies where k6 will run it from.
    pub(super) bundle_stored: bool,
    /// The script imports an extension of k6's.
    pub(super) is_extended: bool,
    /// The script may look at the tags of its samples.
    pub(super) reads_tags: bool,
    pub(super) terms: Option<Terms>,
    /// The aggregator of this session knows the terms.
    pub(super) terms_said: bool,
    /// The aggregator waits for this part.
    pub(super) part_wanted: Option<u64>,
    pub(super) starts: u32,
    /// k6 died before the start: another agent may take this one's place.
    pub(super) replaceable: Option<String>,
    pub(super) polling: bool,
    /// When k6 took the order to go.
    pub(super) running_since_ms: i64,
    pub(super) poll_due_ms: i64,
    pub(super) overdue_ms: i64,
    pub(super) unheard_since_ms: Option<i64>,
    pub(super) orphaned_at_ms: Option<i64>,
    pub(super) terminated_at_ms: Option<i64>,
    pub(super) finished_at_ms: Option<i64>,
    pub(super) last_word_said: bool,
    pub(super) left: bool,
}

impl Machine {
    /// A machine that waits for [`Input::Version`] and the bundle.
    pub fn new(config: Config, now: Now) -> Self {
        Self {
            config,
            actions: Vec::new(),
            process: Process::Awaited,
            load: Load::Initialising,
            stopping: Stopping::default(),
            stopped: false,
            finish_wanted: false,
            samples_ended: false,
            setup: Call::Idle,
            setup_data: None,
            setting_data: false,
            start_wanted: false,
            teardown: Call::Idle,
            summary: Call::Idle,
            summary_data: Bytes::new(),
            version: None,
            requirements: None,
            failure: None,
            exit_code: None,
            started_unix_ns: 0,
            ended_unix_ns: 0,
            vus: 0,
            vus_max: 0,
            options: None,
            assembly: Assembly::default(),
            bundle: None,
            bundle_stored: false,
            is_extended: false,
            reads_tags: false,
            terms: None,
            terms_said: false,
            part_wanted: None,
            starts: 0,
            replaceable: None,
            polling: false,
            running_since_ms: 0,
            poll_due_ms: i64::MAX,
            overdue_ms: i64::MAX,
            unheard_since_ms: Some(now.ms),
            orphaned_at_ms: None,
            terminated_at_ms: None,
            finished_at_ms: None,
            last_word_said: false,
            left: false,
        }
    }

    /// Takes what happened, and answers what is to be done, in this order.
    pub fn handle(&mut self, input: Input, now: Now) -> Vec<Action> {
        if self.left {
            return Vec::new();
        }
        match input {
            Input::Version(version) => self.on_version(version, now),
            Input::Bundled(bundle) => self.on_bundled(bundle, now),
            Input::BundleStored(result) => self.on_bundle_stored(result, now),
            Input::Status(status) => self.on_status(status, now),
            Input::SetupRan(result) => self.on_setup_ran(result),
            Input::SetupDataSet(result) => self.on_setup_data_set(result, now),
            Input::Resumed(result) => self.on_resumed(result, now),
            Input::TeardownRan(result) => self.on_teardown_ran(result),
            Input::SummaryRan(result) => self.on_summary_ran(result),
            Input::Exited(exit) => self.on_exit(&exit, now),
            Input::SamplesEnded => self.samples_ended = true,
            Input::SamplesLost(text) => self.fail(Reason::OutputFailed, text, None),
            Input::SessionUp => {
                self.unheard_since_ms = None;
                // Too late for the load, but not for what it left.
                self.orphaned_at_ms = None;
                self.terms_said = false;
                self.want_bundle();
                self.repeat_outcomes();
            }
            Input::SessionDown => {
                self.unheard_since_ms.get_or_insert(now.ms);
            }
            // The run is over, and this instance never was a part of it.
            Input::AggregatorGone if self.load < Load::Starting && now.drained => {
                self.leave(Leave::HandedOver);
            }
            Input::AggregatorGone => {
                self.unheard_since_ms = Some(now.ms.saturating_sub(self.config.orphan_ms));
            }
            Input::Message(message) => self.on_message(message, now),
            Input::Terminate => self.on_terminate(now),
            Input::Tick => {}
        }
        self.go_on(now);
        std::mem::take(&mut self.actions)
    }

    /// When [`handle`](Self::handle) wants [`Input::Tick`], at the latest.
    pub fn wake_ms(&self) -> i64 {
        let poll_due_ms = if self.polling { i64::MAX } else { self.poll_due_ms };
        let push_due_ms = match self.process {
            Process::Alive => self.stopping.due_ms(),
            Process::Awaited | Process::Gone | Process::Never => i64::MAX,
        };
        poll_due_ms.min(push_due_ms).min(self.overdue_ms).min(self.departure_due_ms())
    }

    fn on_message(&mut self, message: FromAggregator, now: Now) {
        match message {
            FromAggregator::Welcome(_) | FromAggregator::Ack(_) => {}
            FromAggregator::SendBundle(wanted) => self.on_send_bundle(wanted.offset),
            FromAggregator::Bundle(part) => self.on_bundle_part(&part, now),
            FromAggregator::RunSetup(_) => self.on_run_setup(),
            FromAggregator::SetupData(message) => self.on_setup_data(message.data),
            FromAggregator::Start(_) => self.start_wanted = true,
            FromAggregator::Stop(_) => self.stop(now),
            FromAggregator::RunTeardown(_) => self.on_run_teardown(),
            FromAggregator::RunSummary(message) => self.on_run_summary(message.data),
            FromAggregator::Finish(_) => {
                self.finish_wanted = true;
                if self.load < Load::Over {
                    self.stop(now);
                }
            }
            FromAggregator::Refused(_) | FromAggregator::Goodbye(_) => {
                self.leave(Leave::HandedOver);
            }
        }
    }

    /// Ends the load, wherever it stands. What comes after it is left to the aggregator.
    pub(super) fn stop(&mut self, now: Now) {
        if self.load == Load::Over || self.stopped {
            return;
        }
        self.stopped = true;
        self.overdue_ms = i64::MAX;
        if self.setup == Call::Running {
            self.actions.push(Action::CancelSetup);
        }
        let push = match (self.process, self.load) {
            (Process::Awaited, _) => return self.never(now),
            // Before its VUs are there k6 does not linger: nothing would end it but a signal.
            (_, Load::Initialising) => self.stopping.end(now.ms),
            _ => self.stopping.stop_load(now.ms),
        };
        self.push(push);
    }

    /// All that follows from the state and the time alone.
    fn go_on(&mut self, now: Now) {
        if self.left {
            return;
        }
        self.say_terms();
        self.shed_bundle();
        self.start_k6(now);
        self.go_on_with_calls(now);
        if now.ms >= self.overdue_ms && self.load < Load::Over {
            let text = "the load went on past the longest time it may take";
            self.fail(Reason::DeadlineExceeded, text, None);
            self.stop(now);
        }
        if self.finish_wanted && self.load == Load::Over && self.calls_are_idle() {
            self.end_process(now);
        }
        if self.process == Process::Alive {
            let push = self.stopping.poll(now.ms);
            self.push(push);
        }
        let polls = self.process == Process::Alive && self.load < Load::Over;
        if polls && !self.polling && now.ms >= self.poll_due_ms {
            self.polling = true;
            self.actions.push(Action::Poll);
        }
        if !polls {
            self.poll_due_ms = i64::MAX;
        }
        if self.is_finished() {
            self.finished_at_ms.get_or_insert(now.ms);
        }
        self.give_up(now);
    }

    pub(super) fn push(&mut self, push: Option<Push>) {
        self.actions.extend(push.map(Action::Push));
    }

    pub(super) fn load_over(&mut self, now: Now) {
        if self.load < Load::Over {
            self.load = Load::Over;
            self.vus = 0;
            self.overdue_ms = i64::MAX;
            if self.started_unix_ns > 0 {
                self.ended_unix_ns = now.unix_ns;
            }
            self.stopping.load_over();
        }
    }

    /// Keeps the first failure: what follows it is most often its consequence.
    pub(super) fn fail(&mut self, reason: Reason, text: impl Into<String>, exit_code: Option<i32>) {
        if self.failure.is_none() {
            self.failure = Some(failure::new(reason, text, exit_code));
        }
    }

    /// Whether this agent can say which k6 it has, or that it has none.
    pub const fn knows_k6(&self) -> bool {
        self.version.is_some() || matches!(self.process, Process::Never)
    }

    /// How far into a period this instance has its turn, so that those of all instances are spread evenly over it.
    pub(super) fn turn_ms(&self, period_ms: i64) -> i64 {
        let Config { instance_id, instances, .. } = &self.config;
        period_ms * i64::from(instance_id.saturating_sub(1)) / i64::from((*instances).max(1))
    }

    /// The same, for what k6's exit code will tell better.
    pub(super) fn fail_for_now(&mut self, text: &str, exit_code: i32) {
        if self.failure.is_none() {
            let failure = failure::new(Reason::Aborted, text, Some(exit_code));
            self.failure = Some(Failure { provisional: true, ..failure });
        }
    }

    /// k6 has ended, and its last sample is in a frame.
    pub(super) const fn is_finished(&self) -> bool {
        matches!(self.process, Process::Gone | Process::Never) && self.samples_ended
    }

    /// Where this agent stands, in the words of the session.
    pub fn phase(&self) -> AgentPhase {
        match self.load {
            _ if self.is_finished() => AgentPhase::Finished,
            Load::Initialising => AgentPhase::Preparing,
            Load::Paused => AgentPhase::Ready,
            Load::Starting => AgentPhase::Starting,
            Load::Running => AgentPhase::Running,
            Load::Over => AgentPhase::Ended,
        }
    }
}

#[cfg(test)]
mod tests;
