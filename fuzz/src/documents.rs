//! Texts that come from outside: of k6, of its REST API, of its archives, of users, of a former aggregator. The first byte
//! of an input says which; each is read without panic, in bounded memory where a peer sent it.

use std::{hint::black_box, path::Path};

use weir::{
    api::v1alpha1::TestSpec,
    core::{
        bundle,
        k6::{
            args, duration, environment::Environment, log, options, outlet, rest, version::Version,
        },
        ledger::{
            expression::Expression,
            name,
            threshold::{RuleOptions, Rules, Thresholds, of_options},
        },
        lifecycle::valid::validate,
        samples::time,
        summary::{archive, kinds, settings::Settings, wrapper},
    },
    run::input,
};

use crate::{bounded::bounded, checks};

/// How a text is read.
type Reader = fn(&[u8]);

/// All of them, in the order of the first byte.
pub const READERS: [Reader; 8] =
    [inspected, answered, summed_up, printed, checks::published, yaml, spec, archived];

/// See the module.
pub fn check(bytes: &[u8]) {
    let Some((which, bytes)) = bytes.split_first() else { return };
    READERS[usize::from(*which) % READERS.len()](bytes);
}

/// What `k6 inspect` printed.
fn inspected(bytes: &[u8]) {
    drop(kinds::insert(bytes, br#"{"mine":["trend","time"]}"#));
    let version = Version::parse("k6 v2.2.0");
    drop(Settings::read(bytes, &args::UserArgs::default(), &Environment::new(), &version));
    let Ok(options) = bounded(bytes, options::parse) else { return };
    let Ok(raw) = serde_json::from_str(&options.thresholds_json) else { return };
    let Ok(thresholds) = of_options(raw) else { return };
    drop(Rules::new(&thresholds, &Thresholds::new(), RuleOptions::default()));
}

/// What k6's REST API answered.
fn answered(bytes: &[u8]) {
    drop(bounded(bytes, rest::status));
    drop(bounded(bytes, rest::setup_data));
    drop(bounded(bytes, rest::refusal));
}

/// What the script's `handleSummary` left.
fn summed_up(bytes: &[u8]) {
    drop(bounded(bytes, wrapper::answer));
}

/// What k6 printed, and texts within other texts, a line each.
fn printed(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    drop(Version::parse(&text));
    drop(log::last_error(&text));
    let args: Vec<_> = text.lines().map(str::to_owned).collect();
    drop(args::check(&args));
    for line in text.lines() {
        drop(log::shorten(line));
        drop(name::MetricName::parse(line).map(|name| name.shown()));
        Expression::parse(line).ok();
        black_box(duration::parse_ms(line));
        let time_ns = time::parse_unix_ns(line);
        assert_eq!(time::LastSecond::default().parse(line.as_bytes()), time_ns);
        if let (Some(time_ns), Ok(known)) = (time_ns, line.parse::<jiff::Timestamp>()) {
            assert_eq!(known.as_nanosecond(), i128::from(time_ns));
        }
    }
}

/// A file for `weir run`.
fn yaml(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok(local) = input::parse(Path::new("test.yaml"), text) {
        drop(validate(&local.name, local.test));
    }
}

/// A spec as the API server hands it over, whatever schema it was stored under.
fn spec(bytes: &[u8]) {
    if let Ok(spec) = serde_json::from_slice::<TestSpec>(bytes) {
        drop(validate("run", spec));
    }
}

/// An archive.
fn archived(bytes: &[u8]) {
    black_box(outlet::has_extension(bytes));
    drop(archive::options(bytes));
    drop(archive::script(bytes));
    drop(wrapper::wrap(bytes, &serde_json::Value::Null, "answer"));
    if let Ok(timeless) = bundle::timeless(bytes) {
        assert_eq!(bundle::timeless(&timeless).ok(), Some(timeless), "it is timeless already");
    }
}
