//! How stock k6 runs a script's own `handleSummary` on merged data: an archive whose main module is a small wrapper
//! around the script's, the arguments to run it with, and the answer that it writes.

use std::{collections::BTreeMap, io::Write};

use base64::{Engine, engine::general_purpose::STANDARD};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tar::{Archive, Builder, EntryType, Header};

use super::archive::{self, ArchiveError, MAIN, METADATA};
use crate::core::k6::{args::UserArgs, version::Version};

/// The wrapper stands beside the script, for k6 resolves some paths by the folder of the main module.
const NAME: &str = "weir-handle-summary.js";
const WRAPPER: &str = include_str!("wrapper/wrapper.js");

/// Options of the script that would shape the load, or end it. Those of an archive count, not the main module's own.
const DROPPED_OPTIONS: &[&str] = &[
    "cloud",
    "duration",
    "executionSegment",
    "executionSegmentSequence",
    "minIterationDuration",
    "paused",
    "scenarios",
    "stages",
    "thresholds",
];

/// Flags of the user that say how to run the test, not how to run the script.
const DROPPED_FLAGS: &[&str] = &[
    "duration",
    "iterations",
    "min-iteration-duration",
    "new-machine-readable-summary",
    "profiling-enabled",
    "stage",
    "traces-output",
    "type",
    "verbose",
    "vus",
];

/// An archive that runs the `handleSummary` of the script in `archive` on `data`, and writes its answer to the file
/// `answer`: a path of its own, which k6 resolves by its working folder.
pub fn wrap(archive: &[u8], data: &Value, answer: &str) -> Result<Vec<u8>, ArchiveError> {
    rewrite(archive, |address| source(address, data, answer), None)
}

/// The archive with a main module of this source, which gets the address of the script's own, and with these thresholds.
pub(super) fn rewrite(
    archive: &[u8],
    source: impl FnOnce(&str) -> String,
    thresholds: Option<Map<String, Value>>,
) -> Result<Vec<u8>, ArchiveError> {
    let mut metadata: Map<String, Value> =
        serde_json::from_slice(&archive::content(archive, METADATA)?)?;
    let main = archive::content(archive, MAIN)?;
    let address = metadata.get("filename").and_then(Value::as_str).unwrap_or_default().to_owned();
    let known = address.starts_with("file://") || address.starts_with("https://");
    let Some((folder, _)) = address.rsplit_once('/').filter(|_| known) else {
        return Err(ArchiveError::Address(address));
    };
    metadata.insert("filename".to_owned(), json!(format!("{folder}/{NAME}")));
    let options = metadata.entry("options").or_insert_with(|| json!({}));
    if let Some(options) = options.as_object_mut() {
        for option in DROPPED_OPTIONS {
            options.remove(*option);
        }
        for (option, value) in [
            ("vus", json!(1)),
            ("iterations", json!(1)),
            ("noSetup", json!(true)),
            ("noTeardown", json!(true)),
        ] {
            options.insert(option.to_owned(), value);
        }
        if let Some(thresholds) = thresholds {
            options.insert("thresholds".to_owned(), thresholds.into());
        }
    }

    let mut wrapped = Builder::new(Vec::with_capacity(archive.len()));
    append(&mut wrapped, METADATA, &serde_json::to_vec(&metadata)?)?;
    append(&mut wrapped, MAIN, source(&address).as_bytes())?;
    let mut found = false;
    for entry in Archive::new(archive).entries()? {
        let mut entry = entry?;
        let path = entry.path()?.into_owned();
        let mut header = entry.header().clone();
        if archive::is_main(&entry) {
            found = true;
            wrapped.append_data(&mut regular(main.len()), path, main.as_slice())?;
        } else if header.entry_type() == EntryType::Regular
            && !archive::is_named(&entry, METADATA)
            && !archive::is_named(&entry, MAIN)
        {
            wrapped.append_data(&mut header, path, &mut entry)?;
        }
    }
    if !found {
        return Err(ArchiveError::Missing("main script among its files"));
    }
    let mut wrapped = wrapped.into_inner()?;
    wrapped.flush()?;
    Ok(wrapped)
}

/// A text as JavaScript has it.
pub(super) fn literal(text: &str) -> String {
    // The two line ends that JSON leaves as they are, but older JavaScript takes for the end of a line.
    let quoted = Value::from(text).to_string();
    quoted.replace('\u{2028}', "\\u2028").replace('\u{2029}', "\\u2029")
}

/// The wrapper's own source. All that differs stands in it as literals, so that it needs no file.
fn source(address: &str, data: &Value, answer: &str) -> String {
    format!(
        "import * as user from {};\nconst given = {};\nconst answerFile = {};\n{WRAPPER}",
        literal(address),
        literal(&data.to_string()),
        literal(answer),
    )
}

fn append(
    builder: &mut Builder<Vec<u8>>,
    path: &str,
    content: &[u8],
) -> Result<(), std::io::Error> {
    builder.append_data(&mut regular(content.len()), path, content)
}

fn regular(size: usize) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(EntryType::Regular);
    header.set_mode(0o644);
    header.set_size(size as u64);
    header
}

/// Arguments of k6 for such an archive. They make it run one iteration of nothing whatever the environment says, and
/// leave the rest as the user gave it: what a script may see or need also while it handles a summary.
pub fn argv(user: &UserArgs, version: &Version, archive: &str) -> Vec<String> {
    let mut argv = nothing(user);
    argv.push("--no-thresholds".to_owned());
    if version.is_before_2() {
        argv.push("--no-summary=false".to_owned());
    }
    argv.extend(["--".to_owned(), archive.to_owned()]);
    argv
}

/// Arguments by which k6 runs one iteration of nothing and then `handleSummary`.
pub(super) fn nothing(user: &UserArgs) -> Vec<String> {
    let dropped = |arg: &&String| {
        let name = arg.strip_prefix("--").and_then(|long| long.split('=').next());
        name.is_some_and(|name| DROPPED_FLAGS.contains(&name))
    };
    let mut argv = vec!["run".to_owned()];
    argv.extend(user.run.iter().filter(|arg| !dropped(arg)).cloned());
    let own = [
        "--vus=1",
        "--iterations=1",
        "--min-iteration-duration=0s",
        "--paused=false",
        "--linger=false",
        "--no-setup",
        "--no-teardown",
        "--address=",
        "--type=archive",
        "--traces-output=none",
        // The only way to keep the outputs of `K6_OUT` away.
        "--out=json=/dev/null",
        "--summary-mode=compact",
        "--summary-export=",
        "--new-machine-readable-summary=false",
        "--no-usage-report",
        "--quiet",
    ];
    argv.extend(own.map(str::to_owned));
    argv
}

/// What of the environment must differ for such an archive: that for which k6 has no flag. None removes a variable.
pub fn environment() -> BTreeMap<&'static str, Option<String>> {
    BTreeMap::from([("K6_WEB_DASHBOARD", Some("false".to_owned()))])
}

/// What came of a script's `handleSummary`. k6's exit code is the test's, whatever it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The script has none: k6 writes its own text.
    NotExported,
    /// It returned nothing: k6 writes its own text.
    Default,
    /// The files that it returned, in its order, `stdout` and `stderr` among them; k6 writes no text of its own.
    Files(Vec<(String, Vec<u8>)>),
    /// It threw this: k6 logs it as an error and writes its own text.
    Threw(String),
    /// It returned what k6 cannot write: k6 logs `failed to handle the end-of-test summary` with this as its error,
    /// and writes nothing at all, not even the file of `--summary-export`.
    Invalid(String),
}

/// Why an answer cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum AnswerError {
    /// Not what the wrapper writes.
    #[error("the answer of handleSummary is not what its wrapper writes")]
    Unknown(#[source] serde_json::Error),
    /// Bytes in no known form.
    #[error("the file {name:?} of handleSummary holds no Base64")]
    Base64 {
        /// Of the file.
        name: String,
        /// Why not.
        source: base64::DecodeError,
    },
}

#[derive(Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum Written {
    NotExported,
    Default,
    Files { files: Vec<(String, Content)> },
    Threw { message: String },
    Invalid { message: String },
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Content {
    Text(String),
    Base64(String),
}

/// Reads what the wrapper wrote. Where it wrote nothing, k6 gave up on the script's `handleSummary`, and said why on
/// its standard error: it took longer than `handleSummaryTimeout` (k6 then writes nothing at all), or it called
/// `exec.test.abort()` (k6 then writes its own text).
pub fn answer(written: &[u8]) -> Result<Answer, AnswerError> {
    let written: Written = serde_json::from_slice(written).map_err(AnswerError::Unknown)?;
    Ok(match written {
        Written::NotExported => Answer::NotExported,
        Written::Default => Answer::Default,
        Written::Threw { message } => Answer::Threw(message),
        Written::Invalid { message } => Answer::Invalid(message),
        Written::Files { files } => {
            let files = files.into_iter().map(|(name, content)| match content {
                Content::Text(text) => Ok((name, text.into_bytes())),
                Content::Base64(text) => match STANDARD.decode(text) {
                    Ok(bytes) => Ok((name, bytes)),
                    Err(source) => Err(AnswerError::Base64 { name, source }),
                },
            });
            Answer::Files(files.collect::<Result<_, _>>()?)
        }
    })
}
