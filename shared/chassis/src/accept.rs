//! The accept loop: connections in, a bounded stop out.
//!
//! hyper's own graceful shutdown waits for ever for a peer that never speaks or a stream that never ends; here each
//! wait has an end, and what is left is aborted. On shutdown: connections and calls are still taken for the lame-duck
//! time; then the listener closes, idle connections close, busy ones are told GOAWAY; at the deadline the layers end
//! what still runs ([`Drain`]); after a last grace all tasks are aborted. Not here: what a call is. The gateway gives
//! its own HTTP service to the same loop.

mod connection;
mod progress;
mod tasks;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Buf;
use http::{Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use hyper::service::Service;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep, timeout, timeout_at};

use crate::batched::batched;
use crate::config::{ConnectionConfig, DrainConfig};
use crate::drain::Drain;
use crate::shutdown::Shutdown;
use crate::tls::ServerTls;
use crate::{BoxError, metrics};
use connection::Connections;
use tasks::Tasks;

/// How to accept. The limits are the config's.
#[derive(Debug, Clone)]
pub struct Options {
    /// How connections are kept.
    pub connections: ConnectionConfig,
    /// How the loop stops.
    pub drain: DrainConfig,
    /// TLS, or none.
    pub tls: Option<ServerTls>,
    /// Whether HTTP/1.1 is spoken too, for a server at the edge.
    pub http1: bool,
    /// Where the loop says how far the stop has come.
    pub stages: Drain,
}

/// How the loop ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// Every call was finished or told why not.
    Drained,
    /// So many tasks (connections and calls) were aborted: their peers did not go in time.
    Aborted(usize),
}

/// After an error that will not go by itself (no more file descriptors) the loop rests so long.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);
/// Aborted tasks are dropped at once unless one blocks its thread; nobody waits for that.
const ABORT_PATIENCE: Duration = Duration::from_secs(1);

/// Serves connections from `listener` until `shutdown`, as said above.
///
/// `service` is cloned for each connection. Requests carry [`Peer`](crate::peer::Peer) and tonic's
/// [`TcpConnectInfo`](tonic::transport::server::TcpConnectInfo) in their extensions.
pub async fn serve<S, B>(listener: TcpListener, service: S, options: Options, shutdown: Shutdown) -> Ended
where
    S: Service<Request<Incoming>, Response = Response<B>> + Clone + Send + 'static,
    S::Future: Send + 'static,
    S::Error: Into<BoxError>,
    B: Body + Send + 'static,
    B::Data: Buf + Send,
    B::Error: Into<BoxError>,
{
    let Options {
        connections,
        drain,
        tls,
        http1,
        stages,
    } = options;
    let tasks = Tasks::new();
    let slots = Arc::new(Semaphore::new(connections.max_connections));
    let connections = Connections::new(connections, http1, tls.clone(), stages.clone(), tasks.clone());

    let accepting = async {
        loop {
            let (stream, peer) = match listener.accept().await {
                Ok(accepted) => accepted,
                Err(error) => {
                    pause_after(error).await;
                    continue;
                }
            };
            let Ok(slot) = Arc::clone(&slots).try_acquire_owned() else {
                metrics::connection_refused();
                tracing::debug!(%peer, "connection closed unread, too many are open");
                continue;
            };
            // Boxed, so that what wraps it wraps a pointer: a future that is moved is held twice, and idle connections
            // are many.
            let connection = batched(Box::pin(connections.serve(
                nodelay(stream),
                peer,
                service.clone(),
            )));
            tasks.spawn(async move {
                connection.await;
                drop(slot);
            });
        }
    };
    let fresh = async {
        match &tls {
            Some(tls) => tls.keep_fresh().await,
            None => std::future::pending().await,
        }
    };
    let lame = async {
        shutdown.asked().await;
        sleep(drain.lame_duck.get()).await;
    };
    let stopped_at_once = tokio::select! {
        () = accepting => false,
        () = fresh => false,
        () = lame => false,
        () = shutdown.at_once() => true,
    };
    drop(listener);
    stages.close();

    if !stopped_at_once {
        tokio::select! {
            () = finish(&tasks, &drain, &stages) => {}
            () = shutdown.at_once() => {}
        }
    }
    stages.expire();
    let left = tasks.abort();
    if timeout(ABORT_PATIENCE, tasks.empty()).await.is_err() {
        tracing::warn!(
            tasks = tasks.count(),
            "tasks block their threads, leaving them behind"
        );
    }
    if left == 0 {
        Ended::Drained
    } else {
        Ended::Aborted(left)
    }
}

/// Waits for what runs: until it is done, or told to end and given the grace to.
async fn finish(tasks: &Tasks, drain: &DrainConfig, stages: &Drain) {
    let deadline = Instant::now() + drain.deadline.get();
    if timeout_at(deadline, tasks.empty()).await.is_err() {
        stages.expire();
        // Whoever still does not go is aborted by the caller.
        drop(timeout(drain.grace.get(), tasks.empty()).await);
    }
}

/// Small messages leave at once.
fn nodelay(stream: TcpStream) -> TcpStream {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "the peer left before TCP_NODELAY was set");
    }
    stream
}

/// A peer that gave up concerns nobody; anything else is said, and not said in a busy loop.
async fn pause_after(error: io::Error) {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    if matches!(
        error.kind(),
        ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted
    ) {
        return;
    }
    tracing::warn!(%error, "cannot accept a connection");
    sleep(ACCEPT_PAUSE).await;
}
