//! A server on a port of its own, and what a test asks of statuses.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use polyphony_chassis::accept::Ended;
use polyphony_chassis::config::ServerConfig;
use polyphony_chassis::{Admission, Readiness, Server, Shutdown, Trigger, server};
use polyphony_config::HumanDuration;
use polyphony_testing::listener;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status};
use tonic_types::StatusExt;

use crate::echo::{self, Echo, EchoClient};

/// More than any step of a test takes, however busy the machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A running server. It is told to stop at once when dropped.
pub(crate) struct Harness {
    pub(crate) addr: SocketAddr,
    pub(crate) trigger: Trigger,
    pub(crate) readiness: Readiness,
    pub(crate) admission: Admission,
    /// Streams whose handler is alive.
    pub(crate) streams: Arc<AtomicUsize>,
    ended: JoinHandle<Result<Ended, polyphony_chassis::Error>>,
}

pub(crate) fn millis(millis: u64) -> HumanDuration {
    HumanDuration::from_millis(millis)
}

/// Starts a server with the echo.
pub(crate) async fn start(config: ServerConfig) -> Harness {
    let (listener, addr) = listener().await;
    serve(config, listener, addr)
}

/// Starts a server where another was.
pub(crate) async fn start_on(addr: SocketAddr) -> Harness {
    let listener = TcpListener::bind(addr).await.expect("the address is free");
    serve(ServerConfig::default(), listener, addr)
}

fn serve(config: ServerConfig, listener: TcpListener, addr: SocketAddr) -> Harness {
    let (trigger, shutdown) = Shutdown::manual();
    let (readiness, admission) = (Readiness::new(), Admission::new(config.limits.max_in_flight));
    let echo = Echo::default();
    let streams = Arc::clone(&echo.streams);
    let server = Server::new("test", &config)
        .readiness(&readiness)
        .admission(&admission)
        .service(server!(echo, &config.limits), echo::descriptors());
    let ended = tokio::spawn(server.serve(listener, shutdown));
    Harness {
        addr,
        trigger,
        readiness,
        admission,
        streams,
        ended,
    }
}

// === impl Harness ===

impl Harness {
    /// A connection of its own.
    pub(crate) async fn channel(&self) -> Channel {
        let endpoint = Endpoint::from_shared(format!("http://{}", self.addr)).expect("an address");
        endpoint.connect().await.expect("a connection")
    }

    /// A client on a connection of its own.
    pub(crate) async fn client(&self) -> EchoClient<Channel> {
        EchoClient::new(self.channel().await)
    }

    /// Waits for the server to end.
    pub(crate) async fn ended(&mut self) -> Ended {
        let ended = timeout(PATIENCE, &mut self.ended).await.expect("the server ends");
        ended.expect("it does not panic").expect("it started")
    }

    pub(crate) fn is_over(&self) -> bool {
        self.ended.is_finished()
    }
}

impl Drop for Harness {
    fn drop(&mut self) {
        self.trigger.now();
    }
}

/// Asserts the code and the reason.
#[track_caller]
pub(crate) fn assert_status(status: &Status, code: Code, reason: &str) {
    let details = status.get_error_details();
    let info = details.error_info().map(|info| info.reason.as_str());
    assert_eq!((status.code(), info), (code, Some(reason)), "{status:?}");
}

/// Runs a step that must not hang.
pub(crate) async fn soon<T>(step: impl Future<Output = T>) -> T {
    timeout(PATIENCE, step).await.expect("the step ends")
}
