//! A handler that panics answers INTERNAL; the process and the caller's other calls live on.
//!
//! It sits nearest to the handler, so that the layers above see an ordinary error and give back what they hold. Where
//! it happened is caught by a panic hook, for the payload of a panic does not know. Panics elsewhere go to the hook
//! that was there before.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::convert::Infallible;
use std::fmt;
use std::future::{Future, poll_fn};
use std::panic::{self, AssertUnwindSafe, PanicHookInfo};
use std::pin::{Pin, pin};
use std::sync::Once;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body::{Body as _, Frame, SizeHint};
use polyphony_error::Fault;
use tonic::Status;
use tonic::body::Body;

use super::trace::Cause;
use super::{Answer, Handler, Step};
use crate::metrics::Method;

/// The layer.
#[derive(Debug, Clone)]
pub(crate) struct CatchPanic;

/// A panic of a handler.
#[derive(Debug)]
struct Panic {
    message: String,
    place: String,
}

/// Whom to tell.
#[derive(Clone)]
struct Report {
    cause: Option<Cause>,
    method: Option<Method>,
}

/// A reply whose making may panic.
struct Guarded {
    body: Option<Body>,
    report: Report,
}

thread_local! {
    /// Whether a panic on this thread will be caught below.
    static GUARDED: Cell<bool> = const { Cell::new(false) };
    /// Where the last such panic was.
    static PLACE: RefCell<Option<String>> = const { RefCell::new(None) };
}

// === impl CatchPanic ===

impl CatchPanic {
    pub(crate) fn new() -> Self {
        static HOOK: Once = Once::new();
        HOOK.call_once(|| {
            let before = panic::take_hook();
            panic::set_hook(Box::new(move |info| {
                if GUARDED.get() {
                    PLACE.set(Some(place(info)));
                } else {
                    before(info);
                }
            }));
        });
        Self
    }
}

impl Step for CatchPanic {
    fn answer<S: Handler>(&self, request: Request<Body>, next: &mut S) -> Answer {
        let report = Report {
            cause: request.extensions().get().cloned(),
            method: request.extensions().get().cloned(),
        };
        let reply = guarded(|| next.call(request));
        Box::pin(async move {
            let reply = match reply {
                Ok(reply) => caught(reply).await,
                Err(panic) => Err(panic),
            };
            Ok(match reply {
                Ok(reply) if reply.body().is_end_stream() => reply,
                Ok(reply) => reply.map(|body| {
                    let body = Some(body);
                    Body::new(Guarded { body, report })
                }),
                Err(panic) => report.fault(&panic).into_http(),
            })
        })
    }
}

async fn caught<F>(reply: F) -> Result<Response<Body>, Panic>
where
    F: Future<Output = Result<Response<Body>, Infallible>>,
{
    let mut reply = pin!(reply);
    let Ok::<_, Infallible>(reply) = poll_fn(|cx| match guarded(|| reply.as_mut().poll(cx)) {
        Ok(polled) => polled.map(|reply| reply.map(Ok)),
        Err(panic) => Poll::Ready(Ok(Err(panic))),
    })
    .await;
    reply
}

/// Runs `work`, which is dropped and not run again if it panics: nobody sees what it left half done but its own state.
fn guarded<T>(work: impl FnOnce() -> T) -> Result<T, Panic> {
    let before = GUARDED.replace(true);
    let done = panic::catch_unwind(AssertUnwindSafe(work));
    GUARDED.set(before);
    done.map_err(|payload| Panic {
        message: text(&*payload),
        place: PLACE.take().unwrap_or_else(|| "an unknown place".to_owned()),
    })
}

/// What it was called with.
pub(crate) fn text(payload: &(dyn Any + Send)) -> String {
    let literal = payload.downcast_ref::<&str>().map(ToString::to_string);
    let text = literal.or_else(|| payload.downcast_ref::<String>().cloned());
    text.unwrap_or_else(|| "no message".to_owned())
}

fn place(info: &PanicHookInfo<'_>) -> String {
    let place = info.location().map(ToString::to_string).unwrap_or_default();
    // Empty unless RUST_BACKTRACE asks for it.
    let trace = std::backtrace::Backtrace::capture();
    match trace.status() {
        std::backtrace::BacktraceStatus::Captured => format!("{place}\n{trace}"),
        _ => place,
    }
}

// === impl Panic ===

impl fmt::Display for Panic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "handler panicked: {} at {}", self.message, self.place)
    }
}

// === impl Report ===

impl Report {
    /// What the caller reads. The trace layer logs the cause, once, as the error it is.
    fn fault(&self, panic: &Panic) -> Status {
        if let Some(method) = &self.method {
            method.panicked();
        }
        if let Some(cause) = &self.cause {
            cause.say(|| panic.to_string());
        }
        Fault::internal(std::io::Error::other(panic.to_string()))
            .with_reason("PANIC")
            .into()
    }
}

// === impl Guarded ===

impl http_body::Body for Guarded {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let Some(body) = &mut self.body else {
            return Poll::Ready(None);
        };
        guarded(|| Pin::new(body).poll_frame(cx)).unwrap_or_else(|panic| {
            self.body = None;
            let mut trailers = HeaderMap::new();
            let written = self.report.fault(&panic).add_header(&mut trailers);
            Poll::Ready(Some(written.map(|()| Frame::trailers(trailers))))
        })
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map(Body::size_hint).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_place_of_a_panic_is_known() {
        let _ = CatchPanic::new();
        let panic = guarded(|| panic!("lost {}", "it")).expect_err("it panics");
        let text = panic.to_string();
        assert!(text.starts_with("handler panicked: lost it at "), "{text}");
        assert!(text.contains("panic.rs:"), "{text}");
        assert_eq!(guarded(|| 7).expect("it does not"), 7);
    }
}
