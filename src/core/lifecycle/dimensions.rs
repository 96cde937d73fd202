//! What the `dimensions` of an output must be.

use std::collections::BTreeSet;

use super::valid::Errors;
use crate::{api::v1alpha1::Dimensions, core::dimensions::ALWAYS};

/// Most names in a list of dimensions, as the CRD bounds them.
const DIMENSION_NAMES_MAX: usize = 128;
/// Longest of them.
const DIMENSION_NAME_BYTES_MAX: usize = 256;

/// Names what is wrong with the `dimensions` at `path`.
pub(super) fn check_dimensions(dimensions: &Dimensions, path: &str, errors: &mut Errors) {
    if dimensions.include.is_some() && dimensions.exclude.is_some() {
        errors.add(path, "set include or exclude, not both");
    }
    let lists = [("include", &dimensions.include), ("exclude", &dimensions.exclude)];
    for (field, names) in lists.into_iter().filter_map(|(f, n)| Some((f, n.as_ref()?))) {
        let field = format!("{path}.{field}");
        if names.len() > DIMENSION_NAMES_MAX {
            errors.add(&field, &format!("must have at most {DIMENSION_NAMES_MAX} names"));
        }
        let mut seen = BTreeSet::new();
        for name in names {
            if name.is_empty() || name.len() > DIMENSION_NAME_BYTES_MAX {
                errors.add(
                    &field,
                    &format!("{name:?} must have 1 to {DIMENSION_NAME_BYTES_MAX} bytes"),
                );
            }
            if !seen.insert(name) {
                errors.add(&field, &format!("{name} is given twice"));
            }
        }
    }
    let excluded = dimensions.exclude.iter().flatten();
    for name in excluded.filter(|name| ALWAYS.contains(&name.as_str())) {
        errors.add(
            &format!("{path}.exclude"),
            &format!("{name} tells the rows of instances and runs apart and stays"),
        );
    }
}
