//! Backends: an h2 server with a handler of the test's own, and a socket that says bytes.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};

use bytes::Bytes;
use h2::server::SendResponse;
use h2::{RecvStream, SendStream};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response};
use polyphony_testing::listener;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

use crate::client::message;

pub type Incoming = Request<RecvStream>;
pub type Responder = SendResponse<Bytes>;

/// SERVING and NOT_SERVING, as health checks answer.
pub const SERVING: u8 = 1;
pub const NOT_SERVING: u8 = 2;

/// An h2 server. Dropping it ends it and its connections.
pub struct Backend {
    pub addr: SocketAddr,
    /// Calls so far, without health checks.
    pub calls: Arc<AtomicUsize>,
    /// Connections so far.
    pub connections: Arc<AtomicUsize>,
    /// What health checks are answered.
    pub health: Arc<AtomicU8>,
    task: JoinHandle<()>,
}

impl Backend {
    pub async fn start<F, Fut>(handler: F) -> Self
    where
        F: Fn(Incoming, Responder) -> Fut + Clone + Send + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        let (listener, _) = listener().await;
        Self::on(listener, 1_000, handler)
    }

    /// On a listener of the caller's, with so many streams at once.
    pub fn on<F, Fut>(listener: TcpListener, streams: u32, handler: F) -> Self
    where
        F: Fn(Incoming, Responder) -> Fut + Clone + Send + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        let addr = listener.local_addr().expect("an address");
        let calls = Arc::new(AtomicUsize::new(0));
        let connections = Arc::new(AtomicUsize::new(0));
        let health = Arc::new(AtomicU8::new(SERVING));
        let counts = (Arc::clone(&calls), Arc::clone(&connections), Arc::clone(&health));
        let task = tokio::spawn(async move {
            let (calls, connections, health) = counts;
            let mut open = JoinSet::new();
            while let Ok((tcp, _)) = listener.accept().await {
                connections.fetch_add(1, Ordering::Relaxed);
                let (calls, health, handler) = (Arc::clone(&calls), Arc::clone(&health), handler.clone());
                open.spawn(serve(tcp, streams, calls, health, handler));
            }
        });
        Self {
            addr,
            calls,
            connections,
            health,
            task,
        }
    }

    pub fn calls(&self) -> usize {
        self.calls.load(Ordering::Relaxed)
    }
}

impl Drop for Backend {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve<F, Fut>(
    tcp: TcpStream,
    streams: u32,
    calls: Arc<AtomicUsize>,
    health: Arc<AtomicU8>,
    handler: F,
) where
    F: Fn(Incoming, Responder) -> Fut + Clone + Send + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    tcp.set_nodelay(true).expect("TCP_NODELAY");
    let mut builder = h2::server::Builder::new();
    builder
        .max_concurrent_streams(streams)
        .max_header_list_size(64 << 10);
    let Ok(mut connection) = builder.handshake(tcp).await else {
        return;
    };
    let mut running = JoinSet::new();
    while let Some(Ok((request, respond))) = connection.accept().await {
        if request.uri().path() == "/grpc.health.v1.Health/Check" {
            let status = health.load(Ordering::Relaxed);
            running.spawn(async move { answer(respond, &[8, status], 0) });
            continue;
        }
        calls.fetch_add(1, Ordering::Relaxed);
        running.spawn(handler(request, respond));
    }
}

/// Headers that begin a gRPC answer.
pub fn ok() -> Response<()> {
    let mut response = Response::new(());
    let grpc = HeaderValue::from_static("application/grpc");
    response.headers_mut().insert("content-type", grpc);
    response
}

pub fn trailers(pairs: &[(&'static str, &str)]) -> HeaderMap {
    let pair = |(name, value): &(&'static str, &str)| {
        (
            HeaderName::from_static(name),
            HeaderValue::from_str(value).expect("a value"),
        )
    };
    pairs.iter().map(pair).collect()
}

/// A whole unary answer.
pub fn answer(mut respond: Responder, payload: &[u8], code: u16) {
    let Ok(mut send) = respond.send_response(ok(), false) else {
        return;
    };
    send.send_data(message(payload), false).ok();
    send.send_trailers(trailers(&[("grpc-status", &code.to_string())]))
        .ok();
}

/// Reads a whole request body.
pub async fn read(body: &mut RecvStream) -> Vec<u8> {
    let mut data = Vec::new();
    while let Some(Ok(chunk)) = body.data().await {
        body.flow_control().release_capacity(chunk.len()).ok();
        data.extend_from_slice(&chunk);
    }
    data
}

/// Completes when the caller has reset the stream.
pub async fn reset(send: &mut SendStream<Bytes>) {
    std::future::poll_fn(|cx| send.poll_reset(cx)).await.ok();
}

/// Speaks just enough HTTP/2 to get a request, then says `bytes` and closes.
pub async fn raw(bytes: impl Fn(u32) -> Vec<u8> + Clone + Send + 'static) -> (SocketAddr, Arc<AtomicUsize>) {
    let (listener, addr) = listener().await;
    let requests = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&requests);
    tokio::spawn(async move {
        while let Ok((tcp, _)) = listener.accept().await {
            tokio::spawn(speak(tcp, bytes.clone(), Arc::clone(&counted)));
        }
    });
    (addr, requests)
}

async fn speak(
    mut tcp: TcpStream,
    bytes: impl Fn(u32) -> Vec<u8>,
    requests: Arc<AtomicUsize>,
) -> std::io::Result<()> {
    const SETTINGS: u8 = 4;
    const HEADERS: u8 = 1;
    let mut preface = [0; 24];
    tcp.read_exact(&mut preface).await?;
    tcp.write_all(&frame(SETTINGS, 0, 0, &[])).await?;
    loop {
        let mut head = [0; 9];
        tcp.read_exact(&mut head).await?;
        let len = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let mut payload = vec![0; len as usize];
        tcp.read_exact(&mut payload).await?;
        match (head[3], head[4]) {
            (SETTINGS, 0) => tcp.write_all(&frame(SETTINGS, 1, 0, &[])).await?,
            (HEADERS, _) => {
                requests.fetch_add(1, Ordering::Relaxed);
                let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
                tcp.write_all(&bytes(stream)).await?;
                tcp.shutdown().await?;
                // The peer closes in its own time.
                while tcp.read(&mut payload).await.is_ok_and(|read| read > 0) {}
                return Ok(());
            }
            _ => {}
        }
    }
}

/// One HTTP/2 frame.
pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let len = u32::try_from(payload.len()).expect("a small frame").to_be_bytes();
    let mut frame = vec![len[1], len[2], len[3], kind, flags];
    frame.extend_from_slice(&stream.to_be_bytes());
    frame.extend_from_slice(payload);
    frame
}
