//! Runs k6, and gives all that it wrote.

use std::{
    collections::BTreeMap,
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Command, Output},
    thread,
};

use serde_json::Value;
use tempfile::TempDir;

use crate::core::{
    k6::{args::check, version::Version},
    ledger::view::View,
    summary::{
        settings::{Mode, Settings},
        tests::reader,
    },
    tests::k6::{k6, k6_v1},
};

/// A k6 of the tests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum K6 {
    V1,
    V2,
}

impl K6 {
    pub(super) fn path(self) -> PathBuf {
        match self {
            Self::V1 => k6_v1(),
            Self::V2 => k6(),
        }
    }

    pub(super) fn version(self) -> Version {
        Version::parse(if self == Self::V1 { "k6 v1.8.1" } else { "k6 v2.2.0" })
    }

    /// Runs k6 in `dir`, with nothing of the environment of the tests.
    pub(super) fn run(self, dir: &Path, args: &[&str], environment: &[(&str, &str)]) -> Output {
        let mut command = Command::new(self.path());
        command.args(args).current_dir(dir).env_clear().env("HOME", dir);
        command.envs(environment.iter().copied()).output().unwrap()
    }
}

/// All that k6 gave at the end of a test, and the samples that it made it of.
#[derive(Debug)]
pub(super) struct Given {
    pub(super) view: View,
    /// The same, out of a ledger.
    pub(super) ledger_view: View,
    pub(super) settings: Settings,
    /// What `handleSummary` got.
    pub(super) data: Value,
    /// The file of `--summary-export`.
    pub(super) export: Value,
    /// Standard output.
    pub(super) text: String,
    pub(super) script: String,
    pub(super) duration_ns: i64,
}

/// Runs a script, which must export no `handleSummary`.
pub(super) fn run(k6: K6, script: &str, args: &[&str]) -> Given {
    let dir = tempfile::tempdir().unwrap();
    let script = format!(
        "{script}\nexport function handleSummary(data) {{ console.log(JSON.stringify(data)); }}\n"
    );
    std::fs::write(dir.path().join("test.js"), &script).unwrap();
    let target = target();
    let environment = [("TARGET", target.as_str())];
    let inspected =
        k6.run(dir.path(), &["inspect", "--include-system-env-vars", "test.js"], &environment);
    let fixed = [
        "--quiet",
        "--no-usage-report",
        "--log-format=raw",
        "--address=",
        "--out=json=samples.json",
    ];
    let mut line = vec!["run", "--summary-export=export.json"];
    line.extend(fixed.iter().chain(args).copied());
    line.push("test.js");
    let ran = k6.run(dir.path(), &line, &environment);
    let stderr = String::from_utf8(ran.stderr).unwrap();
    let said = |line: &str| serde_json::from_str::<Value>(line).ok().filter(Value::is_object);
    let data = stderr.lines().find_map(said).unwrap_or_else(|| panic!("no data in {stderr}"));
    let user: Vec<String> = args.iter().map(|arg| (*arg).to_owned()).collect();
    let settings =
        Settings::read(&inspected.stdout, &check(&user).unwrap(), &BTreeMap::new(), &k6.version());
    let samples = std::fs::read_to_string(dir.path().join("samples.json")).unwrap();
    let options: Value = serde_json::from_slice(&inspected.stdout).unwrap();
    let export = std::fs::read(dir.path().join("export.json")).unwrap();
    let export: Value = serde_json::from_slice(&export).unwrap();
    let duration_ns = duration_ns(&data);
    let settings = settings.unwrap();
    let full = settings.mode == Mode::Full;
    Given {
        ledger_view: reader::ledger_view(&samples, &options, full, duration_ns),
        view: reader::view(&samples, &options, &data, duration_ns),
        settings,
        data,
        export,
        text: String::from_utf8(ran.stdout).unwrap(),
        script,
        duration_ns,
    }
}

fn duration_ns(data: &Value) -> i64 {
    let ms = data["state"]["testRunDurationMs"].as_f64().map(|ms| ms * 1e6);
    let seconds = || data["config"]["duration"].as_f64().map(|seconds| seconds * 1e9);
    // A whole number of nanoseconds in words.
    format!("{:.0}", ms.or_else(seconds).unwrap()).parse().unwrap()
}

/// Address of a server that has one page.
fn target() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            thread::spawn(move || serve(stream));
        }
    });
    address
}

fn serve(mut stream: TcpStream) {
    let mut buffer = [0; 4096];
    while let Ok(read) = stream.read(&mut buffer) {
        if read == 0 {
            return;
        }
        let found = buffer.starts_with(b"GET /found ");
        let status = if found { "200 OK" } else { "404 Not Found" };
        let answer = format!("HTTP/1.1 {status}\r\nContent-Length: 5\r\n\r\nhello");
        if stream.write_all(answer.as_bytes()).is_err() {
            return;
        }
    }
}

/// A folder with these files.
pub(super) fn folder(files: &[(&str, &str)]) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (name, content) in files {
        let path = dir.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }
    dir
}
