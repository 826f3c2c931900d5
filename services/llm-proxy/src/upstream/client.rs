//! HTTP towards one upstream: pooled HTTP/1.1 connections, its key, and bodies read with limits.
//!
//! Only the configured address is ever connected to: no redirect is followed and no address of a request is read. Dropping
//! a response, or the future that waits for one, closes its connection, which is how upstreams learn of a cancel.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, USER_AGENT};
use http::{HeaderMap, HeaderValue, Method, Request, Response, Uri};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls_platform_verifier::BuilderVerifierExt as _;

use super::Upstream;
use crate::config::UpstreamConfig;
use crate::failure::What;

pub(super) type Client = legacy::Client<HttpsConnector<HttpConnector>, Full<Bytes>>;

/// One request to an upstream.
#[derive(Debug, Clone)]
pub(crate) struct Outgoing {
    method: Method,
    /// As "/v1/models".
    path: String,
    body: Bytes,
    /// Besides the usual ones.
    pub(crate) headers: HeaderMap,
}

/// An upstream cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// The url cannot be used.
    #[error("url {0}")]
    Url(String),
    /// The key cannot be sent.
    #[error("the key has characters that no HTTP header may have")]
    Key,
    /// The variable that holds the key is gone.
    #[error("the variable {0} is not set")]
    KeyVariable(String),
    /// The authorities cannot be used.
    #[error("the authorities in {path} cannot be used")]
    Authorities {
        /// The file.
        path: PathBuf,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// TLS cannot be set up.
    #[error("TLS cannot be set up")]
    Tls(#[source] rustls::Error),
}

/// Python's servers close a connection that was quiet for five seconds; a request that meets that would fail.
const IDLE: Duration = Duration::from_secs(4);
const JSON: HeaderValue = HeaderValue::from_static("application/json");
const AGENT: HeaderValue = HeaderValue::from_static(concat!("polyphony/", env!("CARGO_PKG_VERSION")));
const ANY: HeaderValue = HeaderValue::from_static("*/*");

pub(super) fn build(config: &UpstreamConfig) -> Result<Client, SetupError> {
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    tcp.set_nodelay(true);
    tcp.set_connect_timeout(Some(config.connect_timeout.get()));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(SetupError::Tls)?;
    let tls = match &config.ca {
        Some(path) => builder
            .with_root_certificates(authorities(path)?)
            .with_no_client_auth(),
        None => builder
            .with_platform_verifier()
            .map_err(SetupError::Tls)?
            .with_no_client_auth(),
    };
    let connector = HttpsConnectorBuilder::new()
        .with_tls_config(tls)
        .https_or_http()
        .enable_http1()
        .wrap_connector(tcp);
    Ok(legacy::Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(IDLE)
        .pool_max_idle_per_host(config.max_in_flight)
        .build(connector))
}

fn authorities(path: &PathBuf) -> Result<rustls::RootCertStore, SetupError> {
    let wrong = |source: Box<dyn std::error::Error + Send + Sync>| SetupError::Authorities {
        path: path.clone(),
        source,
    };
    let mut roots = rustls::RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(path).map_err(|error| wrong(error.into()))? {
        let certificate = certificate.map_err(|error| wrong(error.into()))?;
        roots.add(certificate).map_err(|error| wrong(error.into()))?;
    }
    Ok(roots)
}

pub(super) fn authorization(config: &UpstreamConfig) -> Result<Option<HeaderValue>, SetupError> {
    let from_variable =
        |name: &String| std::env::var(name).map_err(|_| SetupError::KeyVariable(name.clone()));
    let key = match (&config.api_key, &config.api_key_env) {
        (Some(key), _) => Some(key.expose().clone()),
        (None, Some(name)) => Some(from_variable(name)?),
        (None, None) => None,
    };
    let header = |key: String| {
        let mut header =
            HeaderValue::try_from(format!("Bearer {}", key.trim())).map_err(|_| SetupError::Key)?;
        header.set_sensitive(true);
        Ok(header)
    };
    key.filter(|key| !key.trim().is_empty()).map(header).transpose()
}

// === impl Outgoing ===

impl Outgoing {
    pub(crate) fn new(method: Method, path: impl Into<String>, body: Bytes) -> Self {
        Self {
            method,
            path: path.into(),
            body,
            headers: HeaderMap::new(),
        }
    }

    pub(crate) fn get(path: &str) -> Self {
        Self::new(Method::GET, path, Bytes::new())
    }

    pub(crate) fn post(path: impl Into<String>, body: impl Into<Bytes>) -> Self {
        Self::new(Method::POST, path, body.into())
    }
}

// === impl Upstream ===

impl Upstream {
    /// Sends a request and waits for the head of its answer, whatever its status.
    pub(crate) async fn send(&self, outgoing: Outgoing) -> Result<Response<Incoming>, What> {
        let Outgoing {
            method,
            path,
            body,
            headers,
        } = outgoing;
        let uri = Uri::builder()
            .scheme(self.scheme.clone())
            .authority(self.authority.clone())
            .path_and_query(if self.path.is_empty() {
                path
            } else {
                format!("{}{path}", self.path)
            })
            .build()
            .map_err(|error| What::Connect(error.to_string()))?;
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = method;
        *request.uri_mut() = uri;
        let all = request.headers_mut();
        *all = headers;
        all.insert(USER_AGENT, AGENT);
        all.entry(ACCEPT).or_insert(ANY);
        if *request.method() == Method::POST {
            request.headers_mut().entry(CONTENT_TYPE).or_insert(JSON);
        }
        if let Some(authorization) = &self.authorization {
            request.headers_mut().insert(AUTHORIZATION, authorization.clone());
        }
        self.client.request(request).await.map_err(|error| {
            let why = roots(&error);
            if error.is_connect() {
                What::Connect(why)
            } else {
                What::Broke(why)
            }
        })
    }

    /// The whole body of an answer.
    pub(crate) async fn whole(&self, mut body: Incoming, most: usize) -> Result<Bytes, What> {
        let mut first: Option<Bytes> = None;
        let mut all = BytesMut::new();
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| What::Broke(roots(&error)))?;
            let Ok(data) = frame.into_data() else { continue };
            if all.len() + first.as_ref().map_or(0, Bytes::len) + data.len() > most {
                return Err(What::TooLong(most as u64));
            }
            // Nearly always it comes in one piece.
            match first.take() {
                None if all.is_empty() => first = Some(data),
                None => all.extend_from_slice(&data),
                Some(before) => {
                    all.extend_from_slice(&before);
                    all.extend_from_slice(&data);
                }
            }
        }
        Ok(first.unwrap_or_else(|| all.freeze()))
    }
}

/// An error with its causes, without what its causes say again.
pub(crate) fn roots(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let words = cause.to_string();
        if !text.contains(&words) {
            text.push_str(": ");
            text.push_str(&words);
        }
        source = cause.source();
    }
    text
}
