//! The thresholds of a run: as scripts and specs write them, and as rules that a ledger keeps.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{
    builtin::builtin,
    expression::{Expression, ExpressionError},
    name::{MetricName, NameError},
    number,
    view::{Contains, Kind},
};
use crate::{api::v1alpha1, core::k6::duration};

/// A threshold as it was written.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct ThresholdSpec {
    /// The expression: `p(95)<500`.
    pub source: String,
    /// Whether the run is stopped when it is crossed.
    pub abort_on_fail: bool,
    /// How long after the start a crossed threshold does not stop the run yet, as k6 reads it: `10s`. Empty: not at all.
    pub delay_abort_eval: String,
}

/// Thresholds by the name of their metric or submetric.
pub type Thresholds = BTreeMap<String, Vec<ThresholdSpec>>;

/// A threshold that was read.
#[derive(Clone, Debug, PartialEq)]
pub struct Threshold {
    /// As it was written.
    pub spec: ThresholdSpec,
    /// What it compares.
    pub expression: Expression,
    /// How long after the start it does not stop the run yet; none where it may at once.
    pub delay_ns: Option<i64>,
}

/// A metric or submetric that is kept because a threshold, or k6 itself, names it.
#[derive(Clone, Debug, PartialEq)]
pub struct Rule {
    /// Its name.
    pub name: MetricName,
    /// Its thresholds, in their order.
    pub thresholds: Vec<Threshold>,
    /// Whether k6 shows it even without samples.
    pub observed: bool,
}

/// All rules of a run.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rules {
    by_name: BTreeMap<(String, Option<BTreeMap<String, String>>), Rule>,
    /// What k6 has told of metrics before any sample, by name.
    pub defined: BTreeMap<String, (Kind, Contains)>,
}

/// What else decides which metrics are kept.
#[derive(Clone, Copy, Debug)]
pub struct RuleOptions {
    /// `--no-thresholds`: the script's thresholds are not judged; their submetrics are kept all the same.
    pub no_thresholds: bool,
    /// Whether the system tags hold `expected_response`; k6 then keeps the durations of expected responses apart.
    pub expected_response: bool,
}

impl Default for RuleOptions {
    fn default() -> Self {
        Self { no_thresholds: false, expected_response: true }
    }
}

/// Why thresholds cannot be used. k6 ends with 104 for each.
#[derive(Debug, thiserror::Error)]
pub enum ThresholdError {
    /// Not the JSON that k6 prints.
    #[error("the thresholds are not of k6's form")]
    Json(#[source] serde_json::Error),
    /// The name of a metric.
    #[error("threshold on metric {metric:?}")]
    Name {
        /// As it was written.
        metric: String,
        /// What is wrong.
        source: NameError,
    },
    /// An expression.
    #[error("threshold {expression:?} on metric {metric:?}")]
    Expression {
        /// As it was written.
        metric: String,
        /// As it was written.
        expression: String,
        /// What is wrong.
        source: ExpressionError,
    },
    /// A metric of this kind has nothing of what is compared.
    #[error("threshold {expression:?} on metric {metric:?}: a {kind} has no such value")]
    Aggregation {
        /// As it was written.
        metric: String,
        /// As it was written.
        expression: String,
        /// The metric's kind.
        kind: &'static str,
    },
    /// `delayAbortEval`.
    #[error(
        "threshold {expression:?} on metric {metric:?}: delayAbortEval {delay:?} is no duration"
    )]
    Delay {
        /// As it was written.
        metric: String,
        /// As it was written.
        expression: String,
        /// As it was written.
        delay: String,
    },
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Written {
    Short(String),
    Long {
        #[serde(default)]
        threshold: Option<String>,
        #[serde(default, rename = "abortOnFail")]
        abort_on_fail: Option<bool>,
        #[serde(default, rename = "delayAbortEval")]
        delay_abort_eval: Option<Delay>,
    },
    Nothing(()),
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Delay {
    Text(String),
    Ms(serde_json::Number),
}

/// The script's thresholds: the value of `thresholds` in what `k6 inspect` prints.
///
/// # Errors
/// When it is not what k6 prints.
pub fn of_options(thresholds: &RawValue) -> Result<Thresholds, ThresholdError> {
    let written: Option<BTreeMap<String, Option<Vec<Written>>>> =
        serde_json::from_str(thresholds.get()).map_err(ThresholdError::Json)?;
    let lists = written.unwrap_or_default().into_iter();
    let read = lists.map(|(metric, list)| {
        (metric, list.unwrap_or_default().into_iter().map(ThresholdSpec::from).collect())
    });
    Ok(read.collect())
}

/// The thresholds of a LoadTest.
pub fn of_spec(thresholds: &BTreeMap<String, Vec<v1alpha1::Threshold>>) -> Thresholds {
    let one = |threshold: &v1alpha1::Threshold| ThresholdSpec {
        source: threshold.threshold.clone(),
        abort_on_fail: threshold.abort_on_fail,
        delay_abort_eval: match threshold.delay_abort_eval_seconds {
            0 => String::new(),
            seconds => format!("{seconds}s"),
        },
    };
    let lists = thresholds.iter();
    lists.map(|(metric, list)| (metric.clone(), list.iter().map(one).collect())).collect()
}

impl From<Written> for ThresholdSpec {
    fn from(written: Written) -> Self {
        match written {
            Written::Short(source) => Self { source, ..Self::default() },
            Written::Long { threshold, abort_on_fail, delay_abort_eval } => Self {
                source: threshold.unwrap_or_default(),
                abort_on_fail: abort_on_fail.unwrap_or(false),
                delay_abort_eval: match delay_abort_eval {
                    Some(Delay::Text(text)) => text,
                    Some(Delay::Ms(ms)) => ms.to_string(),
                    None => String::new(),
                },
            },
            Written::Nothing(()) => Self::default(),
        }
    }
}

impl Rules {
    /// Whether a threshold may stop the run before its end.
    pub fn may_abort(&self) -> bool {
        let mut thresholds = self.by_name.values().flat_map(|rule| &rule.thresholds);
        thresholds.any(|threshold| threshold.spec.abort_on_fail)
    }

    /// The rules that the script's thresholds make, and then those of the LoadTest.
    ///
    /// # Errors
    /// When k6 would not run with these thresholds.
    pub fn new(
        script: &Thresholds,
        spec: &Thresholds,
        options: RuleOptions,
    ) -> Result<Self, ThresholdError> {
        let mut rules = Self::default();
        if options.no_thresholds {
            // k6 does not judge what it does not need.
            let names = script.keys().filter_map(|metric| MetricName::parse(metric).ok());
            names.filter(|name| name.suffix.is_some()).for_each(|name| {
                rules.rule(name);
            });
        } else {
            rules.extend(script)?;
        }
        rules.extend(spec)?;
        if options.expected_response {
            let tags = [("expected_response".to_owned(), "true".to_owned())];
            rules.rule(MetricName {
                metric: "http_req_duration".to_owned(),
                suffix: Some("expected_response:true".to_owned()),
                tags: tags.into(),
            });
        }
        Ok(rules)
    }

    fn extend(&mut self, thresholds: &Thresholds) -> Result<(), ThresholdError> {
        for (metric, list) in thresholds {
            let name = MetricName::parse(metric)
                .map_err(|source| ThresholdError::Name { metric: metric.clone(), source })?;
            let read: Result<Vec<_>, _> =
                list.iter().map(|spec| Threshold::new(metric, &name.metric, spec)).collect();
            // k6 shows a submetric with its metric.
            self.rule(MetricName::parse(&name.metric).unwrap_or_else(|_| name.clone())).observed =
                true;
            let rule = self.rule(name);
            rule.observed = true;
            rule.thresholds.extend(read?);
        }
        Ok(())
    }

    /// The rule of a metric or submetric: two names with the same tags are one, and the first is shown.
    fn rule(&mut self, name: MetricName) -> &mut Rule {
        let key = (name.metric.clone(), name.suffix.is_some().then(|| name.tags.clone()));
        self.by_name.entry(key).or_insert_with(|| Rule {
            name,
            thresholds: Vec::new(),
            observed: false,
        })
    }

    /// Each metric or submetric once.
    pub fn list(&self) -> impl Iterator<Item = &Rule> {
        self.by_name.values()
    }
}

impl Threshold {
    /// Reads a threshold on `shown`, a submetric of `metric` or itself.
    ///
    /// # Errors
    /// When k6 would not run with it.
    pub fn new(shown: &str, metric: &str, spec: &ThresholdSpec) -> Result<Self, ThresholdError> {
        let (shown, source) = (shown.to_owned(), spec.source.clone());
        let expression = match Expression::parse(&source) {
            Ok(expression) => expression,
            Err(error) => {
                let (metric, expression) = (shown, source);
                return Err(ThresholdError::Expression { metric, expression, source: error });
            }
        };
        match builtin(metric) {
            Some((kind, _)) if !expression.aggregation.is_of(kind) => {
                let (metric, expression, kind) = (shown, source, kind.word());
                return Err(ThresholdError::Aggregation { metric, expression, kind });
            }
            _ => {}
        }
        let delay_ns = match spec.delay_abort_eval.as_str() {
            "" => None,
            text => Some(delay_ns(text).ok_or_else(|| {
                let (metric, expression, delay) = (shown, source, text.to_owned());
                ThresholdError::Delay { metric, expression, delay }
            })?),
        };
        Ok(Self { spec: spec.clone(), expression, delay_ns })
    }

    /// Whether, crossed this long after the start, it stops the run.
    pub fn aborts(&self, elapsed_ns: i64) -> bool {
        self.spec.abort_on_fail && self.delay_ns.is_none_or(|delay_ns| delay_ns < elapsed_ns)
    }
}

/// A duration as k6's options have it: Go's, with days, or a plain number of milliseconds.
fn delay_ns(text: &str) -> Option<i64> {
    #[expect(clippy::cast_possible_truncation, reason = "a longer delay is as long as time is")]
    if let Some(ms) = number::parse(text) {
        return Some((ms * 1e6) as i64);
    }
    let (sign, size) = match text.strip_prefix('-') {
        Some(size) => (-1, size),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    let ms = i64::try_from(duration::parse_ms(size)?).ok()?;
    ms.checked_mul(1_000_000).map(|ns| sign * ns)
}

#[cfg(test)]
mod tests;
