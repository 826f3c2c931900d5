//! Who is at the other end of a connection, as request extensions carry it.

use std::net::SocketAddr;
use std::sync::Arc;

use rustls::pki_types::CertificateDer;

/// The other end. In the extensions of every request.
#[derive(Debug, Clone)]
pub struct Peer {
    /// Its address; a proxy's, if one is between.
    pub addr: SocketAddr,
    /// What its verified certificate says, with mTLS.
    pub identity: Option<Arc<Identity>>,
}

/// The names in a verified certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// URI names, SPIFFE ids among them.
    pub uris: Vec<String>,
    /// DNS names.
    pub dns: Vec<String>,
}

// === impl Identity ===

impl Identity {
    /// The names of a certificate, `None` if it is not X.509. Verifies nothing: give it the leaf of a verified chain.
    pub(crate) fn of(leaf: &CertificateDer<'_>) -> Option<Self> {
        let cert = webpki::EndEntityCert::try_from(leaf).ok()?;
        Some(Self {
            uris: cert.valid_uri_names().map(str::to_owned).collect(),
            dns: cert.valid_dns_names().map(str::to_owned).collect(),
        })
    }

    /// The SPIFFE id, if there is exactly one, as the SPIFFE X.509-SVID standard demands.
    pub fn spiffe(&self) -> Option<&str> {
        let mut ids = self.uris.iter().filter(|uri| uri.starts_with("spiffe://"));
        ids.next().filter(|_| ids.next().is_none()).map(String::as_str)
    }

    /// Whether one of its names is in the list.
    pub(crate) fn is_among(&self, allowed: &[String]) -> bool {
        let spiffe = self.spiffe();
        let by_dns = |name: &String| self.dns.iter().any(|dns| dns.eq_ignore_ascii_case(name));
        allowed.iter().any(|name| spiffe == Some(name) || by_dns(name))
    }
}
