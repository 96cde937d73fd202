//! What agents and aggregator prove themselves with.

use std::{collections::BTreeMap, fmt};

use k8s_openapi::{ByteString, api::core::v1::Secret};

use super::meta::child_meta;
use crate::core::lifecycle::seen::RunSeen;

/// Key of the certificate authority that agents trust.
pub const CA_KEY: &str = "ca.crt";
/// Key of the aggregator's certificate.
pub const CERT_KEY: &str = "tls.crt";
/// Key of the aggregator's private key.
pub const PRIVATE_KEY: &str = "tls.key";
/// Key of the token by which the aggregator knows the agents of its run.
pub const TOKEN_KEY: &str = "token";

/// Fresh random material of one run.
#[derive(Clone)]
pub struct Material {
    /// PEM of the certificate authority.
    pub ca_pem: String,
    /// PEM of the aggregator's certificate.
    pub cert_pem: String,
    /// PEM of its private key.
    pub key_pem: String,
    /// The token.
    pub token: String,
}

impl fmt::Debug for Material {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Material(…)")
    }
}

/// The run's Secret. It is created once and never read or changed by the operator.
pub fn secret(run: &RunSeen, material: Material) -> Secret {
    let Material { ca_pem, cert_pem, key_pem, token } = material;
    let data = [(CA_KEY, ca_pem), (CERT_KEY, cert_pem), (PRIVATE_KEY, key_pem), (TOKEN_KEY, token)];
    Secret {
        metadata: child_meta(run, run.name.clone(), None),
        immutable: Some(true),
        type_: Some("Opaque".to_owned()),
        data: Some(
            data.into_iter()
                .map(|(key, value)| (key.to_owned(), ByteString(value.into_bytes())))
                .collect::<BTreeMap<_, _>>(),
        ),
        ..Secret::default()
    }
}
