//! The names the gateway measures by. Handles are made once for each cluster, so that a call costs a few additions.

use std::sync::OnceLock;

use metrics::{Counter, Gauge, Histogram, counter, gauge, histogram};
use tonic::Code;

/// Calls ended. Labels `cluster` and `grpc_code` (a number, as in the `grpc-status` trailer).
const REQUESTS: &str = "polyphony_gateway_requests_total";
/// Seconds from the head of a call to its last byte. Label `cluster`.
const SECONDS: &str = "polyphony_gateway_request_seconds";
/// Calls running now. Label `cluster`.
const RUNNING: &str = "polyphony_gateway_requests_in_flight";
/// Attempts made after a first one that no endpoint processed. Label `cluster`.
const RETRIES: &str = "polyphony_gateway_retries_total";
/// Endpoints that get calls now. Label `cluster`.
const USABLE: &str = "polyphony_gateway_usable_endpoints";
/// Endpoints ejected because they kept failing. Label `cluster`.
const EJECTIONS: &str = "polyphony_gateway_ejections_total";
/// Connections to endpoints, opened. Label `endpoint`.
const CONNECTS: &str = "polyphony_gateway_upstream_connects_total";
/// Connections to endpoints that could not be opened. Label `endpoint`.
const CONNECT_FAILURES: &str = "polyphony_gateway_upstream_connect_failures_total";
/// Calls answered without a route. No label.
const UNROUTED: &str = "polyphony_gateway_unrouted_total";

/// The counts of one cluster.
pub(crate) struct ClusterMetrics {
    cluster: String,
    codes: [OnceLock<Counter>; 17],
    pub(crate) seconds: Histogram,
    pub(crate) running: Gauge,
    pub(crate) retries: Counter,
    pub(crate) usable: Gauge,
    pub(crate) ejections: Counter,
}

/// The counts of one endpoint.
pub(crate) struct EndpointMetrics {
    pub(crate) connects: Counter,
    pub(crate) failures: Counter,
}

// === impl ClusterMetrics ===

impl ClusterMetrics {
    pub(crate) fn new(cluster: &str) -> Self {
        let label = || [("cluster", cluster.to_owned())];
        Self {
            cluster: cluster.to_owned(),
            codes: std::array::from_fn(|_| OnceLock::new()),
            seconds: histogram!(SECONDS, &label()),
            running: gauge!(RUNNING, &label()),
            retries: counter!(RETRIES, &label()),
            usable: gauge!(USABLE, &label()),
            ejections: counter!(EJECTIONS, &label()),
        }
    }

    /// Counts a call that ended with this code.
    pub(crate) fn ended(&self, code: Code) {
        let code = code as usize;
        let new = || counter!(REQUESTS, "cluster" => self.cluster.clone(), "grpc_code" => code.to_string());
        self.codes[code].get_or_init(new).increment(1);
    }
}

// === impl EndpointMetrics ===

impl EndpointMetrics {
    pub(crate) fn new(endpoint: &str) -> Self {
        let label = [("endpoint", endpoint.to_owned())];
        Self {
            connects: counter!(CONNECTS, &label),
            failures: counter!(CONNECT_FAILURES, &label),
        }
    }
}

/// Counts a call that no route matches.
pub(crate) fn unrouted() {
    counter!(UNROUTED).increment(1);
}
