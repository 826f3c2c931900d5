//! The client's side: whom we trust, and who we are.

use std::fmt;
use std::sync::Arc;

use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::files::{Contents, Fresh};
use super::{Error, H2, Reload, provider};
use crate::config::ClientTlsConfig;

/// The client's TLS, as the files say at this moment. Clones share it; the files are looked at for as long as one lives.
#[derive(Clone)]
pub struct ClientTls {
    fresh: Arc<Fresh<rustls::ClientConfig>>,
    server_name: Option<ServerName<'static>>,
}

// === impl ClientTls ===

impl ClientTls {
    /// Reads the files, and keeps reading them in the background. Must be called within a Tokio runtime.
    ///
    /// # Errors
    /// When a file is unusable, or only one of certificate and key is given.
    pub fn load(config: &ClientTlsConfig) -> Result<Self, Error> {
        let mut paths = vec![config.ca.clone()];
        match (&config.cert, &config.key) {
            (Some(cert), Some(key)) => paths.extend([cert.clone(), key.clone()]),
            (None, None) => {}
            (Some(_), None) | (None, Some(_)) => {
                return Err(Error::Incomplete(
                    "tls.cert and tls.key are given together or not at all",
                ));
            }
        }
        let server_name = config.server_name.as_deref().map(parse_name).transpose()?;
        let fresh = Arc::new(Fresh::load(paths, config.reload_interval.get(), build)?);
        let (watched, interval) = (Arc::downgrade(&fresh), fresh.interval());
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(interval).await;
                let Some(fresh) = watched.upgrade() else { return };
                fresh.reload();
            }
        });
        Ok(Self { fresh, server_name })
    }

    /// Looks at the files now, without waiting for the interval.
    pub fn reload(&self) -> Reload {
        self.fresh.reload()
    }

    /// Greets the server at `host` over an open connection.
    ///
    /// # Errors
    /// When the name is none, or the handshake fails.
    pub async fn connect<I>(&self, host: &str, io: I) -> std::io::Result<TlsStream<I>>
    where
        I: AsyncRead + AsyncWrite + Unpin,
    {
        let name = match &self.server_name {
            Some(name) => name.clone(),
            None => parse_name(host).map_err(std::io::Error::other)?,
        };
        TlsConnector::from(self.fresh.current()).connect(name, io).await
    }
}

impl fmt::Debug for ClientTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientTls")
            .field("server_name", &self.server_name)
            .finish_non_exhaustive()
    }
}

fn parse_name(name: &str) -> Result<ServerName<'static>, Error> {
    // A URI writes an IPv6 address in brackets, a certificate does not.
    let bare = name.trim_start_matches('[').trim_end_matches(']');
    ServerName::try_from(bare.to_owned()).map_err(|_| Error::ServerName {
        name: name.to_owned(),
    })
}

/// Files: authorities, and for mTLS certificate and key.
fn build(contents: &Contents) -> Result<rustls::ClientConfig, Error> {
    let builder = rustls::ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])?
        .with_root_certificates(contents.roots(0)?);
    let mut config = if contents.has(1) {
        builder.with_client_auth_cert(contents.chain(1)?, contents.key(2)?)?
    } else {
        builder.with_no_client_auth()
    };
    config.alpn_protocols = vec![H2.to_vec()];
    Ok(config)
}
