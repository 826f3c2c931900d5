//! The admin port of a process: alive, ready, metrics, configuration, over plain HTTP/1.1.
//!
//! It is for the operator's network: it asks for no credentials and shows no secret. It is not the health service of
//! gRPC clients, and it changes nothing: it answers GET alone.

mod pages;

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{Instant, interval, sleep, sleep_until, timeout};

use crate::telemetry::Metrics;

/// Enough for probes, a few scrapers and a person; the rest waits in the backlog.
const MAX_CONNECTIONS: usize = 32;
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

/// What the pages show.
#[derive(Clone)]
pub struct Admin {
    metrics: Metrics,
    awaited: Arc<dyn Fn() -> Vec<String> + Send + Sync>,
    config: Arc<str>,
}

// === impl Admin ===

impl Admin {
    /// - `metrics`: what `/metrics` renders;
    /// - `awaited`: what the process still waits for before it is ready, in words; none, and `/readyz` answers 200;
    /// - `config`: the effective configuration for `/configz`, secrets redacted (`polyphony_config::Dump`).
    pub fn new(
        metrics: Metrics,
        awaited: impl Fn() -> Vec<String> + Send + Sync + 'static,
        config: impl Into<Arc<str>>,
    ) -> Self {
        Self {
            metrics,
            awaited: Arc::new(awaited),
            config: config.into(),
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
        let service = service_fn(move |request| {
            let answer = pages::answer(&self, &request);
            async move { Ok::<_, std::convert::Infallible>(answer) }
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEADER_TIMEOUT)
            .max_headers(MAX_HEADERS)
            .max_buf_size(MAX_HEAD)
            .serve_connection(TokioIo::new(stream), service);
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

impl fmt::Debug for Admin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Admin")
    }
}

#[cfg(test)]
mod tests;
