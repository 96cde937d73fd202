//! The operator's own metrics.

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{
        counter::Counter,
        family::Family,
        gauge::Gauge,
        histogram::{Histogram, exponential_buckets},
    },
    registry::Registry,
};

/// Labels of [`Metrics::runs`].
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct PhaseLabel {
    pub(super) phase: &'static str,
}

/// Labels of [`Metrics::errors`].
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct StepLabel {
    pub(super) step: &'static str,
}

/// Labels of [`Metrics::watch_errors`] and [`Metrics::undecodable`].
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct KindLabel {
    pub(super) kind: &'static str,
}

/// All of them.
#[derive(Clone, Debug)]
pub(super) struct Metrics {
    pub(super) runs: Family<PhaseLabel, Gauge>,
    pub(super) errors: Family<StepLabel, Counter>,
    pub(super) watch_errors: Family<KindLabel, Counter>,
    pub(super) undecodable: Family<KindLabel, Counter>,
    pub(super) seconds: Histogram,
    pub(super) leader: Gauge,
}

impl Metrics {
    /// Registers them.
    pub(super) fn new(registry: &mut Registry) -> Self {
        let metrics = Self {
            runs: Family::default(),
            errors: Family::default(),
            watch_errors: Family::default(),
            undecodable: Family::default(),
            seconds: Histogram::new(exponential_buckets(0.001, 2.0, 14)),
            leader: Gauge::default(),
        };
        let registry = registry.sub_registry_with_prefix("weir");
        registry.register("runs", "LoadTestRuns by phase", metrics.runs.clone());
        registry.register("reconcile_errors", "Failed reconciles by step", metrics.errors.clone());
        registry.register("watch_errors", "Failed watches by kind", metrics.watch_errors.clone());
        registry.register(
            "undecodable_objects",
            "Objects that a watch brought and that could not be decoded, by kind",
            metrics.undecodable.clone(),
        );
        registry.register("reconcile_seconds", "Duration of a reconcile", metrics.seconds.clone());
        registry.register("leader", "1 while this replica may write", metrics.leader.clone());
        metrics
    }
}
