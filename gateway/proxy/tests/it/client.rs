//! A client that shows the frames: what came before the trailers, whether there were any, and how a stream was reset.

use std::net::SocketAddr;

use bytes::Bytes;
use h2::client::{ResponseFuture, SendRequest};
use h2::{Reason, RecvStream, SendStream};
use http::{HeaderMap, Request};
use tokio::net::TcpStream;

#[derive(Clone)]
pub struct Client {
    send: SendRequest<Bytes>,
}

/// Everything that came back.
#[derive(Debug)]
pub struct Reply {
    pub http: u16,
    pub headers: HeaderMap,
    pub data: Vec<u8>,
    pub end: End,
}

#[derive(Debug, PartialEq)]
pub enum End {
    /// The headers ended the stream.
    TrailersOnly,
    Trailers(HeaderMap),
    /// END_STREAM on DATA, and no trailers.
    Bare,
    Reset(Reason),
}

impl Client {
    pub async fn connect(addr: SocketAddr) -> Self {
        let tcp = TcpStream::connect(addr).await.expect("the gateway accepts");
        tcp.set_nodelay(true).expect("TCP_NODELAY");
        let mut builder = h2::client::Builder::new();
        builder.initial_connection_window_size(64 << 20);
        let (send, connection) = builder.handshake(tcp).await.expect("HTTP/2");
        tokio::spawn(connection);
        Self { send }
    }

    /// Sends the head of a call.
    pub async fn open(&self, path: &str, headers: &[(&str, &str)]) -> (ResponseFuture, SendStream<Bytes>) {
        let mut request = Request::post(format!("http://mesh.example{path}"))
            .header("content-type", "application/grpc")
            .header("te", "trailers");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut send = self.send.clone().ready().await.expect("room for a stream");
        send.send_request(request.body(()).expect("a request"), false)
            .expect("sent")
    }

    /// A call with one chunk of body.
    pub async fn call(&self, path: &str, headers: &[(&str, &str)], body: impl Into<Bytes>) -> Reply {
        let (response, mut send) = self.open(path, headers).await;
        send.send_data(body.into(), true).expect("sent");
        Reply::of(response).await
    }

    pub async fn get(&self, path: &str) -> Reply {
        self.call(path, &[], message(b"hi")).await
    }
}

impl Reply {
    pub async fn of(response: ResponseFuture) -> Self {
        match response.await {
            Ok(response) => {
                let (parts, body) = response.into_parts();
                let only = body.is_end_stream();
                let (data, end) = drain(body).await;
                Self {
                    http: parts.status.as_u16(),
                    headers: parts.headers,
                    data,
                    end: if only { End::TrailersOnly } else { end },
                }
            }
            Err(error) => Self {
                http: 0,
                headers: HeaderMap::new(),
                data: Vec::new(),
                end: End::Reset(error.reason().unwrap_or_else(|| panic!("no reset: {error}"))),
            },
        }
    }

    /// `grpc-status`, wherever it was.
    pub fn status(&self) -> Option<u16> {
        let trailers = match &self.end {
            End::Trailers(trailers) => trailers,
            _ => &self.headers,
        };
        trailers.get("grpc-status")?.to_str().ok()?.parse().ok()
    }

    pub fn message(&self) -> String {
        let trailers = match &self.end {
            End::Trailers(trailers) => trailers,
            _ => &self.headers,
        };
        let status = tonic::Status::from_header_map(trailers).expect("a gRPC status");
        status.message().to_owned()
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().expect("text"))
    }
}

/// Reads a body to its end.
pub async fn drain(mut body: RecvStream) -> (Vec<u8>, End) {
    let mut data = Vec::new();
    while let Some(chunk) = body.data().await {
        match chunk {
            Ok(chunk) => {
                body.flow_control().release_capacity(chunk.len()).expect("window");
                data.extend_from_slice(&chunk);
            }
            Err(error) => return (data, reset(&error)),
        }
    }
    let end = match body.trailers().await {
        Ok(Some(trailers)) => End::Trailers(trailers),
        Ok(None) => End::Bare,
        Err(error) => reset(&error),
    };
    (data, end)
}

fn reset(error: &h2::Error) -> End {
    End::Reset(error.reason().unwrap_or_else(|| panic!("no reset: {error}")))
}

/// A gRPC message: a flag, a length, the bytes.
pub fn message(payload: &[u8]) -> Bytes {
    let len = u32::try_from(payload.len()).expect("a small message");
    let mut framed = vec![0];
    framed.extend_from_slice(&len.to_be_bytes());
    framed.extend_from_slice(payload);
    framed.into()
}

/// Sends as the window allows.
pub async fn upload(send: &mut SendStream<Bytes>, mut bytes: Bytes, end: bool) {
    while !bytes.is_empty() {
        send.reserve_capacity(bytes.len());
        let room = std::future::poll_fn(|cx| send.poll_capacity(cx)).await;
        let room = room.expect("an open stream").expect("window").min(bytes.len());
        let chunk = bytes.split_to(room);
        send.send_data(chunk, end && bytes.is_empty()).expect("sent");
    }
}

impl Client {
    pub fn raw(&self) -> SendRequest<Bytes> {
        self.send.clone()
    }
}
