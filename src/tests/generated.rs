//! Generated files are committed, so that a change of the API is seen in review. `UPDATE=1 cargo test` rewrites them.

use std::{fs, path::Path};

#[test]
fn the_crds_in_the_repository_are_the_ones_the_binary_prints() {
    for (name, text) in crate::cli::crds::files().unwrap() {
        same(&format!("crds/{name}"), &text);
    }
}

fn same(file: &str, expected: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
    if std::env::var_os("UPDATE").is_some() {
        fs::write(&path, expected).unwrap();
    }
    let found = fs::read_to_string(&path).unwrap_or_default();
    assert!(found == expected, "{file} is stale: run `make generate`");
}
