//! Runs one script once, by k6 or by Weir, and keeps all that came of it.

use std::{
    collections::BTreeMap,
    env, fs,
    io::Read,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::atomic::{AtomicU64, Ordering},
    thread,
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, killpg},
    unistd::Pid,
};
use serde_json::Value;

use crate::{case::Case, target::Target};

/// A run that takes longer is killed.
const DEADLINE: Duration = Duration::from_secs(90);
/// The file of `--summary-export`.
const EXPORT: &str = "export.json";
const TOLD: &str = "parity-data ";

/// Who runs the script.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Runner {
    K6,
    /// Weir with so many instances.
    Weir(u32),
}

/// The binaries and the servers.
#[derive(Clone)]
pub(crate) struct World {
    pub(crate) k6: PathBuf,
    pub(crate) weir: PathBuf,
    pub(crate) target: Target,
    pub(crate) work: PathBuf,
}

/// What came of a run.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ran {
    /// None where a signal ended it, or the deadline.
    pub(crate) exit: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    /// What the script logged, or k6 about it: level and message.
    pub(crate) logs: Vec<(String, String)>,
    /// Files that it wrote, besides the export.
    pub(crate) files: BTreeMap<String, Vec<u8>>,
    pub(crate) export: Option<Value>,
    /// What `handleSummary` was given, each time.
    pub(crate) data: Vec<Value>,
    /// What the target counted.
    pub(crate) counted: BTreeMap<String, u64>,
}

pub(crate) fn run(world: &World, case: &Case, runner: Runner) -> Ran {
    static RUNS: AtomicU64 = AtomicU64::new(0);
    let id = format!("r{}", RUNS.fetch_add(1, Ordering::Relaxed));
    let folder = world.work.join(&id);
    fs::create_dir_all(&folder).unwrap();
    let mut args: Vec<String> = ["--quiet", "--no-usage-report", "--log-format=json"]
        .map(str::to_owned)
        .into_iter()
        .chain(case.head.args.iter().cloned())
        .chain([format!("--env=RUN={id}"), format!("--env=TARGET=http://{}", world.target.http)])
        .collect();
    if !case.head.plain {
        args.push(format!("--summary-export={EXPORT}"));
    }
    let script =
        if case.head.archive { archived(world, case, &args, &folder) } else { case.script.clone() };
    let mut command = match runner {
        Runner::K6 => {
            let mut command = Command::new(&world.k6);
            command.arg("run").args(&args).arg(&script);
            command
        }
        Runner::Weir(instances) => {
            let mut command = Command::new(&world.weir);
            let instances = instances.to_string();
            command.args(["run", "-n", &instances, "--k6"]).arg(&world.k6).arg(&script);
            command.arg("--").args(&args);
            command
        }
    };
    for (name, _) in env::vars().filter(|(name, _)| name.starts_with("K6_")) {
        command.env_remove(name);
    }
    let cwd = folder.join("cwd");
    fs::create_dir(&cwd).unwrap();
    command.current_dir(&cwd).envs(&case.head.env).stdin(Stdio::null());
    let (exit, stdout, stderr) = finish(command);
    let mut ran = Ran { exit, stdout, ..Ran::default() };
    for line in stderr.lines() {
        take_line(&mut ran, line);
    }
    ran.stderr = stderr;
    ran.files = files(&cwd);
    ran.export = ran.files.remove(EXPORT).and_then(|bytes| serde_json::from_slice(&bytes).ok());
    ran.counted = world.target.counted(&id);
    fs::remove_dir_all(&folder).unwrap();
    ran
}

/// The archive of a script: `k6 archive` takes the same options, but not those of a run alone.
fn archived(world: &World, case: &Case, args: &[String], folder: &Path) -> String {
    let path = folder.join("script.tar").to_string_lossy().into_owned();
    let status = Command::new(&world.k6)
        .args(["archive", "--quiet", "-O", &path])
        .args(args.iter().filter(|arg| arg.starts_with("--env")))
        .arg(&case.script)
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .unwrap();
    assert!(status.success(), "{}: k6 archive failed", case.name);
    path
}

fn finish(mut command: Command) -> (Option<i32>, String, String) {
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .spawn()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let stdout = drain(child.stdout.take().unwrap());
    let stderr = drain(child.stderr.take().unwrap());
    let began = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        if began.elapsed() > DEADLINE {
            // The whole group: a k6 of Weir's must not outlive it.
            killpg(Pid::from_raw(child.id().try_into().unwrap()), Signal::SIGKILL).unwrap();
            break child.wait().unwrap();
        }
        thread::sleep(Duration::from_millis(10));
    };
    (status.code(), stdout.join().unwrap(), stderr.join().unwrap())
}

fn drain(mut pipe: impl Read + Send + 'static) -> thread::JoinHandle<String> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        drop(pipe.read_to_end(&mut bytes));
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

/// A line of standard error: k6's logs are JSON, and Weir puts the instance before them.
fn take_line(ran: &mut Ran, line: &str) {
    let bare = match line.strip_prefix('[').and_then(|rest| rest.split_once("] ")) {
        Some((id, rest)) if id.chars().all(|c| c.is_ascii_digit()) => rest,
        _ => line,
    };
    let Ok(Value::Object(log)) = serde_json::from_str::<Value>(bare) else { return };
    let text = |name: &str| log.get(name).and_then(Value::as_str).unwrap_or_default();
    if let Some(data) = text("msg").strip_prefix(TOLD) {
        ran.data.push(serde_json::from_str(data).unwrap_or_default());
    } else if ["console", "stacktrace"].contains(&text("source")) || !text("executor").is_empty() {
        ran.logs.push((text("level").to_owned(), text("msg").to_owned()));
    }
}

fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(&next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(folder).unwrap().to_string_lossy().into_owned();
                found.insert(name, fs::read(&path).unwrap());
            }
        }
    }
    found
}
