//! The life of one connection: handshake, calls, goodbye.

use std::future::{Future, pending};
use std::hash::{BuildHasher, RandomState};
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Buf;
use http::{Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tonic::transport::server::TcpConnectInfo;

use super::progress::Counted;
use super::tasks::Tasks;
use crate::BoxError;
use crate::config::ConnectionConfig;
use crate::drain::Drain;
use crate::metrics::{self, Closed};
use crate::peer::{Identity, Peer};
use crate::tls::ServerTls;

/// What all connections of a server have in common.
pub(super) struct Connections {
    config: Arc<ConnectionConfig>,
    http1: bool,
    tls: Option<ServerTls>,
    stages: Drain,
    tasks: Tasks,
}

/// A connection that has not sent so much has not begun: no request of either HTTP is shorter than the h2 preface.
const PREFACE: u64 = 24;

// === impl Connections ===

impl Connections {
    pub(super) fn new(
        config: ConnectionConfig,
        http1: bool,
        tls: Option<ServerTls>,
        stages: Drain,
        tasks: Tasks,
    ) -> Self {
        Self {
            config: Arc::new(config),
            http1,
            tls,
            stages,
            tasks,
        }
    }

    /// Serves one connection to its end.
    pub(super) fn serve<S, B>(
        &self,
        stream: TcpStream,
        addr: SocketAddr,
        service: S,
    ) -> impl Future<Output = ()> + Send + use<S, B>
    where
        S: Service<Request<Incoming>, Response = Response<B>> + Send + 'static,
        S::Future: Send + 'static,
        S::Error: Into<BoxError>,
        B: Body + Send + 'static,
        B::Data: Buf + Send,
        B::Error: Into<BoxError>,
    {
        let tls = self.tls.as_ref().map(ServerTls::current);
        let one = One {
            config: Arc::clone(&self.config),
            http1: self.http1,
            stages: self.stages.clone(),
            streams: self.tasks.child(),
        };
        async move {
            let open = metrics::connection_opened();
            let closed = one.greet(stream, addr, tls, service).await;
            open.closed(closed);
            tracing::debug!(peer = %addr, ?closed, "connection closed");
        }
    }
}

/// One connection.
struct One {
    config: Arc<ConnectionConfig>,
    http1: bool,
    stages: Drain,
    streams: Tasks,
}

// === impl One ===

impl One {
    /// The TLS handshake, if any, then HTTP.
    async fn greet<S, B>(
        &self,
        stream: TcpStream,
        addr: SocketAddr,
        tls: Option<Arc<rustls::ServerConfig>>,
        service: S,
    ) -> Closed
    where
        S: Service<Request<Incoming>, Response = Response<B>> + Send + 'static,
        S::Future: Send + 'static,
        S::Error: Into<BoxError>,
        B: Body + Send + 'static,
        B::Data: Buf + Send,
        B::Error: Into<BoxError>,
    {
        let local = stream.local_addr().ok();
        let Some(tls) = tls else {
            let peer = Peer { addr, identity: None };
            return Box::pin(self.speak(stream, peer, local, service)).await;
        };
        let handshake = TlsAcceptor::from(tls).accept(stream);
        let stream = tokio::select! {
            // Nothing of ours is lost with a peer that is still introducing itself.
            () = self.stages.closing() => return Closed::Drained,
            accepted = timeout(self.config.handshake_timeout.get(), handshake) => match accepted {
                Ok(Ok(stream)) => stream,
                Ok(Err(error)) => {
                    tracing::debug!(peer = %addr, %error, "TLS handshake failed");
                    return Closed::TlsRefused;
                }
                Err(_) => return Closed::HandshakeTimeout,
            },
        };
        let leaf = stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
        let identity = leaf.and_then(Identity::of).map(Arc::new);
        Box::pin(self.speak(stream, Peer { addr, identity }, local, service)).await
    }

    /// HTTP until either side ends it.
    async fn speak<I, S, B>(&self, io: I, peer: Peer, local: Option<SocketAddr>, service: S) -> Closed
    where
        I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
        S: Service<Request<Incoming>, Response = Response<B>> + Send + 'static,
        S::Future: Send + 'static,
        S::Error: Into<BoxError>,
        B: Body + Send + 'static,
        B::Data: Buf + Send,
        B::Error: Into<BoxError>,
    {
        let (io, read) = Counted::new(io);
        let info = TcpConnectInfo {
            local_addr: local,
            remote_addr: Some(peer.addr),
        };
        let introduced = service_fn(move |mut request: Request<Incoming>| {
            request.extensions_mut().insert(peer.clone());
            request.extensions_mut().insert(info.clone());
            service.call(request)
        });
        let builder = self.builder();
        let mut connection = pin!(builder.serve_connection(TokioIo::new(io), introduced));
        let mut preface = pin!(sleep(self.config.handshake_timeout.get()));
        let mut age = pin!(after(jittered(self.config.max_age.get())));
        let (mut begun, mut leaving) = (false, false);
        loop {
            tokio::select! {
                served = connection.as_mut() => return match served {
                    Ok(()) if leaving => Closed::Drained,
                    Ok(()) => Closed::ByPeer,
                    Err(error) => {
                        tracing::debug!(error = %polyphony_error::chain(&*error), "connection failed");
                        Closed::Failed
                    }
                },
                () = preface.as_mut(), if !begun => {
                    begun = true;
                    if read.bytes() < PREFACE {
                        return Closed::HandshakeTimeout;
                    }
                }
                () = self.stages.closing(), if !leaving => {
                    leaving = true;
                    if read.bytes() < PREFACE {
                        return Closed::Drained;
                    }
                    connection.as_mut().graceful_shutdown();
                }
                () = age.as_mut(), if !leaving => {
                    leaving = true;
                    connection.as_mut().graceful_shutdown();
                }
            }
        }
    }

    fn builder(&self) -> auto::Builder<Tasks> {
        let config = &self.config;
        let window = |size: polyphony_config::ByteSize| u32::try_from(size.bytes()).unwrap_or(u32::MAX >> 1);
        let mut builder = auto::Builder::new(self.streams.clone());
        if !self.http1 {
            builder = builder.http2_only();
        }
        builder
            .http1()
            .timer(TokioTimer::new())
            .header_read_timeout(config.handshake_timeout.get())
            .max_buf_size(config.max_header_list.as_usize().max(MIN_HTTP1_BUFFER));
        // The limits on resets stay at the defaults of h2 and hyper, which end a rapid reset after some hundred frames.
        // No adaptive window: it would silently shrink the windows set here to 64 KiB.
        builder
            .http2()
            .timer(TokioTimer::new())
            .keep_alive_interval(config.keepalive_interval.get())
            .keep_alive_timeout(config.keepalive_timeout.get())
            .max_concurrent_streams(config.max_concurrent_streams)
            .max_header_list_size(window(config.max_header_list))
            .initial_stream_window_size(window(config.stream_window))
            .initial_connection_window_size(window(config.connection_window))
            .max_send_buf_size(config.send_buffer.as_usize());
        builder
    }
}

impl Drop for One {
    fn drop(&mut self) {
        self.streams.abort();
    }
}

/// hyper refuses less.
const MIN_HTTP1_BUFFER: usize = 8192;

/// Completes after `wait`, or never if it is zero.
async fn after(wait: Duration) {
    if wait.is_zero() {
        pending().await
    } else {
        sleep(wait).await;
    }
}

/// Give or take a tenth, so that connections made together do not all leave together.
fn jittered(wait: Duration) -> Duration {
    let random = RandomState::new().hash_one(0) as f64 / u64::MAX as f64;
    wait.mul_f64(0.9 + 0.2 * random)
}
