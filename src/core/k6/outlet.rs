//! Where k6 writes its samples.
//!
//! k6 2.x writes each line by itself into a file, and Go watches a pipe that it opens by name for its own writes: that costs
//! k6 a third of what it spends on a sample. On standard output it gathers 4 KiB first. That is taken where nothing
//! else is written there, and where nobody waits for a sample: what is gathered stays behind for up to 20 s: a k6
//! whose VUs only wait still writes two lines a second (`vus`, `vus_max`), some 205 bytes.

use memchr::memmem;

use super::{
    args::{UserArgs, parse_bool},
    environment::{self, Environment},
    version::Version,
};

/// How extensions are imported: they may print whatever they like.
const EXTENSION: &[u8] = b"k6/x/";
/// Flags, and the variables for them, whose values may lead what k6 logs to its standard output.
const LOGS: [(&str, &str); 2] =
    [("--log-output=", "K6_LOG_OUTPUT"), ("--console-output=", "K6_CONSOLE_OUTPUT")];
/// Values of these that do not.
const ELSEWHERE: [&str; 3] = ["", "stderr", "none"];

/// Where k6 writes its samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outlet {
    /// A pipe with a name. Standard output is for people.
    Pipe,
    /// Standard output, which holds nothing else.
    Stdout,
}

/// All that decides it.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// The user's arguments.
    pub user: &'a UserArgs,
    /// The environment that k6 will see.
    pub environment: &'a Environment,
    /// k6's version.
    pub version: &'a Version,
    /// Whether a threshold may stop the run: it must see samples soon.
    pub may_abort: bool,
    /// Whether the script imports an extension, as far as [`has_extension`] can see.
    pub is_extended: bool,
}

/// Whether the archive of a script and of all that it reads speaks of an extension.
pub fn has_extension(bundle: &[u8]) -> bool {
    memmem::find(bundle, EXTENSION).is_some()
}

/// The outlet for a run.
pub fn of(facts: &Facts<'_>) -> Outlet {
    let others = !environment::outs(facts.user, facts.environment).is_empty();
    // k6 1.x writes many lines at once, whereto ever.
    let is_fit = !facts.version.is_before_2()
        && !facts.may_abort
        && !others
        && !logs_there(facts)
        && !wants_progress(facts.user)
        && !facts.is_extended;
    if is_fit { Outlet::Stdout } else { Outlet::Pipe }
}

fn logs_there(facts: &Facts<'_>) -> bool {
    LOGS.iter().any(|(flag, variable)| {
        let said = facts.user.run.iter().rev().find_map(|arg| arg.strip_prefix(flag));
        let listed = || facts.environment.get(*variable).map(String::as_str);
        said.or_else(listed).is_some_and(|value| !ELSEWHERE.contains(&value))
    })
}

/// Whether the user asks for k6's progress by name, which it writes to standard output.
fn wants_progress(user: &UserArgs) -> bool {
    let said = user.run.iter().rev().find_map(|arg| arg.strip_prefix("--quiet="));
    said.and_then(parse_bool) == Some(false)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::k6::args::check;

    fn outlet(
        args: &[&str],
        environment: &[(&str, &str)],
        change: impl Fn(&mut Facts<'_>),
    ) -> Outlet {
        let args: Vec<_> = args.iter().map(|arg| (*arg).to_owned()).collect();
        let pairs = environment.iter().map(|(name, value)| ((*name).into(), (*value).into()));
        let mut facts = Facts {
            user: &check(&args).unwrap(),
            environment: &pairs.collect(),
            version: &Version::parse("k6 v2.2.0"),
            may_abort: false,
            is_extended: has_extension(b"import http from 'k6/http'"),
        };
        change(&mut facts);
        of(&facts)
    }

    #[test]
    fn standard_output_is_taken_where_it_holds_nothing_else() {
        let with = |args: &[&str], environment: &[(&str, &str)]| outlet(args, environment, |_| {});
        assert_eq!(with(&[], &[]), Outlet::Stdout);
        assert_eq!(with(&["--quiet", "-u2", "--tag=a=b"], &[]), Outlet::Stdout);
        assert_eq!(with(&["--log-output=stderr"], &[]), Outlet::Stdout);
        assert_eq!(with(&["--log-output", "none"], &[("K6_LOG_OUTPUT", "stdout")]), Outlet::Stdout);
        assert_eq!(with(&["--log-output=stdout"], &[]), Outlet::Pipe);
        assert_eq!(with(&["--log-output", "file=/dev/stdout"], &[]), Outlet::Pipe);
        assert_eq!(with(&["--console-output=/dev/stdout"], &[]), Outlet::Pipe);
        assert_eq!(with(&[], &[("K6_LOG_OUTPUT", "stdout")]), Outlet::Pipe);
        assert_eq!(with(&[], &[("K6_CONSOLE_OUTPUT", "/proc/self/fd/1")]), Outlet::Pipe);
        assert_eq!(with(&["--quiet=false"], &[]), Outlet::Pipe);
        assert_eq!(with(&["-o", "csv"], &[]), Outlet::Pipe);
        assert_eq!(with(&[], &[("K6_OUT", "csv")]), Outlet::Pipe);
    }

    #[test]
    fn the_pipe_is_taken_where_samples_are_waited_for_or_extensions_may_print() {
        assert_eq!(outlet(&[], &[], |facts| facts.may_abort = true), Outlet::Pipe);
        let is_extended = has_extension(b"import sql from 'k6/x/sql'");
        assert_eq!(outlet(&[], &[], |facts| facts.is_extended = is_extended), Outlet::Pipe);
    }

    #[test]
    fn a_k6_before_2_writes_to_the_pipe() {
        for (version, wanted) in [
            ("k6 v1.8.1", Outlet::Pipe),
            ("k6 v2.0.0", Outlet::Stdout),
            ("k6 v0.0.0+a1b2c3", Outlet::Stdout),
        ] {
            let version = Version::parse(version);
            let args = UserArgs::default();
            let facts = Facts {
                user: &args,
                environment: &Environment::new(),
                version: &version,
                may_abort: false,
                is_extended: false,
            };
            assert_eq!(of(&facts), wanted);
        }
    }
}
