//! The names that agents dial.

use k8s_openapi::api::core::v1::{Service, ServicePort, ServiceSpec};

use super::meta::{Child, Kind, child, child_labels, child_meta};
use crate::{
    api::labels,
    core::{lifecycle::seen::RunSeen, plan::SESSION_PORT},
};

/// The Services of the aggregator: one with an address of its own, and a headless one that names the pod. The headless
/// one is the faster, since nothing has to be laid on the nodes first. But until there is a pod its name is unknown, and
/// an agent that was told so once is told so for as long as the cluster's DNS remembers (5 s with CoreDNS); the other's
/// name is known before any pod. Both lead to pods that are not ready too: an agent that cannot be served yet dials again,
/// and readiness would only add its own delay.
pub fn services(run: &RunSeen) -> [Child; 2] {
    let of = |name: String, cluster_ip: Option<&str>| {
        let object = Service {
            metadata: child_meta(run, name.clone(), Some(labels::ROLE_AGGREGATOR)),
            spec: Some(ServiceSpec {
                cluster_ip: cluster_ip.map(str::to_owned),
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
        child(Kind::Service, name, object)
    };
    [of(run.name.clone(), None), of(pods_name(run), Some("None"))]
}

/// Name of the headless one.
fn pods_name(run: &RunSeen) -> String {
    format!("{}-pods", run.name)
}

/// The names under which agents reach the aggregator; the certificate is for all.
pub fn host_names(run: &RunSeen) -> [String; 4] {
    let [pods, own] = hosts(run);
    let full = |host: &str| format!("{host}.cluster.local");
    [full(&pods), full(&own), pods, own]
}

/// Where agents dial, in this order.
pub fn endpoints(run: &RunSeen) -> [String; 2] {
    hosts(run).map(|host| format!("https://{host}:{SESSION_PORT}"))
}

fn hosts(run: &RunSeen) -> [String; 2] {
    [pods_name(run), run.name.clone()].map(|name| format!("{name}.{}.svc", run.namespace))
}
