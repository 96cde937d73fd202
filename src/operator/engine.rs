//! The one loop: changes in, due keys out to reconciles, what they learned back in. Only a leader reconciles.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI64, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::{
    sync::{mpsc, watch},
    task::{Id, JoinError, JoinSet},
};
use tokio_util::sync::CancellationToken;

use super::{
    error::Error,
    facts::{Change, Key},
    index::Index,
    metrics::{Metrics, PhaseLabel, StepLabel},
    queue::Queue,
    reconcile::{self, Context, Done, name_of},
};
use crate::io::{clock, telemetry::chain};

/// Reconciles at once: each is some ten requests, of which the apiserver's default fairness admits hundreds.
const PARALLEL: usize = 16;
/// How often the loop turns even if nothing happens, for the metrics and the proof that it lives.
const TICK: Duration = Duration::from_secs(5);
/// Time that reconciles under way have after SIGTERM.
const SHUTDOWN: Duration = Duration::from_secs(5);

/// What probes read.
#[derive(Debug, Default)]
pub(super) struct Pulse {
    /// When the loop turned last.
    pub(super) turned_ms: AtomicI64,
    /// All lists were shown once.
    pub(super) synced: AtomicBool,
}

/// The loop and all it owns.
pub(super) struct Engine {
    pub(super) context: Context,
    pub(super) metrics: Arc<Metrics>,
    pub(super) pulse: Arc<Pulse>,
    pub(super) changes: mpsc::Receiver<Change>,
    pub(super) leads: watch::Receiver<bool>,
    /// Lists that must be shown before the first decision: a half-known world looks like a lost one.
    pub(super) lists: usize,
}

type Report = (Key, Result<Done, Error>, Duration);

/// State of the loop.
struct Loop {
    index: Index,
    queue: Queue<Key>,
    work: JoinSet<Report>,
    lists: usize,
    leading: bool,
}

impl Engine {
    /// Turns until `stop` is cancelled or the watches are gone.
    pub(super) async fn run(mut self, stop: CancellationToken) {
        let mut state = Loop {
            index: Index::default(),
            queue: Queue::new(),
            work: JoinSet::new(),
            lists: self.lists,
            leading: *self.leads.borrow(),
        };
        let mut tick = tokio::time::interval(TICK);
        loop {
            self.pulse.turned_ms.store(clock::unix_ms(), Ordering::Relaxed);
            self.start_due(&mut state);
            let next_ms = state.queue.next_ms().filter(|_| state.may_work());
            let wait_ms = next_ms.map_or(i64::MAX, |next_ms| next_ms - clock::unix_ms());
            let due = tokio::time::sleep(Duration::from_millis(
                u64::try_from(wait_ms.clamp(0, 60_000)).unwrap_or(0),
            ));
            tokio::select! {
                () = stop.cancelled() => break,
                change = self.changes.recv() => match change {
                    Some(change) => self.take(&mut state, change),
                    None => break,
                },
                Some(report) = state.work.join_next_with_id() => self.finished(&mut state, report),
                changed = self.leads.changed() => match changed {
                    Ok(()) => self.led(&mut state),
                    Err(_) => break,
                },
                () = due, if next_ms.is_some() => {}
                _ = tick.tick() => self.count(&state),
            }
        }
        // A reconcile that is cut off is repeated by the next leader; one that is nearly done saves it the work.
        let rest = async { while state.work.join_next().await.is_some() {} };
        drop(tokio::time::timeout(SHUTDOWN, rest).await);
    }

    /// Starts what is due.
    fn start_due(&self, state: &mut Loop) {
        while state.may_work() {
            let Some(key) = state.queue.pop(clock::unix_ms()) else { return };
            let context = self.context.clone();
            let name = name_of(&key).clone();
            let began = Instant::now();
            let known = match &key {
                Key::Run(run) => state.index.run(run).map(|snapshot| {
                    state.work.spawn(async move {
                        let result = reconcile::run(context, name.clone(), snapshot).await;
                        (Key::Run(name), result, began.elapsed())
                    })
                }),
                Key::Test(test) => state.index.test(test).map(|snapshot| {
                    state.work.spawn(async move {
                        let result = reconcile::test(context, name.clone(), snapshot).await;
                        (Key::Test(name), result, began.elapsed())
                    })
                }),
            };
            if known.is_none() {
                state.queue.done(&key, true);
                state.queue.forget(&key);
            }
        }
    }

    /// Takes a change in, and with it all that wait: one look for many changes.
    fn take(&mut self, state: &mut Loop, change: Change) {
        let mut next = Some(change);
        while let Some(change) = next {
            if matches!(change, Change::Listed(..)) && state.lists > 0 {
                state.lists -= 1;
                self.pulse.synced.store(state.lists == 0, Ordering::Relaxed);
                if state.lists == 0 {
                    tracing::info!("all watches are in step");
                }
            }
            let now_ms = clock::unix_ms();
            for key in state.index.apply(change) {
                state.queue.push(key, now_ms);
            }
            next = self.changes.try_recv().ok();
        }
    }

    fn finished(&self, state: &mut Loop, report: Result<(Id, Report), JoinError>) {
        let (key, result, took) = match report {
            Ok((_, report)) => report,
            Err(error) => {
                // A cancelled reconcile ended with the leadership; a panic is a bug, and all keys are looked at again.
                if !error.is_cancelled() {
                    tracing::error!(error = %error, "reconcile panicked");
                    state.queue.abandon();
                    self.led(state);
                }
                return;
            }
        };
        self.metrics.seconds.observe(took.as_secs_f64());
        let now_ms = clock::unix_ms();
        match result {
            Ok(done) => {
                state.queue.done(&key, !done.retry);
                state.learn(&key, done, now_ms);
            }
            Err(error) => {
                let name = name_of(&key);
                tracing::warn!(namespace = name.namespace, name = name.name, error = %chain(&error), "reconcile failed");
                self.metrics.errors.get_or_create(&StepLabel { step: error.step() }).inc();
                state.queue.done(&key, false);
                state.queue.push(key, now_ms);
            }
        }
    }

    /// Leadership came or went.
    fn led(&self, state: &mut Loop) {
        state.leading = *self.leads.borrow();
        self.metrics.leader.set(i64::from(state.leading));
        if state.leading {
            tracing::info!("leading");
            let now_ms = clock::unix_ms();
            for key in state.index.keys() {
                state.queue.push(key, now_ms);
            }
        } else {
            tracing::info!("not leading");
            state.work.abort_all();
            state.queue.abandon();
        }
    }

    fn count(&self, state: &Loop) {
        for (phase, runs) in state.index.phases() {
            self.metrics.runs.get_or_create(&PhaseLabel { phase }).set(runs);
        }
    }
}

impl Loop {
    fn may_work(&self) -> bool {
        self.leading && self.lists == 0 && self.queue.busy() < PARALLEL
    }

    /// Takes in what a reconcile did and learned.
    fn learn(&mut self, key: &Key, done: Done, now_ms: i64) {
        let Done { changes, learned, spec_used, next_ms, retry } = done;
        for change in changes {
            for changed in self.index.apply(change) {
                self.queue.push(changed, now_ms);
            }
        }
        match (key, learned) {
            (Key::Run(name), Some(learned)) => self.index.learn(
                name,
                &learned.uid,
                learned.source,
                learned.refused,
                learned.written_ms,
            ),
            (Key::Test(name), _) if spec_used => self.index.drop_spec(name),
            _ => {}
        }
        if retry {
            self.queue.push(key.clone(), now_ms);
        }
        if let Some(next_ms) = next_ms {
            self.queue.push(key.clone(), next_ms);
        }
    }
}
