//! The places of one upstream, and who waits for one, in order of arrival.
//!
//! A place and a ticket return by `Drop`, so a caller that goes away leaves no trace.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

/// The places of an upstream. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Lane(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    most: usize,
    most_queued: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    taken: usize,
    queue: VecDeque<Arc<Waiter>>,
    /// How long a place was held lately, in seconds, for the wait as it looks.
    held: f64,
}

#[derive(Debug, Default)]
struct Waiter {
    called: Notify,
    /// It has the place; guarded by the lock of the state.
    has_place: std::sync::atomic::AtomicBool,
}

/// A place; given back when dropped.
#[derive(Debug)]
pub(crate) struct Place {
    lane: Lane,
    since: Instant,
    /// How long it was waited for.
    pub(crate) waited: Duration,
}

/// Where a request stands in the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Queued {
    /// How many are before it.
    pub(crate) position: usize,
    /// How many wait in all.
    pub(crate) depth: usize,
    /// The wait as it looks, where something is known.
    pub(crate) wait: Option<Duration>,
}

/// Every place is taken, and so is the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Full(pub(crate) usize);

/// Leaves the queue when dropped.
struct Ticket<'a> {
    lane: &'a Lane,
    waiter: Arc<Waiter>,
    /// Its place is somebody's now.
    is_used: bool,
}

// === impl Lane ===

impl Lane {
    pub(crate) fn new(most: usize, most_queued: usize) -> Self {
        Self(Arc::new(Shared {
            most,
            most_queued,
            state: Mutex::default(),
        }))
    }

    /// The most places.
    pub(crate) fn most(&self) -> usize {
        self.0.most
    }

    /// Places taken, and requests that wait.
    pub(crate) fn load(&self) -> (usize, usize) {
        let state = self.lock();
        (state.taken, state.queue.len())
    }

    /// A place, now or in turn. `told` hears where the request stands, whenever that changes.
    ///
    /// # Errors
    /// [`Full`].
    pub(crate) async fn enter(&self, mut told: impl FnMut(Queued) + Send) -> Result<Place, Full> {
        let began = Instant::now();
        let waiter = {
            let mut state = self.lock();
            if state.taken < self.0.most && state.queue.is_empty() {
                state.taken += 1;
                return Ok(self.place(Duration::ZERO));
            }
            if state.queue.len() >= self.0.most_queued {
                return Err(Full(state.queue.len()));
            }
            let waiter = Arc::new(Waiter::default());
            state.queue.push_back(Arc::clone(&waiter));
            waiter
        };
        let mut ticket = Ticket {
            lane: self,
            waiter,
            is_used: false,
        };
        let mut last = None;
        loop {
            match ticket.look() {
                None => {
                    ticket.is_used = true;
                    return Ok(self.place(began.elapsed()));
                }
                Some(queued) => {
                    if last != Some(queued.position) {
                        last = Some(queued.position);
                        told(queued);
                    }
                }
            }
            ticket.waiter.called.notified().await;
        }
    }

    fn place(&self, waited: Duration) -> Place {
        Place {
            lane: self.clone(),
            since: Instant::now(),
            waited,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives a place back: to who is next, or to all.
    fn release(&self, held: Option<Duration>) {
        let mut state = self.lock();
        if let Some(held) = held {
            let held = held.as_secs_f64();
            state.held = if state.held == 0.0 {
                held
            } else {
                state.held * 0.9 + held * 0.1
            };
        }
        match state.queue.pop_front() {
            Some(next) => {
                next.has_place.store(true, std::sync::atomic::Ordering::Relaxed);
                next.called.notify_one();
            }
            None => state.taken -= 1,
        }
        state.tell();
    }
}

impl State {
    /// Everyone who waits has moved.
    fn tell(&self) {
        for waiter in &self.queue {
            waiter.called.notify_one();
        }
    }
}

// === impl Ticket ===

impl Ticket<'_> {
    /// Where it stands; none: it has a place.
    fn look(&self) -> Option<Queued> {
        let state = self.lane.lock();
        if self.waiter.has_place.load(std::sync::atomic::Ordering::Relaxed) {
            return None;
        }
        let position = state
            .queue
            .iter()
            .position(|other| Arc::ptr_eq(other, &self.waiter))?;
        let wait = (state.held > 0.0).then(|| {
            let turns = (position + 1) as f64 / self.lane.0.most as f64;
            Duration::from_secs_f64((state.held * turns).min(1e6))
        });
        Some(Queued {
            position,
            depth: state.queue.len(),
            wait,
        })
    }
}

impl Drop for Ticket<'_> {
    fn drop(&mut self) {
        let mut state = self.lane.lock();
        let before = state.queue.len();
        state.queue.retain(|other| !Arc::ptr_eq(other, &self.waiter));
        if state.queue.len() < before {
            state.tell();
            return;
        }
        drop(state);
        // It was given a place just before it went away.
        if !self.is_used {
            self.lane.release(None);
        }
    }
}

// === impl Place ===

impl Drop for Place {
    fn drop(&mut self) {
        self.lane.release(Some(self.since.elapsed()));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    async fn spin(condition: impl Fn() -> bool) {
        while !condition() {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn places_are_given_in_order_and_the_queue_has_an_end() {
        let lane = Lane::new(1, 2);
        let first = lane.enter(|_| {}).await.expect("a place");
        let (said, order) = mpsc::channel();
        let mut waiting = Vec::new();
        for name in ["second", "third"] {
            let (lane, said) = (lane.clone(), said.clone());
            let before = waiting.len();
            waiting.push(tokio::spawn({
                let lane = lane.clone();
                async move {
                    let mut positions = Vec::new();
                    let place = lane.enter(|queued| positions.push(queued.position)).await;
                    said.send((name, positions)).expect("heard");
                    place
                }
            }));
            spin(|| lane.load().1 == before + 1).await;
        }
        assert_eq!(lane.enter(|_| {}).await.expect_err("full"), Full(2));
        drop(first);
        let second = waiting.remove(0).await.expect("runs").expect("a place");
        assert_eq!(lane.load(), (1, 1));
        drop(second);
        drop(waiting.remove(0).await.expect("runs").expect("a place"));
        assert_eq!(lane.load(), (0, 0));
        assert_eq!(order.recv(), Ok(("second", vec![0])));
        assert_eq!(order.recv(), Ok(("third", vec![1, 0])));
    }

    #[tokio::test]
    async fn who_goes_away_leaves_no_trace() {
        let lane = Lane::new(1, 2);
        let first = lane.enter(|_| {}).await.expect("a place");
        let gone = tokio::spawn({
            let lane = lane.clone();
            async move { lane.enter(|_| {}).await }
        });
        spin(|| lane.load().1 == 1).await;
        gone.abort();
        assert!(gone.await.expect_err("aborted").is_cancelled());
        assert_eq!(lane.load(), (1, 0));
        drop(first);
        assert_eq!(lane.load(), (0, 0));
    }

    #[tokio::test]
    async fn a_place_that_comes_too_late_is_given_on() {
        let lane = Lane::new(1, 2);
        let first = lane.enter(|_| {}).await.expect("a place");
        let gone = tokio::spawn({
            let lane = lane.clone();
            async move { lane.enter(|_| {}).await }
        });
        spin(|| lane.load().1 == 1).await;
        // One thread: it is not polled between these two.
        drop(first);
        gone.abort();
        assert!(gone.await.expect_err("aborted").is_cancelled());
        assert_eq!(lane.load(), (0, 0));
    }
}
