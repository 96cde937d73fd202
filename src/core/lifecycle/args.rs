//! The one place where the operator asks what the user's k6 arguments mean.

/// Flags that Weir itself gives to k6: a user's own would divide the load wrongly, or leave k6 deaf to the rally.
const REFUSED: [&str; 7] = [
    "--paused",
    "-p",
    "--address",
    "-a",
    "--linger",
    "--execution-segment",
    "--execution-segment-sequence",
];

/// Checks the arguments after `k6 run`.
///
/// # Errors
/// Names the argument that is refused, and why.
pub(super) fn check_args(args: &[String]) -> Result<(), String> {
    let names = args.iter().map(|arg| arg.split_once('=').map_or(arg.as_str(), |(name, _)| name));
    match names.into_iter().find(|name| REFUSED.contains(name)) {
        Some(name) => Err(format!("{name} is set by Weir for each instance; remove it")),
        None => Ok(()),
    }
}
