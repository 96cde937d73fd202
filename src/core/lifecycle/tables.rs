//! Which outputs may write to one table.

use std::collections::BTreeMap;

use super::valid::Errors;
use crate::api::v1alpha1::{Output, TimestreamMode};

/// Rows of two forms cannot share a table: a dimension of one may not be called as a column of the other.
pub(super) fn check(outputs: &[Output], errors: &mut Errors) {
    let mut modes: BTreeMap<_, TimestreamMode> = BTreeMap::new();
    for (at, timestream) in
        outputs.iter().enumerate().filter_map(|(at, o)| Some((at, o.timestream.as_ref()?)))
    {
        let to = (&timestream.region, &timestream.endpoint_url);
        let table = (to, &timestream.database_name, &timestream.table_name);
        if *modes.entry(table).or_insert(timestream.mode) != timestream.mode {
            let field = format!("spec.outputs[{at}].timestream.tableName");
            errors.add(
                &field,
                "another output writes rows of another mode to it; give each mode its own table",
            );
        }
    }
}
