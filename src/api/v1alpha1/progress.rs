//! Reasons of conditions while a run is not over; once it is, every condition that it did not reach has its `Reason`.

/// Why a condition is not True yet, or what made it True.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Progress {
    /// Nothing of the run exists yet.
    Pending,
    /// Pods start, scripts load, VUs initialise.
    Starting,
    /// The script's ConfigMap, key or PersistentVolumeClaim does not exist.
    ScriptNotFound,
    /// The apiserver refused an object of the run.
    ObjectRefused,
    /// Objects of an older run of the same name are still being deleted.
    NameTaken,
    /// An image cannot be pulled.
    ImagePullFailed,
    /// A container cannot be created from its configuration.
    ContainerConfigError,
    /// A pod cannot be scheduled.
    Unschedulable,
    /// A pod ended before the start and is replaced.
    PodFailed,
    /// All k6 instances have initialised their VUs.
    AllReady,
    /// `setup()` runs.
    SetupRunning,
    /// The load has begun.
    LoadStarted,
    /// The load is on.
    Running,
    /// The load is over; teardown runs, samples drain.
    Draining,
    /// The run was told to end early.
    Stopping,
}

impl Progress {
    /// The `reason` string of the condition.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "Pending",
            Self::Starting => "Starting",
            Self::ScriptNotFound => "ScriptNotFound",
            Self::ObjectRefused => "ObjectRefused",
            Self::NameTaken => "NameTaken",
            Self::ImagePullFailed => "ImagePullFailed",
            Self::ContainerConfigError => "ContainerConfigError",
            Self::Unschedulable => "Unschedulable",
            Self::PodFailed => "PodFailed",
            Self::AllReady => "AllReady",
            Self::SetupRunning => "SetupRunning",
            Self::LoadStarted => "LoadStarted",
            Self::Running => "Running",
            Self::Draining => "Draining",
            Self::Stopping => "Stopping",
        }
    }
}
