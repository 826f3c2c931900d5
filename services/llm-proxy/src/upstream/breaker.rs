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

/// A request that may go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pass {
    /// As any other.
    Usual,
    /// The one that tries an upstream that rested, and since when.
    Trial(Instant),
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
        self.lock().circuit(now)
    }

    /// A request is about to go. None: it must not.
    pub(crate) fn admit(&self, now: Instant) -> Option<Pass> {
        let mut state = self.lock();
        match state.circuit(now) {
            Circuit::Closed => Some(Pass::Usual),
            Circuit::Open(_) => None,
            Circuit::HalfOpen => {
                state.trial = Some(now);
                Some(Pass::Trial(now))
            }
        }
    }

    /// A request went well.
    pub(crate) fn succeeded(&self) {
        *self.lock() = State::default();
    }

    /// A request ended without saying anything about the upstream: if it was the trial, another may try.
    pub(crate) fn said_nothing(&self, pass: Pass) {
        self.lock().end_trial(pass);
    }

    /// A request failed. True: it rests from now on.
    pub(crate) fn failed(&self, pass: Pass, now: Instant) -> bool {
        if self.config.failures == 0 {
            return false;
        }
        let mut state = self.lock();
        state.failures = state.failures.saturating_add(1);
        let tried_in_vain = state.end_trial(pass);
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

// === impl State ===

impl State {
    fn circuit(&self, now: Instant) -> Circuit {
        match (self.until, self.trial) {
            (None, _) => Circuit::Closed,
            (Some(until), _) if now < until => Circuit::Open(until - now),
            (Some(_), Some(since)) if now < since + TRIAL => Circuit::Open(since + TRIAL - now),
            (Some(_), _) => Circuit::HalfOpen,
        }
    }

    /// Ends the trial if this request is it, and says whether it was. What was sent before the rest is no trial.
    fn end_trial(&mut self, pass: Pass) -> bool {
        let is_trial = matches!(pass, Pass::Trial(since) if self.trial == Some(since));
        if is_trial {
            self.trial = None;
        }
        is_trial
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn breaker() -> Breaker {
        Breaker::new(BreakerConfig {
            failures: 2,
            rest: Duration::from_secs(1).into(),
            max_rest: Duration::from_secs(3).into(),
        })
    }

    #[test]
    fn it_rests_longer_each_time_and_one_request_tries_it() {
        let breaker = breaker();
        let mut now = Instant::now();
        assert!(!breaker.failed(Pass::Usual, now) && breaker.admit(now) == Some(Pass::Usual));
        assert!(breaker.failed(Pass::Usual, now) && breaker.admit(now).is_none());
        for rest in [1, 2, 3, 3] {
            assert_eq!(breaker.circuit(now), Circuit::Open(Duration::from_secs(rest)));
            now += Duration::from_secs(rest);
            assert_eq!(breaker.circuit(now), Circuit::HalfOpen);
            let trial = breaker.admit(now).expect("one tries it");
            assert!(breaker.admit(now).is_none(), "one alone");
            assert!(breaker.failed(trial, now));
        }
        now += Duration::from_secs(3);
        let trial = breaker.admit(now).expect("one tries it");
        breaker.said_nothing(trial);
        assert!(
            breaker.admit(now).is_some(),
            "a trial that said nothing is another's"
        );
        breaker.succeeded();
        assert_eq!(breaker.circuit(now), Circuit::Closed);
        assert!(!breaker.failed(Pass::Usual, now), "it begins anew");
    }

    #[test]
    fn what_was_sent_before_the_rest_does_not_end_the_trial() {
        let breaker = breaker();
        let start = Instant::now();
        let (before, also_before) = (breaker.admit(start), breaker.admit(start));
        let before = before.zip(also_before).expect("closed");
        breaker.failed(Pass::Usual, start);
        breaker.failed(Pass::Usual, start);
        let now = start + Duration::from_secs(1);
        let trial = breaker.admit(now).expect("one tries it");
        breaker.said_nothing(before.0);
        assert!(breaker.admit(now).is_none(), "it is still tried");
        breaker.failed(before.1, now);
        assert_eq!(breaker.circuit(now + TRIAL), Circuit::HalfOpen, "no longer rest");
        assert!(breaker.failed(trial, now));
    }
}
