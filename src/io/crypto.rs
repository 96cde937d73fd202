//! One provider of cryptography for every TLS stack in the process.

/// Makes ring the process's provider. A second call changes nothing.
pub fn install() {
    if rustls::crypto::ring::default_provider().install_default().is_err() {
        tracing::debug!("a provider is installed already");
    }
}
