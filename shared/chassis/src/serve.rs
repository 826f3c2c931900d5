//! A gRPC server: services in, the platform's layers around them, health and reflection beside them.
//!
//! The caller owns the listener and the wish to stop, so a test binds port 0. Not here: what a service does, and when
//! it is ready; the first is its own, the second is told through [`Readiness`] guards.

pub(crate) mod methods;
mod reflection;

use std::convert::Infallible;
use std::future::Future;
use std::sync::Arc;

use http::{Request, Response};
use hyper_util::service::TowerToHyperService;
use polyphony_proto::google::longrunning;
use polyphony_proto::google::longrunning::operations_server::OperationsServer;
use polyphony_proto::models::v1 as models_pb;
use polyphony_proto::models::v1::model_service_server::ModelServiceServer;
use tokio::net::TcpListener;
use tokio_util::task::AbortOnDropHandle;
use tonic::body::Body;
use tonic::server::NamedService;
use tonic::service::Routes;
use tonic_health::pb::health_server::HealthServer;
use tower::{Service, ServiceBuilder, ServiceExt};

use crate::accept::{self, Ended};
use crate::config::ServerConfig;
use crate::drain::Drain;
use crate::layers::admission::Admission;
use crate::layers::details::Details;
use crate::layers::lifetime::Lifetime;
use crate::layers::panic::CatchPanic;
use crate::layers::protocol::Protocol;
use crate::layers::ready::Ready;
use crate::layers::step;
use crate::layers::trace::Trace;
use crate::models::Models;
use crate::operations::Operations;
use crate::process::Runtime;
use crate::readiness::{HealthService, Readiness, await_ready, follow};
use crate::shutdown::Shutdown;
use crate::tls::{self, ServerTls};
use methods::Methods;
use reflection::Descriptors;

/// A server being put together.
#[derive(Debug)]
#[must_use = "a server does nothing until it serves"]
pub struct Server {
    name: &'static str,
    config: ServerConfig,
    readiness: Readiness,
    admission: Option<Admission>,
    routes: Routes,
    services: Vec<&'static str>,
    descriptors: Vec<&'static [u8]>,
    /// What still looks for what its services wait for.
    looking: Vec<AbortOnDropHandle<()>>,
}

/// A server, or a program around it, that cannot start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The model store cannot be opened.
    #[error("cannot open the model store")]
    Models(#[from] polyphony_models::Error),
    /// The certificate, key or authorities cannot be used.
    #[error("cannot set up TLS")]
    Tls(#[source] tls::Error),
    /// A descriptor set given for a service is not one, or lacks the service.
    #[error("cannot describe {service}")]
    Descriptors {
        /// The service, by its full gRPC name.
        service: &'static str,
        /// What is wrong.
        source: reflection::Error,
    },
    /// The listener is not one.
    #[error("cannot tell where the listener listens")]
    Listener(#[source] std::io::Error),
    /// The reflection service refuses the descriptors.
    #[error("cannot set up server reflection")]
    Reflection(#[source] tonic_reflection::server::Error),
}

/// Sets the message limits and the compression of a generated server:
/// `chassis::server!(AsrServiceServer::new(asr), &config.server.limits)`.
///
/// A macro, for tonic's generated servers share no trait that has these methods.
#[macro_export]
macro_rules! server {
    ($server:expr, $limits:expr) => {{
        let limits: &$crate::config::LimitsConfig = $limits;
        let server = $server
            .max_decoding_message_size(limits.receive().as_usize())
            .max_encoding_message_size(limits.max_send_message.as_usize())
            .accept_compressed($crate::reexport::Gzip);
        if limits.gzip_replies {
            server.send_compressed($crate::reexport::Gzip)
        } else {
            server
        }
    }};
}

// === impl Server ===

impl Server {
    /// A server without services. `name` is for the log.
    pub fn new(name: &'static str, config: &ServerConfig) -> Self {
        Self {
            name,
            config: config.clone(),
            readiness: Readiness::new(),
            admission: None,
            routes: Routes::default(),
            services: Vec::new(),
            descriptors: Vec::new(),
            looking: Vec::new(),
        }
    }

    /// Makes it the server of a program: its conditions and its permits are those of the process.
    pub fn within(self, runtime: &Runtime) -> Self {
        self.readiness(&runtime.readiness).admission(&runtime.admission)
    }

    /// Uses this set of conditions, which others may raise and read.
    pub fn readiness(mut self, readiness: &Readiness) -> Self {
        self.readiness = readiness.clone();
        self
    }

    /// Takes permits from here, which other servers of the process share; without it the server has
    /// `limits.max_in_flight` of its own.
    pub fn admission(mut self, admission: &Admission) -> Self {
        self.admission = Some(admission.clone());
        self
    }

    /// Lets `service`, by its full gRPC name, wait for `what` until `ready` finds all that it needs: it is asked every
    /// second, and what it lacks, with the remedy, is what readiness says meanwhile. Say whose readiness first.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn awaits<F, R>(mut self, service: &str, what: &str, ready: F) -> Self
    where
        F: Fn() -> R + Send + 'static,
        R: Future<Output = Result<(), String>> + Send + 'static,
    {
        let looking = await_ready(self.readiness.guard(service, what), ready);
        self.looking.push(AbortOnDropHandle::new(tokio::spawn(looking)));
        self
    }

    /// Lets one method of a service wait for `what` whenever `ready` lacks something, which is asked every second as long as
    /// it serves. Health tells of it by the name of the method's path and `/readyz` beside the rest; nothing else is held up,
    /// and its calls reach the handler, which knows more of what they need. Say whose readiness first.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn method_awaits<F, R>(mut self, service: &str, method: &str, what: &str, ready: F) -> Self
    where
        F: Fn() -> R + Send + 'static,
        R: Future<Output = Result<(), String>> + Send + 'static,
    {
        let method = format!("{service}/{method}");
        let following = follow(self.readiness.clone(), method, what.to_owned(), ready);
        self.looking.push(AbortOnDropHandle::new(tokio::spawn(following)));
        self
    }

    /// Adds `ModelService`.
    pub fn models(self, models: Models) -> Self {
        let models = crate::server!(ModelServiceServer::new(models), &self.config.limits);
        self.service(models, models_pb::FILE_DESCRIPTOR_SET)
    }

    /// Adds `Operations`, for services with long work.
    pub fn operations(self, operations: Operations) -> Self {
        let operations = crate::server!(OperationsServer::new(operations), &self.config.limits);
        self.service(operations, longrunning::FILE_DESCRIPTOR_SET)
    }

    /// Adds a service. `descriptors` is an encoded `FileDescriptorSet` that holds it and all it imports; what else it
    /// holds is neither served nor described.
    pub fn service<S>(mut self, service: S, descriptors: &'static [u8]) -> Self
    where
        S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>
            + NamedService
            + Clone
            + Send
            + Sync
            + 'static,
        S::Future: Send + 'static,
    {
        self.services.push(S::NAME);
        self.descriptors.push(descriptors);
        self.readiness.register(S::NAME);
        self.routes = self.routes.add_service(service);
        self
    }

    /// Serves until `shutdown`, then drains.
    ///
    /// # Errors
    /// Before the first connection only: TLS files or descriptors that cannot be used.
    pub async fn serve(self, listener: TcpListener, shutdown: Shutdown) -> Result<Ended, Error> {
        let Self {
            name,
            config,
            readiness,
            admission,
            routes,
            services,
            descriptors,
            looking,
        } = self;
        let described = Descriptors::of(&services, &descriptors)?;
        let (v1, v1alpha) = described.reflection().map_err(Error::Reflection)?;
        for service in described.services() {
            readiness.register(service);
        }
        readiness.started();
        let limits = &config.limits;
        let health = HealthServer::new(HealthService::new(readiness.clone()));
        let routes = routes
            .add_service(crate::server!(health, limits))
            .add_service(crate::server!(v1, limits))
            .add_service(crate::server!(v1alpha, limits))
            .prepare();
        let tls = config
            .tls
            .as_ref()
            .map(|tls| ServerTls::load(tls, false))
            .transpose()
            .map_err(Error::Tls)?;

        let methods = Arc::new(Methods::of(described.files()));
        let admission = admission.unwrap_or_else(|| Admission::new(limits.max_in_flight));
        let stages = Drain::new();
        let stack = ServiceBuilder::new()
            // Outermost, to see every call and its true end: whoever refuses below is counted and logged like a handler.
            .layer(step(Trace::new(Arc::clone(&methods))))
            // Above all that make a status, so that none leaves without details; below the trace, which sees final codes.
            .layer(step(Details))
            // Before anything is spent on a stranger.
            .layer(step(Protocol))
            // Before admission: a call that cannot be served must not take a permit from one that can.
            .layer(step(Ready::new(readiness.clone())))
            // Above admission: when a call's time is over its permit is given back, even if nobody reads the reply.
            .layer(step(Lifetime::new(config.deadlines.clone(), methods, stages.clone())))
            // Next to the work it counts.
            .layer(step(admission))
            // Nearest to the handler: what is above sees a panic as an ordinary error and lets go in order.
            .layer(step(CatchPanic::new()))
            .service(routes);
        let service = TowerToHyperService::new(
            stack.map_request(|request: Request<hyper::body::Incoming>| request.map(Body::new)),
        );

        let options = accept::Options {
            connections: config.connections,
            drain: config.drain,
            tls,
            http1: false,
            stages,
        };
        let addr = listener.local_addr().map_err(Error::Listener)?;
        tracing::info!(server = name, %addr, services = services.join(", "), "listening");
        let draining = async {
            shutdown.asked().await;
            readiness.drain();
            std::future::pending::<Infallible>().await
        };
        let ended = tokio::select! {
            ended = accept::serve(listener, service, options, shutdown.clone()) => ended,
            never = draining => match never {},
        };
        drop(looking);
        tracing::info!(server = name, ?ended, "stopped");
        Ok(ended)
    }
}
