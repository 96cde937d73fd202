//! Whether the kernel has killed a process of this container because its memory ran out.

use std::fs;

/// Where the control group of this container counts such kills: version 2, then version 1.
const COUNTS: [&str; 2] =
    ["/sys/fs/cgroup/memory.events", "/sys/fs/cgroup/memory/memory.oom_control"];

/// Processes of this container killed for lack of memory so far; none where the kernel does not tell.
pub(super) fn kills() -> Option<u64> {
    COUNTS.iter().find_map(|path| parse(&fs::read_to_string(path).ok()?))
}

/// Both files hold lines of a name and a number.
fn parse(text: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix("oom_kill ")?.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn both_versions_of_control_groups_are_read() {
        assert_eq!(parse("low 0\nhigh 0\nmax 12\noom 3\noom_kill 2\noom_group_kill 0\n"), Some(2));
        assert_eq!(parse("oom_kill_disable 0\nunder_oom 0\noom_kill 1\n"), Some(1));
        assert_eq!(parse("oom_kill_disable 0\nunder_oom 0\n"), None);
    }
}
