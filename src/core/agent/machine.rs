//! One agent's life: from the first look at the script to the last acknowledged sample.

use prost::bytes::Bytes;

use super::{
    config::Config,
    events::{Action, Input, Leave, Now, Uninspected},
    failure::{self, When},
    stopping::{Push, Stopping},
};
use crate::{
    api::v1alpha1::Reason,
    core::k6::{
        environment,
        exit::{Exit, REST_FAILED},
        options::Options,
        rest::{Stage, Status},
        tags,
        version::Version,
    },
    wire::session::{
        AgentPhase, Failure, Outcome, Requirements, to_agent::Message as FromAggregator,
    },
};

/// Time between two looks at k6's status while it initialises, and while it runs.
const POLL_MS: i64 = 20;
/// The same while k6 waits paused: nothing but its own death can change there.
const POLL_PAUSED_MS: i64 = 500;
/// Time past the longest time a test may take, after which k6 is stopped.
const OVERDUE_MS: i64 = 60_000;
/// Times that k6 is started because its port was taken the time before.
const STARTS_MAX: u32 = 4;
/// Time that an agent which must go gives its last report to arrive.
const LAST_WORD_MS: i64 = 500;
/// Time that an agent without a session gives k6 to end.
const ORPHAN_END_MS: i64 = 10_000;

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
    pub(super) version: Option<Version>,
    pub(super) requirements: Option<Requirements>,
    pub(super) failure: Option<Failure>,
    pub(super) exit_code: Option<i32>,
    pub(super) started_unix_ns: i64,
    pub(super) ended_unix_ns: i64,
    pub(super) vus: u64,
    options: Option<Options>,
    starts: u32,
    failure_is_provisional: bool,
    polling: bool,
    poll_due_ms: i64,
    overdue_ms: i64,
    unheard_since_ms: Option<i64>,
    orphaned_at_ms: Option<i64>,
    terminated_at_ms: Option<i64>,
    finished_at_ms: Option<i64>,
    last_word_said: bool,
    left: bool,
}

impl Machine {
    /// A machine that waits for [`Input::Version`] and [`Input::Inspected`].
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
            version: None,
            requirements: None,
            failure: None,
            exit_code: None,
            started_unix_ns: 0,
            ended_unix_ns: 0,
            vus: 0,
            options: None,
            starts: 0,
            failure_is_provisional: false,
            polling: false,
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
        match input {
            Input::Version(version) => self.on_version(version, now),
            Input::Inspected(options) => self.on_inspected(options, now),
            Input::Status(status) => self.on_status(status, now),
            Input::SetupRan(result) => self.on_setup_ran(result),
            Input::SetupDataSet(result) => self.on_setup_data_set(result, now),
            Input::Resumed(result) => self.on_resumed(result, now),
            Input::TeardownRan(result) => self.on_teardown_ran(result),
            Input::Exited(exit) => self.on_exit(exit, now),
            Input::SamplesEnded => self.samples_ended = true,
            Input::SamplesLost(text) => self.fail(Reason::OutputFailed, text, None),
            Input::SessionUp => {
                self.unheard_since_ms = None;
                self.repeat_outcomes();
            }
            Input::SessionDown => {
                self.unheard_since_ms.get_or_insert(now.ms);
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
        let after =
            |since: Option<i64>, ms: i64| since.map_or(i64::MAX, |at| at.saturating_add(ms));
        let poll_due_ms = if self.polling { i64::MAX } else { self.poll_due_ms };
        let orphan_due_ms = match self.orphaned_at_ms {
            Some(at) => at.saturating_add(ORPHAN_END_MS),
            None => after(self.unheard_since_ms, self.config.orphan_ms),
        };
        let terminate_due_ms = after(self.terminated_at_ms, self.config.grace_ms);
        let last_word_due_ms = match self.terminated_at_ms {
            Some(_) if !self.last_word_said => after(self.finished_at_ms, LAST_WORD_MS),
            _ => i64::MAX,
        };
        let push_due_ms = match self.process {
            Process::Alive => self.stopping.due_ms(),
            Process::Awaited | Process::Gone | Process::Never => i64::MAX,
        };
        poll_due_ms
            .min(push_due_ms)
            .min(self.overdue_ms)
            .min(orphan_due_ms)
            .min(terminate_due_ms)
            .min(last_word_due_ms)
    }

    fn on_version(&mut self, version: Result<Version, String>, now: Now) {
        match version {
            Ok(version) => self.version = Some(version),
            Err(text) => {
                self.fail(Reason::InvalidSpec, text, None);
                self.never(now);
            }
        }
    }

    fn on_inspected(&mut self, options: Result<Options, Uninspected>, now: Now) {
        match options {
            Ok(options) => {
                self.requirements = Some(self.required(&options));
                self.options = Some(options);
            }
            Err(Uninspected::Failed(exit)) => {
                self.exit_code = Some(exit.code);
                if !self.stopped && self.failure.is_none() {
                    self.failure = failure::of_exit(&exit, When::BeforeReady, false);
                }
                self.never(now);
            }
            Err(Uninspected::Broken(text)) => {
                self.fail(Reason::ScriptFailed, text, None);
                self.never(now);
            }
            Err(Uninspected::BadArguments(text)) => {
                self.fail(Reason::InvalidSpec, text, None);
                self.never(now);
            }
        }
    }

    fn required(&self, options: &Options) -> Requirements {
        let user = &self.config.user;
        Requirements {
            max_vus: options.max_vus,
            total_duration_ms: options.total_duration_ms,
            no_setup: user.no_setup.unwrap_or(options.no_setup),
            no_teardown: user.no_teardown.unwrap_or(options.no_teardown),
            no_thresholds: environment::no_thresholds(user, &self.config.environment),
            setup_timeout_ms: options.setup_timeout_ms,
            teardown_timeout_ms: options.teardown_timeout_ms,
        }
    }

    /// Starts k6 once its version and the script's options are known.
    fn start_k6(&mut self, now: Now) {
        let (Process::Awaited, Some(options), Some(_)) =
            (self.process, &self.options, &self.version)
        else {
            return;
        };
        let instances = self.config.instances;
        if options.segmented {
            let text = "the script's options set executionSegment: Weir gives each instance its own; remove it";
            self.fail(Reason::InvalidSpec, text, None);
            return self.never(now);
        }
        if options.max_vus < u64::from(instances) {
            let text = format!(
                "spec.parallelism is {instances} but the script has only {} VUs: every instance needs one; \
                 lower spec.parallelism or give the script more VUs",
                options.max_vus
            );
            self.fail(Reason::InvalidSpec, text, None);
            return self.never(now);
        }
        let sources = tags::Sources {
            script: &options.tags,
            args: &self.config.user.tags,
            spec: &self.config.tags,
            run: &self.config.run.name,
            instance_id: self.config.instance_id,
        };
        match tags::all(&sources) {
            Ok(tags) => {
                self.process = Process::Alive;
                self.starts += 1;
                self.poll_due_ms = now.ms + POLL_MS;
                self.actions.push(Action::StartK6(tags));
            }
            Err(error) => {
                self.fail(Reason::InvalidSpec, error.to_string(), None);
                self.never(now);
            }
        }
    }

    /// k6 will not be started: there is nothing to wait for.
    fn never(&mut self, now: Now) {
        if self.process == Process::Awaited {
            self.process = Process::Never;
            self.load_over(now);
            self.actions.push(Action::CloseSamples);
        }
    }

    fn on_status(&mut self, status: Option<Status>, now: Now) {
        self.polling = false;
        self.poll_due_ms =
            now.ms + if self.load == Load::Paused { POLL_PAUSED_MS } else { POLL_MS };
        let Some(status) = status else { return };
        if self.process != Process::Alive || self.load == Load::Over {
            return;
        }
        self.vus = status.vus;
        match status.stage {
            Stage::Initialising => {}
            Stage::Paused => {
                if self.load == Load::Initialising {
                    self.load = Load::Paused;
                }
            }
            Stage::Running => self.load = self.load.max(Load::Running),
            Stage::Ended => self.load_over(now),
            Stage::Interrupted => {
                if !self.stopped {
                    let text =
                        "k6 ended the load before its time: the script aborted the test, or failed";
                    self.fail(Reason::Aborted, text, Some(108));
                    self.failure_is_provisional = true;
                }
                self.load_over(now);
            }
            Stage::MarkedAsFailed => {
                self.fail(Reason::Aborted, "the script marked the test as failed", Some(110));
                self.failure_is_provisional = true;
                self.load_over(now);
            }
        }
    }

    fn on_resumed(&mut self, result: Result<(), String>, now: Now) {
        match result {
            Ok(()) => {
                self.load = self.load.max(Load::Running);
                self.poll_due_ms = now.ms + POLL_MS;
                let total_ms = self.requirements.as_ref().map_or(0, |r| r.total_duration_ms);
                let total_ms = i64::try_from(total_ms).unwrap_or(i64::MAX);
                self.overdue_ms = now.ms.saturating_add(total_ms).saturating_add(OVERDUE_MS);
            }
            Err(text) if self.load < Load::Over && !self.stopped => {
                self.fail(Reason::RunnersLost, format!("k6 did not start its load: {text}"), None);
                self.stop(now);
            }
            Err(_) => {}
        }
    }

    fn on_exit(&mut self, exit: Exit, now: Now) {
        if exit.code == REST_FAILED && self.load == Load::Initialising && !self.stopped {
            self.process = Process::Awaited;
            if self.starts < STARTS_MAX {
                return;
            }
        }
        let when = match self.load {
            _ if self.finish_wanted => When::AfterFinish,
            Load::Initialising => When::BeforeReady,
            Load::Paused | Load::Starting | Load::Running | Load::Over => When::BeforeFinish,
        };
        self.process = Process::Gone;
        self.exit_code = Some(exit.code);
        match failure::of_exit(&exit, when, self.stopping.begun() && self.stopped) {
            Some(failure) if self.failure.is_none() || self.failure_is_provisional => {
                self.failure = Some(failure);
                self.failure_is_provisional = false;
            }
            _ => {}
        }
        self.load_over(now);
        self.lose_calls(&exit);
        self.actions.push(Action::CloseSamples);
    }

    fn on_message(&mut self, message: FromAggregator, now: Now) {
        match message {
            FromAggregator::Welcome(_) | FromAggregator::Ack(_) => {}
            FromAggregator::Refused(_) => self.leave(Leave::HandedOver),
            FromAggregator::RunSetup(_) => self.on_run_setup(),
            FromAggregator::SetupData(message) => self.on_setup_data(message.data),
            FromAggregator::Start(_) => self.start_wanted = true,
            FromAggregator::Stop(_) => self.stop(now),
            FromAggregator::RunTeardown(_) => self.on_run_teardown(),
            FromAggregator::Finish(_) => {
                self.finish_wanted = true;
                if self.load < Load::Over {
                    self.stop(now);
                }
            }
            FromAggregator::Goodbye(_) => self.leave(Leave::HandedOver),
        }
    }

    /// Ends the load, wherever it stands. What comes after it is left to the aggregator.
    pub(super) fn stop(&mut self, now: Now) {
        if self.load == Load::Over || self.stopped {
            return;
        }
        self.stopped = true;
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

    fn on_terminate(&mut self, now: Now) {
        if self.terminated_at_ms.is_some() {
            return;
        }
        self.terminated_at_ms = Some(now.ms);
        if self.load < Load::Starting {
            // Nothing has begun: this instance may still be replaced, so it must not fail the run.
            let push = self.stopping.kill();
            self.push(push);
            return self.leave(Leave::Failed("told to stop before the load began".to_owned()));
        }
        if !self.is_finished() {
            let text = format!(
                "the pod of instance {} was told to stop (SIGTERM) before its part was done",
                self.config.instance_id
            );
            self.fail(Reason::RunnersLost, text, None);
        }
        self.stop(now);
        self.finish_wanted = true;
    }

    /// All that follows from the state and the time alone.
    fn go_on(&mut self, now: Now) {
        if self.left {
            return;
        }
        self.start_k6(now);
        self.go_on_with_calls(now);
        if now.ms >= self.overdue_ms && self.load < Load::Over {
            self.overdue_ms = i64::MAX;
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

    /// Leaves when there is nobody to hand over to, or no time to do so.
    fn give_up(&mut self, now: Now) {
        let handed_over = self.is_finished() && now.drained;
        if let Some(at) = self.terminated_at_ms {
            self.last_word_said = self.finished_at_ms.is_some_and(|at| now.ms >= at + LAST_WORD_MS);
            if handed_over && self.last_word_said {
                return self.leave(Leave::HandedOver);
            }
            if now.ms >= at.saturating_add(self.config.grace_ms) {
                return self.leave(Leave::Failed("no time was left to hand over".to_owned()));
            }
        }
        let Some(since) = self.unheard_since_ms else { return };
        if now.ms < since.saturating_add(self.config.orphan_ms) {
            return;
        }
        if handed_over {
            return self.leave(Leave::HandedOver);
        }
        let text = format!("no session with the aggregator for {} ms", now.ms - since);
        let orphaned_at_ms = *self.orphaned_at_ms.get_or_insert(now.ms);
        self.fail(Reason::RunnersLost, text.clone(), None);
        self.stopped = true;
        self.end_process(now);
        if self.is_finished() || now.ms >= orphaned_at_ms.saturating_add(ORPHAN_END_MS) {
            self.leave(Leave::Failed(text));
        }
    }

    fn end_process(&mut self, now: Now) {
        match self.process {
            Process::Alive => {
                let push = self.stopping.end(now.ms);
                self.push(push);
            }
            Process::Awaited => self.never(now),
            Process::Gone | Process::Never => {}
        }
    }

    fn leave(&mut self, leave: Leave) {
        if self.left {
            return;
        }
        self.left = true;
        if self.process == Process::Alive {
            let push = self.stopping.kill();
            self.push(push);
        }
        self.actions.push(Action::Leave(leave));
    }

    fn push(&mut self, push: Option<Push>) {
        self.actions.extend(push.map(Action::Push));
    }

    fn load_over(&mut self, now: Now) {
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
