//! k6 as a child process.

use std::{
    ffi::OsStr,
    fs::File,
    os::unix::process::ExitStatusExt,
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    time::Duration,
};

use nix::{
    sys::signal::{Signal, killpg},
    unistd::Pid,
};
use prost::bytes::Bytes;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    process::{Child, Command},
    task::JoinHandle,
    time::timeout,
};

use super::{memory, passing, reaper};
use crate::core::{
    agent::events::Unbundled,
    bundle::{self, BUNDLE_BYTES_MAX, Bundle},
    k6::{
        args::UserArgs,
        argv,
        environment::{self, Environment},
        exit::Exit,
        log,
        version::Version,
    },
    plan::TOKEN_ENV,
    summary::{kinds, wrapper},
};
use crate::io::telemetry;

/// Output of k6's short commands that is read, in bytes.
const OUTPUT_BYTES_MAX: u64 = 16 << 20;
/// Time that k6 may take to tell the kinds of metrics.
const KINDS: Duration = Duration::from_secs(30);
/// Time that what k6 wrote last has to arrive after its end. It stands in the pipe by then, so this is for a machine that
/// is busy, and a bound for what k6 may have started that left its process group and holds the pipe open.
const LAST_LINES: Duration = Duration::from_secs(5);

/// The k6 binary and what surrounds it.
#[derive(Clone, Debug)]
pub(super) struct K6 {
    pub(super) binary: PathBuf,
    /// Variables besides those of this process.
    pub(super) env: Environment,
    pub(super) log_prefix: Option<String>,
}

/// A running `k6 run`.
#[derive(Debug)]
pub(super) struct Running {
    child: Child,
    group: Group,
    stderr: JoinHandle<Vec<u8>>,
    stdout: JoinHandle<Vec<u8>>,
    /// [`memory::kills`] at its start.
    kills: Option<u64>,
}

/// The process group of a k6. A k6 that builds itself anew with extensions runs that build as a child, which hears
/// only signals to the group.
#[derive(Clone, Copy, Debug)]
pub(super) struct Group(Option<Pid>);

impl K6 {
    /// Asks the binary for its version.
    pub(super) async fn version(self) -> Result<Version, String> {
        let output =
            self.output(argv::version(), []).await.map_err(|error| self.missing(&error))?;
        if output.status.success() {
            return Ok(Version::parse(&String::from_utf8_lossy(&output.stdout)));
        }
        let exit = exit(output.status, &output.stderr);
        Err(format!(
            "{} is no k6: `k6 version` ended with {}",
            self.binary.display(),
            exit.describe()
        ))
    }

    /// Archives the script into `path` and asks what it wants. `judged`: metrics with thresholds besides the script's.
    pub(super) async fn bundle(
        self,
        user: &UserArgs,
        environment: &Environment,
        script: &str,
        judged: &[String],
        path: &Path,
    ) -> Result<Bundle, Unbundled> {
        let bundle = path.to_string_lossy();
        let argv = argv::archive(user, environment, script, &bundle);
        self.ask(argv, [("K6_LOG_OUTPUT", None), ("K6_LOG_FORMAT", None)]).await?;
        let unread = |error: std::io::Error| {
            Unbundled::Broken(format!("the archive of the script could not be used: {error}"))
        };
        let size = tokio::fs::metadata(path).await.map_err(unread)?.len();
        if size > BUNDLE_BYTES_MAX as u64 {
            let error = bundle::BundleError::TooLarge(size);
            return Err(Unbundled::InvalidSpec(error.to_string()));
        }
        let archive = tokio::fs::read(path).await.map_err(unread)?;
        let archive = bundle::timeless(&archive).map_err(unread)?;
        tokio::fs::write(path, &archive).await.map_err(unread)?;
        let argv = argv::inspect(user, environment, &bundle);
        let told = async {
            let is_judged = !environment::no_thresholds(user, environment) || !judged.is_empty();
            if is_judged { self.kinds(user, judged, path, &archive).await } else { None }
        };
        let (printed, told) = tokio::join!(self.ask(argv, environment::for_inspect(user)), told);
        let mut printed = printed?;
        if let Some(whole) = told.and_then(|told| kinds::insert(&printed, &told)) {
            printed = whole;
        }
        Bundle::new(archive, printed).map_err(|error| Unbundled::InvalidSpec(error.to_string()))
    }

    /// What k6 says of the metrics with thresholds. Nothing that fails here fails the test: without it, a metric that is
    /// never measured is shown as what its thresholds compare.
    async fn kinds(
        &self,
        user: &UserArgs,
        judged: &[String],
        path: &Path,
        archive: &[u8],
    ) -> Option<Vec<u8>> {
        let (wrapped, answer) =
            (path.with_extension("kinds.tar"), path.with_extension("kinds.json"));
        let bytes = kinds::wrap(archive, judged, &answer.to_string_lossy()).ok().flatten()?;
        tokio::fs::write(&wrapped, bytes).await.ok()?;
        let argv = kinds::argv(user, &wrapped.to_string_lossy());
        let output = self.output(argv, kinds::environment());
        let output = timeout(KINDS, output).await.ok()?.ok()?;
        tracing::debug!(ok = output.status.success(), "k6 told the kinds of metrics");
        tokio::fs::read(&answer).await.ok()
    }

    /// Runs the script's handleSummary() on `data`, and answers what its wrapper wrote.
    pub(super) async fn handle_summary(
        self,
        user: &UserArgs,
        version: &Version,
        bundle: &Path,
        dir: &Path,
        data: &[u8],
    ) -> Result<Bytes, String> {
        let failed = |what: &str, error: &dyn std::error::Error| {
            format!("handleSummary() could not be run: {what}: {}", telemetry::chain(error))
        };
        let archive = tokio::fs::read(bundle).await.map_err(|e| failed("read the bundle", &e))?;
        let data = serde_json::from_slice(data).map_err(|e| failed("read its data", &e))?;
        let (wrapped, answer) = (dir.join("summary.tar"), dir.join("summary.json"));
        let bytes = wrapper::wrap(&archive, &data, &answer.to_string_lossy())
            .map_err(|e| failed("wrap the script", &e))?;
        tokio::fs::write(&wrapped, bytes).await.map_err(|e| failed("write its archive", &e))?;
        let argv = wrapper::argv(user, version, &wrapped.to_string_lossy());
        let output = self
            .output(argv, wrapper::environment())
            .await
            .map_err(|error| self.missing(&error))?;
        drop(tokio::io::stderr().write_all(&output.stderr).await);
        if let Ok(answer) = tokio::fs::read(&answer).await {
            return Ok(answer.into());
        }
        let exit = exit(output.status, &output.stderr);
        let why = exit.error.clone().unwrap_or_default();
        Err(format!("handleSummary() did not end: k6 ended with {}; {why}", exit.describe()))
    }

    /// What k6 prints to its standard output.
    async fn ask<'a>(
        &self,
        argv: Vec<String>,
        changes: impl IntoIterator<Item = (&'a str, Option<String>)>,
    ) -> Result<Vec<u8>, Unbundled> {
        let output = self.output(argv, changes).await;
        let output = output.map_err(|error| Unbundled::InvalidSpec(self.missing(&error)))?;
        if !output.status.success() {
            // The person who reads the pod's log finds k6's own words there.
            drop(tokio::io::stderr().write_all(&output.stderr).await);
            return Err(Unbundled::Failed(exit(output.status, &output.stderr)));
        }
        Ok(output.stdout)
    }

    /// Starts `k6 run`; what it prints is passed on from here, or goes to `stdout`.
    pub(super) fn run(&self, argv: Vec<String>, stdout: Option<File>) -> std::io::Result<Running> {
        let mut command = self.command(argv, []);
        command.stdout(stdout.map_or_else(Stdio::piped, Stdio::from)).stderr(Stdio::piped());
        let kills = memory::kills();
        let mut child = reaper::spawn(&mut command)?;
        let group = Group::of(&child);
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        let prefix = self.log_prefix.clone();
        let stdout = tokio::spawn(pass(stdout, tokio::io::stdout(), prefix.clone()));
        // By lines even without a prefix: Weir's own lines must not come between two pieces of one.
        let stderr =
            tokio::spawn(pass(stderr, tokio::io::stderr(), Some(prefix.unwrap_or_default())));
        Ok(Running { child, group, stderr, stdout, kills })
    }

    async fn output<'a>(
        &self,
        argv: Vec<String>,
        changes: impl IntoIterator<Item = (&'a str, Option<String>)>,
    ) -> std::io::Result<Output> {
        let mut command = self.command(argv, changes);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = reaper::spawn(&mut command)?;
        let group = Group::of(&child);
        let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
        let out = child.stdout.take();
        let err = child.stderr.take();
        let id = child.id();
        let ended = async {
            let status = child.wait().await;
            reaper::waited(id);
            // What it may have started must not hold its pipes open.
            group.signal(Signal::SIGKILL);
            status
        };
        let (out, err, status) =
            tokio::join!(read(out, &mut stdout), read(err, &mut stderr), ended);
        out.and(err)?;
        Ok(Output { status: status?, stdout, stderr })
    }

    fn command<'a>(
        &self,
        argv: Vec<String>,
        changes: impl IntoIterator<Item = (&'a str, Option<String>)>,
    ) -> Command {
        let mut command = Command::new(&self.binary);
        // Under `weir run` the outputs' tokens stand in the environment: they are not the script's.
        let own = std::env::vars_os().map(|(name, _)| name);
        for name in own.filter(|name| name.to_string_lossy().starts_with(TOKEN_ENV)) {
            command.env_remove(name);
        }
        command.args(argv).envs(&self.env).stdin(Stdio::null()).process_group(0).kill_on_drop(true);
        for (name, value) in changes {
            match value {
                Some(value) => command.env(OsStr::new(name), value),
                None => command.env_remove(name),
            };
        }
        command
    }

    fn missing(&self, error: &std::io::Error) -> String {
        let binary = self.binary.display();
        format!(
            "{binary} could not be run: {error}; spec.k6.image must have a k6 binary on its PATH"
        )
    }
}

struct Output {
    status: ExitStatus,
    stdout: Vec<u8>,
    stderr: Vec<u8>,
}

impl Running {
    pub(super) const fn group(&self) -> Group {
        self.group
    }

    /// Waits for the end of k6 and of all that it wrote.
    pub(super) async fn wait(mut self) -> Exit {
        let id = self.child.id();
        let status = self.child.wait().await;
        reaper::waited(id);
        // What k6 may have started must not hold its pipes open.
        self.group.signal(Signal::SIGKILL);
        let tail = async {
            drop(self.stdout.await);
            self.stderr.await.unwrap_or_default()
        };
        let tail = timeout(LAST_LINES, tail).await.unwrap_or_default();
        match status {
            Ok(status) => {
                let exit = exit(status, &tail);
                let oom_killed = exit.signal == Some(9) && memory::kills() > self.kills;
                Exit { oom_killed, ..exit }
            }
            Err(error) => {
                Exit { code: 255, signal: None, oom_killed: false, error: Some(error.to_string()) }
            }
        }
    }
}

impl Group {
    pub(super) const NONE: Self = Self(None);

    fn of(child: &Child) -> Self {
        Self(child.id().and_then(|id| i32::try_from(id).ok()).map(Pid::from_raw))
    }

    pub(super) const fn is_none(self) -> bool {
        self.0.is_none()
    }

    pub(super) fn signal(self, signal: Signal) {
        let Some(group) = self.0 else { return };
        if let Err(error) = killpg(group, signal)
            && error != nix::Error::ESRCH
        {
            tracing::warn!(%error, %signal, "k6 could not be signalled");
        }
    }
}

fn exit(status: ExitStatus, stderr: &[u8]) -> Exit {
    let signal = status.signal();
    let code = status.code().unwrap_or_else(|| 128 + signal.unwrap_or(0));
    Exit {
        code,
        signal,
        oom_killed: false,
        error: log::last_error(&String::from_utf8_lossy(stderr)),
    }
}

async fn read(from: Option<impl AsyncReadExt + Unpin>, to: &mut Vec<u8>) -> std::io::Result<()> {
    match from {
        Some(from) => from.take(OUTPUT_BYTES_MAX).read_to_end(to).await.map(drop),
        None => Ok(()),
    }
}

async fn pass(
    from: Option<impl AsyncReadExt + Unpin>,
    to: impl AsyncWriteExt + Unpin,
    prefix: Option<String>,
) -> Vec<u8> {
    match (from, prefix) {
        (None, _) => Vec::new(),
        (Some(from), None) => passing::raw(from, to).await,
        (Some(from), Some(prefix)) => passing::prefixed(from, to, &prefix).await,
    }
}
