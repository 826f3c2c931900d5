//! When an endpoint counts as healthy: thresholds over the answers to active checks.

use crate::HealthCheck;

/// What is believed of one service on one endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Health {
    state: State,
    /// Answers in a row that contradict the state.
    against: u32,
}

/// The answer to one check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Probe {
    /// SERVING.
    Serving,
    /// NOT_SERVING: the endpoint itself says that it must get no calls.
    NotServing,
    /// The endpoint does not know the service.
    Unknown,
    /// No answer in time, no connection, or an error.
    Failed,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum State {
    /// Not asked yet.
    #[default]
    New,
    Healthy,
    Unhealthy,
    /// Asked, and it knows nothing of the service.
    Unheard,
}

// === impl Health ===

impl Health {
    /// Takes one answer in, and says whether anything changed.
    ///
    /// The first answer decides at once. NOT_SERVING decides at once too, because the endpoint said so: it is draining
    /// or starting, and every further call to it is a call lost. Only failures, which may be the network's, need
    /// `unhealthy_threshold` in a row.
    pub fn observe(&mut self, probe: Probe, check: &HealthCheck) -> bool {
        let (next, threshold) = match probe {
            Probe::Serving => (State::Healthy, check.healthy_threshold),
            Probe::NotServing => (State::Unhealthy, 1),
            Probe::Failed => (State::Unhealthy, check.unhealthy_threshold),
            Probe::Unknown => (State::Unheard, 1),
        };
        if next == self.state {
            self.against = 0;
            return false;
        }
        self.against += 1;
        if self.state != State::New && self.against < threshold {
            return false;
        }
        self.state = next;
        self.against = 0;
        true
    }

    /// It said so itself.
    pub fn is_serving(self) -> bool {
        self.state == State::Healthy
    }

    /// It must get no calls. Neither a service that was not asked for yet nor one that the endpoint keeps no record of
    /// is held against it.
    pub fn is_refused(self) -> bool {
        self.state == State::Unhealthy
    }

    /// It was asked and had an answer, good or bad.
    pub fn is_known(self) -> bool {
        matches!(self.state, State::Healthy | State::Unhealthy)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn check(healthy: u32, unhealthy: u32) -> HealthCheck {
        HealthCheck {
            interval: Duration::from_secs(1),
            timeout: Duration::from_secs(1),
            healthy_threshold: healthy,
            unhealthy_threshold: unhealthy,
            service: String::new(),
        }
    }

    #[test]
    fn the_first_answer_decides_at_once() {
        let mut health = Health::default();
        assert!(!health.is_serving() && !health.is_known() && !health.is_refused());
        assert!(health.observe(Probe::Serving, &check(3, 3)));
        assert!(health.is_serving());
        let mut health = Health::default();
        assert!(health.observe(Probe::Failed, &check(3, 3)));
        assert!(health.is_refused());
    }

    #[test]
    fn failures_must_come_in_a_row() {
        let (mut health, check) = (Health::default(), check(2, 3));
        health.observe(Probe::Serving, &check);
        for probe in [
            Probe::Failed,
            Probe::Failed,
            Probe::Serving,
            Probe::Failed,
            Probe::Failed,
        ] {
            assert!(!health.observe(probe, &check));
            assert!(health.is_serving());
        }
        assert!(health.observe(Probe::Failed, &check));
        assert!(health.is_refused());
        assert!(!health.observe(Probe::Serving, &check));
        assert!(health.observe(Probe::Serving, &check));
        assert!(health.is_serving());
    }

    #[test]
    fn an_endpoint_that_says_not_serving_is_believed_at_once() {
        let (mut health, check) = (Health::default(), check(1, 10));
        health.observe(Probe::Serving, &check);
        assert!(health.observe(Probe::NotServing, &check));
        assert!(health.is_refused());
    }

    #[test]
    fn a_service_without_a_record_is_not_held_against_the_endpoint() {
        let mut health = Health::default();
        assert!(health.observe(Probe::Unknown, &check(1, 1)));
        assert!(!health.is_refused() && !health.is_known() && !health.is_serving());
    }
}
