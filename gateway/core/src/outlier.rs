//! Ejection of an endpoint that keeps failing though its health check passes.
//!
//! Envoy's `consecutive_5xx` as it acts on gRPC: UNAVAILABLE, INTERNAL, UNKNOWN and DEADLINE_EXCEEDED count, all other
//! codes reset the count. RESOURCE_EXHAUSTED must not count: a busy endpoint that is ejected moves its load to the
//! next one, which then falls too.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// When to eject, and for how long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutlierPolicy {
    /// Failures in a row, at least 1.
    pub consecutive_failures: u32,
    /// The n-th ejection lasts n times this.
    pub base_ejection: Duration,
    /// At most this.
    pub max_ejection: Duration,
    /// The most endpoints of a cluster that may be out at once, in percent.
    pub max_ejected_percent: u32,
}

/// The record of one endpoint. Good answers cost one read of shared memory.
#[derive(Debug, Default)]
pub struct Outlier {
    failures: AtomicU32,
    ejections: AtomicU32,
}

// === impl OutlierPolicy ===

impl OutlierPolicy {
    /// Whether an answer with this gRPC code speaks against the endpoint.
    pub fn is_failure(code: u16) -> bool {
        const UNKNOWN: u16 = 2;
        const DEADLINE_EXCEEDED: u16 = 4;
        const INTERNAL: u16 = 13;
        const UNAVAILABLE: u16 = 14;
        matches!(code, UNKNOWN | DEADLINE_EXCEEDED | INTERNAL | UNAVAILABLE)
    }

    /// Whether one more endpoint may go, where `ejected` of `total` are out. The last one never does; one always may
    /// where there are several.
    pub fn may_eject(&self, total: usize, ejected: usize) -> bool {
        let allowed = (total * self.max_ejected_percent as usize / 100).max(1);
        total > 1 && ejected < allowed && ejected + 1 < total
    }
}

// === impl Outlier ===

impl Outlier {
    /// Takes one answer in, and says whether the endpoint has now failed too often.
    pub fn record(&self, code: u16, policy: &OutlierPolicy) -> bool {
        if OutlierPolicy::is_failure(code) {
            return self.failures.fetch_add(1, Ordering::Relaxed) + 1 >= policy.consecutive_failures;
        }
        if self.failures.load(Ordering::Relaxed) != 0 {
            self.failures.store(0, Ordering::Relaxed);
        }
        false
    }

    /// Counts an ejection, and says how long it lasts.
    pub fn eject(&self, policy: &OutlierPolicy) -> Duration {
        self.failures.store(0, Ordering::Relaxed);
        let nth = self.ejections.fetch_add(1, Ordering::Relaxed).saturating_add(1);
        policy.base_ejection.saturating_mul(nth).min(policy.max_ejection)
    }

    /// Forgives one ejection: called when the endpoint has stayed in for as long as it was out.
    pub fn forgive(&self) {
        let less = |n: u32| n.checked_sub(1);
        // An endpoint with nothing to forgive stays at zero.
        self.ejections
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, less)
            .ok();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: OutlierPolicy = OutlierPolicy {
        consecutive_failures: 5,
        base_ejection: Duration::from_secs(30),
        max_ejection: Duration::from_secs(70),
        max_ejected_percent: 10,
    };

    #[test]
    fn row_36_four_codes_eject_after_five_in_a_row_and_no_other_does() {
        for code in 0..=16 {
            let outlier = Outlier::default();
            let tripped = (0..5).map(|_| outlier.record(code, &POLICY)).collect::<Vec<_>>();
            let expected = matches!(code, 2 | 4 | 13 | 14);
            assert_eq!(tripped, [false, false, false, false, expected], "code {code}");
        }
    }

    #[test]
    fn one_good_answer_starts_the_count_again() {
        let outlier = Outlier::default();
        for code in [14, 14, 14, 14, 0, 14, 14, 14, 14] {
            assert!(!outlier.record(code, &POLICY));
        }
        assert!(outlier.record(14, &POLICY));
    }

    #[test]
    fn ejections_grow_to_a_limit_and_are_forgiven() {
        let outlier = Outlier::default();
        let secs = Duration::from_secs;
        assert_eq!(outlier.eject(&POLICY), secs(30));
        assert_eq!(outlier.eject(&POLICY), secs(60));
        assert_eq!(outlier.eject(&POLICY), secs(70));
        for _ in 0..5 {
            outlier.forgive();
        }
        assert_eq!(outlier.eject(&POLICY), secs(30));
    }

    #[test]
    fn the_last_endpoint_is_never_ejected() {
        assert!(!POLICY.may_eject(1, 0));
        assert!(POLICY.may_eject(2, 0));
        assert!(!POLICY.may_eject(2, 1));
        assert!(POLICY.may_eject(30, 2));
        assert!(!POLICY.may_eject(30, 3));
    }
}
