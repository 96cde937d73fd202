//! Does exactly what a plan says, in the order of its fields.

use futures::future::join_all;
use k8s_openapi::api::{
    batch::v1::Job,
    core::v1::{ConfigMap, ObjectReference, Secret, Service, ServiceAccount},
    rbac::v1::{Role, RoleBinding},
};
use kube::{
    Api, Client, Resource,
    api::{
        DeleteParams, Patch, PatchParams, PostParams, Preconditions, PropagationPolicy,
        ValidationDirective,
    },
    core::NamespaceResourceScope,
    runtime::events::{Event, EventType, Recorder},
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};

use super::{
    error::{Error, code, words},
    secret,
};
use crate::{
    api::{
        labels,
        v1alpha1::{LoadTest, LoadTestRun},
    },
    core::lifecycle::{
        build::{
            meta::{Child, Kind},
            secret::secret,
        },
        plan::{Note, Plan, Removal},
        seen::{Refusal, RunSeen},
    },
    io::telemetry::chain,
};

/// What came of a plan.
#[derive(Debug, Default)]
pub(super) struct Effected {
    /// The run, as the apiserver answered last.
    pub(super) run: Option<LoadTestRun>,
    /// The Jobs that were applied.
    pub(super) jobs: Vec<Job>,
    /// Why the apiserver refused an object.
    pub(super) refused: Option<Refusal>,
    /// The status was written.
    pub(super) status_written: bool,
}

/// Carries out a plan about a run.
pub(super) async fn carry_out(
    client: &Client,
    recorder: &Recorder,
    run: &RunSeen,
    plan: Plan,
) -> Result<Effected, Error> {
    // Taken apart without `..`, so that a new field cannot be forgotten here.
    let Plan { hold, create_secret, apply, delete_jobs, status, events, release, next_ms: _ } =
        plan;
    let mut effected = Effected::default();
    let runs: Api<LoadTestRun> = Api::namespaced(client.clone(), &run.namespace);
    // A RoleBinding is refused while its Role does not exist, and pods look for their access only once they run.
    let (last, others): (Vec<_>, Vec<_>) = apply
        .into_iter()
        .partition(|child| child.is_job() || matches!(child.kind, Kind::RoleBinding));
    let held = async {
        if hold { finalizers(&runs, run, &[labels::FINALIZER]).await.map(Some) } else { Ok(None) }
    };
    let sealed = async { if create_secret { seal(client, run).await } else { Ok(()) } };
    let applied = join_all(others.iter().map(|child| apply_child(client, run, child)));
    let (held, sealed, applied) = futures::join!(held, sealed, applied);
    effected.run = held?;
    sealed?;
    let ground: Result<Vec<_>, _> = applied.into_iter().collect();
    // Jobs last: a pod that is made before its account or Secret exists waits out a back-off.
    let made = match ground {
        Ok(_) => join_all(last.iter().map(|child| apply_child(client, run, child)))
            .await
            .into_iter()
            .collect::<Result<Vec<_>, _>>(),
        Err(failure) => Err(failure),
    };
    match made {
        Ok(made) => effected.jobs = made.into_iter().flatten().collect(),
        Err(Failure::Refused(refusal)) => effected.refused = Some(refusal),
        Err(Failure::Other(error)) => return Err(error),
    }
    for job in &delete_jobs {
        delete::<Job>(client, &run.namespace, job, PropagationPolicy::Background).await?;
    }
    if let Some(status) = status {
        let body = json!({"status": status});
        effected.run = write_status(&runs, &run.name, &run.uid, "LoadTestRun", body).await?;
        effected.status_written = true;
    }
    if let Some(status) = &effected.run {
        let reference = status.object_ref(&());
        record(recorder, &reference, &events).await;
    }
    if release {
        match finalizers(&runs, run, &[]).await {
            Ok(object) => effected.run = Some(object),
            Err(Error::Finalizer(_, error)) if is_gone(&error) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(effected)
}

/// An apply that did not succeed.
enum Failure {
    /// The apiserver does not want the object.
    Refused(Refusal),
    /// Anything that the object is not to blame for.
    Other(Error),
}

async fn apply_child(
    client: &Client,
    run: &RunSeen,
    child: &Child,
) -> Result<Option<Job>, Failure> {
    let namespace = &run.namespace;
    let done = match child.kind {
        Kind::ServiceAccount => {
            apply::<ServiceAccount>(client, namespace, child).await.map(|_| None)
        }
        Kind::Role => apply::<Role>(client, namespace, child).await.map(|_| None),
        Kind::RoleBinding => apply::<RoleBinding>(client, namespace, child).await.map(|_| None),
        Kind::Service => apply::<Service>(client, namespace, child).await.map(|_| None),
        Kind::ConfigMap => apply::<ConfigMap>(client, namespace, child).await.map(|_| None),
        Kind::Job => apply::<Job>(client, namespace, child).await.map(Some),
    };
    done.map_err(|error| {
        let what = format!("{} {}", child.kind.as_str(), child.name);
        match code(&error) {
            Some(status @ 400..500) if status != 429 && status != 408 => {
                Failure::Refused(Refusal {
                    message: format!("the apiserver refuses {what}: {}", words(&error)),
                    // A Job is wrong only where the user's template made it so; all else may come right.
                    last: child.is_job() && [400, 422].contains(&status),
                })
            }
            _ => Failure::Other(Error::Apply(what, error)),
        }
    })
}

async fn apply<K>(client: &Client, namespace: &str, child: &Child) -> kube::Result<K>
where
    K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>
        + Clone
        + std::fmt::Debug
        + DeserializeOwned,
{
    let mut object: Value = child.object.clone();
    object["apiVersion"] = json!(K::api_version(&()));
    object["kind"] = json!(K::kind(&()));
    let mut params = PatchParams::apply(labels::FIELD_MANAGER).force();
    // A misspelt field of a user's template is an error, not silence.
    params.field_validation = Some(ValidationDirective::Strict);
    let api: Api<K> = Api::namespaced(client.clone(), namespace);
    api.patch(&child.name, &params, &Patch::Apply(&object)).await
}

/// Creates the run's Secret. One that exists stays: pods may have read it.
async fn seal(client: &Client, run: &RunSeen) -> Result<(), Error> {
    let object = secret(run, secret::material(run)?);
    let secrets: Api<Secret> = Api::namespaced(client.clone(), &run.namespace);
    match secrets.create(&PostParams::default(), &object).await {
        Ok(_) => Ok(()),
        Err(error) if code(&error) == Some(409) => Ok(()),
        Err(error) => Err(Error::Create(format!("Secret {}", run.name), error)),
    }
}

async fn finalizers(
    runs: &Api<LoadTestRun>,
    run: &RunSeen,
    names: &[&str],
) -> Result<LoadTestRun, Error> {
    let object = json!({
        "apiVersion": LoadTestRun::api_version(&()), "kind": LoadTestRun::kind(&()),
        "metadata": {"name": run.name, "uid": run.uid, "finalizers": names},
    });
    runs.patch(&run.name, &PatchParams::apply(labels::FIELD_MANAGER).force(), &Patch::Apply(object))
        .await
        .map_err(|error| Error::Finalizer(run.name.clone(), error))
}

/// Writes a status; nothing when the object is gone, or another one has its name.
pub(super) async fn write_status<K>(
    api: &Api<K>,
    name: &str,
    uid: &str,
    kind: &str,
    mut body: Value,
) -> Result<Option<K>, Error>
where
    K: Resource<DynamicType = ()> + Clone + std::fmt::Debug + DeserializeOwned + Serialize,
{
    body["apiVersion"] = json!(K::api_version(&()));
    body["kind"] = json!(kind);
    body["metadata"] = json!({"name": name, "uid": uid});
    let params = PatchParams::apply(labels::FIELD_MANAGER).force();
    match api.patch_status(name, &params, &Patch::Apply(body)).await {
        Ok(object) => Ok(Some(object)),
        Err(error) if is_gone(&error) => Ok(None),
        Err(error) => Err(Error::Status(format!("{kind} {name}"), error)),
    }
}

/// Deletes that object and no other that came to have its name.
pub(super) async fn delete<K>(
    client: &Client,
    namespace: &str,
    removal: &Removal,
    propagation: PropagationPolicy,
) -> Result<(), Error>
where
    K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>
        + Clone
        + std::fmt::Debug
        + DeserializeOwned,
{
    let params = DeleteParams {
        propagation_policy: Some(propagation),
        preconditions: Some(Preconditions {
            uid: Some(removal.uid.clone()),
            resource_version: None,
        }),
        ..DeleteParams::default()
    };
    let api: Api<K> = Api::namespaced(client.clone(), namespace);
    match api.delete(&removal.name, &params).await {
        Ok(_) => Ok(()),
        Err(error) if is_gone(&error) => Ok(()),
        Err(error) => Err(Error::Delete(format!("{} {}", K::kind(&()), removal.name), error)),
    }
}

/// Starts a run; answers none when one of that name exists, which the watch then shows.
pub(super) async fn create_run(
    client: &Client,
    run: &LoadTestRun,
) -> Result<Option<LoadTestRun>, Error> {
    let namespace = run.metadata.namespace.clone().unwrap_or_default();
    let runs: Api<LoadTestRun> = Api::namespaced(client.clone(), &namespace);
    let params = PostParams {
        field_manager: Some(labels::FIELD_MANAGER.to_owned()),
        ..PostParams::default()
    };
    match runs.create(&params, run).await {
        Ok(run) => Ok(Some(run)),
        Err(error) if code(&error) == Some(409) => Ok(None),
        Err(error) => {
            let name = run.metadata.name.clone().unwrap_or_default();
            Err(Error::Create(format!("LoadTestRun {name}"), error))
        }
    }
}

/// The object of a test that an event speaks of.
pub(super) fn test_ref(namespace: &str, name: &str, uid: &str) -> ObjectReference {
    ObjectReference {
        api_version: Some(LoadTest::api_version(&()).into_owned()),
        kind: Some(LoadTest::kind(&()).into_owned()),
        name: Some(name.to_owned()),
        namespace: Some(namespace.to_owned()),
        uid: Some(uid.to_owned()),
        ..ObjectReference::default()
    }
}

/// Records events. One that cannot be recorded is only logged: the status says the same.
pub(super) async fn record(recorder: &Recorder, reference: &ObjectReference, notes: &[Note]) {
    for note in notes {
        let event = Event {
            type_: if note.warning { EventType::Warning } else { EventType::Normal },
            reason: note.reason.clone(),
            note: Some(note.message.clone()),
            action: "Reconcile".to_owned(),
            secondary: None,
        };
        if let Err(error) = recorder.publish(&event, reference).await {
            tracing::warn!(reason = note.reason, error = %chain(&error), "event not recorded");
        }
    }
}

/// The object is not there, or is another one than was meant.
fn is_gone(error: &kube::Error) -> bool {
    matches!(code(error), Some(404 | 409))
}
