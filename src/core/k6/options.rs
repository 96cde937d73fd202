//! What a script asks for, as `k6 inspect --execution-requirements` prints it.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::duration;

/// Time that k6 grants setup() and teardown() when the script does not say.
const TIMEOUT_MS: u64 = 60_000;
/// Time that k6 grants handleSummary() when the script does not say.
const SUMMARY_TIMEOUT_MS: u64 = 120_000;

/// What Weir must know of a script's consolidated options.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "wishes that do not exclude each other")]
pub struct Options {
    /// VUs of the whole test.
    pub max_vus: u64,
    /// Longest time the whole test may take, graceful stops included.
    pub total_duration_ms: u64,
    /// The script or its environment wants no setup().
    pub no_setup: bool,
    /// The script or its environment wants no teardown().
    pub no_teardown: bool,
    /// Time that setup() may take.
    pub setup_timeout_ms: u64,
    /// Time that teardown() may take.
    pub teardown_timeout_ms: u64,
    /// Time that handleSummary() may take.
    pub summary_timeout_ms: u64,
    /// Tags that the script puts on every sample.
    pub tags: BTreeMap<String, String>,
    /// The script cuts itself into segments.
    pub segmented: bool,
    /// Its thresholds as k6 prints them; empty where it has none.
    pub thresholds_json: String,
    /// Kind and content, in k6's words, of metrics that its thresholds name, as far as k6 has told them.
    pub metrics: BTreeMap<String, (String, String)>,
    /// Samples say whether their response was expected: the system tag `expected_response` is on.
    pub expected_response: bool,
}

/// Why the output of `k6 inspect` cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum OptionsError {
    /// Not the JSON object that k6 prints.
    #[error("k6 inspect printed no options")]
    NotOptions(#[source] serde_json::Error),
    /// A duration of another form than Go's.
    #[error("k6 inspect printed {0:?} as a duration")]
    Duration(String),
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Printed {
    #[serde(rename = "maxVUs")]
    max_vus: u64,
    total_duration: Option<String>,
    no_setup: Option<bool>,
    no_teardown: Option<bool>,
    setup_timeout: Option<String>,
    teardown_timeout: Option<String>,
    handle_summary_timeout: Option<String>,
    tags: Option<BTreeMap<String, String>>,
    execution_segment: Option<String>,
    execution_segment_sequence: Option<String>,
    thresholds: Option<Box<RawValue>>,
    system_tags: Option<Vec<String>>,
    /// Not k6's: see `core::summary::kinds`.
    weir_metrics: Option<BTreeMap<String, (String, String)>>,
}

/// Reads the standard output of `k6 inspect --execution-requirements`.
///
/// # Errors
/// When it is not what k6 prints. Lines before the object are passed over: the script's init code may print some.
pub fn parse(output: &[u8]) -> Result<Options, OptionsError> {
    let printed: Printed =
        serde_json::from_slice(object(output)).map_err(OptionsError::NotOptions)?;
    let ms = |text: Option<String>, default| match text {
        Some(text) => duration::parse_ms(&text).ok_or(OptionsError::Duration(text)),
        None => Ok(default),
    };
    Ok(Options {
        max_vus: printed.max_vus,
        total_duration_ms: ms(printed.total_duration, 0)?,
        no_setup: printed.no_setup.unwrap_or(false),
        no_teardown: printed.no_teardown.unwrap_or(false),
        setup_timeout_ms: ms(printed.setup_timeout, TIMEOUT_MS)?,
        teardown_timeout_ms: ms(printed.teardown_timeout, TIMEOUT_MS)?,
        summary_timeout_ms: ms(printed.handle_summary_timeout, SUMMARY_TIMEOUT_MS)?,
        tags: printed.tags.unwrap_or_default(),
        segmented: printed.execution_segment.is_some()
            || printed.execution_segment_sequence.is_some(),
        thresholds_json: printed.thresholds.map(|raw| raw.get().to_owned()).unwrap_or_default(),
        metrics: printed.weir_metrics.unwrap_or_default(),
        expected_response: printed
            .system_tags
            .is_none_or(|tags| tags.iter().any(|tag| tag == "expected_response")),
    })
}

/// The object in what was printed.
pub(in crate::core) fn object(output: &[u8]) -> &[u8] {
    let start = output
        .iter()
        .enumerate()
        .find(|(at, byte)| **byte == b'{' && (*at == 0 || output.get(at - 1) == Some(&b'\n')))
        .map_or(0, |(at, _)| at);
    output.get(start..).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_options_of_a_script_are_read() {
        let output = br#"{"vus": 4, "noSetup": null, "setupTimeout": "1m30s", "noTeardown": true,
            "teardownTimeout": null, "executionSegment": null, "executionSegmentSequence": null,
            "thresholds": {"m": ["rate\u003e0.9"]}, "systemTags": ["url", "expected_response"],
            "weirMetrics": {"m": ["rate", "default"]},
            "tags": {"team": "x"}, "totalDuration": "10m30s", "maxVUs": 4}"#;
        let wanted = Options {
            max_vus: 4,
            total_duration_ms: 630_000,
            no_setup: false,
            no_teardown: true,
            setup_timeout_ms: 90_000,
            teardown_timeout_ms: 60_000,
            summary_timeout_ms: 120_000,
            tags: BTreeMap::from([("team".to_owned(), "x".to_owned())]),
            segmented: false,
            thresholds_json: r#"{"m": ["rate\u003e0.9"]}"#.to_owned(),
            metrics: BTreeMap::from([("m".to_owned(), ("rate".to_owned(), "default".to_owned()))]),
            expected_response: true,
        };
        assert_eq!(parse(output).unwrap(), wanted);
    }

    #[test]
    fn a_script_with_its_own_segment_is_noticed() {
        let output = br#"{"executionSegment": "0:1/2", "tags": null, "maxVUs": 1}"#;
        assert!(parse(output).unwrap().segmented);
    }

    #[test]
    fn lines_before_the_options_are_passed_over() {
        let output = b"a {line} of the script\n{\"maxVUs\": 7}\n";
        assert_eq!(parse(output).unwrap().max_vus, 7);
    }

    #[test]
    fn anything_else_is_an_error() {
        for output in ["", "nonsense", "{}", "[1]", r#"{"maxVUs":1,"totalDuration":"soon"}"#] {
            assert!(parse(output.as_bytes()).is_err(), "{output}");
        }
    }
}
