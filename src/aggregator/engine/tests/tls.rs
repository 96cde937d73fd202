//! Sessions over TLS: an aggregator's certificate, and who dials it.

use std::net::SocketAddr;

use super::*;
use crate::io::{crypto, grpc::serve::Credentials, link::GrpcDialer};

/// What agents must show.
pub(super) const TOKEN: &str = "secret";

/// Those of a server on this machine, whose certificate is its own authority.
pub(super) fn credentials() -> Credentials {
    crypto::install();
    let own = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    Credentials {
        cert_pem: own.cert.pem(),
        key_pem: own.signing_key.serialize_pem(),
        token: TOKEN.to_owned(),
    }
}

/// Dials the server with these credentials, with a token of its own.
pub(super) fn dialer(address: SocketAddr, credentials: &Credentials, token: &str) -> Dialer {
    Dialer::Grpc(Arc::new(GrpcDialer {
        endpoints: vec![format!("https://localhost:{}", address.port())],
        service_domain: None,
        ca_pem: credentials.cert_pem.clone(),
        token: token.to_owned(),
    }))
}
