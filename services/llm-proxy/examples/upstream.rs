//! A server with OpenAI's API that answers at once and from memory, for measuring what stands before it. It is no model: every
//! answer is the same 1 KB.
//!
//! Usage: upstream PORT [PIECES [MILLISECONDS]]: a stream has so many pieces, so far apart (50 and 20 unless told otherwise).

use std::convert::Infallible;
use std::env;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Method, Request, Response};
use http_body::{Body, Frame};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use memchr::memmem;
use tokio::net::TcpListener;
use tokio::time::{Instant, Sleep, sleep_until};

/// What is answered.
struct Canned {
    models: Bytes,
    whole: Bytes,
    piece: Bytes,
    end: Bytes,
    pieces: usize,
    apart: Duration,
}

/// A body: all at once, or piece by piece.
enum Answer {
    Whole(Option<Bytes>),
    Stream {
        canned: Arc<Canned>,
        sent: usize,
        next: Pin<Box<Sleep>>,
    },
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = env::args().skip(1);
    let port: u16 = arguments
        .next()
        .ok_or("usage: upstream PORT [PIECES [MILLISECONDS]]")?
        .parse()?;
    let pieces = arguments.next().map_or(Ok(50), |text| text.parse())?;
    let apart = arguments.next().map_or(Ok(20), |text| text.parse())?;
    let canned = Arc::new(Canned::new(pieces, Duration::from_millis(apart)));
    let listener = TcpListener::bind(("127.0.0.1", port)).await?;
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let canned = Arc::clone(&canned);
        tokio::spawn(async move {
            let service = service_fn(move |request| answer(Arc::clone(&canned), request));
            // Who goes away goes away.
            drop(
                http1::Builder::new()
                    .serve_connection(TokioIo::new(stream), service)
                    .await,
            );
        });
    }
}

async fn answer(canned: Arc<Canned>, request: Request<Incoming>) -> Result<Response<Answer>, Infallible> {
    let is_post = request.method() == Method::POST;
    let body = request
        .into_body()
        .collect()
        .await
        .map(|body| body.to_bytes())
        .unwrap_or_default();
    let wants_stream = [&b"\"stream\":true"[..], b"\"stream\": true"]
        .iter()
        .any(|wish| memmem::find(&body, wish).is_some());
    let (kind, answer) = match (is_post, wants_stream) {
        (false, _) => ("application/json", Answer::Whole(Some(canned.models.clone()))),
        (true, false) => ("application/json", Answer::Whole(Some(canned.whole.clone()))),
        (true, true) => {
            let next = Box::pin(sleep_until(Instant::now()));
            (
                "text/event-stream",
                Answer::Stream {
                    canned,
                    sent: 0,
                    next,
                },
            )
        }
    };
    let mut response = Response::new(answer);
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    Ok(response)
}

impl Canned {
    fn new(pieces: usize, apart: Duration) -> Self {
        let text = "All work and no play makes a dull answer. ".repeat(20);
        let usage = r#""usage":{"prompt_tokens":10,"completion_tokens":180,"total_tokens":190}"#;
        let whole = format!(
            r#"{{"id":"chatcmpl-0","object":"chat.completion","created":0,"model":"m","choices":[{{"index":0,"message":{{"role":"assistant","content":"{text}"}},"finish_reason":"stop"}}],{usage}}}"#
        );
        let chunk = |choice: &str| {
            format!(
                "data: {{\"id\":\"chatcmpl-0\",\"object\":\"chat.completion.chunk\",\"created\":0,\"model\":\"m\",\"choices\":[{choice}]"
            )
        };
        let piece = chunk(r#"{"index":0,"delta":{"content":"word "},"finish_reason":null}"#) + "}\n\n";
        let stop = chunk(r#"{"index":0,"delta":{},"finish_reason":"stop"}"#) + "}\n\n";
        let last = chunk("") + &format!(",{usage}}}\n\n");
        Self {
            models: Bytes::from_static(
                br#"{"object":"list","data":[{"id":"m","object":"model","created":0,"owned_by":"bench"}]}"#,
            ),
            whole: whole.into(),
            piece: piece.into(),
            end: format!("{stop}{last}data: [DONE]\n\n").into(),
            pieces,
            apart,
        }
    }
}

impl Body for Answer {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match &mut *self {
            Self::Whole(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Self::Stream { canned, sent, next } => {
                if *sent > canned.pieces {
                    return Poll::Ready(None);
                }
                std::task::ready!(next.as_mut().poll(cx));
                let then = next.deadline() + canned.apart;
                next.as_mut().reset(then);
                *sent += 1;
                let bytes = if *sent > canned.pieces {
                    &canned.end
                } else {
                    &canned.piece
                };
                Poll::Ready(Some(Ok(Frame::data(bytes.clone()))))
            }
        }
    }

    fn size_hint(&self) -> http_body::SizeHint {
        match self {
            Self::Whole(bytes) => {
                http_body::SizeHint::with_exact(bytes.as_ref().map_or(0, Bytes::len) as u64)
            }
            Self::Stream { .. } => http_body::SizeHint::default(),
        }
    }
}
