//! `weir run` of a LoadTest on this machine, in a folder of its own. Environment: `WEIR_BIN`, `WEIR_K6` (the binaries).

use std::{
    env, fs,
    path::PathBuf,
    process::{Child, Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use tempfile::TempDir;

/// Longest time of a run, far more than any takes.
const DEADLINE: Duration = Duration::from_mins(4);

/// A run under way; it ends with the test.
pub(crate) struct Embedded {
    pub(crate) weir: Child,
    folder: TempDir,
    began: Instant,
}

impl Embedded {
    /// Starts a test of this script with the rest of its spec. `change` may give the process more.
    pub(crate) fn start(script: &str, mut spec: Value, change: impl FnOnce(&mut Command)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str| folder.path().join(name);
        fs::write(file("script.js"), script).unwrap();
        spec["script"] = json!({"file": {"path": file("script.js")}});
        let test = json!({
            "apiVersion": "weir.dev/v1alpha1",
            "kind": "LoadTest",
            "metadata": {"name": "embedded"},
            "spec": spec,
        });
        fs::write(file("test.json"), test.to_string()).unwrap();
        fs::create_dir(file("tmp")).unwrap();
        let binary = |name: &str| env::var_os(name).unwrap_or_else(|| panic!("set {name}"));
        let mut command = Command::new(binary("WEIR_BIN"));
        command
            .arg("run")
            .arg(file("test.json"))
            .arg("--k6")
            .arg(binary("WEIR_K6"))
            .arg("--result")
            .arg(file("result.json"))
            .env("TMPDIR", file("tmp"))
            .stdin(Stdio::null())
            .stdout(Stdio::null());
        change(&mut command);
        let weir = command.spawn().expect("weir starts");
        Self { weir, folder, began: Instant::now() }
    }

    /// A file of its folder: `result.json`, or under `tmp` what the agents keep.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Since it was started.
    pub(crate) fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }

    /// Waits until something is so.
    pub(crate) fn until(&self, what: &str, is_so: impl Fn() -> bool) {
        while !is_so() {
            assert!(self.elapsed() < DEADLINE, "still waiting for {what}");
            thread::sleep(Duration::from_millis(100));
        }
    }

    /// Waits for its end: how it ended, and its result.
    pub(crate) fn end(&mut self) -> (ExitStatus, Value) {
        let status = loop {
            if let Some(status) = self.weir.try_wait().unwrap() {
                break status;
            }
            assert!(self.elapsed() < DEADLINE, "the run does not end");
            thread::sleep(Duration::from_millis(100));
        };
        let text = fs::read_to_string(self.file("result.json")).unwrap();
        (status, serde_json::from_str(&text).unwrap())
    }
}

impl Drop for Embedded {
    fn drop(&mut self) {
        drop(self.weir.kill());
        drop(self.weir.wait());
    }
}
