//! The ConfigMap that the aggregator fills.

use k8s_openapi::api::core::v1::ConfigMap;

use super::meta::{Child, Kind, child, child_meta, result_name};
use crate::{api::labels, core::lifecycle::seen::RunSeen};

/// The result ConfigMap without data: the data is the aggregator's, which may patch this one object and make none.
pub fn result(run: &RunSeen) -> Child {
    let name = result_name(&run.name);
    let object = ConfigMap {
        metadata: child_meta(run, name.clone(), Some(labels::ROLE_RESULT)),
        ..ConfigMap::default()
    };
    child(Kind::ConfigMap, name, object)
}
