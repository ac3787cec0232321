//! The one TLS set-up of the house: rustls with ring and Mozilla's roots.

use rustls::{ClientConfig, RootCertStore, pki_types::CertificateDer};
use std::sync::Arc;

/// TLS 1.2 and 1.3, Mozilla's root certificates, no client certificate.
pub fn client_config() -> Arc<ClientConfig> {
    with_roots(webpki_roots::TLS_SERVER_ROOTS.iter().cloned().collect())
}

/// Trusts only these roots: for a private authority.
pub fn client_config_trusting(
    roots: impl IntoIterator<Item = CertificateDer<'static>>,
) -> Result<Arc<ClientConfig>, rustls::Error> {
    let mut store = RootCertStore::empty();
    for root in roots {
        store.add(root)?;
    }
    Ok(with_roots(store))
}

fn with_roots(roots: RootCertStore) -> Arc<ClientConfig> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("BUG: ring's provider offers the default protocol versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    Arc::new(config)
}
