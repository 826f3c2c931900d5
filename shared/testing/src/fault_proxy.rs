//! A TCP proxy that does to a connection what networks do: delay, slice, cut, reset, half-close, swallow.
//!
//! It knows bytes only. Faults are chosen per direction, and a change ([`FaultProxy::set`]) applies to open connections
//! too: so a server can vanish in the middle of a call.

mod pump;

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

use crate::listener;

/// The proxy; it and all of its connections end when this is dropped.
#[derive(Debug)]
pub struct FaultProxy {
    addr: SocketAddr,
    faults: watch::Sender<Faults>,
    accepted: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

/// What happens on a connection.
#[derive(Debug, Clone, Copy, Default)]
pub struct Faults {
    /// Connections are reset as soon as they are made.
    pub refuse: bool,
    /// From the client to the server.
    pub to_server: Direction,
    /// From the server to the client.
    pub to_client: Direction,
}

/// What happens in one direction.
#[derive(Debug, Clone, Copy, Default)]
pub struct Direction {
    /// Each piece waits so long before it goes on.
    pub latency: Duration,
    /// Bytes go on in pieces of this size, each in a packet of its own.
    pub slice: Option<NonZeroUsize>,
    /// How the direction ends.
    pub end: End,
}

/// How a direction ends. Every count is of the bytes that have gone on in this direction of one connection.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum End {
    /// When its sender ends it.
    #[default]
    Natural,
    /// After so many bytes both directions are closed in order (FIN).
    CutAfter(u64),
    /// After so many bytes both sides are reset (RST).
    ResetAfter(u64),
    /// After so many bytes this direction is closed (FIN) while the other goes on.
    HalfCloseAfter(u64),
    /// After so many bytes whatever comes is swallowed, and the connection stays open.
    BlackholeAfter(u64),
}

// === impl FaultProxy ===

impl FaultProxy {
    /// A proxy to `upstream` on a port of its own.
    pub async fn start(upstream: SocketAddr, faults: Faults) -> Self {
        let (listener, addr) = listener().await;
        let (faults, watched) = watch::channel(faults);
        let accepted = Arc::new(AtomicUsize::new(0));
        let task = tokio::spawn(accept(listener, upstream, watched, Arc::clone(&accepted)));
        Self {
            addr,
            faults,
            accepted,
            task,
        }
    }

    /// Where clients connect.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// How many connections were accepted so far.
    pub fn accepted(&self) -> usize {
        self.accepted.load(Ordering::Relaxed)
    }

    /// Changes the faults, also of open connections.
    pub fn set(&self, faults: Faults) {
        self.faults.send_replace(faults);
    }
}

impl Drop for FaultProxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

// === impl Faults ===

impl Faults {
    /// Both directions alike.
    pub fn both(direction: Direction) -> Self {
        Self {
            refuse: false,
            to_server: direction,
            to_client: direction,
        }
    }

    /// Every byte in a packet of its own.
    pub fn byte_by_byte() -> Self {
        Self::both(Direction {
            slice: Some(NonZeroUsize::MIN),
            ..Direction::default()
        })
    }

    /// Nothing goes through in either direction, and nobody is told.
    pub fn blackhole() -> Self {
        Self::both(Direction {
            end: End::BlackholeAfter(0),
            ..Direction::default()
        })
    }

    /// The answer ends so.
    pub fn answer_ends(end: End) -> Self {
        Self {
            to_client: Direction {
                end,
                ..Direction::default()
            },
            ..Self::default()
        }
    }

    /// Both directions are late by this.
    pub fn late_by(latency: Duration) -> Self {
        Self::both(Direction {
            latency,
            ..Direction::default()
        })
    }
}

async fn accept(
    listener: TcpListener,
    upstream: SocketAddr,
    faults: watch::Receiver<Faults>,
    accepted: Arc<AtomicUsize>,
) {
    // Dropped with this task, and the connections with it.
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            connection = listener.accept() => {
                let Ok((client, _)) = connection else { continue };
                accepted.fetch_add(1, Ordering::Relaxed);
                connections.spawn(connect(client, upstream, faults.clone()));
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn connect(client: TcpStream, upstream: SocketAddr, faults: watch::Receiver<Faults>) {
    if faults.borrow().refuse {
        pump::reset(&client);
        return;
    }
    match TcpStream::connect(upstream).await {
        Ok(server) => pump::join(client, server, faults).await,
        // As if there were no proxy in between.
        Err(_) => pump::reset(&client),
    }
}
