//! The request body on its way up: chunk after chunk, as the endpoint's window allows.
//!
//! The next chunk is asked for only when the last one is sent, so that a slow endpoint slows its client and nobody
//! else. No window is reserved while there is nothing to send: a reservation of idle streams would starve the busy
//! ones of the same connection.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::{Reason, SendStream};
use http_body::Body;

/// The first chunk is kept for one more attempt if it is no longer than this.
const REPLAY_LIMIT: usize = 64 * 1024;

/// A request body, and how far it has gone.
pub(crate) struct Upload<B> {
    body: B,
    /// Taken from the body and not yet sent.
    waiting: Option<Bytes>,
    /// The body has no more.
    ended: bool,
    /// END_STREAM has been sent, or nobody wants the rest.
    finished: bool,
    taken: Taken,
}

/// How the upload ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Uploaded {
    /// All is sent, or the endpoint wants no more: what it has to say comes with the response.
    Done,
    /// The client reset its stream or its connection broke.
    ClientGone,
}

/// What was taken from the body so far, as far as it is still known.
enum Taken {
    Nothing,
    First(Bytes),
    Lost,
}

// === impl Upload ===

impl<B> Upload<B>
where
    B: Body<Data = Bytes> + Unpin,
{
    pub(crate) fn new(body: B) -> Self {
        let ended = body.is_end_stream();
        Self {
            body,
            waiting: None,
            ended,
            finished: false,
            taken: Taken::Nothing,
        }
    }

    /// There is no body at all: END_STREAM goes with the headers.
    pub(crate) fn is_empty(&self) -> bool {
        self.ended && self.waiting.is_none()
    }

    pub(crate) fn is_finished(&self) -> bool {
        self.finished
    }

    /// Notes that END_STREAM went with the headers.
    pub(crate) fn finish(&mut self) {
        self.finished = true;
    }

    /// Goes back to the beginning for another attempt; false if the beginning is gone.
    pub(crate) fn rewind(&mut self) -> bool {
        match &self.taken {
            Taken::Nothing => {}
            Taken::First(chunk) => self.waiting = Some(chunk.clone()),
            Taken::Lost => return false,
        }
        self.finished = false;
        true
    }

    /// There will be no other attempt.
    pub(crate) fn forget(&mut self) {
        self.taken = Taken::Lost;
    }

    /// Sends what can be sent. `moved` is set if anything was.
    pub(crate) fn poll(
        &mut self,
        send: &mut SendStream<Bytes>,
        moved: &mut bool,
        cx: &mut Context<'_>,
    ) -> Poll<Uploaded> {
        while !self.finished {
            if self.waiting.is_some() {
                if send.capacity() == 0 {
                    // One byte is claimed; h2 raises the claim when the chunk is handed over.
                    send.reserve_capacity(1);
                    if send.capacity() == 0 && !ready!(poll_window(send, cx)) {
                        return self.done();
                    }
                }
                let chunk = self.waiting.take().unwrap_or_default();
                *moved = true;
                if send.send_data(chunk, self.ended).is_err() {
                    return self.done();
                }
                self.finished = self.ended;
                continue;
            }
            if self.ended {
                // The end came without a chunk to carry it. A stream that is gone needs no end.
                send.send_data(Bytes::new(), true).ok();
                return self.done();
            }
            let frame = match Pin::new(&mut self.body).poll_frame(cx) {
                Poll::Ready(frame) => frame,
                Poll::Pending => {
                    // Nothing to send; hear of it if the endpoint ends the stream meanwhile.
                    ready!(send.poll_reset(cx)).ok();
                    return self.done();
                }
            };
            match frame {
                None => self.ended = true,
                Some(Err(_)) => {
                    self.finished = true;
                    send.send_reset(Reason::CANCEL);
                    return Poll::Ready(Uploaded::ClientGone);
                }
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(chunk) => self.take(chunk),
                    Err(frame) => {
                        if let Ok(trailers) = frame.into_trailers() {
                            self.taken = Taken::Lost;
                            *moved = true;
                            send.send_trailers(trailers).ok();
                            return self.done();
                        }
                    }
                },
            }
        }
        Poll::Ready(Uploaded::Done)
    }

    /// Puts a chunk in line.
    fn take(&mut self, chunk: Bytes) {
        self.ended = self.body.is_end_stream();
        if chunk.is_empty() {
            return;
        }
        self.taken = match self.taken {
            Taken::Nothing if chunk.len() <= REPLAY_LIMIT => Taken::First(chunk.clone()),
            _ => Taken::Lost,
        };
        self.waiting = Some(chunk);
    }

    fn done(&mut self) -> Poll<Uploaded> {
        self.finished = true;
        Poll::Ready(Uploaded::Done)
    }
}

/// Ready when there is window (true) or the stream is gone (false).
fn poll_window(send: &mut SendStream<Bytes>, cx: &mut Context<'_>) -> Poll<bool> {
    loop {
        match ready!(send.poll_capacity(cx)) {
            Some(Ok(0)) => {}
            Some(Ok(_)) => return Poll::Ready(true),
            Some(Err(_)) | None => return Poll::Ready(false),
        }
    }
}
