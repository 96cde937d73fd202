//! Names of Services as the cluster's DNS knows them.

use std::{fs, io, path::Path};

/// Where a pod is told how to look up names.
pub const RESOLV_CONF: &str = "/etc/resolv.conf";

/// The domain of Services on this cluster, such as `svc.cluster.local`; none outside of a cluster.
///
/// # Errors
/// When the file cannot be read.
pub fn service_domain(resolv_conf: &Path) -> io::Result<Option<String>> {
    Ok(service_domain_of(&fs::read_to_string(resolv_conf)?))
}

/// The kubelet gives every pod a search list with `NAMESPACE.svc.DOMAIN` and `svc.DOMAIN`; the last list counts.
fn service_domain_of(text: &str) -> Option<String> {
    let search = text.lines().rev().find_map(|line| line.trim().strip_prefix("search"))?;
    let domain = search.split_whitespace().find(|domain| domain.starts_with("svc."))?;
    Some(domain.trim_end_matches('.').to_owned())
}

/// The whole name of a Service named `NAME.NAMESPACE.svc`, with the dot at its end that says so. Names that are searched
/// for are asked for as they stand too, and where no server answers for those, a resolver waits its whole time
/// (musl's: 5 s) though the Service is there by then.
pub fn whole_name(host: &str, service_domain: Option<&str>) -> String {
    match (host.strip_suffix(".svc"), service_domain) {
        (Some(service), Some(domain)) => format!("{service}.{domain}."),
        _ => host.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OF_A_POD: &str = "# by the kubelet\nsearch shop.svc.k8s.example svc.k8s.example k8s.example corp\nnameserver 10.96.0.10\noptions ndots:5\n";

    #[test]
    fn a_service_is_asked_for_by_its_whole_name() {
        let domain = service_domain_of(OF_A_POD);
        assert_eq!(domain.as_deref(), Some("svc.k8s.example"));
        let whole = |host| whole_name(host, domain.as_deref());
        assert_eq!(whole("checkout-1.shop.svc"), "checkout-1.shop.svc.k8s.example.");
        for other in ["localhost", "example.com", "checkout-1", "198.18.0.7", ""] {
            assert_eq!(whole(other), other);
        }
    }

    #[test]
    fn without_a_cluster_names_stay_as_they_are() {
        for text in ["", "nameserver 127.0.0.53\n", "search corp\n", "search\n", "options ndots:5"]
        {
            assert_eq!(service_domain_of(text), None, "{text}");
        }
        assert_eq!(whole_name("checkout-1.shop.svc", None), "checkout-1.shop.svc");
        assert_eq!(service_domain_of("search svc.a\nsearch svc.b\n").as_deref(), Some("svc.b"));
    }
}
