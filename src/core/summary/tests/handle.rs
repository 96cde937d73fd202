//! A script's own `handleSummary`, run by the real k6 from an archive that the real k6 made.

use std::{path::Path, process::Output};

use serde_json::{Value, json};
use tar::{Archive, Builder, EntryType, Header};

use super::rig::{K6, folder};
use crate::core::{
    k6::args::check,
    summary::{
        archive,
        wrapper::{self, Answer},
    },
};

const MAIN: &str = r#"
import { sleep } from "k6";
import exec from "k6/execution";
import { Counter } from "k6/metrics";
import { SharedArray } from "k6/data";
import { local, more } from "./lib/util.js";

const given = JSON.parse(open("./given.json"));
const bytes = open("./given.json", "b");
const shared = new SharedArray("shared", () => [1, 2]);
const made = new Counter("made");

export const options = {
  scenarios: {
    a: { executor: "constant-vus", vus: 2, duration: "1h", exec: "go" },
    b: { executor: "shared-iterations", exec: "go", vus: 3, iterations: 3 },
  },
  thresholds: { made: ["count>1000000"], "made{x:1}": ["count<0"] },
  minIterationDuration: "1h",
  tags: { team: "blue" },
  summaryTrendStats: ["avg"],
};

export function setup() {
  console.log("SETUP RAN");
}
export function teardown() {
  console.log("TEARDOWN RAN");
}
export function go() {
  made.add(1);
  sleep(0.1);
  console.log("LOAD RAN");
}
export function handleSummary(data) {
  console.log("handling");
  const first = JSON.stringify(data);
  data.metrics = null;
  return {
    stdout: `${local} ${more} ${given.here} ${shared.length} ${__ENV.COLOR} ${__ENV.OUTSIDE}\n`,
    "z.json": first,
    "a.bin": bytes,
    7: "seven",
    "half.txt": "\ud800!",
    "view.bin": new Uint8Array([9, 8, 7]).subarray(1),
    stderr: String("setup_data" in data),
  };
}
"#;

const FILES: &[(&str, &str)] = &[
    ("main.js", MAIN),
    ("given.json", r#"{"here": "open"}"#),
    ("lib/util.js", "export const local = 'import'; export const more = open('./more.txt');"),
    ("lib/more.txt", "from lib"),
];

/// Makes an archive of `main.js` among `files`, wraps it, and runs the wrapper in an empty folder.
fn handle(k6: K6, files: &[(&str, &str)], data: &Value, environment: &[(&str, &str)]) -> Ran {
    let archive = archive_of(k6, files);
    run(k6, &archive, data, environment)
}

pub(super) fn archive_of(k6: K6, files: &[(&str, &str)]) -> Vec<u8> {
    let dir = folder(files);
    let args = ["archive", "-O", "made.tar", "-e", "COLOR=red", "main.js"];
    let made = k6.run(dir.path(), &args, &[]);
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    std::fs::read(dir.path().join("made.tar")).unwrap()
}

struct Ran {
    output: Output,
    answer: Option<Answer>,
    files: Vec<String>,
}

impl Ran {
    fn said(&self, what: &str) -> bool {
        String::from_utf8_lossy(&self.output.stderr).contains(what)
            || String::from_utf8_lossy(&self.output.stdout).contains(what)
    }
}

fn run(k6: K6, archive: &[u8], data: &Value, environment: &[(&str, &str)]) -> Ran {
    let dir = tempfile::tempdir().unwrap();
    let wrapped = wrapper::wrap(archive, data, "answer.json").unwrap();
    std::fs::write(dir.path().join("wrapped.tar"), wrapped).unwrap();
    let user = ["-e", "OUTSIDE=yes", "--vus=4", "--duration=1h", "--tag", "a=b", "--out=csv=x.csv"];
    let user = check(&user.map(str::to_owned)).unwrap();
    let argv = wrapper::argv(&user, &k6.version(), "wrapped.tar");
    // What k6 says of iterations is what these tests look at.
    let argv: Vec<&str> = argv.iter().map(String::as_str).filter(|arg| *arg != "--quiet").collect();
    let changes = wrapper::environment();
    let changes = changes.iter().filter_map(|(name, value)| Some((*name, value.as_deref()?)));
    let environment: Vec<(&str, &str)> = environment.iter().copied().chain(changes).collect();
    let output = k6.run(dir.path(), &argv, &environment);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let answer = std::fs::read(dir.path().join("answer.json")).ok();
    let answer = answer.map(|answer| wrapper::answer(&answer).unwrap());
    Ran { output, answer, files: names(dir.path()) }
}

fn names(dir: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(dir).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn data() -> Value {
    json!({
        "root_group": {"name": "", "groups": [], "checks": []},
        "metrics": {"made": {"type": "counter", "values": {"count": 7}}},
        "note": "quotes \" ' ` ${x} \\ \u{2028} </script> ü\n",
    })
}

/// What the main script returns, given [`data`].
fn assert_handled(ran: &Ran) {
    let Some(Answer::Files(files)) = &ran.answer else { panic!("{:?}", ran.answer) };
    let content = |name: &str| {
        let (_, content) = files.iter().find(|(known, _)| known == name).unwrap();
        content.as_slice()
    };
    assert_eq!(content("stdout"), b"import from lib open 2 red yes\n");
    assert_eq!(serde_json::from_slice::<Value>(content("z.json")).unwrap(), data());
    assert_eq!(content("a.bin"), br#"{"here": "open"}"#);
    assert_eq!(content("7"), b"seven");
    assert_eq!(content("half.txt"), "\u{fffd}!".as_bytes());
    assert_eq!(content("view.bin"), [8, 7]);
    assert_eq!(content("stderr"), b"true", "k6 has the key also without setup data");
    let order: Vec<&str> = files.iter().map(|(name, _)| name.as_str()).collect();
    let wanted = ["7", "stdout", "z.json", "a.bin", "half.txt", "view.bin", "stderr"];
    assert_eq!(order, wanted, "JavaScript's own order: numbers first");
    assert!(ran.said("1 complete and 0 interrupted iterations"));
    assert!(ran.said("handling"));
    assert!(!ran.said("dashboard"));
    assert!(!ran.said("SETUP RAN") && !ran.said("TEARDOWN RAN") && !ran.said("LOAD RAN"));
    assert_eq!(ran.files, ["answer.json", "wrapped.tar"]);
}

#[test]
fn a_script_handles_merged_data_with_all_that_its_archive_holds() {
    for k6 in [K6::V2, K6::V1] {
        assert_handled(&handle(k6, FILES, &data(), &[]));
    }
}

#[test]
fn one_iteration_runs_whatever_the_environment_says() {
    let environment = [
        ("K6_VUS", "5"),
        ("K6_ITERATIONS", "50"),
        ("K6_DURATION", "1h"),
        ("K6_STAGES", "1h:5"),
        ("K6_OUT", "csv=mine.csv"),
        ("K6_PAUSED", "true"),
        ("K6_LINGER", "true"),
        ("K6_ADDRESS", "127.0.0.1:1"),
        ("K6_TYPE", "js"),
        ("K6_SUMMARY_MODE", "disabled"),
        ("K6_NO_SUMMARY", "true"),
        ("K6_SUMMARY_EXPORT", "mine.json"),
        ("K6_NEW_MACHINE_READABLE_SUMMARY", "true"),
        ("K6_MIN_ITERATION_DURATION", "1h"),
        ("K6_NO_SETUP", "false"),
        ("K6_NO_TEARDOWN", "false"),
        ("K6_NO_THRESHOLDS", "false"),
        ("K6_THRESHOLDS", r#"{"iterations":["count<0"]}"#),
        ("K6_TRACES_OUTPUT", "otel=127.0.0.1:1"),
        ("K6_WEB_DASHBOARD", "true"),
    ];
    for k6 in [K6::V2, K6::V1] {
        assert_handled(&handle(k6, FILES, &data(), &environment));
    }
}

#[test]
fn what_handle_summary_returns_or_throws_is_told() {
    let cases: [(&str, Option<Answer>); 13] = [
        ("", Some(Answer::NotExported)),
        ("export function handleSummary() {}", Some(Answer::Default)),
        ("export const handleSummary = () => null;", Some(Answer::Default)),
        ("export const handleSummary = () => ({});", Some(Answer::Files(Vec::new()))),
        (
            "export const handleSummary = async () => ({ a: await Promise.resolve('b') });",
            Some(Answer::Files(vec![("a".to_owned(), b"b".to_vec())])),
        ),
        (
            "export const handleSummary = () => ({ a: 1 });",
            Some(invalid(
                "error handling summary object a: it needs to be a string or ArrayBuffer",
            )),
        ),
        (
            "export const handleSummary = () => [1];",
            Some(invalid("handleSummary() should return a map with string keys")),
        ),
        (
            "export const handleSummary = 5;",
            Some(invalid("exported identifier handleSummary must be a function")),
        ),
        (
            "export const handleSummary = undefined;",
            Some(invalid("exported identifier handleSummary must be a function")),
        ),
        (
            "export function handleSummary() { throw 'as text'; }",
            Some(Answer::Threw("as text".to_owned())),
        ),
        (
            "export function handleSummary(data) { return data.nothing.here; }",
            Some(Answer::Threw(String::new())),
        ),
        (
            "import exec from 'k6/execution'; export const handleSummary = () => exec.test.abort();",
            None,
        ),
        (
            "export const options = { handleSummaryTimeout: '1s' };
            export function handleSummary() { while (true) {} }",
            None,
        ),
    ];
    for k6 in [K6::V2, K6::V1] {
        for (script, wanted) in &cases {
            if k6 == K6::V1 && script.contains("handleSummaryTimeout") {
                // Its two minutes cannot be changed.
                continue;
            }
            let script = format!("export default function () {{}}\n{script}\n");
            let answer = handle(k6, &[("main.js", &script)], &data(), &[]).answer;
            if let (Some(Answer::Threw(wanted)), Some(Answer::Threw(message))) = (wanted, &answer)
                && wanted.is_empty()
            {
                assert!(message.starts_with("TypeError: "), "{message}");
                assert!(message.contains("main.js:2:"), "{message}");
                assert!(!message.contains("weir"), "{message}");
                continue;
            }
            assert_eq!(&answer, wanted, "{script}");
        }
    }
}

fn invalid(message: &str) -> Answer {
    Answer::Invalid(message.to_owned())
}

#[test]
fn a_common_js_module_handles_its_summary() {
    let main = "const given = open('./given.txt'); const lib = require('./lib/lib.js');
        exports.default = function () {};
        exports.handleSummary = (data) => ({ stdout: given + lib.word + data.metrics.made.values.count });";
    let files =
        [("main.js", main), ("given.txt", "open "), ("lib/lib.js", "exports.word = 'require ';")];
    for k6 in [K6::V2, K6::V1] {
        let wanted = Answer::Files(vec![("stdout".to_owned(), b"open require 7".to_vec())]);
        assert_eq!(handle(k6, &files, &data(), &[]).answer, Some(wanted));
    }
}

/// An archive with another main script, and with a module that came from afar.
fn with_remote(archive: &[u8], main: &str, address: &str, module: &str) -> Vec<u8> {
    let mut built = Builder::new(Vec::new());
    for entry in Archive::new(archive).entries().unwrap() {
        let mut entry = entry.unwrap();
        let path = entry.path().unwrap().into_owned();
        let mut header = entry.header().clone();
        match header.entry_type() {
            EntryType::Link => built.append_link(&mut header, path, "data").unwrap(),
            _ if path == Path::new("data") => {
                header.set_size(main.len() as u64);
                built.append_data(&mut header, path, main.as_bytes()).unwrap();
            }
            _ => built.append_data(&mut header, path, &mut entry).unwrap(),
        }
    }
    let mut header = Header::new_gnu();
    header.set_mode(0o644);
    header.set_size(module.len() as u64);
    built.append_data(&mut header, address, module.as_bytes()).unwrap();
    built.into_inner().unwrap()
}

#[test]
fn remote_modules_come_from_the_archive() {
    for k6 in [K6::V2, K6::V1] {
        let archive = archive_of(k6, &[("main.js", "export default function () {}")]);
        let main = "import { word } from 'https://lib.invalid/a/b.js';
            export default function () {}
            export const handleSummary = () => ({ stdout: word });";
        let module = "export const word = 'from afar';";
        let archive = with_remote(&archive, main, "https/lib.invalid/a/b.js", module);
        let wanted = Answer::Files(vec![("stdout".to_owned(), b"from afar".to_vec())]);
        assert_eq!(run(k6, &archive, &data(), &[]).answer, Some(wanted));
    }
}

#[test]
fn names_that_need_care_keep_their_module() {
    let dir = folder(&[(
        "a folder/100% ü.ts",
        "const word: string = 'typed';
            export default function () {}
            export const handleSummary = () => ({ stdout: word });",
    )]);
    for k6 in [K6::V2, K6::V1] {
        let args = ["archive", "-O", "made.tar", "a folder/100% ü.ts"];
        let made = k6.run(dir.path(), &args, &[]);
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let archive = std::fs::read(dir.path().join("made.tar")).unwrap();
        let wanted = Answer::Files(vec![("stdout".to_owned(), b"typed".to_vec())]);
        assert_eq!(run(k6, &archive, &data(), &[]).answer, Some(wanted));
    }
}

#[test]
fn an_archive_tells_its_options_and_its_script() {
    for k6 in [K6::V2, K6::V1] {
        let made = archive_of(k6, FILES);
        let options: Value = serde_json::from_str(archive::options(&made).unwrap().get()).unwrap();
        assert_eq!(options["summaryTrendStats"], json!(["avg"]));
        assert_eq!(options["scenarios"]["a"]["vus"], 2);
        assert_eq!(archive::script(&made).unwrap(), MAIN.as_bytes());
        let wrapped = wrapper::wrap(&made, &data(), "x").unwrap();
        let options: Value =
            serde_json::from_str(archive::options(&wrapped).unwrap().get()).unwrap();
        assert_eq!(options["tags"], json!({"team": "blue"}), "what the script may see stays");
        assert_eq!(options["iterations"], 1);
        assert!(options.get("scenarios").is_none() && options.get("thresholds").is_none());
    }
}

#[test]
fn what_is_no_archive_is_an_error() {
    let of = |entries: &[(&str, &str)]| {
        let mut built = Builder::new(Vec::new());
        for (name, content) in entries {
            let mut header = Header::new_gnu();
            header.set_size(content.len() as u64);
            built.append_data(&mut header, name, content.as_bytes()).unwrap();
        }
        built.into_inner().unwrap()
    };
    let file = r#"{"filename":"file:///a.js","options":{}}"#;
    for bad in [
        b"no tar at all".repeat(100),
        Vec::new(),
        of(&[("data", "x")]),
        of(&[("metadata.json", "[]"), ("data", "x")]),
        of(&[("metadata.json", r#"{"filename":"github.com/a/b"}"#), ("data", "x")]),
        of(&[("metadata.json", file)]),
        of(&[("metadata.json", file), ("data", "x")]),
    ] {
        assert!(wrapper::wrap(&bad, &data(), "x").is_err());
    }
    assert!(archive::options(&of(&[("metadata.json", "{}")])).is_err());
    for bad in
        ["", "{}", r#"{"kind":"files"}"#, r#"{"kind":"files","files":[["a",{"base64":"?"}]]}"#]
    {
        assert!(wrapper::answer(bad.as_bytes()).is_err(), "{bad}");
    }
}
