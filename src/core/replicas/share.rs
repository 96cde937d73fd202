//! Which replica of the aggregator writes the samples of which instance.

/// Most replicas of a run's aggregator, as the CRD bounds them.
pub const REPLICAS_MAX: u32 = 64;

/// Replicas that share the instances of a run where `wanted` are asked for. One without an instance would have nothing to
/// do, and without outputs none of them has.
pub fn replicas(wanted: u32, instances: u32, has_outputs: bool) -> u32 {
    let useful = if has_outputs { instances } else { 1 };
    wanted.min(useful).clamp(1, REPLICAS_MAX)
}

/// The replica that writes the samples of an instance (from 1), where there are so many of them. Replica 0 leads the run.
pub fn replica_of(instance_id: u32, replicas: u32) -> u32 {
    instance_id.saturating_sub(1) % replicas.max(1)
}

/// Of the writers, which are replicas 1 and up in this order, the one that writes an instance's samples, with its number;
/// none where replica 0 does.
pub fn writer_of<T>(instance_id: u32, writers: &[T]) -> Option<(u32, &T)> {
    let replicas = u32::try_from(writers.len()).unwrap_or(u32::MAX).saturating_add(1);
    let replica = replica_of(instance_id, replicas);
    let writer = writers.get(usize::try_from(replica.checked_sub(1)?).ok()?)?;
    Some((replica, writer))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instances_are_shared_evenly_and_the_first_is_replica_0s() {
        let of = |replicas| (1..=7).map(|id| replica_of(id, replicas)).collect::<Vec<_>>();
        assert_eq!(of(1), [0; 7]);
        assert_eq!(of(3), [0, 1, 2, 0, 1, 2, 0]);
        let writers = ["first", "second"];
        let named = |id| writer_of(id, &writers).map(|(replica, name)| (replica, *name));
        assert_eq!([1, 2, 3, 4].map(named), [None, Some((1, "first")), Some((2, "second")), None]);
        assert_eq!(writer_of::<&str>(2, &[]), None);
        assert_eq!(of(0), [0; 7], "a plan that says nothing sensible has the aggregator alone");
    }

    #[test]
    fn no_replica_is_without_an_instance_or_an_output() {
        assert_eq!(replicas(2, 4, true), 2);
        assert_eq!(replicas(5, 2, true), 2);
        assert_eq!(replicas(2, 4, false), 1);
        assert_eq!(replicas(65, 1000, true), 64);
        assert_eq!(replicas(0, 4, true), 1);
    }
}
