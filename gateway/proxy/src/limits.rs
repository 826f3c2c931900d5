//! The limits of time on one call, and which of them has run out.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use polyphony_gateway_core::Timeouts;
use tokio::time::{Instant, Sleep};

use crate::refusal::Refusal;

/// When a call must end. All are optional.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// The client's deadline, cut to the route's.
    pub(crate) deadline: Option<Instant>,
    /// The end of the route's longest duration.
    duration: Option<Instant>,
    /// The longest time without a frame.
    idle: Option<Duration>,
}

/// The limit that has run out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Expired {
    Deadline,
    Duration,
    Idle,
}

// === impl Limits ===

impl Limits {
    pub(crate) fn new(timeouts: &Timeouts, asked: Option<Duration>, unary: bool, now: Instant) -> Self {
        Self {
            deadline: timeouts
                .deadline(asked, unary)
                .and_then(|after| now.checked_add(after)),
            duration: timeouts.duration.and_then(|after| now.checked_add(after)),
            idle: timeouts.idle,
        }
    }

    /// Whether frames need to be noted.
    pub(crate) fn watches_idle(&self) -> bool {
        self.idle.is_some()
    }

    /// When to look again, if the last frame came at `last`.
    pub(crate) fn next(&self, last: Instant) -> Option<Instant> {
        let idle = self.idle.and_then(|idle| last.checked_add(idle));
        [self.deadline, self.duration, idle].into_iter().flatten().min()
    }

    /// Ready when a limit has run out. `sleep` is armed anew only when it fires, so a frame costs no timer.
    pub(crate) fn poll(
        &self,
        mut sleep: Pin<&mut Sleep>,
        last: Instant,
        cx: &mut Context<'_>,
    ) -> Poll<Expired> {
        loop {
            ready!(sleep.as_mut().poll(cx));
            let now = Instant::now();
            let over = |limit: Option<Instant>| limit.is_some_and(|limit| limit <= now);
            if over(self.deadline) {
                return Poll::Ready(Expired::Deadline);
            }
            if over(self.duration) {
                return Poll::Ready(Expired::Duration);
            }
            if over(self.idle.and_then(|idle| last.checked_add(idle))) {
                return Poll::Ready(Expired::Idle);
            }
            match self.next(last) {
                Some(next) => sleep.as_mut().reset(next),
                None => return Poll::Pending,
            }
        }
    }
}

// === impl Expired ===

impl From<Expired> for Refusal {
    fn from(expired: Expired) -> Self {
        match expired {
            Expired::Deadline => Self::Deadline,
            Expired::Duration => Self::Duration,
            Expired::Idle => Self::Idle,
        }
    }
}
