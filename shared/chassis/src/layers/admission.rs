//! A hard cap on what one process does at once, over all its connections and servers. The excess is refused, not
//! queued: a queue nobody sees turns overload into timeouts.
//!
//! RESOURCE_EXHAUSTED and not UNAVAILABLE, for the latter makes proxies eject the host and move the overload to the
//! next. A permit is held until the reply has left or its reader went.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body::{Body as _, Frame, SizeHint};
use polyphony_error::Fault;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tonic::Status;
use tonic::body::Body;

use super::{Answer, Handler, Step, is_about_process, refuse};
use crate::metrics;

/// The permits of a process. Clones share them; give the same one to every server in it.
#[derive(Debug, Clone)]
pub struct Admission {
    permits: Arc<Semaphore>,
    max: usize,
}

/// The right to run one call, until dropped.
#[derive(Debug)]
#[must_use = "the permit is given back when dropped"]
pub struct Permit {
    _permit: OwnedSemaphorePermit,
}

/// A reply that holds a permit.
struct Held {
    body: Body,
    permit: Option<Permit>,
}

/// The mean of a unary call is well below it, and a refused crowd comes back spread by its own latencies.
const RETRY_AFTER: Duration = Duration::from_millis(250);

// === impl Admission ===

impl Admission {
    /// So many permits.
    pub fn new(max: usize) -> Self {
        // More than tokio can count is no limit at all.
        let max = max.min(Semaphore::MAX_PERMITS);
        Self {
            permits: Arc::new(Semaphore::new(max)),
            max,
        }
    }

    /// A permit, at once or not at all.
    ///
    /// # Errors
    /// `RESOURCE_EXHAUSTED`, reason `OVERLOADED`, with what is full and when to come back.
    pub fn admit(&self) -> Result<Permit, Fault> {
        match Arc::clone(&self.permits).try_acquire_owned() {
            Ok(permit) => {
                metrics::admitted();
                Ok(Permit { _permit: permit })
            }
            Err(_) => {
                metrics::refused();
                let full = format!(
                    "all {} calls that this process takes are running; try again later",
                    self.max
                );
                Err(Fault::exhausted("OVERLOADED", "calls", full, Some(RETRY_AFTER)))
            }
        }
    }

    /// Calls running now.
    pub fn in_flight(&self) -> usize {
        self.max - self.permits.available_permits()
    }
}

impl Step for Admission {
    fn answer<S: Handler>(&self, request: Request<Body>, next: &mut S) -> Answer {
        // A probe must tell an overloaded process from a dead one.
        if is_about_process(request.uri().path()) {
            return next.call_boxed(request);
        }
        let permit = match self.admit() {
            Ok(permit) => permit,
            Err(fault) => return refuse(fault),
        };
        let reply = next.call(request);
        Box::pin(async move {
            let Ok::<_, Infallible>(reply) = reply.await;
            if reply.body().is_end_stream() {
                return Ok(reply);
            }
            let permit = Some(permit);
            Ok(reply.map(|body| Body::new(Held { body, permit })))
        })
    }
}

// === impl Permit ===

impl Drop for Permit {
    fn drop(&mut self) {
        metrics::released();
    }
}

// === impl Held ===

impl http_body::Body for Held {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        let over = match &polled {
            Poll::Ready(Some(Ok(frame))) => frame.is_trailers(),
            Poll::Ready(None | Some(Err(_))) => true,
            Poll::Pending => false,
        };
        if over {
            self.permit = None;
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_excess_is_refused_at_once_and_a_permit_comes_back() {
        let admission = Admission::new(1);
        let permit = admission.admit().expect("the first is taken");
        let status = Status::from(admission.admit().expect_err("the second is not"));
        assert_eq!(status.code(), tonic::Code::ResourceExhausted);
        assert_eq!(admission.in_flight(), 1);
        drop(permit);
        assert_eq!(admission.in_flight(), 0);
        drop(admission.admit().expect("and now it is"));
    }
}
