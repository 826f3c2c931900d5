//! A stream's two ends: messages are read here and handed to a worker thread; its replies go out as they come.
//!
//! Both hand-overs hold a few messages. A worker that is behind stops the reading, HTTP/2's window closes, and the
//! client waits; a client that does not read stops the worker. So a stream holds the same memory whatever happens.
//! When the client goes away the replies are dropped: that sets the cancel flag and ends the reading, and the worker
//! ends within two decode steps. The place goes with the worker.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use futures_util::Stream;
use polyphony_error::{Fault, Kind};
use polyphony_proto::asr::v1 as pb;
use polyphony_proto::types::v1 as types;
use tokio::sync::mpsc;
use tokio::task;
use tokio::time::timeout;
use tokio_util::task::AbortOnDropHandle;
use tonic::{Status, Streaming};

use super::worker::{Command, What, Worker};
use super::{Shared, told};
use crate::convert::streaming::AskedStream;
use crate::domain::{CancelFlag, CancelOnDrop};
use crate::places::StreamPlace;

/// Messages held for the worker, each at most 32 KiB, and for the client.
const INBOX: usize = 8;
const OUTBOX: usize = 16;
/// The largest piece of audio.
const MOST_AUDIO: usize = 32 << 10;
/// The longest name of a marker, in bytes.
const MOST_MARKER: usize = 128;

type Reply = Result<pb::StreamingRecognizeResponse, Status>;

/// What the client reads.
#[derive(Debug)]
pub(crate) struct Replies {
    replies: mpsc::Receiver<Reply>,
    _cancel: CancelOnDrop,
    _reading: AbortOnDropHandle<()>,
}

/// Opens a stream. Its first reply does not wait for its first message, so a client may wait for headers first.
pub(super) fn open(
    shared: Arc<Shared>,
    place: StreamPlace,
    id: String,
    requests: Streaming<pb::StreamingRecognizeRequest>,
) -> Replies {
    let (outbox, replies) = mpsc::channel(OUTBOX);
    let cancel = CancelFlag::default();
    let reading = {
        let cancel = cancel.clone();
        tokio::spawn(async move {
            if let Err(end) = run(shared, place, id, requests, outbox.clone(), cancel).await {
                // If nobody reads any more, nobody needs to know.
                drop(outbox.send(Err(end)).await);
            }
        })
    };
    Replies {
        replies,
        _cancel: cancel.on_drop(),
        _reading: AbortOnDropHandle::new(reading),
    }
}

/// From the config to the end of the worker.
async fn run(
    shared: Arc<Shared>,
    place: StreamPlace,
    id: String,
    mut requests: Streaming<pb::StreamingRecognizeRequest>,
    outbox: mpsc::Sender<Reply>,
    cancel: CancelFlag,
) -> Result<(), Status> {
    use pb::streaming_recognize_request::Request;
    let idle = shared.config.stream_idle.get();
    let first = timeout(idle, requests.message())
        .await
        .map_err(|_| is_idle(idle))??;
    let config = match first.and_then(|message| message.request) {
        Some(Request::StreamingConfig(config)) => config,
        Some(_) => {
            return Err(refused(
                "streaming_config",
                "must be the first message of a stream",
            ));
        }
        None => {
            return Err(refused(
                "streaming_config",
                "is missing; the first message of a stream is its config",
            ));
        }
    };
    let asked = AskedStream::parse(config)?;
    let recognizer = shared.recognizers.acquire(&asked.asked.model).await?;
    let plan = asked.fit(recognizer.engine.info())?;
    let worker = Worker::new(recognizer, plan, &shared.config, id, place, outbox, &cancel)?;
    let (inbox, commands) = mpsc::channel(INBOX);
    let mut work = task::spawn_blocking(move || worker.run(commands));
    loop {
        let next = tokio::select! {
            // The worker may be done before the client is.
            ended = &mut work => return ended.map_err(|panic| told(Fault::internal(panic))),
            next = timeout(idle, requests.message()) => next,
        };
        let what = match next {
            Err(_) => What::Silence(is_idle(idle)),
            Ok(Err(broken)) => What::Fail(broken),
            Ok(Ok(None)) => What::End,
            Ok(Ok(Some(message))) => what(message.request).unwrap_or_else(What::Fail),
        };
        let is_last = matches!(what, What::End | What::Silence(_) | What::Fail(_));
        let command = Command {
            arrived: Instant::now(),
            what,
        };
        if inbox.send(command).await.is_err() || is_last {
            break;
        }
    }
    // The inbox is kept until the worker is done: a closed one would mean that the client is gone.
    work.await.map_err(|panic| told(Fault::internal(panic)))
}

fn what(request: Option<pb::streaming_recognize_request::Request>) -> Result<What, Status> {
    use pb::streaming_recognize_request::Request;
    match request {
        Some(Request::Audio(bytes)) if bytes.len() > MOST_AUDIO => Err(refused(
            "audio",
            "must be at most 32 KiB in one message; send more, smaller ones",
        )),
        Some(Request::Audio(bytes)) => Ok(What::Audio(bytes)),
        Some(Request::Marker(types::Marker { id })) if id.len() > MOST_MARKER => {
            Err(refused("marker.id", "must be at most 128 bytes"))
        }
        Some(Request::Marker(types::Marker { id })) => Ok(What::Marker(id)),
        Some(Request::Flush(types::Flush {})) => Ok(What::Flush),
        Some(Request::StreamingConfig(_)) => Err(refused(
            "streaming_config",
            "must be sent once; open another stream for another config",
        )),
        None => Err(refused("request", "must be audio, marker or flush")),
    }
}

fn refused(field: &'static str, description: &'static str) -> Status {
    Fault::invalid(field, description).into()
}

fn is_idle(idle: std::time::Duration) -> Status {
    let message =
        format!("the client sent nothing for {idle:?} (asr.stream_idle); send silence to keep a stream open");
    Fault::new(Kind::DeadlineExceeded, "STREAM_IDLE", message).into()
}

// === impl Replies ===

impl Stream for Replies {
    type Item = Reply;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Reply>> {
        self.replies.poll_recv(cx)
    }
}
