//! Which dimensions the rows of an output have.

use std::{borrow::Borrow, collections::BTreeSet, sync::Arc};

use super::{
    k6::tags::{INSTANCE_ID, TESTID},
    samples::rollup::spec::is_rollup,
};
use crate::api::v1alpha1::{Dimensions, Output};

/// Dimensions that no output leaves out: without them, rows of two instances or of two runs could be one row.
pub const ALWAYS: [&str; 2] = [INSTANCE_ID, TESTID];

/// Which dimensions the rows of an output have.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kept {
    /// All.
    #[default]
    All,
    /// Only these and [`ALWAYS`].
    Only(BTreeSet<Arc<str>>),
    /// All but these; [`ALWAYS`] stay.
    AllBut(BTreeSet<Arc<str>>),
}

impl Kept {
    /// As the spec of an output has it.
    pub fn of(spec: Option<&Dimensions>) -> Self {
        let set = |names: &[String]| names.iter().map(|name| name.as_str().into()).collect();
        match spec.map(|spec| (&spec.include, &spec.exclude)) {
            Some((Some(names), _)) => Self::Only(set(names)),
            Some((None, Some(names))) if !names.is_empty() => Self::AllBut(set(names)),
            Some((None, _)) | None => Self::All,
        }
    }

    /// Whether rows have the dimension `name`.
    pub fn has(&self, name: &str) -> bool {
        match self {
            Self::All => true,
            Self::Only(names) => names.contains(name) || ALWAYS.contains(&name),
            Self::AllBut(names) => !names.contains(name) || ALWAYS.contains(&name),
        }
    }

    /// Those of `dimensions`, by name, that rows have.
    pub fn of_series<N: Borrow<str> + Clone, V: Clone>(
        &self,
        dimensions: &[(N, V)],
    ) -> Vec<(N, V)> {
        dimensions.iter().filter(|(name, _)| self.has(name.borrow())).cloned().collect()
    }
}

/// What the spec says of the dimensions of each output that takes samples; empty where all of them have all dimensions.
pub fn of_outputs(outputs: &[Output]) -> Vec<Option<Dimensions>> {
    let of_samples = outputs.iter().filter(|output| {
        !output.timestream.as_ref().is_some_and(|timestream| is_rollup(timestream.mode))
    });
    let all: Vec<Option<Dimensions>> =
        of_samples.map(|output| output.dimensions().cloned()).collect();
    if all.iter().all(Option::is_none) { Vec::new() } else { all }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(include: Option<&[&str]>, exclude: Option<&[&str]>) -> Kept {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        Kept::of(Some(&Dimensions { include: include.map(names), exclude: exclude.map(names) }))
    }

    #[test]
    fn what_is_not_excluded_stays() {
        let kept = kept(None, Some(&["url", "vu"]));
        assert!(kept.has("status") && !kept.has("url") && !kept.has("vu"));
    }

    #[test]
    fn only_what_is_included_stays() {
        let kept = kept(Some(&["status"]), None);
        assert!(kept.has("status") && !kept.has("url"));
    }

    #[test]
    fn instance_and_run_stay_whatever_is_said() {
        for kept in [kept(Some(&[]), None), kept(None, Some(&ALWAYS))] {
            assert!(kept.has("instance_id") && kept.has("testid"), "{kept:?}");
        }
    }

    #[test]
    fn nothing_said_and_nothing_excluded_keep_all() {
        assert_eq!(Kept::of(None), Kept::All);
        assert_eq!(kept(None, Some(&[])), Kept::All);
        assert_eq!(kept(None, None), Kept::All);
    }
}
