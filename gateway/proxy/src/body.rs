//! The answer on its way down: frames as they came, never decoded, never copied.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::RecvStream;
use http::{HeaderMap, StatusCode};
use http_body::Frame;
use tonic::{Code, Status};

use crate::BoxError;
use crate::cluster::Admission;
use crate::exchange::Slot;
use crate::refusal::Refusal;
use crate::relay::{RelayHandle, Shared};

/// The body of a response.
#[derive(Debug)]
pub struct Body(Inner);

/// The answer broke off after its headers. The client's stream is reset with INTERNAL_ERROR, as Envoy does.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// The endpoint reset the stream, or its connection broke. Told as text and not as a source: hyper would pass the
    /// endpoint's reason on, and a client told CANCEL believes that it was its own.
    #[error("the upstream broke off its answer: {0}")]
    Upstream(h2::Error),
    /// A limit of the route that Envoy answers with a reset, not with a status.
    #[error("the answer was cut off")]
    CutOff(#[source] Refusal),
    /// The answer was made in this process, and its maker failed.
    #[error("the answer failed")]
    Local(#[source] BoxError),
}

#[derive(Debug)]
enum Inner {
    /// All of it is here.
    Whole(Whole),
    /// It comes as the endpoint sends it.
    Stream(Box<Stream>),
    /// It broke off right after its headers.
    Broken(Option<h2::Error>),
    /// It was made in this process.
    Local(tonic::body::Body),
}

/// A small answer, taken whole.
#[derive(Debug, Default)]
struct Whole {
    data: Option<Bytes>,
    trailers: Option<HeaderMap>,
}

/// A streamed answer.
struct Stream {
    /// Read ahead, in order.
    ahead: [Option<Bytes>; 2],
    recv: RecvStream,
    /// Notes frames for the idle limit, if there is one.
    shared: Arc<Shared>,
    watches_idle: bool,
    ended: bool,
    /// What the response headers say the code is if no trailers follow.
    code: Option<Code>,
    index: usize,
    admission: Admission,
    // Dropped in this order: the relay stops, then the stream's place is free.
    _relay: RelayHandle,
    _slot: Slot,
}

/// What could be read of an answer without waiting.
pub(crate) enum Early {
    /// Everything.
    Whole(Option<Bytes>, Option<HeaderMap>),
    /// The beginning; more will come.
    Begun([Option<Bytes>; 2]),
    /// It broke off at once.
    Broken(h2::Error),
}

/// What a stream needs beside the endpoint's frames.
pub(crate) struct Company {
    pub(crate) shared: Arc<Shared>,
    pub(crate) watches_idle: bool,
    pub(crate) index: usize,
    pub(crate) code: Option<Code>,
    pub(crate) admission: Admission,
    pub(crate) relay: RelayHandle,
    pub(crate) slot: Slot,
}

// === impl Body ===

impl Body {
    pub(crate) fn empty() -> Self {
        Self(Inner::Whole(Whole::default()))
    }

    pub(crate) fn text(text: Bytes) -> Self {
        Self::whole(Some(text), None)
    }

    pub(crate) fn whole(data: Option<Bytes>, trailers: Option<HeaderMap>) -> Self {
        Self(Inner::Whole(Whole { data, trailers }))
    }

    pub(crate) fn broken(error: h2::Error) -> Self {
        Self(Inner::Broken(Some(error)))
    }

    pub(crate) fn stream(recv: RecvStream, ahead: [Option<Bytes>; 2], context: Company) -> Self {
        let Company {
            shared,
            watches_idle,
            index,
            code,
            admission,
            relay,
            slot,
        } = context;
        Self(Inner::Stream(Box::new(Stream {
            ahead,
            recv,
            shared,
            watches_idle,
            ended: false,
            code,
            index,
            admission,
            _relay: relay,
            _slot: slot,
        })))
    }
}

impl From<tonic::body::Body> for Body {
    fn from(body: tonic::body::Body) -> Self {
        Self(Inner::Local(body))
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match &mut self.0 {
            Inner::Whole(whole) => {
                let data = whole.data.take().map(Frame::data);
                let frame = data.or_else(|| whole.trailers.take().map(Frame::trailers));
                Poll::Ready(frame.map(Ok))
            }
            Inner::Stream(stream) => stream.poll_frame(cx),
            Inner::Broken(error) => Poll::Ready(error.take().map(|error| Err(BodyError::Upstream(error)))),
            Inner::Local(body) => {
                let frame = ready!(Pin::new(body).poll_frame(cx));
                Poll::Ready(frame.map(|frame| frame.map_err(|status| BodyError::Local(status.into()))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Inner::Whole(whole) => whole.data.is_none() && whole.trailers.is_none(),
            Inner::Stream(stream) => stream.is_end_stream(),
            Inner::Broken(error) => error.is_none(),
            Inner::Local(body) => body.is_end_stream(),
        }
    }
}

// === impl Stream ===

impl Stream {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        if self.ended {
            return Poll::Ready(None);
        }
        if let Some(data) = self.ahead.iter_mut().find_map(Option::take) {
            return Poll::Ready(Some(Ok(self.pass(data))));
        }
        match ready!(self.recv.poll_data(cx)) {
            Some(Ok(data)) => return Poll::Ready(Some(Ok(self.pass(data)))),
            Some(Err(error)) => return Poll::Ready(Some(self.broken(error))),
            None => {}
        }
        match ready!(self.recv.poll_trailers(cx)) {
            Ok(trailers) => {
                let code = trailers.as_ref().and_then(code_of).or(self.code);
                self.end(code.unwrap_or(Code::Unknown));
                Poll::Ready(trailers.map(|trailers| Ok(Frame::trailers(trailers))))
            }
            Err(error) => Poll::Ready(Some(self.broken(error))),
        }
    }

    fn is_end_stream(&self) -> bool {
        let ahead = self.ahead.iter().any(Option::is_some);
        self.ended || (!ahead && self.recv.is_end_stream())
    }

    /// Hands a chunk on and the window back: the endpoint may send as much as the client has been sent.
    fn pass(&mut self, data: Bytes) -> Frame<Bytes> {
        // A stream that has ended meanwhile needs no window.
        self.recv.flow_control().release_capacity(data.len()).ok();
        if self.watches_idle {
            self.shared.touch();
        }
        if self.is_end_stream() {
            self.end(self.code.unwrap_or(Code::Unknown));
        }
        Frame::data(data)
    }

    /// The endpoint's side ended without an end: because of a limit of ours, or of itself.
    fn broken(&mut self, error: h2::Error) -> Result<Frame<Bytes>, BodyError> {
        self.ended = true;
        match self.shared.verdict() {
            // These have a status that the client can be told in trailers.
            Some(refusal @ (Refusal::Deadline | Refusal::Draining)) => {
                self.admission.ended(refusal.code());
                Ok(Frame::trailers(refusal.trailers()))
            }
            Some(refusal) => {
                self.admission.ended(refusal.code());
                Err(BodyError::CutOff(refusal))
            }
            None => {
                self.admission.answered(self.index, Code::Internal);
                Err(BodyError::Upstream(error))
            }
        }
    }

    fn end(&mut self, code: Code) {
        self.ended = true;
        self.admission.answered(self.index, code);
    }
}

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stream")
            .field("ended", &self.ended)
            .finish_non_exhaustive()
    }
}

// === reading ===

/// Reads what is there of an answer without waiting: most small answers are there whole.
pub(crate) fn read_early(recv: &mut RecvStream, cx: &mut Context<'_>) -> Early {
    if recv.is_end_stream() {
        return Early::Whole(None, None);
    }
    let first = match recv.poll_data(cx) {
        Poll::Pending => return Early::Begun([None, None]),
        Poll::Ready(Some(Err(error))) => return Early::Broken(error),
        Poll::Ready(data) => data.and_then(Result::ok),
    };
    if recv.is_end_stream() {
        return Early::Whole(first, None);
    }
    if first.is_some() {
        match recv.poll_data(cx) {
            Poll::Pending => return Early::Begun([first, None]),
            // What came before the break is worth nothing without its end.
            Poll::Ready(Some(Err(error))) => return Early::Broken(error),
            Poll::Ready(Some(Ok(second))) => return Early::Begun([first, Some(second)]),
            Poll::Ready(None) => {}
        }
    }
    match recv.poll_trailers(cx) {
        Poll::Pending => Early::Begun([first, None]),
        Poll::Ready(Ok(trailers)) => Early::Whole(first, trailers),
        Poll::Ready(Err(error)) => Early::Broken(error),
    }
}

/// The gRPC code in headers or trailers.
pub(crate) fn code_of(headers: &HeaderMap) -> Option<Code> {
    let value = headers.get(Status::GRPC_STATUS)?;
    Some(Code::from_bytes(value.as_bytes()))
}

/// What a gRPC client makes of an answer that is no gRPC at all (`http-grpc-status-mapping.md`).
pub(crate) fn code_of_http(status: StatusCode) -> Option<Code> {
    match status.as_u16() {
        200 => None,
        400 => Some(Code::Internal),
        401 => Some(Code::Unauthenticated),
        403 => Some(Code::PermissionDenied),
        404 => Some(Code::Unimplemented),
        429 | 502..=504 => Some(Code::Unavailable),
        _ => Some(Code::Unknown),
    }
}
