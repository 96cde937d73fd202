//! The bundle on its way: made by instance 1, which hands it on; taken by all others.

use memchr::memmem;
use prost::bytes::Bytes;
use serde_json::value::RawValue;

use super::{
    events::{Action, Now, Unbundled},
    failure::{self, When},
    machine::{Load, Machine, Process},
};
use crate::{
    api::v1alpha1::Reason,
    core::{
        bundle::{Bundle, Progress},
        k6::{
            environment,
            options::{self, Options},
            outlet, tags,
        },
        ledger::{
            threshold::{self, RuleOptions, Rules, ThresholdError, Thresholds},
            view::{Contains, Kind},
        },
        summary::{archive, settings::Settings},
    },
    wire::session::{
        BundlePart, Requirements, Terms, WantBundle, to_aggregator::Message as ToAggregator,
    },
};

/// Without this word in it, no script has a `handleSummary()`.
const HANDLER: &[u8] = b"handleSummary";

/// The instance that archives the script for all.
pub const ARCHIVIST: u32 = 1;

impl Machine {
    pub(super) fn on_bundled(&mut self, bundle: Result<Bundle, Unbundled>, now: Now) {
        match bundle {
            Ok(bundle) => {
                self.bundle_stored = true;
                self.take_bundle(bundle, now);
            }
            Err(Unbundled::Failed(exit)) => {
                self.exit_code = Some(exit.code);
                if !self.stopped && self.failure.is_none() {
                    self.failure = failure::of_exit(&exit, When::BeforeReady, false);
                }
                self.never(now);
            }
            Err(Unbundled::Broken(text)) => {
                self.fail(Reason::ScriptFailed, text, None);
                self.never(now);
            }
            Err(Unbundled::InvalidSpec(text)) => {
                self.fail(Reason::InvalidSpec, text, None);
                self.never(now);
            }
        }
        if let Some(offset) = self.part_wanted.take() {
            self.on_send_bundle(offset);
        }
    }

    pub(super) fn on_send_bundle(&mut self, offset: u64) {
        match &self.bundle {
            Some(bundle) => {
                let part = bundle.part(offset);
                self.actions.push(Action::Send(ToAggregator::Bundle(part)));
            }
            None => self.part_wanted = Some(offset),
        }
    }

    /// In each new session, as the old one may have ended before the answer came.
    pub(super) fn want_bundle(&mut self) {
        self.part_wanted = None;
        let waits = self.bundle.is_none() && self.process == Process::Awaited;
        if waits && self.config.instance_id != ARCHIVIST {
            let offset = self.assembly.wanted();
            self.actions.push(Action::Send(ToAggregator::WantBundle(WantBundle { offset })));
        }
    }

    pub(super) fn on_bundle_part(&mut self, part: &BundlePart, now: Now) {
        if self.bundle.is_some() || self.process != Process::Awaited {
            return;
        }
        let before = self.assembly.wanted();
        match self.assembly.take(part) {
            Ok(Progress::Want(offset)) if offset == before && part.offset != 0 => {}
            Ok(Progress::Want(offset)) => {
                self.actions.push(Action::Send(ToAggregator::WantBundle(WantBundle { offset })));
            }
            Ok(Progress::Whole(bundle)) => {
                self.actions.push(Action::StoreBundle(bundle.bytes.clone()));
                self.take_bundle(bundle, now);
            }
            Err(error) => {
                self.fail(Reason::ScriptFailed, error.to_string(), None);
                self.never(now);
            }
        }
    }

    pub(super) fn on_bundle_stored(&mut self, result: Result<(), String>, now: Now) {
        match result {
            Ok(()) => self.bundle_stored = true,
            Err(text) => {
                self.fail(Reason::RunnersLost, text.clone(), None);
                self.replaceable = Some(text);
                self.never(now);
            }
        }
    }

    /// What the aggregator must know before the first ledger of a session.
    pub(super) fn say_terms(&mut self) {
        if self.terms.is_none() {
            self.terms = self.make_terms();
        }
        let (Some(terms), None, false) = (&self.terms, self.unheard_since_ms, self.terms_said)
        else {
            return;
        };
        self.terms_said = true;
        self.actions.push(Action::Send(ToAggregator::Terms(terms.clone())));
    }

    fn make_terms(&self) -> Option<Terms> {
        let (bundle, version) = (self.bundle.as_ref()?, self.version.as_ref()?);
        let (user, environment) = (&self.config.user, &self.config.environment);
        // What cannot be read has failed this instance already.
        let settings = Settings::read(&bundle.options, user, environment, version).ok()?;
        let script = settings.machine_readable.then(|| archive::script(&bundle.bytes).ok());
        let script = script.flatten().unwrap_or_default();
        let summary = serde_json::to_vec(&settings).ok();
        let is_cloud = |out: &String| out == "cloud" || out.starts_with("cloud=");
        Some(Terms {
            k6_version: version.text.clone(),
            script: String::from_utf8_lossy(&script).into_owned(),
            cloud: environment::outs(user, environment).iter().any(is_cloud),
            summary: summary.unwrap_or_default().into(),
            handles_summary: memmem::find(&bundle.bytes, HANDLER).is_some(),
        })
    }

    /// Once nobody asks for it any more, the bundle is only a file.
    pub(super) fn shed_bundle(&mut self) {
        let is_needed = self.config.instance_id == ARCHIVIST && self.load < Load::Starting;
        if let Some(bundle) = self.bundle.as_mut().filter(|_| self.terms.is_some() && !is_needed) {
            bundle.bytes = Bytes::new();
        }
    }

    fn take_bundle(&mut self, bundle: Bundle, now: Now) {
        match options::parse(&bundle.options) {
            Ok(options) => {
                self.is_extended = outlet::has_extension(&bundle.bytes);
                self.reads_tags = tags::may_be_read(&bundle.bytes);
                self.requirements = Some(self.required(&options));
                self.options = Some(options);
                self.bundle = Some(bundle);
            }
            Err(error) => {
                self.fail(Reason::ScriptFailed, error.to_string(), None);
                self.never(now);
            }
        }
    }

    /// What the ledger keeps.
    pub(super) fn rules(&self, options: &Options) -> Result<Rules, ThresholdError> {
        let script = match options.thresholds_json.as_str() {
            "" => Thresholds::new(),
            json => threshold::of_options(
                &RawValue::from_string(json.to_owned()).map_err(ThresholdError::Json)?,
            )?,
        };
        let rule_options = RuleOptions {
            no_thresholds: environment::no_thresholds(&self.config.user, &self.config.environment),
            expected_response: options.expected_response,
        };
        let mut rules = Rules::new(&script, &self.config.thresholds, rule_options)?;
        let told = options.metrics.iter().filter_map(|(name, (kind, contains))| {
            Some((name.clone(), (Kind::of_word(kind)?, Contains::of_word(contains)?)))
        });
        rules.defined = told.collect();
        Ok(rules)
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
            summary_timeout_ms: options.summary_timeout_ms,
        }
    }
}
