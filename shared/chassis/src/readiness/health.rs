//! `grpc.health.v1` as a view of the readiness set. It keeps no state of its own, so it cannot disagree with it.

use std::pin::Pin;

use futures_util::{Stream, stream};
use polyphony_error::Fault;
use tokio::sync::watch;
use tonic::{Request, Response, Status};
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_server::Health;
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};

use super::{Readiness, State};

/// Answers health checks from a [`Readiness`].
#[derive(Debug, Clone)]
pub struct HealthService {
    readiness: Readiness,
}

/// One caller of `Watch`.
struct Watch {
    changes: watch::Receiver<State>,
    service: String,
    last: Option<Option<bool>>,
}

/// The longest name looked up; gRPC names are far shorter.
const MAX_NAME: usize = 256;

// === impl HealthService ===

impl HealthService {
    /// A view of this set.
    pub fn new(readiness: Readiness) -> Self {
        Self { readiness }
    }
}

#[tonic::async_trait]
impl Health for HealthService {
    async fn check(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<HealthCheckResponse>, Status> {
        let service = checked(request.into_inner())?;
        match self.readiness.is_serving(&service) {
            Some(serving) => Ok(Response::new(answer(Some(serving)))),
            None => Err(
                Fault::not_found("service", service, "server reflection lists what is served here").into(),
            ),
        }
    }

    type WatchStream = Pin<Box<dyn Stream<Item = Result<HealthCheckResponse, Status>> + Send>>;

    /// Sends the status and then each change of it. An unknown name is SERVICE_UNKNOWN and may become known later, as
    /// the protocol asks.
    async fn watch(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let service = checked(request.into_inner())?;
        let watch = Watch {
            changes: self.readiness.subscribe(),
            service,
            last: None,
        };
        // A slow reader sees the newest status only; nothing queues up.
        let changes = stream::unfold(watch, async |mut watch| {
            let now = watch.next().await?;
            Some((Ok(answer(now)), watch))
        });
        Ok(Response::new(Box::pin(changes)))
    }
}

// === impl Watch ===

impl Watch {
    /// The status once it differs from the last one told; `None` when the process forgot its readiness.
    async fn next(&mut self) -> Option<Option<bool>> {
        loop {
            let now = self.changes.borrow_and_update().is_serving(&self.service);
            if self.last.replace(now) != Some(now) {
                return Some(now);
            }
            self.changes.changed().await.ok()?;
        }
    }
}

fn checked(request: HealthCheckRequest) -> Result<String, Status> {
    if request.service.len() > MAX_NAME {
        let fault = Fault::invalid(
            "service",
            format!("is longer than {MAX_NAME} bytes, as no gRPC name is"),
        );
        return Err(fault.into());
    }
    Ok(request.service)
}

fn answer(serving: Option<bool>) -> HealthCheckResponse {
    let status = match serving {
        Some(true) => ServingStatus::Serving,
        Some(false) => ServingStatus::NotServing,
        None => ServingStatus::ServiceUnknown,
    };
    HealthCheckResponse {
        status: status.into(),
    }
}
