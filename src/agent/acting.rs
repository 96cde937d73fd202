//! What the machine asks for, done: each thing in a task of its own, whose end comes back as an input.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use nix::sys::signal::Signal;
use prost::bytes::Bytes;

use super::{
    port,
    process::{Agent, ms_since},
    rest::{Rest, RestError},
    settings::Exit,
};
use crate::{
    core::{
        agent::{
            bundling::ARCHIVIST,
            events::{Action, Input, Leave},
            stopping::Push,
        },
        k6::{argv, exit, outlet::Outlet},
        ledger::ledger::Ledger,
    },
    io::telemetry,
};

impl Agent {
    /// Version and options at once, while the first dial is under way: none of them waits for another.
    pub(super) fn look_at_the_script(&mut self) {
        let k6 = self.k6.clone();
        let began = self.began;
        self.task(async move {
            let version = k6.version().await;
            tracing::debug!(elapsed_ms = ms_since(began), "k6 told its version");
            Input::Version(version)
        });
        if self.settings.instance_id != ARCHIVIST {
            return;
        }
        let k6 = self.k6.clone();
        let (user, environment) = (self.user.clone(), self.environment.clone());
        let (script, path) = (self.settings.script.clone(), self.bundle_path());
        let judged: Vec<String> = self.settings.thresholds.keys().cloned().collect();
        self.task(async move {
            let bundle = k6.bundle(&user, &environment, &script, &judged, &path).await;
            tracing::debug!(elapsed_ms = ms_since(began), "script archived and inspected");
            Input::Bundled(bundle)
        });
    }

    pub(super) fn act(&mut self, action: Action) {
        match action {
            Action::StoreBundle(bytes) => {
                let path = self.bundle_path();
                self.task(async move {
                    let stored = tokio::fs::write(&path, bytes).await;
                    let why = |error| format!("{} could not be written: {error}", path.display());
                    Input::BundleStored(stored.map_err(why))
                });
            }
            Action::KeepLedger { rules, full, added } => {
                self.shared.replace_ledger(Ledger::new(&rules, full), added);
            }
            Action::StartK6 { tags, outlet } => self.start_k6(&tags, outlet),
            Action::Poll => {
                self.call(|rest| async move { Input::Status(rest.status().await.ok()) });
            }
            Action::RunSetup { timeout_ms } => {
                let deadline = Duration::from_millis(timeout_ms);
                let Some(rest) = self.rest else { return };
                let inputs = self.inputs.clone();
                self.setup = Some(self.tasks.spawn(async move {
                    let result = rest.run_setup(deadline).await;
                    let result = result.map_err(|error| telemetry::chain(&error));
                    drop(inputs.send(Input::SetupRan(result)).await);
                }));
            }
            Action::CancelSetup => self.cancel_setup(),
            Action::SetSetupData(data) => self.set_setup_data(data),
            Action::Resume => {
                self.call(|rest| async move { Input::Resumed(text(rest.resume().await)) });
            }
            Action::RunTeardown { timeout_ms } => {
                let deadline = Duration::from_millis(timeout_ms);
                self.call(move |rest| async move {
                    Input::TeardownRan(text(rest.run_teardown(deadline).await))
                });
            }
            Action::RunSummary { data, timeout_ms } => self.run_summary(data, timeout_ms),
            Action::Push(Push::Rest) => self.call(|rest| async move {
                if let Err(error) = rest.stop().await {
                    tracing::warn!(error = telemetry::chain(&error), "k6 did not take the stop");
                }
                Input::Tick
            }),
            Action::Push(Push::Interrupt) => self.group.signal(Signal::SIGINT),
            Action::Push(Push::Kill) => self.group.signal(Signal::SIGKILL),
            Action::CloseSamples => self.intake.close(),
            Action::Send(message) => self.outbox.answer(message),
            Action::Leave(leave) => {
                self.left = Some(match leave {
                    Leave::HandedOver => Exit::HandedOver,
                    Leave::Failed(text) => Exit::Failed(text),
                });
            }
        }
    }

    fn start_k6(&mut self, tags: &BTreeMap<String, String>, outlet: Outlet) {
        let Some(version) = &self.version else { return };
        let port = match port::free() {
            Ok(port) => port,
            Err(error) => return self.not_started(&error),
        };
        let argv = argv::run(&argv::Run {
            user: &self.user,
            environment: &self.environment,
            tags,
            version,
            instance_id: self.settings.instance_id,
            instances: self.settings.instances,
            port,
            outlet,
            samples: &self.intake.path().to_string_lossy(),
            bundle: &self.bundle_path().to_string_lossy(),
        });
        let stdout = match outlet {
            Outlet::Pipe => Ok(None),
            Outlet::Stdout => self.intake.writer().map(Some),
        };
        match stdout.and_then(|stdout| self.k6.run(argv, stdout)) {
            Ok(running) => {
                tracing::info!(elapsed_ms = ms_since(self.began), port, ?outlet, "k6 started");
                self.rest = Some(Rest::new(port));
                self.group = running.group();
                self.task(async move { Input::Exited(running.wait().await) });
            }
            Err(error) => self.not_started(&error),
        }
    }

    fn run_summary(&mut self, data: Bytes, timeout_ms: u64) {
        let (k6, user) = (self.k6.clone(), self.user.clone());
        let (bundle, dir) = (self.bundle_path(), self.settings.work_dir.clone());
        let Some(version) = self.version.clone() else { return };
        let deadline = Duration::from_millis(timeout_ms);
        self.task(async move {
            let ran = tokio::time::timeout(
                deadline,
                k6.handle_summary(&user, &version, &bundle, &dir, &data),
            );
            let late = || Err("handleSummary() took too long".to_owned());
            Input::SummaryRan(ran.await.unwrap_or_else(|_| late()))
        });
    }

    /// Where the bundle lies.
    fn bundle_path(&self) -> PathBuf {
        self.settings.work_dir.join("bundle.tar")
    }

    fn not_started(&mut self, error: &std::io::Error) {
        let exit = exit::Exit {
            code: 255,
            signal: None,
            oom_killed: false,
            error: Some(format!("k6 could not be started: {error}")),
        };
        self.task(async move { Input::Exited(exit) });
    }

    fn set_setup_data(&mut self, data: Bytes) {
        self.call(|rest| async move { Input::SetupDataSet(text(rest.set_setup_data(data).await)) });
    }

    fn cancel_setup(&mut self) {
        if let Some(setup) = self.setup.take() {
            setup.abort();
            self.task(async { Input::SetupRan(Err("broken off".to_owned())) });
        }
    }

    /// A call to k6's REST API whose end becomes an input.
    fn call<F: Future<Output = Input> + Send + 'static>(&mut self, call: impl FnOnce(Rest) -> F) {
        if let Some(rest) = self.rest {
            self.task(call(rest));
        }
    }

    fn task(&mut self, work: impl Future<Output = Input> + Send + 'static) {
        while self.tasks.try_join_next().is_some() {}
        let inputs = self.inputs.clone();
        self.tasks.spawn(async move {
            // Nobody listens any more when the agent has left.
            drop(inputs.send(work.await).await);
        });
    }
}

fn text<T>(result: Result<T, RestError>) -> Result<T, String> {
    result.map_err(|error| telemetry::chain(&error))
}
