//! Execution segments: which share of the whole test an instance runs.

/// `--execution-segment` of instance `instance_id` (from 1) of `instances`, as `2/4:3/4`.
pub fn of(instance_id: u32, instances: u32) -> String {
    let n = instances.max(1);
    let i = instance_id.clamp(1, n);
    format!("{}:{}", edge(i - 1, n), edge(i, n))
}

/// `--execution-segment-sequence` of `instances`, as `0,1/2,1`.
pub fn sequence(instances: u32) -> String {
    let n = instances.max(1);
    (0..=n).map(|i| edge(i, n)).collect::<Vec<_>>().join(",")
}

fn edge(i: u32, n: u32) -> String {
    match i {
        0 => "0".to_owned(),
        i if i == n => "1".to_owned(),
        i => format!("{i}/{n}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_meet_end_to_end_and_match_the_sequence() {
        for n in 1..=50 {
            let edges = sequence(n);
            let edges = edges.split(',').collect::<Vec<_>>();
            assert_eq!(edges.len(), n as usize + 1);
            for i in 1..=n {
                let wanted = format!("{}:{}", edges[i as usize - 1], edges[i as usize]);
                assert_eq!(of(i, n), wanted);
            }
        }
    }

    #[test]
    fn the_third_of_four_is_the_third_quarter() {
        assert_eq!(of(3, 4), "2/4:3/4");
        assert_eq!(of(1, 1), "0:1");
        assert_eq!(sequence(4), "0,1/4,2/4,3/4,1");
    }
}
