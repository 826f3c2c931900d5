//! The connections to one endpoint: a few, opened when load asks for them, shared by all calls.
//!
//! A call takes a stream of the least busy connection. If that one is busy, another is opened beside it for those that
//! come after. If all are full, the call waits for room, within the cluster's limit of waiting calls. After a failed
//! attempt the pool rests, longer each time, and calls fail at once instead of queueing before a closed door.

use std::fmt;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use arc_swap::ArcSwap;
use polyphony_chassis::batched;
use polyphony_chassis::tls::ClientTls;
use polyphony_gateway_core::Address;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::connection::{ConnectError, Connection};
use crate::metrics::EndpointMetrics;

/// With so many calls on the least busy connection, another is opened. Not sooner: calls that share a connection share
/// its writes. Not later: so many full streams fit into the connection window of a service.
const BUSY: usize = 64;
/// The rest after a first failed attempt; doubled for each further one.
const FIRST_REST: Duration = Duration::from_millis(100);
/// The longest rest.
const LONGEST_REST: Duration = Duration::from_secs(5);

/// The connections to one endpoint.
pub(crate) struct Pool {
    address: Address,
    tls: Option<ClientTls>,
    connect_timeout: Duration,
    max_connections: usize,
    metrics: EndpointMetrics,
    live: ArcSwap<Vec<Arc<Connection>>>,
    state: Mutex<State>,
    /// Told when a stream or connection may be free, or an attempt has failed.
    room: Notify,
    waiting: AtomicUsize,
}

/// A stream of a connection, for one call.
pub(crate) struct Lease {
    pub(crate) connection: Arc<Connection>,
    pool: Arc<Pool>,
}

/// How much a call wants its connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Urgency {
    /// Fails at once while the pool rests.
    Call,
    /// Tries even then: a health check, which is how a rest ends early.
    Probe,
}

/// Why there is no stream.
#[derive(Debug, Clone)]
pub(crate) enum PoolError {
    Connect(Arc<ConnectError>),
    /// Too many calls wait already.
    Overflow,
}

#[derive(Debug, Default)]
struct State {
    connecting: bool,
    /// Failed attempts since the last good one.
    failures: u32,
    rest_until: Option<Instant>,
    last_error: Option<Arc<ConnectError>>,
    /// Attempts that have ended, either way.
    attempts: u64,
}

/// A call that waits; counted in the pool and in its cluster.
struct Waiting<'a> {
    pool: &'a Pool,
    cluster: &'a AtomicUsize,
}

// === impl Pool ===

impl Pool {
    pub(crate) fn new(
        address: Address,
        tls: Option<ClientTls>,
        connect_timeout: Duration,
        max_connections: usize,
    ) -> Arc<Self> {
        Arc::new(Self {
            metrics: EndpointMetrics::new(&address.to_string()),
            address,
            tls,
            connect_timeout,
            max_connections,
            live: ArcSwap::default(),
            state: Mutex::default(),
            room: Notify::new(),
            waiting: AtomicUsize::new(0),
        })
    }

    /// A stream, now or when there is one. `pending` counts the waiting calls of the cluster, at most `max_pending`.
    pub(crate) async fn acquire(
        self: &Arc<Self>,
        urgency: Urgency,
        pending: &AtomicUsize,
        max_pending: usize,
    ) -> Result<Lease, PoolError> {
        if let Some(lease) = self.try_acquire() {
            return Ok(lease);
        }
        let _waiting = Waiting::enter(self, pending, max_pending).ok_or(PoolError::Overflow)?;
        let seen = self.lock().attempts;
        loop {
            let mut room = pin!(self.room.notified());
            room.as_mut().enable();
            if let Some(lease) = self.try_acquire() {
                return Ok(lease);
            }
            self.open_or_fail(urgency, seen)?;
            room.await;
        }
    }

    /// A stream of the least busy connection that has one.
    fn try_acquire(self: &Arc<Self>) -> Option<Lease> {
        let live = self.live.load();
        // With more than one, a race for the last stream of the best leaves the others to try.
        let best = live
            .iter()
            .filter(|connection| !connection.is_closed())
            .min_by_key(|c| c.active())?;
        let taken = if best.try_take() {
            best
        } else {
            live.iter().find(|connection| connection.try_take())?
        };
        if taken.active() > BUSY && live.len() < self.max_connections {
            self.open(&mut self.lock());
        }
        Some(Lease {
            connection: Arc::clone(taken),
            pool: Arc::clone(self),
        })
    }

    /// Sees to it that waiting makes sense: a connection is being opened, or one is open and only full.
    fn open_or_fail(self: &Arc<Self>, urgency: Urgency, seen: u64) -> Result<(), PoolError> {
        let mut state = self.lock();
        let live = self.live.load().len();
        if state.connecting || live >= self.max_connections {
            return Ok(());
        }
        let resting = state.rest_until.is_some_and(|until| Instant::now() < until);
        let may_try = !resting || (urgency == Urgency::Probe && state.attempts == seen);
        match &state.last_error {
            Some(error) if !may_try && live == 0 => return Err(PoolError::Connect(Arc::clone(error))),
            _ if may_try => self.open(&mut state),
            _ => {}
        }
        Ok(())
    }

    /// Starts opening one more connection, unless that is under way.
    fn open(self: &Arc<Self>, state: &mut State) {
        if state.connecting {
            return;
        }
        state.connecting = true;
        let pool = Arc::clone(self);
        tokio::spawn(async move {
            let opened = Connection::open(&pool.address, pool.tls.as_ref(), pool.connect_timeout).await;
            let mut state = pool.lock();
            state.connecting = false;
            state.attempts += 1;
            match opened {
                Ok((connection, ping, driver)) => {
                    state.failures = 0;
                    state.rest_until = None;
                    state.last_error = None;
                    pool.metrics.connects.increment(1);
                    pool.change(|live| live.push(Arc::clone(&connection)));
                    let weak = Arc::downgrade(&pool);
                    tokio::spawn(batched(Box::pin(async move {
                        let quiet = || weak.upgrade().is_none_or(|pool| pool.retire(&connection));
                        connection.run(driver, ping, quiet).await;
                        Self::forget(&weak, &connection);
                    })));
                }
                Err(error) => {
                    let rest = FIRST_REST
                        .saturating_mul(1 << state.failures.min(6))
                        .min(LONGEST_REST);
                    // A fifth more or less, so that gateways do not all come back at once.
                    let rest = rest.mul_f64(0.8 + 0.4 * fastrand::f64());
                    if state.failures == 0 {
                        tracing::info!(
                            endpoint = %pool.address,
                            error = %polyphony_error::chain(&error),
                            "cannot connect to upstream",
                        );
                    }
                    state.failures = state.failures.saturating_add(1);
                    state.rest_until = Some(Instant::now() + rest);
                    state.last_error = Some(Arc::new(error));
                    pool.metrics.failures.increment(1);
                }
            }
            drop(state);
            pool.room.notify_waiters();
        });
    }

    /// Takes a quiet connection out if there is another; true if it is out and done with.
    fn retire(&self, connection: &Arc<Connection>) -> bool {
        let _state = self.lock();
        if connection.active() > 0 || connection.is_closed() {
            return connection.active() == 0;
        }
        let spare = self.live.load().len() > 1;
        if spare {
            connection.close();
            self.change(|live| live.retain(|other| !Arc::ptr_eq(other, connection)));
        }
        spare
    }

    /// Takes a connection out that has ended or says that it will.
    fn forget(pool: &Weak<Self>, connection: &Arc<Connection>) {
        let Some(pool) = pool.upgrade() else { return };
        connection.close();
        let state = pool.lock();
        pool.change(|live| live.retain(|other| !Arc::ptr_eq(other, connection)));
        drop(state);
        pool.room.notify_waiters();
    }

    /// Changes the list of connections; the caller holds the lock.
    fn change(&self, change: impl FnOnce(&mut Vec<Arc<Connection>>)) {
        let mut live = Vec::clone(&self.live.load());
        change(&mut live);
        self.live.store(Arc::new(live));
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool")
            .field("address", &self.address)
            .field("live", &self.live.load())
            .finish_non_exhaustive()
    }
}

// === impl Lease ===

impl Lease {
    /// The connection takes no more calls; other calls must not run into it.
    pub(crate) fn retire(&self) {
        Pool::forget(&Arc::downgrade(&self.pool), &self.connection);
    }

    /// Whether the endpoint is spoken to in TLS.
    pub(crate) fn is_tls(&self) -> bool {
        self.pool.tls.is_some()
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.connection.give_back();
        if self.pool.waiting.load(Ordering::Acquire) > 0 {
            self.pool.room.notify_one();
        }
    }
}

// === impl Waiting ===

impl<'a> Waiting<'a> {
    fn enter(pool: &'a Pool, cluster: &'a AtomicUsize, most: usize) -> Option<Self> {
        let enter = |n| (n < most).then_some(n + 1);
        cluster
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, enter)
            .ok()?;
        pool.waiting.fetch_add(1, Ordering::AcqRel);
        Some(Self { pool, cluster })
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.pool.waiting.fetch_sub(1, Ordering::AcqRel);
        self.cluster.fetch_sub(1, Ordering::AcqRel);
    }
}
