//! The names that agents dial.

use k8s_openapi::api::core::v1::{Service, ServicePort, ServiceSpec};

use super::meta::{Child, Kind, child, child_labels, child_meta, writer_name};
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
    let of = |name, cluster_ip| service(run, name, labels::ROLE_AGGREGATOR, cluster_ip);
    [of(run.name.clone(), None), of(pods_name(run), Some("None"))]
}

/// The Service that gives each writer a name: only agents whose samples a pod writes dial it, so no other will do.
pub fn of_writers(run: &RunSeen) -> Child {
    service(run, writers_name(run), labels::ROLE_WRITER, Some("None"))
}

fn service(run: &RunSeen, name: String, role: &str, cluster_ip: Option<&str>) -> Child {
    let object = Service {
        metadata: child_meta(run, name.clone(), Some(role)),
        spec: Some(ServiceSpec {
            cluster_ip: cluster_ip.map(str::to_owned),
            publish_not_ready_addresses: Some(true),
            selector: Some(
                child_labels(run, Some(role))
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
}

/// Name of the headless one.
fn pods_name(run: &RunSeen) -> String {
    format!("{}-pods", run.name)
}

/// Name of the one of the writers.
pub(super) fn writers_name(run: &RunSeen) -> String {
    format!("{}-writers", run.name)
}

/// The names under which agents reach the aggregator and the writers; the certificate is for all.
pub fn host_names(run: &RunSeen) -> [String; 6] {
    let [pods, own] = hosts(run);
    let full = |host: &str| format!("{host}.cluster.local");
    let writers = format!("*.{}.{}.svc", writers_name(run), run.namespace);
    [full(&pods), full(&own), full(&writers), pods, own, writers]
}

/// Where agents dial, in this order.
pub fn endpoints(run: &RunSeen) -> [String; 2] {
    hosts(run).map(|host| format!("https://{host}:{SESSION_PORT}"))
}

/// Where agents dial the writers: replica 1 of the aggregator and so on.
pub fn writer_endpoints(run: &RunSeen, writers: u32) -> Vec<String> {
    let (job, domain) = (writer_name(&run.name), writers_name(run));
    let host = |index: u32| format!("{job}-{index}.{domain}.{}.svc", run.namespace);
    (0..writers).map(|index| format!("https://{}:{SESSION_PORT}", host(index))).collect()
}

fn hosts(run: &RunSeen) -> [String; 2] {
    [pods_name(run), run.name.clone()].map(|name| format!("{name}.{}.svc", run.namespace))
}
