//! One look at one key: observe, decide, effect.

use std::{sync::Arc, time::Duration};

use kube::{Api, Client, ResourceExt, api::PropagationPolicy, runtime::events::Recorder};
use serde_json::json;

use super::{
    effect::{self, Effected},
    error::Error,
    facts::{Change, Fact, Key, Name, RunFact, TestFact},
    index::{RunSnapshot, TestSnapshot},
    observe,
};
use crate::{
    api::v1alpha1::{LoadTest, LoadTestRun},
    core::lifecycle::{
        build,
        decide::decide,
        reduce,
        seen::{Refusal, SourceSeen},
        series,
        valid::Invalid,
    },
    io::clock,
};

/// Longest time of one reconcile: a healthy apiserver needs milliseconds for each of some ten requests.
const TIMEOUT: Duration = Duration::from_secs(30);

/// What every reconcile uses.
#[derive(Clone)]
pub(super) struct Context {
    pub(super) client: Client,
    pub(super) recorder: Recorder,
    /// Weir's own image.
    pub(super) image: Arc<str>,
}

/// What a reconcile did and learned.
#[derive(Debug, Default)]
pub(super) struct Done {
    /// What the apiserver answered: the watches will say the same, later.
    pub(super) changes: Vec<Change>,
    /// What no watch tells of a run.
    pub(super) learned: Option<Learned>,
    /// The test's latest run is made of its spec.
    pub(super) spec_used: bool,
    /// When to look again.
    pub(super) next_ms: Option<i64>,
    /// An object was refused, and trying again may help.
    pub(super) retry: bool,
}

/// What no watch tells of a run.
#[derive(Debug)]
pub(super) struct Learned {
    pub(super) uid: String,
    pub(super) source: Option<SourceSeen>,
    pub(super) refused: Option<Refusal>,
    pub(super) written_ms: Option<i64>,
}

/// Looks at a run.
pub(super) async fn run(
    context: Context,
    name: Name,
    snapshot: RunSnapshot,
) -> Result<Done, Error> {
    let work = reconcile_run(context, name, snapshot);
    tokio::time::timeout(TIMEOUT, work).await.map_err(|_| Error::Late)?
}

/// Looks at a test.
pub(super) async fn test(
    context: Context,
    name: Name,
    snapshot: TestSnapshot,
) -> Result<Done, Error> {
    let work = reconcile_test(context, name, snapshot);
    tokio::time::timeout(TIMEOUT, work).await.map_err(|_| Error::Late)?
}

async fn reconcile_run(context: Context, name: Name, snapshot: RunSnapshot) -> Result<Done, Error> {
    let RunSnapshot { mut seen, test, look_up } = snapshot;
    // The spec of a run that is over is not held, and not asked for.
    let forgotten = Invalid::default();
    let test = test.as_deref().map_or(Err(&forgotten), Result::as_ref);
    let mut source = None;
    if let (true, Ok(test)) = (look_up, test) {
        seen.source = observe::source(&context.client, &name.namespace, test).await?;
        source = Some(seen.source.clone());
    }
    let now_ms = clock::unix_ms();
    let mut plan = decide(test, &seen, &context.image, now_ms);
    if !plan.apply.is_empty() {
        // What would be overwritten is looked at first: a name may be in use for something else.
        seen.name_taken = observe::taken(&context.client, &seen.run, &plan.apply).await?;
        if seen.name_taken.is_some() {
            plan = decide(test, &seen, &context.image, now_ms);
        }
    }
    tracing::debug!(namespace = name.namespace, run = name.name, plan = %plan.text(now_ms), "decided");
    if let Some(status) = &plan.status
        && seen.run.status.as_ref().map(|old| old.phase) != Some(status.phase)
    {
        let verdict = status.verdict.map(crate::api::v1alpha1::Reason::as_str);
        tracing::info!(
            namespace = name.namespace,
            run = name.name,
            phase = status.phase.as_str(),
            verdict,
            "run"
        );
    }
    let next_ms = plan.next_ms;
    let applied = !plan.apply.is_empty();
    let Effected { run, jobs, refused, status_written } =
        effect::carry_out(&context.client, &context.recorder, &seen.run, plan).await?;
    let mut changes = Vec::new();
    if let Some(object) = run {
        changes.push(Change::Put(name.clone(), Box::new(Fact::Run(RunFact::of(object)))));
    }
    for job in jobs {
        let child = Name { namespace: name.namespace.clone(), name: job.name_any() };
        let (run, run_uid) = (name.name.clone(), seen.run.uid.clone());
        changes
            .push(Change::Put(child, Box::new(Fact::Job { run, run_uid, job: reduce::job(&job) })));
    }
    let known = if applied { None } else { seen.refused.clone() };
    let retry = refused.is_some();
    // Shown and judged at once, and tried again after a pause.
    let next_ms = if retry && refused != seen.refused { Some(now_ms) } else { next_ms };
    let learned = Learned {
        uid: seen.run.uid,
        source,
        refused: refused.or(known),
        written_ms: status_written.then_some(now_ms),
    };
    Ok(Done { changes, learned: Some(learned), next_ms, retry, ..Done::default() })
}

async fn reconcile_test(
    context: Context,
    name: Name,
    snapshot: TestSnapshot,
) -> Result<Done, Error> {
    let TestSnapshot { seen, spec } = snapshot;
    let series::TestPlan { start, delete_runs, status, events } = series::decide(&seen);
    let mut done = Done::default();
    let tests: Api<LoadTest> = Api::namespaced(context.client.clone(), &name.namespace);
    if let Some(run) = &start {
        let spec = match spec {
            Some(spec) => (*spec).clone(),
            None => match tests.get_opt(&name.name).await {
                Ok(Some(test)) if test.metadata.generation == Some(seen.generation) => {
                    test.spec.test
                }
                // Another spec than the one that was judged: the watch shows it, and the test is judged again.
                Ok(_) => return Ok(done),
                Err(error) => return Err(Error::Observe(format!("LoadTest {}", name.name), error)),
            },
        };
        let object = build::run::load_test_run(&seen, run, spec);
        if let Some(created) = effect::create_run(&context.client, &object).await? {
            tracing::info!(namespace = name.namespace, run, "run created");
            let name = Name { namespace: name.namespace.clone(), name: run.clone() };
            done.changes.push(Change::Put(name, Box::new(Fact::Run(RunFact::of(created)))));
        }
    }
    for run in &delete_runs {
        let propagation = PropagationPolicy::Background;
        effect::delete::<LoadTestRun>(&context.client, &name.namespace, run, propagation).await?;
    }
    if let Some(status) = status {
        let body = json!({"status": status});
        if let Some(object) =
            effect::write_status(&tests, &name.name, &seen.uid, "LoadTest", body).await?
        {
            done.changes
                .push(Change::Put(name.clone(), Box::new(Fact::Test(TestFact::of(object)))));
        }
    }
    let reference = effect::test_ref(&name.namespace, &name.name, &seen.uid);
    effect::record(&context.recorder, &reference, &events).await;
    done.spec_used =
        start.is_none() && seen.runs.iter().any(|run| run.fingerprint == seen.fingerprint);
    Ok(done)
}

/// The key's name.
pub(super) fn name_of(key: &Key) -> &Name {
    match key {
        Key::Test(name) | Key::Run(name) => name,
    }
}
