//! The world as the operator found it, as plain values: the only input of a decision besides spec and time.
//! All times are Unix time in milliseconds.

use crate::{api::v1alpha1::LoadTestRunStatus, wire::result::RunResult};

/// All that a decision about one run may know of the world.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Seen {
    /// The run itself.
    pub run: RunSeen,
    /// Its aggregator Job.
    pub aggregator_job: Option<JobSeen>,
    /// Its writers' Job, where it has writers.
    pub writer_job: Option<JobSeen>,
    /// Its runner Job.
    pub runner_job: Option<JobSeen>,
    /// Its pods, of all roles.
    pub pods: Vec<PodSeen>,
    /// The ConfigMap or PersistentVolumeClaim that holds the script.
    pub source: SourceSeen,
    /// What the aggregator published last.
    pub result: Option<RunResult>,
    /// Why the apiserver refused an object of the run.
    pub refused: Option<Refusal>,
    /// A child's name is held by an object that is not the run's.
    pub name_taken: Option<NameTaken>,
    /// When this process wrote the status last.
    pub status_written_ms: Option<i64>,
}

/// The `LoadTestRun` object.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RunSeen {
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// UID.
    pub uid: String,
    /// Name of the `LoadTest` that made it.
    pub test: Option<String>,
    /// Generation of the spec.
    pub generation: i64,
    /// Number of k6 instances it asks for.
    pub wanted: u32,
    /// When it was created.
    pub created_ms: i64,
    /// When its deletion was asked for.
    pub deleted_ms: Option<i64>,
    /// `spec.stop` is `Requested`.
    pub stop: bool,
    /// It has Weir's finalizer.
    pub finalizer: bool,
    /// Its status.
    pub status: Option<LoadTestRunStatus>,
}

/// A Job.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JobSeen {
    /// UID.
    pub uid: String,
    /// It is being deleted.
    pub deleting: bool,
    /// Completion indexes that used up their retries, as the Job writes them (`1,3-5`).
    pub failed_indexes: Option<String>,
    /// How it ended.
    pub end: Option<JobEnd>,
}

/// How a Job ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JobEnd {
    /// It failed; else it is complete.
    pub failed: bool,
    /// Reason of its condition.
    pub reason: String,
    /// Message of its condition.
    pub message: String,
    /// When.
    pub at_ms: i64,
}

/// A pod of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PodSeen {
    /// Name.
    pub name: String,
    /// UID.
    pub uid: String,
    /// What it does.
    pub role: PodRole,
    /// Completion index of a runner or writer.
    pub index: u32,
    /// When it was created.
    pub created_ms: i64,
    /// When its graceful deletion should be over, when it is being deleted.
    pub deleting_ms: Option<i64>,
    /// Its phase.
    pub phase: PodPhase,
    /// Reason of the pod as a whole (`Evicted`, `NodeLost`), or of its disruption (`PreemptionByScheduler`).
    pub reason: Option<String>,
    /// Message of the pod as a whole.
    pub message: Option<String>,
    /// Why it cannot be scheduled.
    pub unschedulable: Option<String>,
    /// What its first waiting container waits for.
    pub waiting: Option<WaitingSeen>,
    /// The image of its first container that is only starting: what that takes, its events say.
    pub starting_image: Option<String>,
    /// How the container that failed ended, or its last try.
    pub failure: Option<FailureSeen>,
    /// How often the container was started again that was most often, those that are done aside.
    pub restarts: u32,
    /// Whether one of its containers has failed and is not started again yet.
    pub is_down: bool,
    /// When its last container ended.
    pub finished_ms: Option<i64>,
    /// Its node.
    pub node: Option<String>,
}

/// What a pod does in the run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum PodRole {
    /// Runs one k6 instance.
    #[default]
    Runner,
    /// Runs the aggregator.
    Aggregator,
    /// Writes samples beside it.
    Writer,
}

/// Phase of a pod.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PodPhase {
    /// Not all containers have been started.
    #[default]
    Pending,
    /// At least one container runs.
    Running,
    /// All containers ended well.
    Succeeded,
    /// All containers ended, one badly.
    Failed,
}

/// What a container waits for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WaitingSeen {
    /// Reason, such as `ImagePullBackOff`.
    pub reason: String,
    /// Message of the kubelet.
    pub message: String,
    /// Image of the container.
    pub image: String,
}

/// How a container ended badly.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FailureSeen {
    /// Name of the container.
    pub container: String,
    /// Reason, such as `OOMKilled` or `Error`.
    pub reason: String,
    /// Exit code.
    pub exit_code: i32,
    /// Message that the container left.
    pub message: String,
}

/// The object that holds the script.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum SourceSeen {
    /// The script needs none, or it exists.
    #[default]
    Found,
    /// It does not exist, or lacks the key: one line that names it.
    Missing(String),
}

/// An object that has the name of one of the run's, and is not the run's.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NameTaken {
    /// Kind and name of the object.
    pub object: String,
    /// It is of an older run, with which it goes; else it is a user's own, which is never touched.
    pub of_older_run: bool,
}

impl NameTaken {
    /// One line for people.
    pub fn words(&self) -> String {
        let object = &self.object;
        if self.of_older_run {
            format!("{object} of an older run of this name is still being deleted")
        } else {
            format!(
                "{object} exists and is not the run's; give the LoadTest or that object another name"
            )
        }
    }
}

/// Why the apiserver refused an object of the run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Refusal {
    /// Kind and name of the object, and the apiserver's words.
    pub message: String,
    /// No retry can help: the object itself is wrong.
    pub last: bool,
}

impl PodSeen {
    /// Whether it holds resources of the cluster, or may come to.
    pub fn is_active(&self) -> bool {
        matches!(self.phase, PodPhase::Pending | PodPhase::Running)
    }

    /// The k6 instance's number, from 1.
    pub fn instance_id(&self) -> u32 {
        self.index.saturating_add(1)
    }

    /// One word for how it ended, where it ended badly.
    pub fn failure_word(&self) -> String {
        match (&self.reason, &self.failure) {
            (Some(reason), _) => reason.clone(),
            (None, Some(failure)) if failure.reason != "Error" && !failure.reason.is_empty() => {
                failure.reason.clone()
            }
            (None, Some(failure)) => format!("ExitCode{}", failure.exit_code),
            (None, None) => "Failed".to_owned(),
        }
    }
}
