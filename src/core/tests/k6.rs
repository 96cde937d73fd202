//! The real k6.

use std::{env, path::PathBuf};

/// The k6 2.x of the tests: `WEIR_K6`, or `k6` on PATH.
pub(crate) fn k6() -> PathBuf {
    let on_path = || {
        let path = env::var_os("PATH")?;
        env::split_paths(&path).map(|dir| dir.join("k6")).find(|file| file.is_file())
    };
    named("WEIR_K6").or_else(on_path).unwrap_or_else(|| missing("WEIR_K6", "k6"))
}

/// The k6 1.x of the tests: `WEIR_K6_V1`.
pub(crate) fn k6_v1() -> PathBuf {
    named("WEIR_K6_V1").unwrap_or_else(|| missing("WEIR_K6_V1", "k6-v1"))
}

fn named(variable: &str) -> Option<PathBuf> {
    env::var_os(variable).map(PathBuf::from).filter(|file| file.is_file())
}

fn missing(variable: &str, tool: &str) -> ! {
    panic!(
        "these tests need k6: set {variable} to it, for example to what `e2e/tools/get {tool}` prints"
    )
}
