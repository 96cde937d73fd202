//! k6 on its way: the script's options, the start of the process, the stages it reports, its end.

use super::{
    events::{Action, Now},
    failure::{self, When},
    machine::{Load, Machine, Process},
};
use crate::{
    api::v1alpha1::Reason,
    core::{
        error,
        k6::{
            environment as variables,
            exit::{Exit, REST_FAILED},
            outlet,
            rest::{Stage, Status},
            tags::{self, Seers, Split},
            version::Version,
        },
        summary::settings::{Mode, Settings},
    },
};

/// Time between two looks at k6's status while it initialises, and when its load begins.
const POLL_MS: i64 = 20;
/// The same later in the load: a look costs k6 as much as some dozens of samples.
const POLL_RUNNING_MS: i64 = 100;
/// The part of the load's time so far by which its end may be seen late.
const POLL_PART: i64 = 50;
/// The same while k6 waits paused: nothing but its own death can change there.
const POLL_PAUSED_MS: i64 = 500;
/// Time past the longest time a test may take, after which k6 is stopped.
const OVERDUE_MS: i64 = 60_000;
/// Times that k6 is started because its port was taken the time before.
const STARTS_MAX: u32 = 4;

impl Machine {
    pub(super) fn on_version(&mut self, version: Result<Version, String>, now: Now) {
        match version {
            Ok(version) => self.version = Some(version),
            Err(text) => {
                self.fail(Reason::InvalidSpec, text, None);
                self.never(now);
            }
        }
    }

    /// Starts k6 once its version and the script's options are known, and the bundle is in its place.
    pub(super) fn start_k6(&mut self, now: Now) {
        let (Process::Awaited, true, Some(options), Some(version), Some(bundle)) =
            (self.process, self.bundle_stored, &self.options, &self.version, &self.bundle)
        else {
            return;
        };
        let (user, environment) = (&self.config.user, &self.config.environment);
        // k6 sees none of this, since it sums up nothing: what it would refuse is refused here.
        let full = match Settings::read(&bundle.options, user, environment, version) {
            Ok(settings) => settings.mode == Mode::Full,
            Err(error) => {
                self.fail(Reason::InvalidSpec, format!("the summary: {error}"), Some(104));
                return self.never(now);
            }
        };
        let rules = match self.rules(options) {
            Ok(rules) => rules,
            Err(error) => {
                self.fail(Reason::InvalidSpec, error::chain(&error), Some(104));
                return self.never(now);
            }
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
        let outlet = outlet::of(&outlet::Facts {
            user,
            environment,
            version,
            may_abort: rules.may_abort(),
            is_extended: self.is_extended,
        });
        let sources = tags::Sources {
            script: &options.tags,
            args: &self.config.user.tags,
            spec: &self.config.tags,
            run: &self.config.run.name,
            instance_id: self.config.instance_id,
        };
        let seers = Seers {
            others: !variables::outs(user, environment).is_empty(),
            script: self.reads_tags || self.is_extended,
            own: sources.has_own(environment),
        };
        match tags::all(&sources) {
            Ok(tags) => {
                let Split { told: tags, added } = tags::split(tags, seers);
                self.process = Process::Alive;
                if self.starts == 0 {
                    self.actions.push(Action::KeepLedger { rules, full, added });
                }
                self.starts += 1;
                self.poll_due_ms = now.ms + POLL_MS;
                self.actions.push(Action::StartK6 { tags, outlet });
            }
            Err(error) => {
                self.fail(Reason::InvalidSpec, error.to_string(), None);
                self.never(now);
            }
        }
    }

    /// k6 will not be started: there is nothing to wait for.
    pub(super) fn never(&mut self, now: Now) {
        if self.process == Process::Awaited {
            self.process = Process::Never;
            self.load_over(now);
            self.actions.push(Action::CloseSamples);
        }
    }

    pub(super) fn on_status(&mut self, status: Option<Status>, now: Now) {
        self.polling = false;
        self.poll_due_ms = now.ms + self.poll_ms(now);
        let Some(status) = status else { return };
        if self.process != Process::Alive || self.load == Load::Over {
            return;
        }
        self.vus = status.vus;
        self.vus_max = self.vus_max.max(status.vus_max);
        match status.stage {
            Stage::Initialising => {}
            Stage::Paused => {
                if self.load == Load::Initialising {
                    self.load = Load::Paused;
                }
            }
            Stage::Running => self.runs(now),
            Stage::Ended => self.load_over(now),
            Stage::Interrupted => {
                if !self.stopped {
                    let text =
                        "the load ended before its time: the script aborted the test, or failed";
                    self.fail_for_now(text, 108);
                }
                self.load_over(now);
            }
            Stage::MarkedAsFailed => {
                self.fail_for_now("the script marked the test as failed", 110);
                self.load_over(now);
            }
        }
    }

    /// The load runs, if it is not over.
    fn runs(&mut self, now: Now) {
        if self.load < Load::Running {
            self.load = Load::Running;
            self.running_since_ms = now.ms;
        }
    }

    fn poll_ms(&self, now: Now) -> i64 {
        match self.load {
            Load::Paused => POLL_PAUSED_MS,
            Load::Running => {
                let so_far_ms = now.ms.saturating_sub(self.running_since_ms);
                (so_far_ms / POLL_PART).clamp(POLL_MS, POLL_RUNNING_MS)
            }
            Load::Initialising | Load::Starting | Load::Over => POLL_MS,
        }
    }

    pub(super) fn on_resumed(&mut self, result: Result<(), String>, now: Now) {
        match result {
            // The end of a short load may be seen before the answer to its start.
            Ok(()) if self.load == Load::Over => {}
            Ok(()) => {
                self.runs(now);
                self.poll_due_ms = now.ms + POLL_MS;
                let total_ms = self.requirements.as_ref().map_or(0, |r| r.total_duration_ms);
                let total_ms = i64::try_from(total_ms).unwrap_or(i64::MAX);
                if !self.stopped {
                    self.overdue_ms = now.ms.saturating_add(total_ms).saturating_add(OVERDUE_MS);
                }
            }
            Err(text) if self.load < Load::Over && !self.stopped => {
                self.fail(Reason::RunnersLost, format!("k6 did not start its load: {text}"), None);
                self.stop(now);
            }
            Err(_) => {}
        }
    }

    pub(super) fn on_exit(&mut self, exit: &Exit, now: Now) {
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
        if let Some(failure) = failure::of_exit(exit, when, self.stopped) {
            if self.load < Load::Starting && failure.reason == Reason::RunnersLost.as_str() {
                self.replaceable = Some(failure.message.clone());
            }
            if self.failure.as_ref().is_none_or(|known| known.provisional) {
                self.failure = Some(failure);
            }
        }
        self.load_over(now);
        self.lose_calls(exit);
        self.actions.push(Action::CloseSamples);
    }
}
