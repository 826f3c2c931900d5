//! The circuit breaker of one upstream: after too many failures in a row it rests, then one request tries it.
//!
//! It takes the time as an argument, so it is tested without a clock.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::config::BreakerConfig;

/// The breaker.
#[derive(Debug)]
pub(crate) struct Breaker {
    config: BreakerConfig,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    failures: u32,
    /// How often it has rested since it last went well.
    rests: u32,
    until: Option<Instant>,
    /// Since when one request tries it.
    trial: Option<Instant>,
}

/// Whether requests go through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Circuit {
    /// They do.
    Closed,
    /// It rests for so long.
    Open(Duration),
    /// One may try it.
    HalfOpen,
}

/// A trial of which nothing is heard for so long no longer keeps others from trying.
const TRIAL: Duration = Duration::from_secs(30);

// === impl Breaker ===

impl Breaker {
    pub(crate) fn new(config: BreakerConfig) -> Self {
        Self {
            config,
            state: Mutex::default(),
        }
    }

    /// How it stands.
    pub(crate) fn circuit(&self, now: Instant) -> Circuit {
        let state = self.lock();
        match (state.until, state.trial) {
            (None, _) => Circuit::Closed,
            (Some(until), _) if now < until => Circuit::Open(until - now),
            (Some(_), Some(since)) if now < since + TRIAL => Circuit::Open(since + TRIAL - now),
            (Some(_), _) => Circuit::HalfOpen,
        }
    }

    /// A request is about to go. False: it must not.
    pub(crate) fn admit(&self, now: Instant) -> bool {
        match self.circuit(now) {
            Circuit::Closed => true,
            Circuit::Open(_) => false,
            Circuit::HalfOpen => {
                self.lock().trial = Some(now);
                true
            }
        }
    }

    /// A request went well.
    pub(crate) fn succeeded(&self) {
        *self.lock() = State::default();
    }

    /// A request ended without saying anything about the upstream.
    pub(crate) fn said_nothing(&self) {
        self.lock().trial = None;
    }

    /// A request failed. True: it rests from now on.
    pub(crate) fn failed(&self, now: Instant) -> bool {
        if self.config.failures == 0 {
            return false;
        }
        let mut state = self.lock();
        state.failures = state.failures.saturating_add(1);
        let tried_in_vain = state.trial.take().is_some();
        if !tried_in_vain
            && (state.failures < self.config.failures || state.until.is_some_and(|until| now < until))
        {
            return false;
        }
        let doubled = self.config.rest.get().saturating_mul(1 << state.rests.min(16));
        state.until = Some(now + doubled.min(self.config.max_rest.get().max(self.config.rest.get())));
        state.rests = state.rests.saturating_add(1);
        true
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_rests_longer_each_time_and_one_request_tries_it() {
        let breaker = Breaker::new(BreakerConfig {
            failures: 2,
            rest: Duration::from_secs(1).into(),
            max_rest: Duration::from_secs(3).into(),
        });
        let mut now = Instant::now();
        assert!(!breaker.failed(now) && breaker.admit(now));
        assert!(breaker.failed(now) && !breaker.admit(now));
        for rest in [1, 2, 3, 3] {
            assert_eq!(breaker.circuit(now), Circuit::Open(Duration::from_secs(rest)));
            now += Duration::from_secs(rest);
            assert_eq!(breaker.circuit(now), Circuit::HalfOpen);
            assert!(breaker.admit(now) && !breaker.admit(now), "one alone tries it");
            assert!(breaker.failed(now));
        }
        now += Duration::from_secs(3);
        assert!(breaker.admit(now));
        breaker.said_nothing();
        assert!(breaker.admit(now), "a trial that said nothing is another's");
        breaker.succeeded();
        assert_eq!(breaker.circuit(now), Circuit::Closed);
        assert!(!breaker.failed(now), "it begins anew");
    }
}
