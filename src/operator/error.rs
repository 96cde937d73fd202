//! What can go wrong in one reconcile, by step.

/// A step that failed; the reconcile is tried again, later each time.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    /// The script's source could not be looked up.
    #[error("cannot look up the script's {0}")]
    Observe(String, #[source] kube::Error),
    /// The name of an object of the run could not be looked up.
    #[error("cannot look for {0}")]
    Look(String, #[source] kube::Error),
    /// The run's certificate could not be made.
    #[error("cannot make the run's certificate")]
    Certificate(#[source] rcgen::Error),
    /// The run's token could not be made.
    #[error("no random numbers are to be had")]
    Random,
    /// An object could not be applied.
    #[error("cannot apply {0}")]
    Apply(String, #[source] kube::Error),
    /// An object could not be created.
    #[error("cannot create {0}")]
    Create(String, #[source] kube::Error),
    /// An object could not be deleted.
    #[error("cannot delete {0}")]
    Delete(String, #[source] kube::Error),
    /// A status could not be written.
    #[error("cannot write the status of {0}")]
    Status(String, #[source] kube::Error),
    /// A finalizer could not be set or removed.
    #[error("cannot set the finalizers of {0}")]
    Finalizer(String, #[source] kube::Error),
    /// A step took longer than any healthy apiserver takes.
    #[error("the apiserver did not answer in time")]
    Late,
}

impl Error {
    /// The step, as a label of metrics.
    pub(super) const fn step(&self) -> &'static str {
        match self {
            Self::Observe(..) | Self::Look(..) => "observe",
            Self::Certificate(_) | Self::Random => "certificate",
            Self::Apply(..) => "apply",
            Self::Create(..) => "create",
            Self::Delete(..) => "delete",
            Self::Status(..) => "status",
            Self::Finalizer(..) => "finalizer",
            Self::Late => "late",
        }
    }
}

/// The HTTP code of an apiserver's refusal.
pub(super) fn code(error: &kube::Error) -> Option<u16> {
    match error {
        kube::Error::Api(status) => Some(status.code),
        _ => None,
    }
}

/// The apiserver's own words.
pub(super) fn words(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) => status.message.clone(),
        other => other.to_string(),
    }
}
