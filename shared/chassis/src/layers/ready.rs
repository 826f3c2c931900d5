//! Calls to a service that waits for something are refused by name of what it waits for; handlers never ask. What a single
//! method waits for holds up none of them.
//!
//! UNAVAILABLE, for such a call was not processed and another replica may take it. Health and reflection answer
//! always. A draining process does not refuse: that is the accept loop's matter.

use std::time::Duration;

use http::Request;
use polyphony_error::Fault;
use tonic::body::Body;

use super::{Answer, Handler, Step, is_about_process, refuse, service_of};
use crate::readiness::Readiness;

/// The layer.
#[derive(Debug, Clone)]
pub(crate) struct Ready {
    readiness: Readiness,
}

/// Models take seconds to load.
const RETRY_AFTER: Duration = Duration::from_secs(1);

impl Ready {
    pub(crate) fn new(readiness: Readiness) -> Self {
        Self { readiness }
    }
}

impl Step for Ready {
    fn answer<S: Handler>(&self, request: Request<Body>, next: &mut S) -> Answer {
        let path = request.uri().path();
        if is_about_process(path) {
            return next.call_boxed(request);
        }
        let service = service_of(path);
        let awaited = self.readiness.awaited(service);
        if awaited.is_empty() {
            return next.call_boxed(request);
        }
        let message = format!("{service} is not ready, waiting for {}", awaited.join(", "));
        refuse(Fault::unavailable("NOT_READY", message).retry_after(RETRY_AFTER))
    }
}
