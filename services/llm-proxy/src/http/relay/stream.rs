//! An upstream's stream passed through to its end, or to where it broke: then the client is told so in an event, and the
//! connection is closed, so that what came is not taken for an answer.

use std::collections::VecDeque;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::Body as _;
use hyper::body::Incoming;
use polyphony_error::Fault;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, Sleep, sleep_until};

use super::super::body::CutShort;
use super::super::usage::{TooLarge, Watcher};
use super::super::{Caller, fault};
use crate::domain::Times;
use crate::error::Error;
use crate::exchange::{self, Way};
use crate::failure::{Failure, Said, What};
use crate::metrics::{self, Door};
use crate::proxy::Proxy;
use crate::upstream::{Pass, Place, roots};

/// The stream.
pub(crate) struct Stream {
    proxy: Arc<Proxy>,
    caller: Caller,
    way: Way,
    body: Incoming,
    /// Came, and is to be passed on.
    ready: VecDeque<Bytes>,
    watcher: Watcher,
    state: State,
    read: u64,
    began: Instant,
    deadline: Instant,
    idle: Duration,
    /// When something last came.
    last: Instant,
    /// Goes off at the deadline, or when the upstream may have been silent for too long.
    alarm: Pin<Box<Sleep>>,
    _held: (Place, OwnedSemaphorePermit),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Open,
    Ended,
    /// The client is told; what was told must leave before the connection is closed.
    Broken {
        told: bool,
    },
}

// === impl Stream ===

impl Stream {
    #[allow(
        clippy::too_many_arguments,
        reason = "it is made in one place, of what that place has at hand"
    )]
    pub(super) fn new(
        proxy: &Arc<Proxy>,
        caller: Caller,
        (way, place, permit): (Way, Place, OwnedSemaphorePermit),
        body: Incoming,
        ahead: Vec<Bytes>,
        watcher: Watcher,
        began: Instant,
        deadline: Instant,
    ) -> Self {
        let now = Instant::now();
        let idle = proxy.config.idle_timeout.get();
        let mut stream = Self {
            proxy: Arc::clone(proxy),
            caller,
            way,
            body,
            ready: VecDeque::new(),
            watcher,
            state: State::Open,
            read: 0,
            began,
            deadline,
            idle,
            last: now,
            alarm: Box::pin(sleep_until(deadline.min(now + idle))),
            _held: (place, permit),
        };
        for data in ahead {
            stream.take(data);
        }
        stream
    }

    /// The next bytes for the client.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, CutShort>>> {
        loop {
            if let Some(bytes) = self.ready.pop_front() {
                return Poll::Ready(Some(Ok(bytes)));
            }
            match self.state {
                State::Open => {}
                State::Ended => return Poll::Ready(None),
                State::Broken { told: true } => return Poll::Ready(Some(Err(CutShort))),
                State::Broken { told: false } => {
                    // The server writes what it has when it must wait, and drops it when the body fails.
                    self.state = State::Broken { told: true };
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
            }
            match Pin::new(&mut self.body).poll_frame(cx) {
                Poll::Ready(Some(Ok(frame))) => {
                    if let Ok(data) = frame.into_data() {
                        self.last = Instant::now();
                        self.take(data);
                    }
                }
                Poll::Ready(Some(Err(error))) => self.fail(What::Broke(roots(&error))),
                Poll::Ready(None) => self.end(),
                Poll::Pending => match self.alarm.as_mut().poll(cx) {
                    Poll::Pending => return Poll::Pending,
                    Poll::Ready(()) => self.alarmed(),
                },
            }
        }
    }

    fn take(&mut self, data: Bytes) {
        self.read += data.len() as u64;
        let most = self.proxy.config.max_answer.bytes();
        if self.read > most {
            self.fail(What::TooLong(most));
        } else if let Err(TooLarge) = self.watcher.feed(data, &mut self.ready) {
            self.fail(What::Garbage("an event without an end".to_owned()));
        }
    }

    fn alarmed(&mut self) {
        let now = Instant::now();
        let silent = self.last + self.idle;
        if now >= self.deadline {
            let late = Error::Late {
                during: "the answer was not complete; it is cut short there",
            };
            self.tell(&late.into());
        } else if now >= silent {
            self.fail(What::Silent(self.idle));
        } else {
            self.alarm.as_mut().reset(self.deadline.min(silent));
        }
    }

    fn end(&mut self) {
        self.watcher.finish(&mut self.ready);
        if self.watcher.has_failed {
            // The client has read it in the upstream's own words.
            let said = Said::of_event(&serde_json::Value::Null);
            let failure = Failure::new(&self.way.upstream.name, What::Said(said)).after_tokens();
            exchange::judge(&self.way.upstream, &failure, Pass::Usual);
            metrics::upstream_failed(&failure);
            self.state = State::Broken { told: false };
            return;
        }
        if !self.watcher.has_ended() {
            return self.fail(What::Broke("the stream ended without saying why".to_owned()));
        }
        self.state = State::Ended;
        let usage = self.watcher.usage.unwrap_or_default();
        let now = Instant::now();
        let times = Times {
            queue: self.way.queue,
            first_token: Some(self.way.begun - self.began),
            prefill: Some(self.way.begun - self.way.sent),
            decode: Some(now - self.way.begun),
            total: now - self.began,
        };
        metrics::answered(&self.way, Door::Http, &times, &usage);
    }

    fn fail(&mut self, what: What) {
        let failure = Failure::new(&self.way.upstream.name, what).after_tokens();
        exchange::judge(&self.way.upstream, &failure, Pass::Usual);
        metrics::upstream_failed(&failure);
        self.tell(&failure.into());
    }

    fn tell(&mut self, fault: &Fault) {
        self.ready
            .push_back(format!("data: {}\n\n", fault::json_of(fault)).into());
        self.state = State::Broken { told: false };
    }
}

/// However it ends, what came counts.
impl Drop for Stream {
    fn drop(&mut self) {
        let mut spending = self.proxy.keys.spending(&self.caller.who);
        spending.came(self.watcher.pieces);
        spending.tell(self.watcher.usage.unwrap_or_default());
    }
}

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stream")
            .field("state", &self.state)
            .finish_non_exhaustive()
    }
}
