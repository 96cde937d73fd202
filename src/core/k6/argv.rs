//! The command lines with which Weir runs k6.

use std::collections::BTreeMap;

use super::{
    args::UserArgs,
    environment::{self, Environment},
    outlet::Outlet,
    segment,
    version::Version,
};

/// All that the command line of `k6 run` depends on.
#[derive(Clone, Copy, Debug)]
pub struct Run<'a> {
    /// The user's arguments.
    pub user: &'a UserArgs,
    /// The environment that k6 will see.
    pub environment: &'a Environment,
    /// Tags on every sample.
    pub tags: &'a BTreeMap<String, String>,
    /// k6's version.
    pub version: &'a Version,
    /// This instance, from 1.
    pub instance_id: u32,
    /// Number of instances.
    pub instances: u32,
    /// Loopback port of k6's REST API.
    pub port: u16,
    /// Where k6 writes its samples.
    pub outlet: Outlet,
    /// The pipe for them.
    pub samples: &'a str,
    /// The bundle that all instances run.
    pub bundle: &'a str,
}

/// Arguments of `k6 version`.
pub fn version() -> Vec<String> {
    vec!["version".to_owned()]
}

/// Arguments of `k6 archive`: the script with all that it reads goes into `bundle`.
pub fn archive(
    user: &UserArgs,
    environment: &Environment,
    script: &str,
    bundle: &str,
) -> Vec<String> {
    let mut argv = vec!["archive".to_owned(), format!("--archive-out={bundle}")];
    // What runs the bundle brings its own variables, which may be secrets.
    argv.push("--exclude-env-vars".to_owned());
    argv.extend(user.archive.iter().cloned());
    look_alike(&mut argv, user, environment);
    argv.push("--".to_owned());
    argv.push(script.to_owned());
    argv
}

/// Arguments of `k6 inspect`.
pub fn inspect(user: &UserArgs, environment: &Environment, bundle: &str) -> Vec<String> {
    let mut argv = vec!["inspect".to_owned(), "--execution-requirements".to_owned()];
    argv.extend(user.inspect.iter().cloned());
    look_alike(&mut argv, user, environment);
    argv.push("--".to_owned());
    argv.push(bundle.to_owned());
    argv
}

/// Lets the other commands see what `k6 run` sees.
fn look_alike(argv: &mut Vec<String>, user: &UserArgs, environment: &Environment) {
    // `k6 run` shows the script the pod's environment, the others by themselves do not.
    let said = user.inspect.iter().any(|arg| arg.starts_with("--include-system-env-vars="));
    if !said && !environment.contains_key("K6_INCLUDE_SYSTEM_ENV_VARS") {
        argv.push("--include-system-env-vars=true".to_owned());
    }
    if environment::no_thresholds(user, environment) {
        argv.push("--no-thresholds".to_owned());
    }
}

/// Arguments of `k6 run`: paused, driven through its REST API, its samples into its outlet.
pub fn run(run: &Run<'_>) -> Vec<String> {
    let mut argv = vec!["run".to_owned()];
    argv.extend(run.user.run.iter().cloned());
    argv.extend([
        "--paused".to_owned(),
        format!("--address=127.0.0.1:{}", run.port),
        "--linger".to_owned(),
        "--no-setup".to_owned(),
        "--no-teardown".to_owned(),
        "--no-thresholds".to_owned(),
        run.version.no_summary().to_owned(),
    ]);
    match run.outlet {
        Outlet::Pipe => argv.push(format!("--out=json={}", run.samples)),
        Outlet::Stdout => argv.extend(["--quiet".to_owned(), "--out=json".to_owned()]),
    }
    // Each instance writes the user's own outputs as well.
    for out in environment::outs(run.user, run.environment) {
        argv.push(format!("--out={out}"));
    }
    if run.instances > 1 {
        let segment = segment::of(run.instance_id, run.instances);
        argv.push(format!("--execution-segment={segment}"));
        let sequence = segment::sequence(run.instances);
        argv.push(format!("--execution-segment-sequence={sequence}"));
    }
    for (name, value) in run.tags {
        argv.push(format!("--tag={name}={value}"));
    }
    argv.push("--".to_owned());
    argv.push(run.bundle.to_owned());
    argv
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::k6::args::check;

    fn user(args: &[&str]) -> UserArgs {
        check(&args.iter().map(|arg| (*arg).to_owned()).collect::<Vec<_>>()).unwrap()
    }

    #[test]
    fn the_third_of_four_instances_gets_its_command_line() {
        let user = user(&["-e", "A=b", "--no-setup", "-o", "csv=x.csv", "--tag", "a=b", "-u2"]);
        let tags = BTreeMap::from([("instance_id".to_owned(), "3".to_owned())]);
        let argv = run(&Run {
            user: &user,
            environment: &Environment::new(),
            tags: &tags,
            version: &Version::parse("k6 v2.2.0"),
            instance_id: 3,
            instances: 4,
            port: 6565,
            outlet: Outlet::Pipe,
            samples: "/weir/work/samples",
            bundle: "/weir/work/bundle.tar",
        });
        assert_eq!(
            argv,
            [
                "run",
                "--env=A=b",
                "--vus=2",
                "--paused",
                "--address=127.0.0.1:6565",
                "--linger",
                "--no-setup",
                "--no-teardown",
                "--no-thresholds",
                "--summary-mode=disabled",
                "--out=json=/weir/work/samples",
                "--out=csv=x.csv",
                "--execution-segment=2/4:3/4",
                "--execution-segment-sequence=0,1/4,2/4,3/4,1",
                "--tag=instance_id=3",
                "--",
                "/weir/work/bundle.tar",
            ]
        );
    }

    #[test]
    fn a_single_instance_runs_without_segments_and_with_its_samples_alone_on_standard_output() {
        let argv = run(&Run {
            user: &UserArgs::default(),
            environment: &Environment::new(),
            tags: &BTreeMap::new(),
            version: &Version::parse("k6 v1.8.1"),
            instance_id: 1,
            instances: 1,
            port: 1,
            outlet: Outlet::Stdout,
            samples: "s",
            bundle: "t.tar",
        });
        assert!(!argv.iter().any(|arg| arg.contains("segment")));
        let has = |arg: &str| argv.iter().any(|one| one == arg);
        assert!(has("--summary-mode=disabled") && has("--quiet") && has("--out=json"), "{argv:?}");
    }

    #[test]
    fn the_archive_keeps_what_concerns_the_test_and_nothing_else() {
        let user = user(&["-e", "A=b", "--quiet", "-u2", "--type=js", "--rps", "5", "--tag=a=b"]);
        let argv = archive(&user, &Environment::new(), "t.js", "b.tar");
        assert_eq!(
            argv,
            [
                "archive",
                "--archive-out=b.tar",
                "--exclude-env-vars",
                "--env=A=b",
                "--vus=2",
                "--type=js",
                "--rps=5",
                "--include-system-env-vars=true",
                "--",
                "t.js",
            ]
        );
    }

    #[test]
    fn inspect_sees_the_environment_as_run_does() {
        let shows = |args: &[&str], environment: &Environment| {
            inspect(&user(args), environment, "t.js")
                .contains(&"--include-system-env-vars=true".to_owned())
        };
        assert!(shows(&[], &Environment::new()));
        assert!(!shows(&["--include-system-env-vars=false"], &Environment::new()));
        let said = ("K6_INCLUDE_SYSTEM_ENV_VARS".to_owned(), "false".to_owned());
        assert!(!shows(&[], &Environment::from([said])));
    }
}
