//! The one place where the operator asks what the user's k6 arguments mean.

use crate::core::k6::args;

/// Checks the arguments after `k6 run`.
///
/// # Errors
/// Names the argument that is refused, and why; the field's name stands before it already.
pub(super) fn check_args(args: &[String]) -> Result<(), String> {
    args::check(args).map(drop).map_err(|error| {
        let text = error.to_string();
        text.strip_prefix("spec.k6.args: ").unwrap_or(&text).to_owned()
    })
}
