//! The environment variables that k6 reads, and those that `k6 inspect` must be given.

use std::collections::BTreeMap;

use super::args::{UserArgs, parse_bool};

/// Environment variables by name.
pub type Environment = BTreeMap<String, String>;

/// What of k6's environment must differ for `k6 inspect`: it has no flag for the load, but reads these variables
/// with the weight that the flags have in `k6 run`. None removes a variable.
pub fn for_inspect(user: &UserArgs) -> BTreeMap<&'static str, Option<String>> {
    let mut changes = BTreeMap::new();
    // Any of these three on the command line drops the other two of the environment.
    if user.duration.is_some() || user.iterations.is_some() || !user.stages.is_empty() {
        changes.insert("K6_DURATION", user.duration.clone());
        changes.insert("K6_ITERATIONS", user.iterations.clone());
        let stages = (!user.stages.is_empty()).then(|| user.stages.join(","));
        changes.insert("K6_STAGES", stages);
    }
    if let Some(vus) = &user.vus {
        changes.insert("K6_VUS", Some(vus.clone()));
    }
    if !user.features.is_empty() {
        changes.insert("K6_FEATURES", Some(user.features.join(",")));
    }
    // The errors of `k6 inspect` are read from its standard error, in k6's own format.
    changes.insert("K6_LOG_OUTPUT", None);
    changes.insert("K6_LOG_FORMAT", None);
    changes
}

/// The outputs that `k6 run` would write to: `--out` replaces `K6_OUT`.
pub fn outs(user: &UserArgs, environment: &Environment) -> Vec<String> {
    if !user.outs.is_empty() {
        return user.outs.clone();
    }
    let listed = environment.get("K6_OUT").map(String::as_str).unwrap_or_default();
    listed.split(',').filter(|out| !out.is_empty()).map(str::to_owned).collect()
}

/// Whether the user wants no thresholds, by flag or by variable.
pub fn no_thresholds(user: &UserArgs, environment: &Environment) -> bool {
    let listed = || environment.get("K6_NO_THRESHOLDS").and_then(|text| parse_bool(text));
    user.no_thresholds.or_else(listed).unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::k6::args::check;

    fn user(args: &[&str]) -> UserArgs {
        check(&args.iter().map(|arg| (*arg).to_owned()).collect::<Vec<_>>()).unwrap()
    }

    #[test]
    fn the_load_of_the_command_line_reaches_inspect() {
        let changes = for_inspect(&user(&["-u10", "--stage", "10s:5", "-s=20s:1,5s:0"]));
        assert_eq!(changes["K6_VUS"], Some("10".to_owned()));
        assert_eq!(changes["K6_STAGES"], Some("10s:5,20s:1,5s:0".to_owned()));
        assert_eq!(changes["K6_DURATION"], None, "a variable of the pod must not mix in");
    }

    #[test]
    fn without_load_flags_the_load_of_the_environment_stays() {
        let changes = for_inspect(&user(&["--quiet"]));
        assert!(!changes.contains_key("K6_DURATION"));
        assert!(!changes.contains_key("K6_VUS"));
    }

    #[test]
    fn the_flag_replaces_the_outputs_of_the_environment() {
        let environment = Environment::from([("K6_OUT".to_owned(), "csv=a.csv,statsd".to_owned())]);
        assert_eq!(outs(&user(&[]), &environment), ["csv=a.csv", "statsd"]);
        assert_eq!(outs(&user(&["-o", "json=x"]), &environment), ["json=x"]);
        assert!(outs(&user(&[]), &Environment::new()).is_empty());
    }

    #[test]
    fn a_flag_weighs_more_than_the_variable() {
        let environment = Environment::from([("K6_NO_THRESHOLDS".to_owned(), "1".to_owned())]);
        assert!(no_thresholds(&user(&[]), &environment));
        assert!(!no_thresholds(&user(&["--no-thresholds=false"]), &environment));
    }
}
