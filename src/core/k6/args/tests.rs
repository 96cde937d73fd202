use proptest::prelude::*;

use super::*;

fn list(args: &[&str]) -> Vec<String> {
    args.iter().map(|arg| (*arg).to_owned()).collect()
}

fn ok(args: &[&str]) -> UserArgs {
    check(&list(args)).unwrap()
}

fn error(args: &[&str]) -> String {
    check(&list(args)).unwrap_err().to_string()
}

#[test]
fn every_form_of_a_flag_is_read_alike() {
    let wanted = ok(&["--vus=10"]);
    for args in [&["--vus", "10"][..], &["-u10"], &["-u", "10"], &["-u=10"]] {
        assert_eq!(ok(args), wanted, "{args:?}");
    }
    assert_eq!(wanted.vus.as_deref(), Some("10"));
    assert_eq!(wanted.run, ["--vus=10"]);
}

#[test]
fn bundled_switches_end_in_a_flag_with_a_value() {
    let user = ok(&["-wqu", "5", "-qi=7"]);
    assert_eq!(
        user.run,
        ["--throw=true", "--quiet=true", "--vus=5", "--quiet=true", "--iterations=7"]
    );
}

#[test]
fn a_switch_takes_no_value_from_the_next_argument() {
    assert_eq!(error(&["--quiet", "false"]), ArgError::Positional("false".to_owned()).to_string());
    assert_eq!(ok(&["--quiet=false"]).run, ["--quiet=false"]);
    assert_eq!(ok(&["--http-debug"]).run, ["--http-debug=headers"]);
    assert_eq!(ok(&["--http-debug=full"]).run, ["--http-debug=full"]);
}

#[test]
fn a_value_may_look_like_a_flag() {
    assert_eq!(ok(&["--user-agent", "--paused"]).run, ["--user-agent=--paused"]);
    assert_eq!(ok(&["-e", "--", "-q"]).run, ["--env=--", "--quiet=true"]);
}

#[test]
fn weirs_own_flags_are_refused_in_every_form_with_a_remedy() {
    for args in [
        &["--paused"][..],
        &["-p"],
        &["-qp"],
        &["--paused=false"],
        &["--address", "x"],
        &["--address=:1"],
        &["-a", "x"],
        &["-ax"],
        &["--linger"],
        &["-l"],
        &["--execution-segment", "0:1/2"],
        &["--execution-segment=0:1/2"],
        &["--execution-segment-sequence=0,1"],
        &["-h"],
    ] {
        let error = check(&list(args)).unwrap_err();
        assert!(matches!(error, ArgError::Refused { .. }), "{args:?}: {error}");
    }
    assert_eq!(
        error(&["--execution-segment", "0:1/2"]),
        "spec.k6.args: --execution-segment cannot be set: Weir gives each instance its own segment; \
         set spec.parallelism instead"
    );
}

#[test]
fn a_script_among_the_arguments_is_refused() {
    for args in [&["test.js"][..], &["-u", "1", "test.js"], &["--", "test.js"], &["-"], &[""]] {
        assert!(matches!(check(&list(args)), Err(ArgError::Positional(_))), "{args:?}");
    }
    assert_eq!(ok(&["--"]), UserArgs::default());
}

#[test]
fn wishes_for_the_whole_run_are_kept_apart() {
    let user = ok(&[
        "--no-setup",
        "--no-teardown=false",
        "--no-thresholds",
        "--summary-mode=full",
        "--summary-export",
        "s.json",
        "--tag",
        "a=b=c",
        "-o",
        "csv=x",
        "--out=json",
    ]);
    assert!(user.run.is_empty() && user.inspect.is_empty());
    assert_eq!((user.no_setup, user.no_teardown), (Some(true), Some(false)));
    assert_eq!(user.no_thresholds, Some(true));
    assert_eq!(user.summary_mode.as_deref(), Some("full"));
    assert_eq!(user.summary_export.as_deref(), Some("s.json"));
    assert_eq!(user.tags, [("a".to_owned(), "b=c".to_owned())]);
    assert_eq!(user.outs, ["csv=x", "json"]);
    assert_eq!(ok(&["--no-summary"]).summary_mode.as_deref(), Some("disabled"));
}

#[test]
fn runtime_flags_reach_inspect_as_well() {
    let user = ok(&["-e", "A=b", "--compatibility-mode=base", "-c", "k6.json", "--rps", "5"]);
    assert_eq!(user.inspect, ["--env=A=b", "--compatibility-mode=base", "--config=k6.json"]);
    assert_eq!(user.run.len(), 4);
}

#[test]
fn an_unknown_flag_goes_to_k6_with_what_seems_its_value() {
    assert_eq!(
        ok(&["--new=1", "--newer", "2", "--newest", "-q"]).run,
        ["--new=1", "--newer", "2", "--newest", "--quiet=true"]
    );
    assert_eq!(ok(&["-qZ9"]).run, ["--quiet=true", "-Z9"]);
}

#[test]
fn what_k6_could_not_read_is_an_error() {
    assert_eq!(error(&["--vus"]), "spec.k6.args: --vus needs a value");
    assert_eq!(
        error(&["--tag", "x="]),
        "spec.k6.args: --tag: \"x=\" is not of the form name=value"
    );
    assert_eq!(
        error(&["--no-setup=maybe"]),
        "spec.k6.args: --no-setup: \"maybe\" is not true or false"
    );
    assert!(matches!(check(&list(&["---x"])), Err(ArgError::Syntax(_))));
    assert!(matches!(check(&list(&["--=x"])), Err(ArgError::Syntax(_))));
}

proptest! {
    #[test]
    fn any_arguments_are_read_without_panic(
        args in prop::collection::vec("(-{0,3}[a-z=é]{0,3}(=.{0,2})?|--vus|-u|--tag|--out|-qw|\\PC{0,4})", 0..6),
    ) {
        drop(check(&args));
    }

    #[test]
    fn no_flag_of_weirs_own_ever_reaches_k6(
        args in prop::collection::vec("(-q|-p|-qp|--paused|--linger|-l|-u1|--env|-e|--address=x|--vus=1|x)", 0..6),
    ) {
        if let Ok(user) = check(&args) {
            let own = ["--paused=", "--linger=", "--address="];
            prop_assert!(!user.run.iter().any(|arg| own.iter().any(|own| arg.starts_with(own))));
        }
    }
}
