//! `TestSpec` → [`ValidTest`], once: nothing behind this step sees a raw spec.

use std::{collections::BTreeSet, ops::RangeInclusive};

use super::{args::check_args, dimensions::check_dimensions, influxdb, tables, template};
use crate::{
    api::{
        labels,
        v1alpha1::{Output, Script, TestSpec},
    },
    core::{
        error,
        ledger::threshold,
        plan::{PLAN_ENV, token_env},
        replicas::share::REPLICAS_MAX,
    },
};

/// Longest inline script: it becomes a ConfigMap, which etcd bounds at 1 MiB together with what else is in it.
pub const INLINE_BYTES_MAX: usize = 512 << 10;
/// Longest name of a run: the longest name made from it is `NAME-runner-INDEX`, a DNS label of at most 63.
pub const RUN_NAME_CHARS_MAX: usize = 48;
/// Most k6 instances of a run, as the CRD bounds them.
pub const PARALLELISM_MAX: u32 = 10_000;

/// Sizes of a spool in MiB, as the CRD bounds them.
const SPOOL_MIB: RangeInclusive<u32> = 64..=65_536;

/// A spec that can be run. Only [`validate`] makes one.
#[derive(Clone, Debug, PartialEq)]
pub struct ValidTest {
    spec: TestSpec,
    script: ScriptSource,
}

/// Where the script comes from: exactly one of the API's choices.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ScriptSource {
    /// The text in the spec itself.
    Inline,
    /// A key of a ConfigMap.
    ConfigMap {
        /// Its name.
        name: String,
        /// The script's key.
        key: String,
    },
    /// A file on a PersistentVolumeClaim.
    VolumeClaim {
        /// Its name.
        name: String,
        /// Path below the root of the volume.
        path: String,
    },
    /// A file of the image, or of a volume that the template mounts.
    File(String),
}

/// Everything that is wrong with a spec.
#[derive(Clone, Debug, Default, PartialEq, Eq, thiserror::Error)]
#[error("{}", self.errors.join("; "))]
pub struct Invalid {
    errors: Vec<String>,
}

/// Collects what is wrong, each with the field it is in.
#[derive(Debug, Default)]
pub(super) struct Errors(Vec<String>);

impl Errors {
    pub(super) fn add(&mut self, field: &str, problem: &str) {
        self.0.push(format!("{field}: {problem}"));
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}

impl ValidTest {
    /// The spec, whose fields hold what [`validate`] promises.
    pub fn spec(&self) -> &TestSpec {
        &self.spec
    }

    /// Where the script comes from.
    pub fn script(&self) -> &ScriptSource {
        &self.script
    }

    /// Number of lost instances that the policy accepts.
    pub fn tolerated(&self) -> u32 {
        use crate::api::v1alpha1::LossPolicy;
        match self.spec.runner_loss.policy {
            LossPolicy::Fail => 0,
            LossPolicy::Tolerate => {
                let lost = u64::from(self.spec.parallelism)
                    * u64::from(self.spec.runner_loss.max_percent)
                    / 100;
                u32::try_from(lost).unwrap_or(u32::MAX)
            }
        }
    }

    /// Time that samples may take to drain, in milliseconds.
    pub fn drain_ms(&self) -> i64 {
        i64::from(self.spec.deadlines.drain_seconds) * 1000
    }

    /// Time from creation until all instances must be ready, in milliseconds.
    pub fn ready_ms(&self) -> i64 {
        i64::from(self.spec.deadlines.ready_seconds) * 1000
    }
}

/// Checks the spec of the run called `name`.
///
/// # Errors
/// Everything that is wrong with it at once, each with its field.
pub fn validate(name: &str, spec: TestSpec) -> Result<ValidTest, Invalid> {
    let mut errors = Errors::default();
    if !is_label(name) || name.len() > RUN_NAME_CHARS_MAX {
        errors.add(
            "metadata.name",
            &format!("must be a DNS label that starts with a letter, at most {RUN_NAME_CHARS_MAX} characters"),
        );
    }
    if !(1..=PARALLELISM_MAX).contains(&spec.parallelism) {
        errors.add(
            "spec.parallelism",
            &format!("must be 1 to {PARALLELISM_MAX}, is {}", spec.parallelism),
        );
    }
    let script = script(&spec.script, &mut errors);
    check_k6(&spec, &mut errors);
    check_tags(&spec, &mut errors);
    check_outputs(&spec.outputs, &mut errors);
    check_limits(&spec, &mut errors);
    if let Some(template) = &spec.runner_template {
        template::check(template, "spec.runnerTemplate", labels::K6_CONTAINER, &mut errors);
    }
    if let Some(template) = &spec.aggregator.template {
        template::check(
            template,
            "spec.aggregator.template",
            labels::AGGREGATOR_CONTAINER,
            &mut errors,
        );
    }
    match script {
        Some(script) if errors.0.is_empty() => Ok(ValidTest { spec, script }),
        _ => Err(Invalid { errors: errors.0 }),
    }
}

fn script(script: &Script, errors: &mut Errors) -> Option<ScriptSource> {
    let mut found = Vec::new();
    if let Some(text) = &script.inline {
        if text.is_empty() || text.len() > INLINE_BYTES_MAX {
            errors.add(
                "spec.script.inline",
                &format!("must have 1 to {INLINE_BYTES_MAX} bytes, has {}; larger scripts go into spec.script.configMap or spec.script.volumeClaim", text.len()),
            );
        }
        found.push(ScriptSource::Inline);
    }
    if let Some(map) = &script.config_map {
        check_object_name(&map.name, "spec.script.configMap.name", errors);
        let allowed = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
        if map.key.is_empty() || !map.key.chars().all(allowed) || map.key.starts_with("..") {
            errors.add(
                "spec.script.configMap.key",
                &format!("{:?} is no key of a ConfigMap", map.key),
            );
        }
        found.push(ScriptSource::ConfigMap { name: map.name.clone(), key: map.key.clone() });
    }
    if let Some(claim) = &script.volume_claim {
        check_object_name(&claim.name, "spec.script.volumeClaim.name", errors);
        if claim.path.is_empty() || claim.path.starts_with('/') || climbs(&claim.path) {
            errors.add(
                "spec.script.volumeClaim.path",
                "must be a path below the root of the volume, without a leading / and without ..",
            );
        }
        found
            .push(ScriptSource::VolumeClaim { name: claim.name.clone(), path: claim.path.clone() });
    }
    if let Some(file) = &script.file {
        if !file.path.starts_with('/') || climbs(&file.path) {
            errors.add("spec.script.file.path", "must be an absolute path without ..");
        }
        found.push(ScriptSource::File(file.path.clone()));
    }
    if found.len() != 1 {
        errors.add("spec.script", "set exactly one of inline, configMap, volumeClaim, file");
    }
    found.pop()
}

fn climbs(path: &str) -> bool {
    path.split('/').any(|part| part == "..")
}

fn check_k6(spec: &TestSpec, errors: &mut Errors) {
    let k6 = &spec.k6;
    if k6.image.is_empty() || k6.image.contains(char::is_whitespace) {
        errors.add("spec.k6.image", &format!("{:?} is no image name", k6.image));
    }
    check_pull_policy(k6.image_pull_policy.as_deref(), errors);
    if let Err(problem) = check_args(&k6.args) {
        errors.add("spec.k6.args", &problem);
    }
    for (list, env) in [("spec.k6.env", &k6.env), ("spec.aggregator.env", &spec.aggregator.env)] {
        let mut names = BTreeSet::new();
        for variable in env {
            if variable.name.is_empty() || variable.name.contains(['=', '\0']) {
                errors.add(list, &format!("{:?} is no name of a variable", variable.name));
            }
            if !names.insert(&variable.name) {
                errors.add(list, &format!("{} is given twice", variable.name));
            }
        }
    }
    // Twice in one container they would be refused by the apiserver, and nobody would say why.
    let has_token = |output: &Output| {
        output.influxdb.as_ref().is_some_and(|influxdb| influxdb.token_secret.is_some())
    };
    let tokens = spec.outputs.iter().enumerate().filter(|(_, output)| has_token(output));
    let mut own = tokens.map(|(at, _)| token_env(at)).chain([PLAN_ENV.to_owned()]);
    if let Some(name) = own.find(|own| spec.aggregator.env.iter().any(|given| given.name == *own)) {
        errors.add("spec.aggregator.env", &format!("{name} is Weir's own; remove it"));
    }
}

fn check_pull_policy(policy: Option<&str>, errors: &mut Errors) {
    if let Some(policy) = policy
        && !["Always", "IfNotPresent", "Never"].contains(&policy)
    {
        errors.add(
            "spec.k6.imagePullPolicy",
            &format!("{policy:?} is none of Always, IfNotPresent, Never"),
        );
    }
}

fn check_tags(spec: &TestSpec, errors: &mut Errors) {
    for name in spec.tags.keys() {
        if name.is_empty() || name == "instance_id" {
            errors.add("spec.tags", &format!("{name:?} cannot be given; Weir sets instance_id"));
        }
        // `--tag NAME=VALUE` is cut at the first sign of equality.
        if name.contains('=') {
            errors.add("spec.tags", &format!("{name:?} must not contain ="));
        }
    }
    for (metric, thresholds) in &spec.thresholds {
        let one = std::iter::once((metric.clone(), thresholds.clone())).collect();
        let none = threshold::Thresholds::new();
        let options = threshold::RuleOptions::default();
        if let Err(error) = threshold::Rules::new(&none, &threshold::of_spec(&one), options) {
            errors.add(&format!("spec.thresholds[{metric}]"), &error::chain(&error));
        }
    }
}

fn check_outputs(outputs: &[Output], errors: &mut Errors) {
    let mut names = BTreeSet::new();
    tables::check(outputs, errors);
    for (at, output) in outputs.iter().enumerate() {
        let path = format!("spec.outputs[{at}]");
        if !names.insert(output.display_name()) {
            errors.add(
                &format!("{path}.name"),
                &format!(
                    "{:?} is used twice; give each output its own name",
                    output.display_name()
                ),
            );
        }
        if let (Some(influxdb), None) = (&output.influxdb, &output.timestream) {
            influxdb::check(influxdb, &format!("{path}.influxdb"), errors);
            continue;
        }
        let (Some(timestream), None) = (&output.timestream, &output.influxdb) else {
            errors.add(&path, "needs exactly one kind, timestream or influxdb");
            continue;
        };
        for (field, name) in
            [("databaseName", &timestream.database_name), ("tableName", &timestream.table_name)]
        {
            let allowed = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
            if !(3..=256).contains(&name.len()) || !name.chars().all(allowed) {
                errors.add(
                    &format!("{path}.timestream.{field}"),
                    &format!("{name:?} must have 3 to 256 of the characters a-z A-Z 0-9 _ . -"),
                );
            }
        }
        if let Some(dimensions) = &timestream.dimensions {
            check_dimensions(dimensions, &format!("{path}.timestream.dimensions"), errors);
        }
        if let Some(url) = &timestream.endpoint_url
            && !(url.starts_with("http://") || url.starts_with("https://"))
        {
            errors.add(
                &format!("{path}.timestream.endpointUrl"),
                &format!("{url:?} must start with http:// or https://"),
            );
        }
    }
}

fn check_limits(spec: &TestSpec, errors: &mut Errors) {
    if spec.runner_loss.max_percent > 100 {
        errors.add("spec.runnerLoss.maxPercent", "must be 0 to 100");
    }
    for (field, seconds) in [
        ("spec.deadlines.readySeconds", spec.deadlines.ready_seconds),
        ("spec.deadlines.drainSeconds", spec.deadlines.drain_seconds),
    ] {
        if !(5..=86_400).contains(&seconds) {
            errors.add(field, &format!("must be 5 to 86400, is {seconds}"));
        }
    }
    if !SPOOL_MIB.contains(&spec.spool.size_mib) {
        let (least, most) = (SPOOL_MIB.start(), SPOOL_MIB.end());
        let problem = format!("must be {least} to {most}, is {}", spec.spool.size_mib);
        errors.add("spec.spool.sizeMiB", &problem);
    }
    if !(1..=REPLICAS_MAX).contains(&spec.aggregator.replicas) {
        let problem = format!("must be 1 to {REPLICAS_MAX}, is {}", spec.aggregator.replicas);
        errors.add("spec.aggregator.replicas", &problem);
    }
    if !spec.aggregator.service_account_name.is_empty() {
        check_object_name(
            &spec.aggregator.service_account_name,
            "spec.aggregator.serviceAccountName",
            errors,
        );
    }
}

pub(super) fn check_object_name(name: &str, field: &str, errors: &mut Errors) {
    let part = |part: &str| {
        !part.is_empty()
            && part.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
            && !part.starts_with('-')
            && !part.ends_with('-')
    };
    if name.len() > 253 || !name.split('.').all(part) {
        errors.add(field, &format!("{name:?} is no name of a Kubernetes object"));
    }
}

fn is_label(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_lowercase())
        && !name.ends_with('-')
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
}
