//! `grpc.health.v1` for probes of the machine that runs the process: in plaintext, whatever the service itself speaks.
//!
//! Readiness is that of the process and its services ([`HealthService`]). One name is added: `liveness` is SERVING as
//! long as anything is answered at all, for a process that loads a model or drains is not to be restarted.

use std::convert::Infallible;
use std::pin::Pin;

use futures_util::{Stream, StreamExt, stream};
use http::{Request, Response};
use hyper::body::Incoming;
use tonic::body::Body;
use tonic::service::Routes;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_server::{Health, HealthServer};
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};
use tower::Service;

use crate::readiness::{HealthService, Readiness};

/// What paths of the service begin with.
pub(super) const PATH: &str = "/grpc.health.v1.Health/";
/// The name that tells the process from its work.
const LIVENESS: &str = "liveness";
/// A request is a name.
const MAX_REQUEST: usize = 1024;

/// Health, and whether the process lives.
struct Probes(HealthService);

/// The service over these conditions.
pub(super) fn routes(readiness: &Readiness) -> Routes {
    let probes = Probes(HealthService::new(readiness.clone()));
    Routes::new(HealthServer::new(probes).max_decoding_message_size(MAX_REQUEST)).prepare()
}

/// Answers one call.
pub(super) async fn answer(
    mut routes: Routes,
    request: Request<Incoming>,
) -> Result<Response<Body>, Infallible> {
    routes.call(request.map(Body::new)).await
}

fn alive() -> HealthCheckResponse {
    HealthCheckResponse {
        status: ServingStatus::Serving.into(),
    }
}

// === impl Probes ===

#[tonic::async_trait]
impl Health for Probes {
    async fn check(
        &self,
        request: tonic::Request<HealthCheckRequest>,
    ) -> Result<tonic::Response<HealthCheckResponse>, tonic::Status> {
        if request.get_ref().service == LIVENESS {
            return Ok(tonic::Response::new(alive()));
        }
        self.0.check(request).await
    }

    type WatchStream = Pin<Box<dyn Stream<Item = Result<HealthCheckResponse, tonic::Status>> + Send>>;

    async fn watch(
        &self,
        request: tonic::Request<HealthCheckRequest>,
    ) -> Result<tonic::Response<Self::WatchStream>, tonic::Status> {
        if request.get_ref().service == LIVENESS {
            // It never changes while somebody is there to tell.
            let once = stream::iter([Ok(alive())]).chain(stream::pending());
            return Ok(tonic::Response::new(Box::pin(once)));
        }
        self.0.watch(request).await
    }
}
