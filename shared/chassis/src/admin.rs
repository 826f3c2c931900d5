//! The admin port of a process: alive, ready, metrics, configuration, over plain HTTP/1.1; and `grpc.health.v1` over
//! plain HTTP/2, for probes that speak no TLS, as a kubelet's.
//!
//! It is for the operator's network: it asks for no credentials and shows no secret. It is not the health service of
//! gRPC clients, which stands beside the services, and it changes nothing: of pages it answers GET alone.

mod pages;
mod probes;

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{Instant, interval, sleep, sleep_until, timeout};
use tonic::service::Routes;

use crate::readiness::Readiness;
use crate::telemetry::Metrics;

/// Enough for probes, a few scrapers and a person; the rest waits in the backlog.
const MAX_CONNECTIONS: usize = 32;
/// What HTTP/2 begins with, and no page's request does.
const H2: &[u8; 3] = b"PRI";
/// How long to wait for the rest of those bytes.
const BYTE_PAUSE: Duration = Duration::from_millis(5);
/// Health checks open at once on one connection.
const MAX_CHECKS: u32 = 8;
/// How long a client may take to send the head of a request.
const HEADER_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a connection lives, however slowly it reads.
const CONNECTION_LIFE: Duration = Duration::from_secs(60);
/// How long answers under way may take once the server is to close.
const CLOSE_GRACE: Duration = Duration::from_secs(1);
/// How long to wait when no connection can be accepted, as when file descriptors have run out.
const ACCEPT_PAUSE: Duration = Duration::from_millis(250);
/// How often histograms are folded.
const UPKEEP: Duration = Duration::from_secs(5);
/// The longest head of a request, in bytes.
const MAX_HEAD: usize = 16 << 10;
/// The most headers of a request.
const MAX_HEADERS: usize = 64;

/// What the pages show, and the health that probes ask for.
#[derive(Clone)]
pub struct Admin {
    metrics: Metrics,
    awaited: Arc<dyn Fn() -> Vec<String> + Send + Sync>,
    readiness: Readiness,
    config: Arc<str>,
    probes: Routes,
}

// === impl Admin ===

impl Admin {
    /// - `metrics`: what `/metrics` renders;
    /// - `readiness`: what `grpc.health.v1` answers from, and which methods wait;
    /// - `awaited`: what the process still waits for before it is ready, in words; none, and `/readyz` answers 200;
    /// - `config`: the effective configuration for `/configz`, secrets redacted (`polyphony_config::Dump`).
    pub fn new(
        metrics: Metrics,
        readiness: &Readiness,
        awaited: impl Fn() -> Vec<String> + Send + Sync + 'static,
        config: impl Into<Arc<str>>,
    ) -> Self {
        Self {
            metrics,
            awaited: Arc::new(awaited),
            readiness: readiness.clone(),
            config: config.into(),
            probes: probes::routes(readiness),
        }
    }

    /// Answers on `listener` until `shutdown` completes; then finishes the answers under way, for at most a second.
    pub async fn serve(self, listener: TcpListener, shutdown: impl Future<Output = ()>) {
        let slots = Arc::new(Semaphore::new(MAX_CONNECTIONS));
        let (close, closing) = tokio::sync::watch::channel(());
        let mut connections = JoinSet::new();
        let mut upkeep = interval(UPKEEP);
        let mut failing = false;
        tokio::pin!(shutdown);
        loop {
            let accept = async {
                let slot = Arc::clone(&slots).acquire_owned().await;
                (slot, listener.accept().await)
            };
            tokio::select! {
                () = &mut shutdown => break,
                _ = upkeep.tick() => self.metrics.upkeep(),
                Some(_) = connections.join_next() => {}
                (slot, accepted) = accept => match accepted {
                    Ok((stream, _)) => {
                        failing = false;
                        let (admin, mut closing) = (self.clone(), closing.clone());
                        connections.spawn(async move {
                            let _slot = slot;
                            let closed = async { drop(closing.changed().await) };
                            admin.connection(stream, closed).await;
                        });
                    }
                    Err(error) => {
                        // It fails again at once and for as long as the cause lasts; once is enough in the log.
                        if !std::mem::replace(&mut failing, true) {
                            tracing::warn!(%error, "the admin port cannot accept connections");
                        }
                        sleep(ACCEPT_PAUSE).await;
                    }
                },
            }
        }
        drop(listener);
        drop(close);
        let all = async { while connections.join_next().await.is_some() {} };
        // What is left is dropped with the set.
        drop(timeout(CLOSE_GRACE, all).await);
    }

    async fn connection(self, stream: TcpStream, closed: impl Future<Output = ()>) {
        let Ok(Some(is_h2)) = timeout(HEADER_TIMEOUT, is_h2(&stream)).await else {
            return;
        };
        let service = service_fn(move |request: http::Request<hyper::body::Incoming>| {
            let admin = self.clone();
            async move {
                if is_h2 && request.uri().path().starts_with(probes::PATH) {
                    return probes::answer(admin.probes, request).await;
                }
                Ok(pages::answer(&admin, &request).map(tonic::body::Body::new))
            }
        });
        let mut builder = auto::Builder::new(TokioExecutor::new());
        builder
            .http1()
            .timer(TokioTimer::new())
            .header_read_timeout(HEADER_TIMEOUT)
            .max_headers(MAX_HEADERS)
            .max_buf_size(MAX_HEAD);
        builder
            .http2()
            .timer(TokioTimer::new())
            .max_concurrent_streams(MAX_CHECKS)
            .max_header_list_size(MAX_HEAD as u32);
        let builder = if is_h2 {
            builder.http2_only()
        } else {
            builder.http1_only()
        };
        let connection = builder.serve_connection(TokioIo::new(stream), service);
        tokio::pin!(connection, closed);
        let end = Instant::now() + CONNECTION_LIFE;
        let mut asked = false;
        loop {
            tokio::select! {
                // A client that breaks off or sends nonsense has been answered by hyper; nobody else need know.
                _ = &mut connection => return,
                () = &mut closed, if !asked => {
                    asked = true;
                    connection.as_mut().graceful_shutdown();
                }
                () = sleep_until(end) => return,
            }
        }
    }
}

/// Whether the client speaks HTTP/2, by its first bytes; `None` when it went without any.
async fn is_h2(stream: &TcpStream) -> Option<bool> {
    let mut head = [0; H2.len()];
    loop {
        let seen = stream.peek(&mut head).await.ok().filter(|seen| *seen > 0)?;
        if head[..seen] != H2[..seen] {
            return Some(false);
        }
        if seen == H2.len() {
            return Some(true);
        }
        sleep(BYTE_PAUSE).await;
    }
}

impl fmt::Debug for Admin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Admin")
    }
}

#[cfg(test)]
mod tests;
