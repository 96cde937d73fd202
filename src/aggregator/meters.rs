//! The run's own metrics, for Prometheus.

use std::sync::atomic::{AtomicU64, Ordering};

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};

use crate::core::pipeline::lane::Lane;

/// Labels of an output's metrics.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct OutputLabels {
    /// Name of the output.
    pub output: String,
}

/// The run's own metrics.
#[derive(Debug, Default)]
pub struct Meters {
    stored: Family<OutputLabels, Counter>,
    rejected: Family<OutputLabels, Counter>,
    writes: Family<OutputLabels, Counter>,
    throttled: Family<OutputLabels, Counter>,
    retried: Family<OutputLabels, Counter>,
    held_back: Family<OutputLabels, Counter>,
    bisected: Family<OutputLabels, Counter>,
    shortened: Family<OutputLabels, Counter>,
    open: Family<OutputLabels, Gauge>,
    under_way: Family<OutputLabels, Gauge>,
    sessions: Gauge,
    beat_ms: AtomicU64,
}

impl Meters {
    /// Names the metrics in `registry`.
    pub fn register(&self, registry: &mut Registry) {
        let mut counter = |name: &str, help: &str, family: &Family<OutputLabels, Counter>| {
            registry.register(name, help, family.clone());
        };
        counter("weir_records_stored", "Records that the output confirmed", &self.stored);
        counter("weir_records_rejected", "Records that were refused for good", &self.rejected);
        counter("weir_records_shortened", "Records with a value cut to fit", &self.shortened);
        counter("weir_writes", "Writes begun", &self.writes);
        counter("weir_writes_throttled", "Writes that the output throttled", &self.throttled);
        counter("weir_writes_retried", "Writes that failed and are tried again", &self.retried);
        counter(
            "weir_writes_held_back",
            "Failed writes that had to wait until another was answered",
            &self.held_back,
        );
        counter(
            "weir_writes_bisected",
            "Writes cut in halves to find a bad record",
            &self.bisected,
        );
        let open = "Records queued, under way, or waiting for another try";
        registry.register("weir_records_open", open, self.open.clone());
        registry.register("weir_writes_under_way", "Writes under way", self.under_way.clone());
        registry.register("weir_sessions", "Sessions of agents", self.sessions.clone());
    }

    /// Takes the state of an output over.
    pub(super) fn set_lane(&self, lane: &Lane) {
        let labels = OutputLabels { output: lane.name().to_owned() };
        let counts = lane.counts();
        for (family, value) in [
            (&self.stored, counts.stored),
            (&self.rejected, counts.rejected),
            (&self.writes, counts.writes),
            (&self.throttled, counts.throttled),
            (&self.retried, counts.retried),
            (&self.held_back, counts.held_back),
            (&self.bisected, counts.bisected),
            (&self.shortened, counts.shortened),
        ] {
            family.get_or_create(&labels).inner().store(value, Ordering::Relaxed);
        }
        let gauge = |value: usize| i64::try_from(value).unwrap_or(i64::MAX);
        self.open.get_or_create(&labels).set(gauge(lane.open_count()));
        self.under_way.get_or_create(&labels).set(gauge(lane.under_way_count()));
    }

    /// Takes the number of sessions over.
    pub(super) fn set_sessions(&self, count: usize) {
        self.sessions.set(i64::try_from(count).unwrap_or(i64::MAX));
    }

    /// The loop has gone round.
    pub(super) fn beat(&self, now_ms: i64) {
        self.beat_ms.store(u64::try_from(now_ms).unwrap_or(0), Ordering::Relaxed);
    }

    /// Unix time in milliseconds when the loop last went round; 0 before the first time.
    pub fn beat_unix_ms(&self) -> i64 {
        i64::try_from(self.beat_ms.load(Ordering::Relaxed)).unwrap_or(i64::MAX)
    }
}
