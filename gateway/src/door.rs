//! The service of every connection: the gateway's own services by name, everything else to the proxy.

use std::convert::Infallible;
use std::future::Future;

use http::{Request, Response};
use hyper::body::Incoming;
use polyphony_chassis::{Drain, Readiness};
use polyphony_gateway_proxy::{Body, Proxy};
use tonic::service::Routes;
use tonic_health::pb::health_server::HealthServer;
use tonic_reflection::pb::v1::server_reflection_server::ServerReflectionServer;
use tonic_reflection::pb::v1alpha::server_reflection_server::ServerReflectionServer as ServerReflectionServerAlpha;
use tower::Service;

use crate::health::MeshHealth;
use crate::reflection::{Index, MeshReflection};

/// Requests of our own services are names; none is longer.
const MAX_REQUEST: usize = 64 * 1024;

/// Cheap to clone: once for each connection.
#[derive(Clone)]
pub(crate) struct Door {
    proxy: Proxy,
    own: Routes,
}

// === impl Door ===

impl Door {
    pub(crate) fn new(proxy: Proxy, index: Index, readiness: Readiness, drain: Drain) -> Self {
        let health = MeshHealth::new(proxy.clone(), readiness, drain.clone());
        let reflection = MeshReflection::new(index, drain);
        let v1 = ServerReflectionServer::new(reflection.clone()).max_decoding_message_size(MAX_REQUEST);
        let v1alpha = ServerReflectionServerAlpha::new(reflection).max_decoding_message_size(MAX_REQUEST);
        let health = HealthServer::new(health).max_decoding_message_size(MAX_REQUEST);
        let own = Routes::new(health).add_service(v1).add_service(v1alpha).prepare();
        Self { proxy, own }
    }

    async fn answer(self, request: Request<Incoming>) -> Response<Body> {
        let Self { proxy, mut own } = self;
        if !is_own(request.uri().path()) {
            return proxy.handle(request).await;
        }
        let Ok::<_, Infallible>(response) = own.call(request.map(tonic::body::Body::new)).await;
        response.map(Body::from)
    }
}

impl hyper::service::Service<Request<Incoming>> for Door {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = std::pin::Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let door = self.clone();
        Box::pin(async move { Ok(door.answer(request).await) })
    }
}

/// Whether the gateway answers the call itself.
fn is_own(path: &str) -> bool {
    // One comparison for all that is not gRPC's own.
    let Some(rest) = path.strip_prefix("/grpc.") else {
        return false;
    };
    [
        "health.v1.Health/",
        "reflection.v1.ServerReflection/",
        "reflection.v1alpha.ServerReflection/",
    ]
    .iter()
    .any(|service| rest.starts_with(service))
}
