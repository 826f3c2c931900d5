//! TCP and, for `https`, TLS from files that may change.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use http::Uri;
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tower::Service;

use crate::tls::ClientTls;

/// Opens connections.
#[derive(Debug, Clone)]
pub(super) struct Connector {
    tls: Option<ClientTls>,
    timeout: Duration,
}

/// A connection, encrypted or not.
pub(super) type Io = TokioIo<Pin<Box<dyn Stream>>>;

pub(super) trait Stream: AsyncRead + AsyncWrite + Send {}

impl<T: AsyncRead + AsyncWrite + Send> Stream for T {}

// === impl Connector ===

impl Connector {
    /// Each connection, TLS included, is made within `timeout`.
    pub(super) fn new(tls: Option<ClientTls>, timeout: Duration) -> Self {
        Self { tls, timeout }
    }
}

impl Service<Uri> for Connector {
    type Response = Io;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Io>> + Send>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let (tls, limit) = (self.tls.clone(), self.timeout);
        Box::pin(async move {
            match timeout(limit, open(tls, uri)).await {
                Ok(opened) => opened,
                Err(_) => Err(io::Error::new(
                    io::ErrorKind::TimedOut,
                    "no connection within the time",
                )),
            }
        })
    }
}

async fn open(tls: Option<ClientTls>, uri: Uri) -> io::Result<Io> {
    let host = uri.host().unwrap_or_default();
    let port = match (uri.port_u16(), &tls) {
        (Some(port), _) => port,
        (None, Some(_)) => 443,
        (None, None) => 80,
    };
    // The brackets of an IPv6 address belong to the URI.
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let tcp = TcpStream::connect((bare, port)).await?;
    tcp.set_nodelay(true)?;
    let stream: Pin<Box<dyn Stream>> = match tls {
        Some(tls) => Box::pin(tls.connect(host, tcp).await?),
        None => Box::pin(tcp),
    };
    Ok(TokioIo::new(stream))
}

impl Connection for Pin<Box<dyn Stream>> {
    fn connected(&self) -> Connected {
        Connected::new()
    }
}
