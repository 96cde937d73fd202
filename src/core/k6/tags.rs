//! The tags that a run puts on every sample.

use std::collections::BTreeMap;

use memchr::memmem;

use super::environment::Environment;

/// Tag that names the k6 instance on every sample.
pub const INSTANCE_ID: &str = "instance_id";
/// Tag that names the run on every sample, as k6's own dashboards expect.
pub const TESTID: &str = "testid";

/// A tag that k6 cannot be given.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the tag name {0:?} holds \"=\", which k6 cannot take on its command line: rename it")]
pub struct TagError(pub String);

/// Where the tags of a run come from.
#[derive(Clone, Copy, Debug)]
pub struct Sources<'a> {
    /// `options.tags` of the script, as `k6 inspect` prints them.
    pub script: &'a BTreeMap<String, String>,
    /// `--tag` among the user's arguments: k6 lets them replace the script's.
    pub args: &'a [(String, String)],
    /// `spec.tags`.
    pub spec: &'a BTreeMap<String, String>,
    /// Name of the run.
    pub run: &'a str,
    /// This instance, from 1.
    pub instance_id: u32,
}

/// All tags of this instance. Those with an empty value fall away: k6 refuses them, and no row could hold them.
///
/// # Errors
/// When a name cannot be written on k6's command line.
pub fn all(sources: &Sources<'_>) -> Result<BTreeMap<String, String>, TagError> {
    let mut tags: BTreeMap<String, String> = if sources.args.is_empty() {
        sources.script.clone()
    } else {
        sources.args.iter().cloned().collect()
    };
    tags.extend(sources.spec.iter().map(|(name, value)| (name.clone(), value.clone())));
    tags.entry(TESTID.to_owned()).or_insert_with(|| sources.run.to_owned());
    tags.insert(INSTANCE_ID.to_owned(), sources.instance_id.to_string());
    tags.retain(|name, value| !name.is_empty() && !value.is_empty());
    match tags.keys().find(|name| name.contains('=')) {
        Some(name) => Err(TagError(name.clone())),
        None => Ok(tags),
    }
}

/// How a script sees the tags of its samples.
const READER: &[u8] = b"k6/execution";

/// Who puts the tags on the samples. Each tag costs k6 more to write than it costs to add it to a series that is known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Split {
    /// Given to k6.
    pub told: BTreeMap<String, String>,
    /// Added by the agent, where a sample has none of that name: what a script sets weighs more.
    pub added: BTreeMap<String, String>,
}

/// All that decides who does.
#[derive(Clone, Copy, Debug)]
pub struct Seers {
    /// k6 writes its samples elsewhere too.
    pub others: bool,
    /// The script, or an extension of k6's, may look at the tags, as far as the text of the bundle tells.
    pub script: bool,
    /// k6 has tags from elsewhere, which Weir's must replace.
    pub own: bool,
}

/// Whether the archive of a script and of all that it reads speaks of what shows it the tags. Extensions, which may see
/// them too, are found by [`has_extension`](super::outlet::has_extension).
pub fn may_be_read(bundle: &[u8]) -> bool {
    memmem::find(bundle, READER).is_some()
}

/// The agent adds them where nobody can see that k6 did not.
pub fn split(all: BTreeMap<String, String>, seers: Seers) -> Split {
    if seers.others || seers.script || seers.own {
        Split { told: all, added: BTreeMap::new() }
    } else {
        Split { told: BTreeMap::new(), added: all }
    }
}

impl Sources<'_> {
    /// Whether k6 would have tags without Weir's.
    pub fn has_own(&self, environment: &Environment) -> bool {
        !self.script.is_empty() || !self.args.is_empty() || environment.contains_key("K6_TAGS")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_agent_adds_what_nobody_else_sees() {
        let all = map(&[("instance_id", "3")]);
        let nobody = Seers { others: false, script: false, own: false };
        let added = Split { added: all.clone(), told: BTreeMap::new() };
        assert_eq!(split(all.clone(), nobody), added);
        let told = Split { told: all.clone(), added: BTreeMap::new() };
        assert_eq!(split(all.clone(), Seers { others: true, ..nobody }), told);
        assert_eq!(split(all.clone(), Seers { script: true, ..nobody }), told);
        assert_eq!(split(all, Seers { own: true, ..nobody }), told);
        assert!(may_be_read(b"import exec from 'k6/execution'"));
        assert!(!may_be_read(b"import http from 'k6/http'"));
    }

    #[test]
    fn k6_has_tags_of_its_own_from_three_places() {
        let (none, some) = (map(&[]), map(&[("a", "b")]));
        let args = [("a".to_owned(), "b".to_owned())];
        let plain = Sources { script: &none, args: &[], spec: &some, run: "r", instance_id: 1 };
        assert!(!plain.has_own(&none));
        assert!(Sources { script: &some, ..plain }.has_own(&none));
        assert!(Sources { args: &args, ..plain }.has_own(&none));
        assert!(plain.has_own(&map(&[("K6_TAGS", "a:b")])));
    }

    fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    fn tags(
        script: &[(&str, &str)],
        args: &[(&str, &str)],
        spec: &[(&str, &str)],
    ) -> BTreeMap<String, String> {
        let args = map(args).into_iter().collect::<Vec<_>>();
        let (script, spec) = (map(script), map(spec));
        all(&Sources {
            script: &script,
            args: &args,
            spec: &spec,
            run: "checkout-1",
            instance_id: 3,
        })
        .unwrap()
    }

    #[test]
    fn the_scripts_own_tags_stay_beside_weirs() {
        let wanted = map(&[("instance_id", "3"), ("team", "a"), ("testid", "checkout-1")]);
        assert_eq!(tags(&[("team", "a"), ("empty", "")], &[], &[]), wanted);
    }

    #[test]
    fn tags_of_the_command_line_replace_the_scripts_as_in_k6() {
        let wanted = map(&[("instance_id", "3"), ("x", "y"), ("testid", "checkout-1")]);
        assert_eq!(tags(&[("team", "a")], &[("x", "y")], &[]), wanted);
    }

    #[test]
    fn a_testid_of_the_users_wins_and_an_instance_id_never() {
        let script = [("testid", "mine"), ("instance_id", "9")];
        assert_eq!(tags(&script, &[], &[]), map(&[("instance_id", "3"), ("testid", "mine")]));
        let wanted = map(&[("instance_id", "3"), ("testid", "spec")]);
        assert_eq!(tags(&script, &[], &[("testid", "spec")]), wanted);
    }

    #[test]
    fn a_name_that_k6_cannot_take_is_an_error() {
        let script = map(&[("a=b", "c")]);
        let spec = map(&[]);
        let sources = Sources { script: &script, args: &[], spec: &spec, run: "r", instance_id: 1 };
        assert_eq!(all(&sources), Err(TagError("a=b".to_owned())));
    }
}
