//! The name that agents dial.

use k8s_openapi::api::core::v1::{Service, ServicePort, ServiceSpec};

use super::meta::{Child, Kind, child, child_labels, child_meta};
use crate::{
    api::labels,
    core::{lifecycle::seen::RunSeen, plan::SESSION_PORT},
};

/// The headless Service of the aggregator. It answers with pods that are not ready too: an agent that cannot be
/// served yet dials again, and readiness would only add its own delay.
pub fn service(run: &RunSeen) -> Child {
    let object = Service {
        metadata: child_meta(run, run.name.clone(), Some(labels::ROLE_AGGREGATOR)),
        spec: Some(ServiceSpec {
            cluster_ip: Some("None".to_owned()),
            publish_not_ready_addresses: Some(true),
            selector: Some(
                child_labels(run, Some(labels::ROLE_AGGREGATOR))
                    .into_iter()
                    .filter(|(key, _)| [labels::RUN_UID, labels::ROLE].contains(&key.as_str()))
                    .collect(),
            ),
            ports: Some(vec![ServicePort {
                name: Some("session".to_owned()),
                port: i32::from(SESSION_PORT),
                protocol: Some("TCP".to_owned()),
                ..ServicePort::default()
            }]),
            ..ServiceSpec::default()
        }),
        ..Service::default()
    };
    child(Kind::Service, run.name.clone(), object)
}

/// The names under which agents reach the aggregator: the first is dialled, the certificate is for all.
pub fn host_names(run: &RunSeen) -> [String; 2] {
    let host = format!("{}.{}.svc", run.name, run.namespace);
    let full = format!("{host}.cluster.local");
    [host, full]
}

/// Where agents dial.
pub fn endpoint(run: &RunSeen) -> String {
    let [host, _] = host_names(run);
    format!("https://{host}:{SESSION_PORT}")
}
