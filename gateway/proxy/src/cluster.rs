//! A cluster at run time: which endpoints are usable, which of them a call gets, and how many calls it may have.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use http::HeaderMap;
use polyphony_chassis::tls::ClientTls;
use polyphony_gateway_core as core;
use polyphony_gateway_core::{Balance, Candidate, Choice, Picker};
use tokio::sync::watch;
use tokio::time::Instant;
use tonic::Code;
use tracing::Span;

use crate::endpoint::Endpoint;
use crate::metrics::ClusterMetrics;
use crate::trace;

/// A set of endpoints that serve the same thing.
pub struct Cluster {
    settings: core::Cluster,
    endpoints: Box<[Arc<Endpoint>]>,
    usable: ArcSwap<Usable>,
    /// Held while `usable` is built anew, so that an older picture never replaces a newer one.
    building: Mutex<()>,
    requests: AtomicUsize,
    pending: AtomicUsize,
    /// Moves on whenever an endpoint becomes usable or stops being so.
    version: watch::Sender<u64>,
    pub(crate) metrics: ClusterMetrics,
}

/// What is known of a service in a cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ServiceStatus {
    /// A usable endpoint says that it serves it.
    Serving,
    /// Nobody who knows it serves it now, or nobody is there to ask.
    NotServing,
    /// Usable endpoints are there, and none was heard on it.
    Unknown,
}

/// A call that was let in. Counts it, from the head to the last byte.
pub(crate) struct Admission {
    cluster: Arc<Cluster>,
    since: Instant,
    code: Code,
    span: Option<Span>,
}

/// The endpoints that may get calls.
struct Usable {
    any: Picker,
    count: usize,
    /// Services for which fewer of them may.
    fewer: HashMap<Arc<str>, Picker>,
}

// === impl Cluster ===

impl Cluster {
    pub(crate) fn new(settings: core::Cluster, tls: Option<&ClientTls>) -> Arc<Self> {
        let endpoints = settings.endpoints.iter();
        let endpoints = endpoints.map(|endpoint| Arc::new(Endpoint::new(endpoint, &settings, tls.cloned())));
        let cluster = Arc::new(Self {
            endpoints: endpoints.collect(),
            usable: ArcSwap::from_pointee(Usable {
                any: Picker::new(&settings.balance, &[]),
                count: 0,
                fewer: HashMap::new(),
            }),
            building: Mutex::new(()),
            requests: AtomicUsize::new(0),
            pending: AtomicUsize::new(0),
            version: watch::Sender::new(0),
            metrics: ClusterMetrics::new(&settings.name),
            settings,
        });
        cluster.rebuild();
        cluster
    }

    /// Its name in the configuration.
    pub fn name(&self) -> &str {
        &self.settings.name
    }

    /// All endpoints, usable or not.
    pub fn endpoints(&self) -> &[Arc<Endpoint>] {
        &self.endpoints
    }

    /// The endpoints that get calls now.
    pub fn usable(&self) -> impl Iterator<Item = &Arc<Endpoint>> {
        self.endpoints.iter().filter(|endpoint| self.is_usable(endpoint))
    }

    /// Tells of every change in which endpoints and services are usable.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.version.subscribe()
    }

    /// What is known of a service here.
    pub fn status(&self, service: &str) -> ServiceStatus {
        let (mut asked, mut heard) = (false, false);
        for endpoint in self.usable() {
            let health = endpoint.service(service);
            if health.is_serving() {
                return ServiceStatus::Serving;
            }
            asked = true;
            heard |= health.is_known();
        }
        if asked && !heard {
            ServiceStatus::Unknown
        } else {
            ServiceStatus::NotServing
        }
    }

    pub(crate) fn settings(&self) -> &core::Cluster {
        &self.settings
    }

    pub(crate) fn pending(&self) -> &AtomicUsize {
        &self.pending
    }

    /// Lets a call in, unless too many are.
    pub(crate) fn admit(self: &Arc<Self>) -> Option<Admission> {
        if self.requests.fetch_add(1, Ordering::AcqRel) >= self.settings.max_requests {
            self.requests.fetch_sub(1, Ordering::AcqRel);
            self.metrics.ended(Code::Unavailable);
            return None;
        }
        self.metrics.running.increment(1);
        Some(Admission {
            cluster: Arc::clone(self),
            since: Instant::now(),
            // What a call ended with that was dropped before it was told.
            code: Code::Cancelled,
            span: None,
        })
    }

    /// The endpoint for a call of `service`. `avoid` was just tried in vain.
    pub(crate) fn pick(&self, service: &str, headers: &HeaderMap, avoid: Option<usize>) -> Option<usize> {
        let usable = self.usable.load();
        let picker = usable.fewer.get(service).unwrap_or(&usable.any);
        let key = match &self.settings.balance {
            Balance::RingHash { header } => headers.get(header).map(|value| value.as_bytes()),
            Balance::RoundRobin | Balance::LeastRequest => None,
        };
        let choice = Choice {
            key,
            random: fastrand::u64(..),
            avoid,
        };
        picker.pick(choice, |index| self.endpoints[index].in_flight())
    }

    /// Takes in what a call to an endpoint ended with, and ejects the endpoint if that was one failure too many.
    pub(crate) fn record(self: &Arc<Self>, index: usize, code: Code) {
        let Some(policy) = &self.settings.outlier else {
            return;
        };
        let endpoint = &self.endpoints[index];
        if !endpoint.outlier.record(code as u16, policy) {
            return;
        }
        let lasts = {
            let _building = self.building.lock().unwrap_or_else(PoisonError::into_inner);
            let out = |endpoint: &&Arc<Endpoint>| endpoint.ejected.load(Ordering::Acquire);
            let ejected = self.endpoints.iter().filter(out).count();
            let already = endpoint.ejected.load(Ordering::Acquire);
            // The last one that still serves stays, however badly it does.
            let alone = self.usable().count() < 2;
            if already || alone || !policy.may_eject(self.endpoints.len(), ejected) {
                return;
            }
            endpoint.ejected.store(true, Ordering::Release);
            endpoint.outlier.eject(policy)
        };
        self.metrics.ejections.increment(1);
        tracing::warn!(
            cluster = self.name(),
            endpoint = endpoint.name(),
            ?lasts,
            "ejected, it keeps failing"
        );
        self.rebuild();
        let cluster = Arc::downgrade(self);
        tokio::spawn(async move {
            tokio::time::sleep(lasts).await;
            if let Some(cluster) = cluster.upgrade() {
                cluster.endpoints[index].ejected.store(false, Ordering::Release);
                cluster.rebuild();
                tracing::info!(
                    cluster = cluster.name(),
                    endpoint = cluster.endpoints[index].name(),
                    "let in again"
                );
            }
            tokio::time::sleep(lasts).await;
            if let Some(cluster) = cluster.upgrade() {
                cluster.endpoints[index].outlier.forgive();
            }
        });
    }

    /// Draws the picture of the usable endpoints anew.
    pub(crate) fn rebuild(&self) {
        let _building = self.building.lock().unwrap_or_else(PoisonError::into_inner);
        let indices = (0..self.endpoints.len()).filter(|&index| self.is_usable(&self.endpoints[index]));
        let indices = indices.collect::<Vec<_>>();
        let mut refusing: HashMap<Arc<str>, Vec<usize>> = HashMap::new();
        for &index in &indices {
            for service in self.endpoints[index].refused() {
                refusing.entry(service).or_default().push(index);
            }
        }
        let fewer = refusing.into_iter().map(|(service, without)| {
            let left = indices.iter().copied().filter(|index| !without.contains(index));
            (service, self.picker(&left.collect::<Vec<_>>()))
        });
        self.usable.store(Arc::new(Usable {
            any: self.picker(&indices),
            count: indices.len(),
            fewer: fewer.collect(),
        }));
        self.metrics.usable.set(indices.len() as f64);
        self.version.send_modify(|version| *version += 1);
    }

    /// Whether every endpoint has answered its first check, or failed to.
    pub fn is_checked(&self) -> bool {
        let unasked = |endpoint: &Arc<Endpoint>| !endpoint.whole().is_known();
        self.settings.health_check.is_none() || !self.endpoints.iter().any(unasked)
    }

    fn is_usable(&self, endpoint: &Endpoint) -> bool {
        let healthy = self.settings.health_check.is_none() || endpoint.whole().is_serving();
        healthy && !endpoint.ejected.load(Ordering::Acquire)
    }

    fn picker(&self, indices: &[usize]) -> Picker {
        let candidates = indices.iter().map(|&index| Candidate {
            index,
            weight: self.endpoints[index].weight(),
            name: self.endpoints[index].name(),
        });
        Picker::new(&self.settings.balance, &candidates.collect::<Vec<_>>())
    }
}

impl fmt::Debug for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cluster")
            .field("name", &self.settings.name)
            .field("endpoints", &self.endpoints.len())
            .field("usable", &self.usable.load().count)
            .field("requests", &self.requests.load(Ordering::Relaxed))
            .finish_non_exhaustive()
    }
}

// === impl Admission ===

impl Admission {
    /// Lets the span last as long as the call.
    pub(crate) fn trace(&mut self, span: Span) {
        self.span = Some(span);
    }

    /// Notes what the call ended with.
    pub(crate) fn ended(&mut self, code: Code) {
        self.code = code;
    }

    /// Notes what an endpoint answered, which also decides whether it stays in.
    pub(crate) fn answered(&mut self, index: usize, code: Code) {
        self.code = code;
        self.cluster.record(index, code);
    }
}

impl Drop for Admission {
    fn drop(&mut self) {
        self.cluster.requests.fetch_sub(1, Ordering::AcqRel);
        self.cluster.metrics.running.decrement(1);
        self.cluster.metrics.ended(self.code);
        self.cluster.metrics.seconds.record(self.since.elapsed());
        if let Some(span) = &self.span {
            trace::end(span, self.code);
        }
    }
}
