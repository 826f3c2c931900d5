//! What every call passes through, one layer a file. The order, and why, is in [`serve`](crate::serve).
//!
//! A layer is a [`Step`]: given a call and the rest of the stack, it answers. Bodies are erased between layers: one
//! dynamic call a message, which is nothing beside the work of any service here, and signatures stay readable.

pub(crate) mod admission;
pub(crate) mod details;
pub(crate) mod lifetime;
pub(crate) mod message_size;
pub(crate) mod panic;
pub(crate) mod protocol;
pub(crate) mod ready;
pub(crate) mod request_id;
pub(crate) mod trace;

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use http::{Request, Response};
use polyphony_error::Fault;
use tonic::Status;
use tonic::body::Body;
use tower::{Layer, Service, layer::layer_fn};

/// What a call comes to. Errors are replies too, so nothing below HTTP ever fails.
pub(crate) type Answer = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

/// Anything that answers calls: the rest of the stack.
pub(crate) trait Handler:
    Service<Request<Body>, Response = Response<Body>, Error = Infallible, Future: Send + 'static> + Send + 'static
{
    /// Passes the call on unchanged.
    fn call_boxed(&mut self, request: Request<Body>) -> Answer {
        Box::pin(self.call(request))
    }
}

/// One layer.
pub(crate) trait Step: Clone + Send + Sync + 'static {
    /// Answers a call, by way of `next` or without it.
    fn answer<S: Handler>(&self, request: Request<Body>, next: &mut S) -> Answer;
}

/// A step on top of the rest.
#[derive(Debug, Clone)]
pub(crate) struct Stacked<P, S> {
    step: P,
    next: S,
}

/// A step as tower stacks them.
pub(crate) fn step<P: Step, S>(step: P) -> impl Layer<S, Service = Stacked<P, S>> + Clone {
    layer_fn(move |next| Stacked {
        step: step.clone(),
        next,
    })
}

/// An answer that needs no handler.
pub(crate) fn refuse(fault: Fault) -> Answer {
    Box::pin(std::future::ready(Ok(Status::from(fault).into_http())))
}

/// The full name of the service that a path `/package.Service/Method` calls.
pub(crate) fn service_of(path: &str) -> &str {
    path.strip_prefix('/')
        .and_then(|path| path.split('/').next())
        .unwrap_or_default()
}

/// Whether the call asks about the process and not for its work: health and reflection, which answer when nothing
/// else does.
pub(crate) fn is_about_process(path: &str) -> bool {
    let service = service_of(path);
    service == "grpc.health.v1.Health" || service.starts_with("grpc.reflection.")
}

// === impl Handler ===

impl<T> Handler for T where
    T: Service<Request<Body>, Response = Response<Body>, Error = Infallible, Future: Send + 'static>
        + Send
        + 'static
{
}

// === impl Stacked ===

impl<P: Step, S: Handler> Service<Request<Body>> for Stacked<P, S> {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Answer;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.next.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Answer {
        self.step.answer(request, &mut self.next)
    }
}
