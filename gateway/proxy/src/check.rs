//! Active health checks: every endpoint is asked at each interval whether it serves, as a whole and by service.
//!
//! An endpoint is asked whether or not it gets calls, from the first moment on; so one that starts after the gateway
//! is used within an interval (Envoy waits a minute unless `no_traffic_interval` is set).

use std::sync::{Arc, Weak};
use std::time::Duration;

use polyphony_gateway_core::{HealthCheck, Probe};
use tokio::time::{MissedTickBehavior, interval, timeout};
use tonic::Code;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use crate::channel::EndpointChannel;
use crate::cluster::{Cluster, ServiceStatus};
use crate::endpoint::Endpoint;

/// How long an answer may take where no check is configured that says so.
const PATIENCE: Duration = Duration::from_secs(1);

/// Checks one endpoint of a cluster for as long as the cluster is there.
pub(crate) async fn run(cluster: Weak<Cluster>, index: usize, check: HealthCheck) {
    let mut ticks = interval(check.interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let Some(cluster) = cluster.upgrade() else { return };
        let endpoint = &cluster.endpoints()[index];
        if round(endpoint, &check).await {
            cluster.rebuild();
        }
    }
}

impl Cluster {
    /// What is known of a service here; asks the usable endpoints if it was not followed so far.
    ///
    /// A name that an endpoint knows is followed from then on. One that nobody knows is not, so that strangers cannot
    /// make the gateway follow names of their own.
    pub async fn find_out(&self, service: &str) -> ServiceStatus {
        let known = self.status(service);
        if known != ServiceStatus::Unknown {
            return known;
        }
        let check = &self.settings().health_check;
        let patience = check.as_ref().map_or(PATIENCE, |check| check.timeout);
        let mut found = ServiceStatus::Unknown;
        for endpoint in self.usable().cloned().collect::<Vec<_>>() {
            let probe = ask(&endpoint, service, patience).await;
            match probe {
                Probe::Serving => found = ServiceStatus::Serving,
                Probe::NotServing if found == ServiceStatus::Unknown => found = ServiceStatus::NotServing,
                Probe::NotServing => {}
                Probe::Unknown | Probe::Failed => continue,
            }
            if let Some(check) = check {
                endpoint.track([service]);
                if endpoint.observe_service(service, probe, check) {
                    self.rebuild();
                }
            }
        }
        found
    }
}

/// Asks for the whole, then for each service; true if anything changed.
async fn round(endpoint: &Arc<Endpoint>, check: &HealthCheck) -> bool {
    let probe = match ask(endpoint, &check.service, check.timeout).await {
        // It must know itself.
        Probe::Unknown => Probe::Failed,
        probe => probe,
    };
    let mut changed = endpoint.observe(probe, check);
    if changed {
        let healthy = endpoint.whole().is_serving();
        tracing::info!(endpoint = endpoint.name(), healthy, "upstream health changed");
    }
    if probe != Probe::Serving {
        return changed;
    }
    for service in endpoint.tracked() {
        let probe = ask(endpoint, &service, check.timeout).await;
        if endpoint.observe_service(&service, probe, check) {
            tracing::debug!(endpoint = endpoint.name(), %service, ?probe, "upstream service health changed");
            changed = true;
        }
    }
    changed
}

async fn ask(endpoint: &Arc<Endpoint>, service: &str, patience: Duration) -> Probe {
    let mut client = HealthClient::new(EndpointChannel::probe(Arc::clone(endpoint)));
    let request = HealthCheckRequest {
        service: service.to_owned(),
    };
    match timeout(patience, client.check(request)).await {
        Ok(Ok(answer)) => match answer.into_inner().status() {
            ServingStatus::Serving => Probe::Serving,
            ServingStatus::NotServing => Probe::NotServing,
            ServingStatus::ServiceUnknown => Probe::Unknown,
            ServingStatus::Unknown => Probe::Failed,
        },
        Ok(Err(status)) if status.code() == Code::NotFound => Probe::Unknown,
        Ok(Err(_)) | Err(_) => Probe::Failed,
    }
}
