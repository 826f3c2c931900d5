//! One HTTP/2 connection to an endpoint: opening it, keeping it alive, lending its streams.

use std::fmt;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use h2::client::{Builder, SendRequest};
use h2::{Ping, PingPong};
use polyphony_chassis::tls::ClientTls;
use polyphony_gateway_core::Address;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

/// Streams of one connection at once, if the endpoint allows as many.
pub(crate) const STREAMS: usize = 128;
/// Bytes that an endpoint may send ahead on one stream: the bandwidth-delay product of 4 Gbit/s at 1 ms.
const STREAM_WINDOW: u32 = 512 * 1024;
/// As much as all streams together may hold, so that clients that do not read can never starve the others.
const CONNECTION_WINDOW: u32 = STREAM_WINDOW * STREAMS as u32;
/// Bytes h2 keeps for a stream until the socket takes them.
const SEND_BUFFER: usize = 256 * 1024;
/// The headers of one response together.
const HEADER_LIST: u32 = 64 * 1024;
/// A connection with calls on it is asked for a sign of life so often; not more, or servers take it for abuse.
const KEEPALIVE: Duration = Duration::from_secs(30);
/// The sign of life must come within this.
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(10);

/// Why no connection could be opened.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// TCP or name resolution failed.
    #[error("remote connection failure, transport failure reason: delayed connect error: {}", Plain(.0))]
    Tcp(#[source] io::Error),
    /// The TLS handshake failed.
    #[error("remote connection failure, transport failure reason: TLS error")]
    Tls(#[source] io::Error),
    /// The endpoint did not agree on `h2` by ALPN.
    #[error("remote connection failure, transport failure reason: the endpoint speaks no HTTP/2")]
    NoHttp2,
    /// The endpoint accepted and closed again.
    #[error("connection termination")]
    Closed,
    /// HTTP/2 could not be agreed on.
    #[error("remote connection failure, transport failure reason: HTTP/2 error")]
    Http2(#[source] h2::Error),
    /// It took longer than the cluster's connect timeout.
    #[error("connection timeout")]
    Timeout,
}

/// An open connection. Dropping the last handle closes it when its streams are done.
pub(crate) struct Connection {
    send: SendRequest<Bytes>,
    active: AtomicUsize,
    /// No more calls: the endpoint said GOAWAY, or the connection broke.
    closed: AtomicBool,
}

/// What keeps a connection going; to be spawned.
pub(crate) type Driver = Pin<Box<dyn Future<Output = Result<(), h2::Error>> + Send>>;

/// An io error without the operating system's number, as Envoy words it.
struct Plain<'a>(&'a io::Error);

// === impl Connection ===

impl Connection {
    /// Opens a connection within `within`.
    pub(crate) async fn open(
        address: &Address,
        tls: Option<&ClientTls>,
        within: Duration,
    ) -> Result<(Arc<Self>, PingPong, Driver), ConnectError> {
        let opening = async {
            let tcp = TcpStream::connect((address.host(), address.port())).await;
            let tcp = tcp.map_err(ConnectError::Tcp)?;
            tcp.set_nodelay(true).map_err(ConnectError::Tcp)?;
            let Some(tls) = tls else {
                return greet(tcp).await;
            };
            let stream = tls
                .connect(address.host(), tcp)
                .await
                .map_err(ConnectError::Tls)?;
            if stream.get_ref().1.alpn_protocol() != Some(b"h2") {
                return Err(ConnectError::NoHttp2);
            }
            greet(stream).await
        };
        timeout(within, opening)
            .await
            .map_err(|_| ConnectError::Timeout)?
    }

    /// Takes a stream, if there is one left. To be given back with [`give_back`](Self::give_back).
    pub(crate) fn try_take(&self) -> bool {
        let most = self.send.current_max_send_streams().min(STREAMS);
        let take = |active| (active < most).then_some(active + 1);
        !self.is_closed()
            && self
                .active
                .fetch_update(Ordering::AcqRel, Ordering::Acquire, take)
                .is_ok()
    }

    /// Gives a stream back.
    pub(crate) fn give_back(&self) {
        self.active.fetch_sub(1, Ordering::AcqRel);
    }

    /// Streams taken.
    pub(crate) fn active(&self) -> usize {
        self.active.load(Ordering::Acquire)
    }

    /// A handle to send one request with.
    pub(crate) fn sender(&self) -> SendRequest<Bytes> {
        self.send.clone()
    }

    /// Takes no more calls from now on.
    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::Release);
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// Runs the connection to its end: `driver` beside the keepalive. `quiet` is called after each keepalive time
    /// without a call, and ends the connection by returning true.
    pub(crate) async fn run(&self, driver: Driver, ping: PingPong, quiet: impl Fn() -> bool) {
        let mut watched = pin!(self.watch(ping, quiet));
        tokio::select! {
            ended = driver => if let Err(error) = ended {
                tracing::debug!(error = %polyphony_error::chain(&error), "upstream connection ended");
            },
            () = watched.as_mut() => {}
        }
        self.close();
    }

    async fn watch(&self, mut ping: PingPong, quiet: impl Fn() -> bool) {
        loop {
            sleep(KEEPALIVE).await;
            if self.active() == 0 {
                if quiet() {
                    return;
                }
                continue;
            }
            let pong = timeout(KEEPALIVE_TIMEOUT, ping.ping(Ping::opaque())).await;
            if !matches!(pong, Ok(Ok(_))) {
                tracing::warn!("upstream gave no sign of life, closing its connection");
                return;
            }
        }
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection")
            .field("active", &self.active())
            .field("closed", &self.is_closed())
            .finish_non_exhaustive()
    }
}

/// Exchanges prefaces and settings. A server that accepts and says nothing is found out here.
async fn greet<I>(io: I) -> Result<(Arc<Connection>, PingPong, Driver), ConnectError>
where
    I: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let mut builder = Builder::new();
    builder
        .enable_push(false)
        // None before the endpoint has said how many: it would refuse those beyond.
        .initial_max_send_streams(0)
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buffer_size(SEND_BUFFER)
        .max_header_list_size(HEADER_LIST);
    let (send, mut connection) = builder.handshake(io).await.map_err(ConnectError::Http2)?;
    let ping = connection.ping_pong();
    poll_fn(|cx| match Pin::new(&mut connection).poll(cx) {
        Poll::Ready(Err(error)) => Poll::Ready(Err(ConnectError::Http2(error))),
        Poll::Ready(Ok(())) => Poll::Ready(Err(ConnectError::Closed)),
        Poll::Pending if connection.max_concurrent_send_streams() > 0 => Poll::Ready(Ok(())),
        Poll::Pending => Poll::Pending,
    })
    .await?;
    let connected = Arc::new(Connection {
        send,
        active: AtomicUsize::new(0),
        closed: AtomicBool::new(false),
    });
    // The handle is there once, and this is the first time it is asked for.
    let ping = ping.ok_or(ConnectError::NoHttp2)?;
    Ok((connected, ping, Box::pin(connection)))
}

// === impl Plain ===

impl fmt::Display for Plain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.kind() {
            io::ErrorKind::ConnectionRefused => f.write_str("Connection refused"),
            io::ErrorKind::HostUnreachable => f.write_str("No route to host"),
            io::ErrorKind::NetworkUnreachable => f.write_str("Network is unreachable"),
            _ => f.write_str("Connection failed"),
        }
    }
}
