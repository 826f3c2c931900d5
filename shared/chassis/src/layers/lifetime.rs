//! Every call ends: at its deadline, when its stream is idle too long, or when the process has drained long enough.
//!
//! tonic's own timeout answers CANCELLED and stops counting once headers are sent; this one answers DEADLINE_EXCEEDED
//! and ends streams too, with trailers and not a reset. The end comes even while the reader takes nothing: a watcher
//! drops the handler's stream (and with it the permit below), and the trailers wait for the reader. It sits above
//! admission for that reason.

mod cut;
mod grpc_timeout;

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use http::{Extensions, HeaderMap, Request};
use http_body::Body as _;
use polyphony_error::{Fault, Kind};
use tokio::time::{Instant, sleep_until};
use tonic::Status;
use tonic::body::Body;

pub(crate) use grpc_timeout::{HEADER, format as format_timeout};

use self::cut::{Cut, Touched};
use super::{Answer, Handler, Step, is_about_process, refuse};
use crate::config::DeadlineConfig;
use crate::drain::Drain;
use crate::serve::methods::Methods;

/// When a call must be answered. In the extensions of every request that has one; give it to the calls made on its
/// behalf ([`connect`](crate::connect) then tells the callee what is left).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Deadline(Instant);

/// The layer.
#[derive(Debug, Clone)]
pub(crate) struct Lifetime {
    config: DeadlineConfig,
    methods: Arc<Methods>,
    drain: Drain,
}

/// The timeout that a request already carries, if it is one.
pub(crate) fn timeout_of(headers: &HeaderMap) -> Option<Duration> {
    grpc_timeout::of(headers).ok().flatten()
}

/// How one call may end.
struct Life {
    deadline: Option<Deadline>,
    /// How long it may live, for the message.
    allowed: Duration,
    idle: Option<Duration>,
    activity: Activity,
    drain: Drain,
    about_process: bool,
}

/// When a message last went either way.
#[derive(Debug, Clone)]
struct Activity {
    origin: Instant,
    /// Milliseconds after `origin`.
    last: Arc<AtomicU64>,
}

// === impl Deadline ===

impl Deadline {
    /// So long from now.
    pub fn after(left: Duration) -> Self {
        Self(Instant::now() + left)
    }

    /// The deadline that a request carries.
    pub fn of(extensions: &Extensions) -> Option<Self> {
        extensions.get().copied()
    }

    /// What is left; zero when it has passed.
    pub fn remaining(self) -> Duration {
        self.0.saturating_duration_since(Instant::now())
    }

    /// The moment itself.
    pub fn instant(self) -> Instant {
        self.0
    }
}

// === impl Lifetime ===

impl Lifetime {
    pub(crate) fn new(config: DeadlineConfig, methods: Arc<Methods>, drain: Drain) -> Self {
        Self {
            config,
            methods,
            drain,
        }
    }

    /// How long a call to `path` may live, and how long it may be silent.
    fn allowed(&self, path: &str, asked: Option<Duration>) -> (Option<Duration>, Option<Duration>) {
        let set = |limit: Duration| (!limit.is_zero()).then_some(limit);
        let (cap, idle) = match self.methods.is_unary(path) {
            true => (set(self.config.unary_max.get()), None),
            false => (
                set(self.config.stream_max.get()),
                set(self.config.stream_idle.get()),
            ),
        };
        let allowed = match (asked, cap) {
            (Some(asked), Some(cap)) => Some(asked.min(cap)),
            (asked, cap) => asked.or(cap),
        };
        (allowed, idle)
    }
}

impl Step for Lifetime {
    fn answer<S: Handler>(&self, mut request: Request<Body>, next: &mut S) -> Answer {
        let asked = match grpc_timeout::of(request.headers()) {
            Ok(asked) => asked,
            Err(fault) => return refuse(fault),
        };
        let path = request.uri().path();
        let about_process = is_about_process(path);
        let (allowed, idle) = self.allowed(path, asked);
        let life = Life {
            deadline: allowed.map(Deadline::after),
            allowed: allowed.unwrap_or_default(),
            // Whoever watches health hears of changes only.
            idle: idle.filter(|_| !about_process),
            activity: Activity::now(),
            drain: self.drain.clone(),
            about_process,
        };
        if let Some(deadline) = life.deadline {
            request.extensions_mut().insert(deadline);
        }
        if life.idle.is_some() {
            let activity = life.activity.clone();
            request = request.map(|body| Body::new(Touched::new(body, activity)));
        }
        let reply = next.call(request);
        Box::pin(async move {
            let reply = tokio::select! {
                // A call that is done is not late.
                biased;
                reply = reply => reply,
                fault = life.end() => return Ok(Status::from(fault).into_http()),
            };
            let Ok::<_, Infallible>(reply) = reply;
            if reply.body().is_end_stream() {
                return Ok(reply);
            }
            Ok(reply.map(|body| Body::new(Cut::new(body, life))))
        })
    }
}

// === impl Life ===

impl Life {
    /// Completes when the call must end, with what to say.
    async fn end(&self) -> Fault {
        loop {
            let silent = self.idle.map(|idle| self.activity.last() + idle);
            let deadline = self.deadline.map(Deadline::instant);
            tokio::select! {
                () = self.told_to_leave() => {
                    let message = "the server is shutting down; start again on another";
                    return Fault::unavailable("DRAINING", message).retry_after(Duration::ZERO);
                }
                () = until(deadline) => {
                    let message = format!("not done within {:?}", self.allowed);
                    return Fault::new(Kind::DeadlineExceeded, "DEADLINE_EXCEEDED", message);
                }
                () = until(silent) => {
                    // Messages may have gone since the timer was set.
                    let Some(idle) = self.idle.filter(|idle| self.activity.last() + *idle <= Instant::now()) else {
                        continue;
                    };
                    let message = format!("no message went either way for {idle:?}");
                    return Fault::new(Kind::DeadlineExceeded, "STREAM_IDLE", message);
                }
            }
        }
    }

    /// What only watches the process must not hold up its stop.
    async fn told_to_leave(&self) {
        if self.about_process {
            self.drain.closing().await;
        } else {
            self.drain.overdue().await;
        }
    }
}

async fn until(moment: Option<Instant>) {
    match moment {
        Some(moment) => sleep_until(moment).await,
        None => std::future::pending().await,
    }
}

// === impl Activity ===

impl Activity {
    fn now() -> Self {
        Self {
            origin: Instant::now(),
            last: Arc::default(),
        }
    }

    fn touch(&self) {
        let elapsed = self.origin.elapsed().as_millis() as u64;
        self.last.store(elapsed, Ordering::Relaxed);
    }

    fn last(&self) -> Instant {
        self.origin + Duration::from_millis(self.last.load(Ordering::Relaxed))
    }
}
