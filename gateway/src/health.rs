//! `grpc.health.v1` for the whole mesh: the gateway by the empty name, every service by its own.
//!
//! A service is SERVING when an endpoint that gets calls says so itself. What no route leads to, or no endpoint knows,
//! is NOT_FOUND.

use std::pin::Pin;
use std::time::Duration;

use futures_util::{Stream, StreamExt, stream};
use polyphony_chassis::{Drain, Readiness};
use polyphony_error::Fault;
use polyphony_gateway_proxy::{Proxy, ServiceStatus};
use tokio::time::sleep;
use tonic::{Request, Response, Status};
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_server::Health;
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};

use crate::reflection::OWN_SERVICES;

/// The longest name looked up.
const MAX_NAME: usize = 256;
/// How often a watcher looks again at a name that no endpoint knows: nothing tells when that changes.
const UNKNOWN_INTERVAL: Duration = Duration::from_secs(5);

/// Answers health checks.
#[derive(Clone)]
pub(crate) struct MeshHealth {
    proxy: Proxy,
    readiness: Readiness,
    drain: Drain,
}

// === impl MeshHealth ===

impl MeshHealth {
    pub(crate) fn new(proxy: Proxy, readiness: Readiness, drain: Drain) -> Self {
        Self {
            proxy,
            readiness,
            drain,
        }
    }

    async fn status(&self, service: &str) -> ServingStatus {
        // A gateway that drains wants no new calls for anything.
        let gateway = self.readiness.is_serving("").unwrap_or(false);
        if service.is_empty() || OWN_SERVICES.contains(&service) {
            return if gateway {
                ServingStatus::Serving
            } else {
                ServingStatus::NotServing
            };
        }
        let Some(cluster) = self.proxy.cluster_of(service) else {
            return ServingStatus::ServiceUnknown;
        };
        match cluster.find_out(service).await {
            ServiceStatus::Unknown => ServingStatus::ServiceUnknown,
            ServiceStatus::Serving if !self.readiness.is_draining() => ServingStatus::Serving,
            ServiceStatus::Serving | ServiceStatus::NotServing => ServingStatus::NotServing,
        }
    }

    /// Completes when the status of a service may have changed.
    async fn change(&self, service: &str, known: bool) {
        let cluster = self.proxy.cluster_of(service).map(|cluster| cluster.changes());
        let mesh = async {
            match cluster {
                // Fails when the cluster is gone, which the next look will find.
                Some(mut changes) => drop(changes.changed().await),
                None => std::future::pending().await,
            }
        };
        let again = async {
            // The gateway's own state and names that may become known are looked at again after a while.
            if known && !service.is_empty() {
                std::future::pending::<()>().await;
            }
            sleep(if service.is_empty() {
                Duration::from_secs(1)
            } else {
                UNKNOWN_INTERVAL
            })
            .await;
        };
        tokio::select! {
            () = mesh => {}
            () = again => {}
            () = self.drain.closing() => {}
        }
    }
}

#[tonic::async_trait]
impl Health for MeshHealth {
    async fn check(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<HealthCheckResponse>, Status> {
        let service = named(request)?;
        match self.status(&service).await {
            ServingStatus::ServiceUnknown => {
                Err(
                    Fault::not_found("service", service, "server reflection lists what is served here")
                        .into(),
                )
            }
            status => Ok(Response::new(answer(status))),
        }
    }

    type WatchStream = Pin<Box<dyn Stream<Item = Result<HealthCheckResponse, Status>> + Send>>;

    async fn watch(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let service = named(request)?;
        let health = self.clone();
        // A reader that falls behind sees the newest status only; nothing queues up.
        let changes = stream::unfold((health, service, None), async |(health, service, mut last)| {
            loop {
                let known = last.is_some_and(|last| last != ServingStatus::ServiceUnknown);
                // Subscribed before the look, so that no change falls between them.
                let change = health.change(&service, known);
                let mut change = std::pin::pin!(change);
                let first_turn = futures_util::poll!(change.as_mut()).is_ready();
                let status = health.status(&service).await;
                if last != Some(status) {
                    last = Some(status);
                    return Some((Ok(answer(status)), (health.clone(), service.clone(), last)));
                }
                if !first_turn {
                    change.await;
                }
            }
        });
        let drain = self.drain.clone();
        let until = changes.take_until(async move { drain.closing().await });
        Ok(Response::new(Box::pin(until)))
    }
}

fn named(request: Request<HealthCheckRequest>) -> Result<String, Status> {
    let service = request.into_inner().service;
    if service.len() > MAX_NAME {
        let fault = Fault::invalid(
            "service",
            format!("is longer than {MAX_NAME} bytes, as no gRPC name is"),
        );
        return Err(fault.into());
    }
    Ok(service)
}

fn answer(status: ServingStatus) -> HealthCheckResponse {
    HealthCheckResponse {
        status: status.into(),
    }
}
