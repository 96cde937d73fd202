//! One run on this machine, wired together.

use std::{
    io::{IsTerminal, Write},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use tokio::{
    sync::{mpsc, watch},
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;

use super::{
    input::{LocalScript, LocalTest},
    progress,
};
use crate::{
    agent,
    aggregator::{
        engine,
        meters::Meters,
        settings::{Control, Settings},
        writer,
    },
    core::{
        dimensions,
        lifecycle::valid,
        plan::{RunPlan, RunRef},
        replicas::share,
        samples::rollup,
        samples::spool::Limits,
    },
    io::{
        clock,
        link::{AggregatorEnd, Dialer},
        shutdown,
    },
    output::output,
    wire::result::{RunResult, Stage},
};

/// Sessions that may wait for the aggregator: each agent dials once, and again only when its session broke.
const SESSIONS_MAX: usize = 64;
/// How often the progress line is drawn on a terminal.
const PROGRESS: Duration = Duration::from_millis(200);
/// Time without the aggregator after which an agent gives up; in one process it never is without.
const ORPHAN_MS: i64 = 60_000;
/// Time from the second Ctrl-C until the agents must have ended their k6.
const GRACE_MS: i64 = 10_000;
/// Time that agents have to leave after the run is over.
const LEAVE: Duration = Duration::from_secs(15);

/// What is to be run, and with what.
#[derive(Debug)]
pub struct Options {
    /// The test.
    pub local: LocalTest,
    /// The k6 binary: a path, or a name to be found on PATH.
    pub k6: PathBuf,
}

/// Why a run could not begin.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The spec cannot be run as it is.
    #[error("the test cannot be run: {0}")]
    Invalid(String),
    /// A file or folder cannot be made.
    #[error("cannot prepare {path}")]
    Prepare {
        /// The file or folder.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: std::io::Error,
    },
    /// The signal handlers cannot be installed.
    #[error("cannot listen for signals")]
    Signals(#[source] std::io::Error),
}

/// Runs the test to its end. The first Ctrl-C stops it gracefully, the second at once.
///
/// # Errors
/// When it cannot begin; a run that began always has a result.
pub async fn run(options: Options) -> Result<RunResult, RunError> {
    let Options { local, k6 } = options;
    let created_unix_ms = clock::unix_ms();
    let name = format!("{}-{}", local.name, created_unix_ms / 1000);
    valid::validate(&local.name, local.test.clone())
        .map_err(|invalid| RunError::Invalid(invalid.to_string()))?;
    let run = RunRef { namespace: "local".to_owned(), name, uid: created_unix_ms.to_string() };
    let folder = tempfile::tempdir()
        .map_err(|source| RunError::Prepare { path: std::env::temp_dir(), source })?;
    let script = script_path(&local.script, folder.path())?;
    let plan = RunPlan::new(run.clone(), &local.test, created_unix_ms);

    let interrupted = shutdown::on_signal().map_err(RunError::Signals)?;
    let (sessions_tx, sessions) = mpsc::channel(SESSIONS_MAX);
    let (control_tx, control) = mpsc::channel(4);
    let initial =
        RunResult { run: run.to_string(), wanted: plan.instances, ..RunResult::default() };
    let (publish, published) = watch::channel(initial);
    let at_once = CancellationToken::new();

    let writers = start_writers(&plan, &sessions_tx);
    let spool = Limits::new(u64::from(local.test.spool.size_mib) << 20, local.test.spool.on_full);
    let mut agents = JoinSet::new();
    for instance_id in 1..=plan.instances {
        let settings = agent::Settings {
            run: run.clone(),
            instances: plan.instances,
            instance_id,
            k6: k6.clone(),
            work_dir: folder.path().join(instance_id.to_string()),
            script: script.to_string_lossy().into_owned(),
            thresholds: local.test.thresholds.clone(),
            tags: local.test.tags.clone(),
            args: quiet(&local.test.k6.args),
            env: local.env.clone(),
            ship_samples: !plan.outputs.is_empty(),
            writer: share::writer_of(instance_id, &writers)
                .map(|(replica, dialer)| (replica, dialer.clone())),
            dimensions: dimensions::of_outputs(&plan.outputs),
            rollups: rollup::spec::Wanted::of_outputs(&plan.outputs),
            spool,
            orphan_ms: ORPHAN_MS,
            grace_ms: GRACE_MS,
            log_prefix: (plan.instances > 1).then(|| format!("[{instance_id}] ")),
        };
        agents.spawn(agent::run(settings, Dialer::Local(sessions_tx.clone()), at_once.clone()));
    }
    drop((sessions_tx, writers));

    let signals = tokio::spawn(obey(interrupted, control_tx, at_once.clone()));
    let shown = tokio::spawn(show(published, created_unix_ms));
    let result =
        engine::run(Settings::local(plan), sessions, control, publish, at_once.clone()).await;
    let left =
        tokio::time::timeout(LEAVE, async { while agents.join_next().await.is_some() {} }).await;
    if left.is_err() {
        tracing::warn!("an agent did not leave in time; its k6 is stopped with it");
        at_once.cancel();
        drop(
            tokio::time::timeout(LEAVE, async { while agents.join_next().await.is_some() {} })
                .await,
        );
    }
    signals.abort();
    drop(shown.await);
    Ok(result)
}

/// The aggregator's replicas 1 and up, in their order. They end when it dismisses them, or with this process.
fn start_writers(plan: &RunPlan, leader: &mpsc::Sender<AggregatorEnd>) -> Vec<Dialer> {
    let start = |replica| {
        let (sessions_tx, sessions) = mpsc::channel(SESSIONS_MAX);
        let settings = writer::Settings {
            plan: plan.clone(),
            replica,
            outputs: output::open(&plan.outputs),
            meters: Arc::new(Meters::default()),
            orphan_ms: ORPHAN_MS,
        };
        let leader = Dialer::Local(leader.clone());
        tokio::spawn(writer::run(settings, sessions, leader, CancellationToken::new()));
        Dialer::Local(sessions_tx)
    };
    (1..plan.replicas).map(start).collect()
}

/// k6's banner, description and progress bar, once for each instance, would bury what the script itself prints.
fn quiet(args: &[String]) -> Vec<String> {
    let wants = |flag: &&String| ["--quiet", "-q", "--verbose", "-v"].contains(&flag.as_str());
    let own = args.iter().find(wants).map_or_else(|| Some("--quiet".to_owned()), |_| None);
    own.into_iter().chain(args.iter().cloned()).collect()
}

/// The path that k6 is given; files of the spec are written first.
fn script_path(script: &LocalScript, folder: &Path) -> Result<PathBuf, RunError> {
    match script {
        LocalScript::File(path) => std::path::absolute(path)
            .map_err(|source| RunError::Prepare { path: path.clone(), source }),
        LocalScript::Files { files, main } => {
            let scripts = folder.join("script");
            std::fs::create_dir(&scripts)
                .map_err(|source| RunError::Prepare { path: scripts.clone(), source })?;
            for (name, content) in files {
                // A ConfigMap's keys hold no slash, but this file was never checked by an API server.
                let path = match Path::new(name).file_name() {
                    Some(plain) if plain == name.as_str() => scripts.join(plain),
                    _ => {
                        return Err(RunError::Invalid(format!(
                            "{name:?} is no key of a ConfigMap"
                        )));
                    }
                };
                std::fs::write(&path, content)
                    .map_err(|source| RunError::Prepare { path, source })?;
            }
            Ok(scripts.join(main))
        }
    }
}

/// First signal: a graceful stop. Second: at once.
async fn obey(
    interrupted: CancellationToken,
    control: mpsc::Sender<Control>,
    at_once: CancellationToken,
) {
    interrupted.cancelled().await;
    drop(control.send(Control::Stop("stopped by Ctrl-C".to_owned())).await);
    // Installed anew: the first token tells of the first signal only.
    if let Ok(again) = shutdown::on_signal() {
        again.cancelled().await;
        at_once.cancel();
    }
    // The sender stays open: the engine takes its end for nobody being left to control the run.
    std::future::pending::<()>().await;
}

/// Draws the progress line until the publisher is gone: in place on a terminal, else a line at each change of stage.
async fn show(mut results: watch::Receiver<RunResult>, began_unix_ms: i64) {
    let is_terminal = std::io::stderr().is_terminal();
    let mut shown: Option<Stage> = None;
    loop {
        let is_open = if is_terminal {
            matches!(tokio::time::timeout(PROGRESS, results.changed()).await, Ok(Ok(())) | Err(_))
        } else {
            results.changed().await.is_ok()
        };
        let (line, stage) = {
            let result = results.borrow_and_update();
            (progress::line(&result, clock::unix_ms() - began_unix_ms), result.stage)
        };
        let mut stderr = std::io::stderr().lock();
        // A terminal that is gone is no reason to end the run.
        if is_terminal {
            drop(write!(stderr, "\r\x1b[2K{line}").and_then(|()| stderr.flush()));
        } else if shown != Some(stage) {
            drop(writeln!(stderr, "{line}"));
        }
        shown = Some(stage);
        if !is_open || stage == Stage::Over {
            if is_terminal {
                drop(writeln!(stderr));
            }
            return;
        }
    }
}
