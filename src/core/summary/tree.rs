//! Groups as the tree that their paths make.

use crate::core::ledger::view::{Check, Group};

/// What stands between the names of a path.
const SEPARATOR: &str = "::";

/// A group, with those inside it.
#[derive(Debug, Default)]
pub(super) struct Node<'a> {
    /// Its own name; empty for the root.
    pub(super) name: &'a str,
    /// `::outer::inner`; empty for the root.
    pub(super) path: &'a str,
    /// Those made directly in it.
    pub(super) checks: &'a [Check],
    /// In the order of their first samples.
    pub(super) groups: Vec<Node<'a>>,
}

/// Groups in which k6 puts what `setup()` and `teardown()` emit, though the script opened none.
pub(super) fn is_lifecycle(path: &str) -> bool {
    matches!(path, "::setup" | "::teardown")
}

/// The tree of all `groups`, and of the groups around them.
pub(super) fn tree<'a>(groups: impl IntoIterator<Item = &'a Group>) -> Node<'a> {
    let mut root = Node::default();
    for group in groups {
        *root.at(&group.path) = &group.checks;
    }
    root
}

impl<'a> Node<'a> {
    /// Where the checks of the group at `path` belong; it and the groups around it are made when they are missing.
    pub(super) fn at(&mut self, path: &'a str) -> &mut &'a [Check] {
        let mut node = self;
        for (start, name) in names(path) {
            let found = node.groups.iter().position(|group| group.name == name);
            let at = found.unwrap_or_else(|| {
                let path = path.get(..start + name.len()).unwrap_or(path);
                node.groups.push(Node { name, path, ..Node::default() });
                node.groups.len() - 1
            });
            node = &mut node.groups[at];
        }
        &mut node.checks
    }
}

/// The names of a path, each with where it begins.
fn names(path: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut start = 0;
    let names = path.split(SEPARATOR).map(move |name| {
        let at = start;
        start += name.len() + SEPARATOR.len();
        (at, name)
    });
    // What stands before the first separator names the root.
    names.skip(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(path: &str, checks: &[(&str, u64)]) -> Group {
        let checks = checks.iter().map(|(name, passes)| Check {
            name: (*name).to_owned(),
            passes: *passes,
            fails: 1,
        });
        Group { path: path.to_owned(), checks: checks.collect() }
    }

    #[test]
    fn groups_stand_in_their_parents_in_the_order_of_their_first_samples() {
        let groups = [
            group("::b::inner", &[("x", 1)]),
            group("::a", &[("y", 1)]),
            group("", &[("z", 1)]),
            group("::b", &[]),
        ];
        let root = tree(&groups);
        assert_eq!((root.name, root.path, root.checks.len()), ("", "", 1));
        let names: Vec<_> = root.groups.iter().map(|node| (node.name, node.path)).collect();
        assert_eq!(names, [("b", "::b"), ("a", "::a")]);
        assert_eq!(root.groups[0].groups[0].path, "::b::inner");
        assert_eq!(root.groups[0].groups[0].checks[0].name, "x");
    }

    #[test]
    fn a_name_of_several_bytes_keeps_its_path() {
        let groups = [group("::größe::maß", &[])];
        assert_eq!(tree(&groups).groups[0].path, "::größe");
    }
}
