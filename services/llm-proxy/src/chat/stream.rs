//! The bytes of an answer as events, with limits on their size and on silence.

use std::sync::Arc;
use std::time::Duration;

use http::Response;
use http::header::CONTENT_TYPE;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use tokio::time::timeout;

use crate::chunk::Event;
use crate::failure::What;
use crate::sse::{Events, TooLarge};
use crate::upstream::{Upstream, roots};

/// The events of an answer.
#[derive(Debug)]
pub(crate) struct Chunks {
    upstream: Arc<Upstream>,
    body: Option<Incoming>,
    events: Events,
    read: u64,
    most: u64,
    /// The upstream does not stream after all: the body is one answer in JSON.
    is_whole: bool,
}

/// The largest event: one chunk of an answer with its log-probabilities is far smaller.
const MOST_EVENT: usize = 4 << 20;

// === impl Chunks ===

impl Chunks {
    pub(crate) fn new(upstream: &Arc<Upstream>, response: Response<Incoming>, most: u64) -> Self {
        let kind = response
            .headers()
            .get(CONTENT_TYPE)
            .and_then(|value| value.to_str().ok());
        Self {
            upstream: Arc::clone(upstream),
            is_whole: kind.is_some_and(|kind| kind.starts_with("application/json")),
            body: Some(response.into_body()),
            events: Events::new(MOST_EVENT),
            read: 0,
            most,
        }
    }

    /// The next event; none at the end of the stream. `idle` is how long the upstream may be silent.
    pub(crate) async fn next(&mut self, idle: Option<Duration>) -> Result<Option<Event>, What> {
        if self.is_whole {
            let Some(body) = self.body.take() else {
                return Ok(None);
            };
            let most = usize::try_from(self.most).unwrap_or(usize::MAX);
            let whole = self.upstream.whole(body, most).await?;
            return parse(&whole).map(Some);
        }
        loop {
            match self.events.next() {
                Ok(Some(data)) => return parse(&data).map(Some),
                Ok(None) => {}
                Err(TooLarge) => return Err(What::Garbage("an event without an end".to_owned())),
            }
            let Some(body) = &mut self.body else {
                return Ok(None);
            };
            let frame = match idle {
                None => body.frame().await,
                Some(idle) => timeout(idle, body.frame())
                    .await
                    .map_err(|_| What::Silent(idle))?,
            };
            match frame {
                Some(Ok(frame)) => {
                    let Ok(data) = frame.into_data() else { continue };
                    self.read += data.len() as u64;
                    if self.read > self.most {
                        return Err(What::TooLong(self.most));
                    }
                    self.events.push(&data);
                }
                Some(Err(error)) => return Err(What::Broke(roots(&error))),
                None => {
                    self.body = None;
                    if let Some(data) = self.events.rest() {
                        return parse(&data).map(Some);
                    }
                }
            }
        }
    }
}

fn parse(data: &[u8]) -> Result<Event, What> {
    Event::parse(data).map_err(|error| What::Garbage(error.to_string()))
}
