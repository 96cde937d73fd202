//! The verdict of a run: the ledgers of all instances, judged as one k6 would judge them, and summed up as it would.

use std::fmt::Write;

use prost::bytes::Bytes;
use serde_json::Value;

use super::{
    ledger::{
        codec::{Decoded, NoLedger},
        keep::Kept,
        merged::Merged,
        stats,
        verdict::Evaluated,
        view::{Metric, Values, View},
    },
    summary::{
        data, export, machine,
        settings::{Mode, Settings},
        text, wrapper,
    },
};
use crate::{
    api::v1alpha1::ThresholdStatus,
    wire::{
        result::Artifacts,
        session::{Outcome, Terms},
    },
};

/// How often k6 looks at its thresholds, in milliseconds.
const LOOK_MS: i64 = 2000;
/// Metrics named in a message.
const NAMED_MAX: usize = 10;

/// What the end of the run says.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Judgement {
    /// Thresholds that cannot be judged at all: k6 would not have run with them.
    pub invalid: Option<String>,
    /// Thresholds that are crossed.
    pub crossed: Option<String>,
    /// What a person should know of a verdict that holds all the same.
    pub note: Option<String>,
    /// What the script's `handleSummary()` is to be given, when it is to be run.
    pub data: Option<Bytes>,
}

/// What is known of the surroundings when a summary is written.
#[derive(Clone, Copy, Debug, Default)]
pub struct Surroundings<'a> {
    /// Duration of the test, from the beginning of `setup()` to the end of `teardown()`.
    pub duration_ns: i64,
    /// What `setup()` returned, where it ran; empty for `undefined`.
    pub setup_data: Option<&'a [u8]>,
    /// VUs initialised, over all instances.
    pub vus_max: u64,
    /// Now, as RFC 3339 writes it.
    pub now: &'a str,
}

/// The ledgers and what is to be made of them.
#[derive(Debug, Default)]
pub struct Verdict {
    merged: Merged,
    terms: Option<(Terms, Settings)>,
    stdout_tty: bool,
    stderr_tty: bool,
    look_due_ms: Option<i64>,
    evaluated: Vec<Evaluated>,
    view: Option<View>,
    data: Option<Value>,
}

impl Verdict {
    /// Of a run whose summary goes to these streams: is each a terminal?
    pub fn new(stdout_tty: bool, stderr_tty: bool) -> Self {
        Self { stdout_tty, stderr_tty, ..Self::default() }
    }

    /// Takes the terms from the first agent that tells them: all run the same bundle.
    pub fn learn(&mut self, terms: Terms) {
        if self.terms.is_some() {
            return;
        }
        let settings: Settings = serde_json::from_slice(&terms.summary).unwrap_or_default();
        let settings =
            Settings { stdout_tty: self.stdout_tty, stderr_tty: self.stderr_tty, ..settings };
        self.terms = Some((terms, settings));
    }

    /// Takes a ledger of the instance whose process began at that time. True when its last one is there whole.
    ///
    /// # Errors
    /// When it contradicts those of other instances.
    pub fn take(
        &mut self,
        instance_id: u32,
        born_unix_ns: i64,
        ledger: Decoded,
    ) -> Result<bool, NoLedger> {
        let is_last = ledger.is_last();
        self.merged.merge(instance_id, born_unix_ns, ledger)?;
        Ok(is_last && self.merged.is_complete(instance_id))
    }

    /// Takes what a former aggregator kept of an instance.
    ///
    /// # Errors
    /// When it contradicts those of other instances.
    pub fn take_kept(&mut self, kept: Kept) -> Result<(), NoLedger> {
        let mut parts = kept.parts.into_iter();
        parts.try_for_each(|part| self.merged.merge(kept.instance_id, kept.born_unix_ns, part))
    }

    /// What is to be kept of an instance, if anything is known of it; `is_whole`: nothing more comes of it for now.
    pub fn keep(&self, instance_id: u32, is_whole: bool) -> Option<Vec<u8>> {
        self.merged.keep(instance_id, is_whole)
    }

    /// Instances of which there is a ledger.
    pub fn instances(&self) -> usize {
        self.merged.instances()
    }

    /// The next of them after one, around the end to the first.
    pub fn instances_after(&self, after: u32, count: usize) -> Vec<u32> {
        self.merged.instances_after(after, count)
    }

    /// When [`look`](Self::look) has something to do.
    pub fn look_due_ms(&self) -> Option<i64> {
        self.look_due_ms
    }

    /// Looks at the thresholds every two seconds of the load, which has gone on for `elapsed_ms`; none while there is
    /// no load. Answers why the run must end, where a threshold with `abortOnFail` is crossed.
    pub fn look(&mut self, elapsed_ms: Option<i64>, now_ms: i64) -> Option<String> {
        let Some(elapsed_ms) = elapsed_ms else {
            self.look_due_ms = None;
            return None;
        };
        let due_ms = *self.look_due_ms.get_or_insert(now_ms.saturating_add(LOOK_MS));
        if now_ms < due_ms {
            return None;
        }
        self.look_due_ms = Some(now_ms.saturating_add(LOOK_MS));
        self.evaluated = self.merged.evaluate(elapsed_ms.saturating_mul(1_000_000), false);
        let aborting = crossed(self.evaluated.iter().filter(|threshold| threshold.abort))?;
        Some(format!(
            "thresholds on metrics {aborting} were crossed; at least one has abortOnFail enabled, so the test was stopped"
        ))
    }

    /// Each threshold as it was last judged.
    pub fn thresholds(&self) -> Vec<ThresholdStatus> {
        let status = |threshold: &Evaluated| ThresholdStatus {
            metric: threshold.metric.clone(),
            threshold: threshold.threshold.clone(),
            passed: threshold.passed,
            value: threshold.value.filter(|value| value.is_finite()),
        };
        self.evaluated.iter().map(status).collect()
    }

    /// The metrics of the whole run as `handleSummary` sees them, once it is judged.
    pub fn metrics(&self) -> Option<&Value> {
        self.data.as_ref().map(|data| &data["metrics"])
    }

    /// Judges all thresholds for good, and sees what there is to sum up. `has_run`: k6 has run the script, so that there
    /// is something at all.
    pub fn judge(&mut self, around: &Surroundings<'_>, has_run: bool) -> Judgement {
        self.evaluated = self.merged.evaluate(around.duration_ns, true);
        let faults = self.merged.faults();
        let mut view = self.merged.view(around.duration_ns);
        complete_vus_max(&mut view, around.vus_max);
        let mut judgement = Judgement::default();
        // Of nothing at all k6 shows nothing, but the script's own summary is called.
        let asks_script = self.terms.as_ref().is_some_and(|(terms, _)| terms.handles_summary);
        let is_shown = has_run && (asks_script || !view.metrics.is_empty());
        if let Some((terms, settings)) = self.terms.as_ref().filter(|_| is_shown) {
            let setup_data = around.setup_data.and_then(|data| serde_json::from_slice(data).ok());
            let legacy = data::write(&view, settings, setup_data.as_ref());
            let given = self.given(around, &view).unwrap_or_else(|| legacy.clone());
            let wanted = terms.handles_summary && settings.mode != Mode::Disabled;
            judgement.data = wanted.then(|| given.to_string().into());
            self.data = Some(legacy);
            self.view = Some(view);
        }
        if has_run {
            judgement.note = self.note();
            judgement.crossed = crossed(self.evaluated.iter().filter(|judged| !judged.passed))
                .map(|metrics| format!("thresholds on metrics {metrics} have been crossed"));
            judgement.invalid = faults.first().map(|fault| {
                let mut text = fault.to_string();
                if faults.len() > 1 {
                    write!(text, ", and {} more", faults.len() - 1).unwrap_or_default();
                }
                text
            });
        }
        judgement
    }

    fn note(&self) -> Option<String> {
        let mut notes = Vec::new();
        let unseen: Vec<&str> = self.merged.unseen().into_iter().take(NAMED_MAX).collect();
        if !unseen.is_empty() {
            let names = unseen.join(", ");
            notes.push(format!("no sample of '{names}', which has thresholds: is it misspelt?"));
        }
        let overflowed = self.merged.overflowed();
        if overflowed > 0 {
            notes.push(format!(
                "{overflowed} times there was no room for another metric, group or check: the summary lacks them"
            ));
        }
        (!notes.is_empty()).then(|| notes.join("; "))
    }

    /// What k6 would write, with what `handleSummary()` answered where it was run.
    pub fn sum_up(&self, around: &Surroundings<'_>, answer: Option<&Outcome>) -> Artifacts {
        let (Some((_, settings)), Some(view), Some(data)) = (&self.terms, &self.view, &self.data)
        else {
            return Artifacts::default();
        };
        if settings.mode == Mode::Disabled {
            return Artifacts::default();
        }
        let answer = answer.map(read_answer);
        if view.metrics.is_empty() && !matches!(answer, Some(Ok(wrapper::Answer::Files(_)))) {
            // k6's own text cannot be written of nothing, and with it the export is not either.
            return Artifacts::default();
        }
        let own = text::write(view, settings);
        let mut artifacts = Artifacts { text: own.clone(), ..Artifacts::default() };
        let mut files = vec![("stdout".to_owned(), Bytes::from(own))];
        match answer {
            None | Some(Ok(wrapper::Answer::NotExported | wrapper::Answer::Default)) => {}
            Some(Ok(wrapper::Answer::Files(given))) => {
                files = given.into_iter().map(|(name, bytes)| (name, bytes.into())).collect();
            }
            Some(Ok(wrapper::Answer::Invalid(why))) => {
                artifacts.error = Some(why);
                return artifacts;
            }
            Some(Ok(wrapper::Answer::Threw(why)) | Err(why)) => artifacts.error = Some(why),
        }
        if let Some(path) = &settings.export {
            let text = match self.given(around, view) {
                Some(machine) => export::write_machine(&machine),
                None => export::write(data),
            };
            // As in k6, it takes the place of a file of the same name.
            files.retain(|(name, _)| name != path);
            files.push((path.clone(), text.into()));
        }
        artifacts.files = files;
        artifacts
    }

    /// The machine-readable shape, where it is wanted.
    fn given(&self, around: &Surroundings<'_>, view: &View) -> Option<Value> {
        let (terms, settings) = self.terms.as_ref().filter(|(_, s)| s.machine_readable)?;
        let origin = machine::Origin {
            script: &terms.script,
            k6_version: &terms.k6_version,
            generated_at: around.now,
            cloud: terms.cloud,
        };
        Some(machine::write(view, settings, &origin))
    }
}

fn read_answer(outcome: &Outcome) -> Result<wrapper::Answer, String> {
    match (&outcome.data, &outcome.failure) {
        (Some(data), _) => wrapper::answer(data).map_err(|error| error.to_string()),
        (None, Some(failure)) => Err(failure.message.clone()),
        (None, None) => Err("handleSummary() gave no answer".to_owned()),
    }
}

/// k6 looks at its VUs once a second: an instance that ends before tells none of them, and the sum lacks it.
fn complete_vus_max(view: &mut View, known: u64) {
    if let Some(Metric { values: Values::Gauge { value, min, max }, .. }) =
        view.metrics.get_mut("vus_max")
    {
        let missing = (stats::count_f64(known) - *max).max(0.0);
        for number in [value, min, max] {
            *number += missing;
        }
    }
}

/// The metrics of these thresholds in quotes, each once; none when there is none.
fn crossed<'a>(thresholds: impl Iterator<Item = &'a Evaluated>) -> Option<String> {
    let mut names: Vec<&str> = thresholds.map(|threshold| threshold.metric.as_str()).collect();
    names.dedup();
    let more = names.len().saturating_sub(NAMED_MAX);
    names.truncate(NAMED_MAX);
    let mut text = (!names.is_empty()).then(|| format!("'{}'", names.join(", ")))?;
    if more > 0 {
        write!(text, " and {more} more").unwrap_or_default();
    }
    Some(text)
}

#[cfg(test)]
mod tests;
