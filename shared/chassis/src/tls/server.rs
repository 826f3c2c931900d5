//! The server's side: our certificate, and the clients that are let in.

use std::fmt;
use std::sync::Arc;

use rustls::client::danger::HandshakeSignatureValid;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{CertificateError, DigitallySignedStruct, DistinguishedName, SignatureScheme};

use super::files::{Contents, Fresh};
use super::{Error, H2, HTTP_1_1, Reload, provider};
use crate::config::TlsConfig;
use crate::peer::Identity;

/// The server's TLS, as the files say at this moment. Clones share it.
#[derive(Clone)]
pub struct ServerTls {
    fresh: Arc<Fresh<rustls::ServerConfig>>,
}

/// Lets in whoever the authorities signed *and* the list names.
#[derive(Debug)]
struct Named {
    signed: Arc<dyn ClientCertVerifier>,
    allowed: Vec<String>,
}

// === impl ServerTls ===

impl ServerTls {
    /// Reads the files. `http1` also offers HTTP/1.1, for a server at the edge.
    ///
    /// # Errors
    /// When a file is unusable, or the key is not the certificate's.
    pub fn load(config: &TlsConfig, http1: bool) -> Result<Self, Error> {
        if config.client_ca.is_none() && !config.allowed_clients.is_empty() {
            return Err(Error::Incomplete(
                "tls.allowed_clients needs tls.client_ca, the authorities that vouch for those names",
            ));
        }
        let mut paths = vec![config.cert.clone(), config.key.clone()];
        paths.extend(config.client_ca.clone());
        let allowed = config.allowed_clients.clone();
        let mutual = config.client_ca.is_some();
        let build = move |contents: &Contents| build(contents, mutual, &allowed, http1);
        Ok(Self {
            fresh: Arc::new(Fresh::load(paths, config.reload_interval.get(), build)?),
        })
    }

    /// What the next connection is greeted with.
    pub fn current(&self) -> Arc<rustls::ServerConfig> {
        self.fresh.current()
    }

    /// Looks at the files now, without waiting for the interval.
    pub fn reload(&self) -> Reload {
        self.fresh.reload()
    }

    /// Looks at the files at every interval, for as long as it is polled; the accept loop does.
    pub async fn keep_fresh(&self) {
        match self.fresh.keep().await {}
    }
}

impl fmt::Debug for ServerTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerTls").finish_non_exhaustive()
    }
}

/// Files: certificate, key, and with `mutual` the authorities.
fn build(
    contents: &Contents,
    mutual: bool,
    allowed: &[String],
    http1: bool,
) -> Result<rustls::ServerConfig, Error> {
    let provider = provider();
    let builder = rustls::ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])?;
    let builder = if mutual {
        let roots = Arc::new(contents.roots(2)?);
        let signed = WebPkiClientVerifier::builder_with_provider(roots, provider)
            .build()
            .map_err(|source| Error::Verifier {
                path: contents.path(2).to_owned(),
                source,
            })?;
        if allowed.is_empty() {
            builder.with_client_cert_verifier(signed)
        } else {
            builder.with_client_cert_verifier(Arc::new(Named {
                signed,
                allowed: allowed.to_vec(),
            }))
        }
    } else {
        builder.with_no_client_auth()
    };
    let mut config = builder.with_single_cert(contents.chain(0)?, contents.key(1)?)?;
    config.alpn_protocols = vec![H2.to_vec()];
    if http1 {
        config.alpn_protocols.push(HTTP_1_1.to_vec());
    }
    Ok(config)
}

// === impl Named ===

impl ClientCertVerifier for Named {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.signed.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        let verified = self.signed.verify_client_cert(leaf, intermediates, now)?;
        match Identity::of(leaf) {
            Some(identity) if identity.is_among(&self.allowed) => Ok(verified),
            _ => Err(CertificateError::ApplicationVerificationFailure.into()),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.signed.verify_tls12_signature(message, cert, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.signed.verify_tls13_signature(message, cert, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.signed.supported_verify_schemes()
    }
}
