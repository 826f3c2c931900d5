//! `WatchVideo`: each change, with previews.

use std::pin::Pin;
use std::sync::Arc;

use futures_util::{Stream, stream};
use polyphony_error::Fault;
use polyphony_jobs::Watch;
use polyphony_proto::video::v1 as pb;
use tonic::Status;

use crate::convert;
use crate::domain::Preview;
use crate::engine::Previews;
use crate::error::Error;

/// What the client reads.
pub(crate) type Watching = Pin<Box<dyn Stream<Item = Result<pb::WatchVideoResponse, Status>> + Send>>;

/// What is watched, and what of it was sent.
struct State {
    watched: Watch,
    previews: Previews,
    /// 0: none are wanted.
    every: u32,
    /// The step of the last preview that was sent.
    sent: u32,
}

pub(super) fn stream(watched: Watch, previews: Previews, every: u32) -> Watching {
    let state = State {
        watched,
        previews,
        every,
        sent: 0,
    };
    Box::pin(stream::try_unfold(state, |mut state| async move {
        let job = state
            .watched
            .next()
            .await
            .map_err(Error::from)
            .map_err(Fault::from)?;
        Ok(job.map(|job| {
            let preview = state.preview(&job.id);
            let response = pb::WatchVideoResponse {
                video: Some(convert::video(&job)),
                preview_image: preview
                    .as_ref()
                    .map(|preview| preview.image.clone().into())
                    .unwrap_or_default(),
                preview_frame: preview.map_or(0, |preview| preview.frame),
            };
            (response, state)
        }))
    }))
}

// === impl State ===

impl State {
    /// A preview that is due: of a step so far behind the last one's as was asked for.
    fn preview(&mut self, job: &str) -> Option<Arc<Preview>> {
        let due = self.sent.saturating_add(self.every);
        let preview = self.previews.of(job).filter(|_| self.every > 0)?;
        // The first that there is shows that there are some.
        if preview.step > self.sent && (self.sent == 0 || preview.step >= due) {
            self.sent = preview.step;
            return Some(preview);
        }
        None
    }
}
