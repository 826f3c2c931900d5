//! Bodies that note their messages, and a reply that can be ended from outside.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Frame, SizeHint};
use tokio::task::AbortHandle;
use tonic::Status;
use tonic::body::Body;
use tracing::Instrument;

use super::{Activity, Life};

/// A request whose messages are noted.
pub(super) struct Touched {
    body: Body,
    activity: Activity,
}

/// A reply that its watcher ends with trailers when its [`Life`] is over.
pub(super) struct Cut {
    shared: Arc<Mutex<State>>,
    activity: Activity,
    watcher: AbortHandle,
}

enum State {
    /// The handler's own reply, and who waits for its next frame.
    Running(Body, Option<Waker>),
    /// Ended from outside; the last words are yet to be sent.
    Ended(Result<HeaderMap, Status>),
    Over,
}

// === impl Touched ===

impl Touched {
    pub(super) fn new(body: Body, activity: Activity) -> Self {
        Self { body, activity }
    }
}

impl http_body::Body for Touched {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        if polled.is_ready() {
            self.activity.touch();
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

// === impl Cut ===

impl Cut {
    pub(super) fn new(body: Body, life: Life) -> Self {
        let shared = Arc::new(Mutex::new(State::Running(body, None)));
        let activity = life.activity.clone();
        activity.touch();
        let state = Arc::clone(&shared);
        let watch = async move {
            let fault = life.end().await;
            let mut trailers = HeaderMap::new();
            let written = Status::from(fault).add_header(&mut trailers);
            end(&state, written.map(|()| trailers));
        };
        let watcher = tokio::spawn(watch.in_current_span()).abort_handle();
        Self {
            shared,
            activity,
            watcher,
        }
    }
}

impl Drop for Cut {
    fn drop(&mut self) {
        self.watcher.abort();
    }
}

impl http_body::Body for Cut {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let mut state = lock(&self.shared);
        let State::Running(body, waker) = &mut *state else {
            return Poll::Ready(match std::mem::replace(&mut *state, State::Over) {
                State::Ended(words) => Some(words.map(Frame::trailers)),
                State::Running(..) | State::Over => None,
            });
        };
        let polled = Pin::new(body).poll_frame(cx);
        let over = match &polled {
            Poll::Ready(Some(Ok(frame))) => frame.is_trailers(),
            Poll::Ready(None | Some(Err(_))) => true,
            Poll::Pending => {
                *waker = Some(cx.waker().clone());
                return Poll::Pending;
            }
        };
        self.activity.touch();
        if over {
            *state = State::Over;
            self.watcher.abort();
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        match &*lock(&self.shared) {
            State::Running(body, _) => body.is_end_stream(),
            State::Ended(_) => false,
            State::Over => true,
        }
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::default()
    }
}

/// Drops the handler's reply, outside of the lock, and leaves the last words for the reader.
fn end(shared: &Mutex<State>, words: Result<HeaderMap, Status>) {
    let mut state = lock(shared);
    if let State::Running(body, waker) = std::mem::replace(&mut *state, State::Ended(words)) {
        drop(state);
        drop(body);
        if let Some(waker) = waker {
            waker.wake();
        }
    } else {
        *state = State::Over;
    }
}

/// A panic below leaves the state as whole as before: the layer under this one catches it.
fn lock(shared: &Mutex<State>) -> MutexGuard<'_, State> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}
