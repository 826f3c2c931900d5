//! One endpoint at run time: its connections, what is believed of its health, how busy it is.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use http::uri::Authority;
use polyphony_chassis::tls::ClientTls;
use polyphony_gateway_core as core;
use polyphony_gateway_core::{Health, HealthCheck, Outlier, Probe};

use crate::pool::Pool;

/// Services whose health is followed on one endpoint, at most; what it names beyond that is not followed.
const MAX_SERVICES: usize = 64;

/// An endpoint of a cluster.
#[derive(Debug)]
pub struct Endpoint {
    /// `host:port`, as in logs, metrics and on the ring.
    name: String,
    weight: u32,
    authority: Authority,
    pub(crate) pool: Arc<Pool>,
    pub(crate) in_flight: AtomicUsize,
    pub(crate) outlier: Outlier,
    pub(crate) ejected: AtomicBool,
    health: Mutex<Beliefs>,
}

/// What is believed of the endpoint as a whole and of its services.
#[derive(Debug, Default)]
struct Beliefs {
    whole: Health,
    services: BTreeMap<Arc<str>, Health>,
}

// === impl Endpoint ===

impl Endpoint {
    pub(crate) fn new(endpoint: &core::Endpoint, cluster: &core::Cluster, tls: Option<ClientTls>) -> Self {
        let name = endpoint.address.to_string();
        // Every address is a valid authority.
        let authority = Authority::try_from(name.as_str());
        Self {
            authority: authority.unwrap_or_else(|_| Authority::from_static("upstream")),
            weight: endpoint.weight,
            pool: Pool::new(
                endpoint.address.clone(),
                tls,
                cluster.connect_timeout,
                cluster.max_connections,
            ),
            name,
            in_flight: AtomicUsize::new(0),
            outlier: Outlier::default(),
            ejected: AtomicBool::new(false),
            health: Mutex::default(),
        }
    }

    /// `host:port`.
    pub fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn weight(&self) -> u32 {
        self.weight
    }

    pub(crate) fn authority(&self) -> &Authority {
        &self.authority
    }

    /// Calls running on it.
    pub(crate) fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// Follows the health of these services too. Names of gRPC's own services are left out: they say nothing of ours.
    pub fn track<'a>(&self, services: impl IntoIterator<Item = &'a str>) {
        let mut health = self.lock();
        for service in services {
            let known =
                service.is_empty() || service.starts_with("grpc.") || health.services.contains_key(service);
            if !known && health.services.len() < MAX_SERVICES {
                health.services.insert(Arc::from(service), Health::default());
            }
        }
    }

    /// The services that are followed.
    pub(crate) fn tracked(&self) -> Vec<Arc<str>> {
        self.lock().services.keys().cloned().collect()
    }

    /// Takes in the answer to a check of the whole endpoint; true if that changed anything.
    pub(crate) fn observe(&self, probe: Probe, check: &HealthCheck) -> bool {
        self.lock().whole.observe(probe, check)
    }

    /// Takes in the answer to a check of one service; true if that changed anything.
    pub(crate) fn observe_service(&self, service: &str, probe: Probe, check: &HealthCheck) -> bool {
        let mut health = self.lock();
        health
            .services
            .get_mut(service)
            .is_some_and(|health| health.observe(probe, check))
    }

    /// What is believed of the whole.
    pub(crate) fn whole(&self) -> Health {
        self.lock().whole
    }

    /// What is believed of one service.
    pub(crate) fn service(&self, service: &str) -> Health {
        self.lock().services.get(service).copied().unwrap_or_default()
    }

    /// The services it says it must not be asked for.
    pub(crate) fn refused(&self) -> Vec<Arc<str>> {
        let health = self.lock();
        let refused = health.services.iter().filter(|(_, health)| health.is_refused());
        refused.map(|(service, _)| Arc::clone(service)).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Beliefs> {
        self.health.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
