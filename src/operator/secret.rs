//! The random material of a run: a certificate authority of its own, one certificate, one token.

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};

use super::error::Error;
use crate::core::lifecycle::{
    build::{secret::Material, service::host_names},
    seen::RunSeen,
};

/// Bytes of a token: 256 bits cannot be guessed.
const TOKEN_BYTES: usize = 32;

/// Makes the material of one run. The authority's key is dropped here, so that nobody can sign a second certificate.
pub(super) fn material(run: &RunSeen) -> Result<Material, Error> {
    let mut ca = CertificateParams::new(Vec::<String>::new()).map_err(Error::Certificate)?;
    ca.distinguished_name.push(DnType::CommonName, "Weir, of one run");
    ca.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    ca.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    let ca_key = KeyPair::generate().map_err(Error::Certificate)?;
    let ca_cert = ca.self_signed(&ca_key).map_err(Error::Certificate)?;

    let names = host_names(run).to_vec();
    let mut leaf = CertificateParams::new(names).map_err(Error::Certificate)?;
    leaf.distinguished_name.push(DnType::CommonName, "aggregator");
    leaf.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    leaf.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let leaf_key = KeyPair::generate().map_err(Error::Certificate)?;
    let issuer = Issuer::new(ca, ca_key);
    let leaf_cert = leaf.signed_by(&leaf_key, &issuer).map_err(Error::Certificate)?;

    Ok(Material {
        ca_pem: ca_cert.pem(),
        cert_pem: leaf_cert.pem(),
        key_pem: leaf_key.serialize_pem(),
        token: token()?,
    })
}

fn token() -> Result<String, Error> {
    let mut bytes = [0_u8; TOKEN_BYTES];
    let provider = rustls::crypto::ring::default_provider();
    provider.secure_random.fill(&mut bytes).map_err(|_| Error::Random)?;
    Ok(hex::encode(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::lifecycle::build::service::writer_endpoints;

    #[test]
    fn two_runs_share_nothing_and_no_secret_is_printed() {
        let run =
            RunSeen { namespace: "shop".into(), name: "checkout-1".into(), ..RunSeen::default() };
        let (a, b) = (material(&run).unwrap(), material(&run).unwrap());
        assert_eq!(a.token.len(), 64);
        assert_ne!(a.token, b.token);
        assert_ne!(a.ca_pem, b.ca_pem);
        assert!(a.key_pem.contains("PRIVATE KEY"));
        assert!(!format!("{a:?}").contains(&a.token));
    }

    #[test]
    fn a_client_that_trusts_only_the_runs_authority_accepts_the_runs_host_names() {
        use rustls::pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject};

        let run =
            RunSeen { namespace: "shop".into(), name: "checkout-1".into(), ..RunSeen::default() };
        let made = material(&run).unwrap();
        let other = material(&run).unwrap();
        let verify = |ca: &str, host: &str| {
            let mut roots = rustls::RootCertStore::empty();
            roots.add(CertificateDer::from_pem_slice(ca.as_bytes()).unwrap()).unwrap();
            let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
            let verifier =
                rustls::client::WebPkiServerVerifier::builder_with_provider(roots.into(), provider)
                    .build()
                    .unwrap();
            let cert = CertificateDer::from_pem_slice(made.cert_pem.as_bytes()).unwrap();
            let name = ServerName::try_from(host.to_owned()).unwrap();
            rustls::client::danger::ServerCertVerifier::verify_server_cert(
                verifier.as_ref(),
                &cert,
                &[],
                &name,
                &[],
                UnixTime::now(),
            )
            .is_ok()
        };
        assert!(verify(&made.ca_pem, "checkout-1.shop.svc"));
        assert!(verify(&made.ca_pem, "checkout-1.shop.svc.cluster.local"));
        assert!(verify(&made.ca_pem, "checkout-1-pods.shop.svc"));
        for endpoint in writer_endpoints(&run, 3) {
            let host = endpoint.trim_start_matches("https://").split(':').next().unwrap();
            assert!(verify(&made.ca_pem, host), "{host}");
            assert!(verify(&made.ca_pem, &format!("{host}.cluster.local")), "{host}");
        }
        assert!(!verify(&made.ca_pem, "checkout-2-writer-0.checkout-2-writers.shop.svc"));
        assert!(!verify(&made.ca_pem, "checkout-2.shop.svc"));
        assert!(!verify(&other.ca_pem, "checkout-1.shop.svc"));
    }
}
