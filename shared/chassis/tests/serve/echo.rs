//! A small service written by hand in the shape that tonic generates, which does what the request asks for.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::{Stream, StreamExt, stream};
use http::uri::PathAndQuery;
use polyphony_chassis::Deadline;
use prost::Message;
use prost_types::{FileDescriptorProto, FileDescriptorSet, MethodDescriptorProto, ServiceDescriptorProto};
use tokio::time::sleep;
use tonic::body::Body;
use tonic::codec::CompressionEncoding;
use tonic::server::{Grpc, NamedService};
use tonic::{Code, Request, Response, Status, Streaming};
use tonic_prost::ProstCodec;
use tower::service_fn;

/// What the service shall do.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Ask {
    /// Waits so long before it answers.
    #[prost(uint64, tag = "1")]
    pub(crate) delay_ms: u64,
    /// Answers so often, on a stream.
    #[prost(uint32, tag = "2")]
    pub(crate) count: u32,
    /// Waits so long between answers.
    #[prost(uint64, tag = "3")]
    pub(crate) gap_ms: u64,
    /// Answers with so many bytes.
    #[prost(uint32, tag = "4")]
    pub(crate) size: u32,
    /// Fails with this code after answering, or panics at [`PANIC`].
    #[prost(int32, tag = "5")]
    pub(crate) fail: i32,
    #[prost(bytes = "vec", tag = "6")]
    pub(crate) payload: Vec<u8>,
}

/// What it did.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Reply {
    #[prost(bytes = "vec", tag = "1")]
    pub(crate) payload: Vec<u8>,
    /// The time left when the handler began, in milliseconds; 0 without a deadline.
    #[prost(uint64, tag = "2")]
    pub(crate) left_ms: u64,
    /// The peer's SPIFFE id.
    #[prost(string, tag = "3")]
    pub(crate) spiffe: String,
}

/// `Ask::fail` for a panic.
pub(crate) const PANIC: i32 = 99;
pub(crate) const NAME: &str = "chassis.test.v1.EchoService";

/// The service. `streams` counts those whose handler's stream is alive.
#[derive(Clone, Default)]
pub(crate) struct Echo {
    pub(crate) streams: Arc<AtomicUsize>,
    max_in: Option<usize>,
    max_out: Option<usize>,
    gzip_in: bool,
    gzip_out: bool,
}

/// Falls when the handler's stream is dropped.
struct Alive(Arc<AtomicUsize>);

type Replies = Pin<Box<dyn Stream<Item = Result<Reply, Status>> + Send>>;

impl Drop for Alive {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

// === impl Echo ===

impl Echo {
    pub(crate) fn max_decoding_message_size(mut self, limit: usize) -> Self {
        self.max_in = Some(limit);
        self
    }

    pub(crate) fn max_encoding_message_size(mut self, limit: usize) -> Self {
        self.max_out = Some(limit);
        self
    }

    pub(crate) fn accept_compressed(mut self, _: CompressionEncoding) -> Self {
        self.gzip_in = true;
        self
    }

    pub(crate) fn send_compressed(mut self, _: CompressionEncoding) -> Self {
        self.gzip_out = true;
        self
    }

    fn alive(&self) -> Alive {
        self.streams.fetch_add(1, Ordering::SeqCst);
        Alive(Arc::clone(&self.streams))
    }

    async fn unary(self, request: Request<Ask>) -> Result<Response<Reply>, Status> {
        let reply = first(&request);
        let ask = request.into_inner();
        sleep(Duration::from_millis(ask.delay_ms)).await;
        fail(ask.fail)?;
        let payload = if ask.size > 0 {
            filler(ask.size)
        } else {
            ask.payload
        };
        Ok(Response::new(Reply { payload, ..reply }))
    }

    async fn pour(self, request: Request<Ask>) -> Result<Response<Replies>, Status> {
        let reply = first(&request);
        let (ask, alive) = (request.into_inner(), self.alive());
        sleep(Duration::from_millis(ask.delay_ms)).await;
        let (payload, gap) = (filler(ask.size), Duration::from_millis(ask.gap_ms));
        let replies = stream::iter(0..ask.count).then(move |at| {
            let (reply, payload, _) = (reply.clone(), payload.clone(), &alive);
            async move {
                if at > 0 && !gap.is_zero() {
                    sleep(gap).await;
                }
                Ok(Reply { payload, ..reply })
            }
        });
        let end = stream::once(async move { fail(ask.fail) }).filter_map(async |end| end.err().map(Err));
        Ok(Response::new(Box::pin(replies.chain(end))))
    }

    fn chat(self, request: Request<Streaming<Ask>>) -> Result<Response<Replies>, Status> {
        let (asks, alive) = (request.into_inner(), self.alive());
        let replies = asks.then(move |ask| {
            let _ = &alive;
            async move {
                let ask = ask?;
                sleep(Duration::from_millis(ask.delay_ms)).await;
                fail(ask.fail)?;
                let payload = ask.payload;
                Ok(Reply {
                    payload,
                    ..Reply::default()
                })
            }
        });
        Ok(Response::new(Box::pin(replies)))
    }
}

fn first(request: &Request<Ask>) -> Reply {
    let left = Deadline::of(request.extensions()).map(Deadline::remaining);
    let peer = request.extensions().get::<polyphony_chassis::Peer>();
    let identity = peer.and_then(|peer| peer.identity.clone());
    Reply {
        payload: Vec::new(),
        left_ms: left.map_or(0, |left| left.as_millis() as u64),
        spiffe: identity
            .and_then(|identity| identity.spiffe().map(str::to_owned))
            .unwrap_or_default(),
    }
}

fn filler(size: u32) -> Vec<u8> {
    (0..size).map(|at| (at % 251) as u8).collect()
}

fn fail(code: i32) -> Result<(), Status> {
    match code {
        0 => Ok(()),
        PANIC => panic!("the echo broke"),
        code => Err(Status::new(Code::from_i32(code), "as you asked")),
    }
}

impl NamedService for Echo {
    const NAME: &'static str = NAME;
}

impl tower::Service<http::Request<Body>> for Echo {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<http::Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let this = self.clone();
        Box::pin(async move {
            let mut grpc = Grpc::new(ProstCodec::<Reply, Ask>::default());
            if let Some(limit) = this.max_in {
                grpc = grpc.max_decoding_message_size(limit);
            }
            if let Some(limit) = this.max_out {
                grpc = grpc.max_encoding_message_size(limit);
            }
            if this.gzip_in {
                grpc = grpc.accept_compressed(CompressionEncoding::Gzip);
            }
            if this.gzip_out {
                grpc = grpc.send_compressed(CompressionEncoding::Gzip);
            }
            let method = request
                .uri()
                .path()
                .rsplit('/')
                .next()
                .unwrap_or_default()
                .to_owned();
            Ok(match method.as_str() {
                "Unary" => {
                    grpc.unary(service_fn(move |ask| this.clone().unary(ask)), request)
                        .await
                }
                "Pour" => {
                    grpc.server_streaming(service_fn(move |ask| this.clone().pour(ask)), request)
                        .await
                }
                "Chat" => {
                    grpc.streaming(
                        service_fn(move |asks| std::future::ready(this.clone().chat(asks))),
                        request,
                    )
                    .await
                }
                _ => Status::unimplemented("").into_http(),
            })
        })
    }
}

/// What `protoc --descriptor_set_out` would give, with a second service that nobody serves.
pub(crate) fn descriptors() -> &'static [u8] {
    static SET: LazyLock<Vec<u8>> = LazyLock::new(|| {
        let method = |name: &str, client: bool, server: bool| MethodDescriptorProto {
            name: Some(name.to_owned()),
            input_type: Some(".google.protobuf.Empty".to_owned()),
            output_type: Some(".google.protobuf.Empty".to_owned()),
            client_streaming: Some(client),
            server_streaming: Some(server),
            ..Default::default()
        };
        let file = |name: &str, service: &str, methods, imports: &[&str]| FileDescriptorProto {
            name: Some(name.to_owned()),
            package: Some("chassis.test.v1".to_owned()),
            dependency: imports.iter().map(|&import| import.to_owned()).collect(),
            service: vec![ServiceDescriptorProto {
                name: Some(service.to_owned()),
                method: methods,
                ..Default::default()
            }],
            ..Default::default()
        };
        let methods = vec![
            method("Unary", false, false),
            method("Pour", false, true),
            method("Chat", true, true),
        ];
        let empty = FileDescriptorProto {
            name: Some("google/protobuf/empty.proto".to_owned()),
            package: Some("google.protobuf".to_owned()),
            ..Default::default()
        };
        let set = FileDescriptorSet {
            file: vec![
                empty,
                file(
                    "echo.proto",
                    "EchoService",
                    methods,
                    &["google/protobuf/empty.proto"],
                ),
                file("later.proto", "LaterService", Vec::new(), &[]),
            ],
        };
        set.encode_to_vec()
    });
    &SET
}

/// The client that tonic would generate.
#[derive(Clone)]
pub(crate) struct EchoClient<C>(tonic::client::Grpc<C>);

impl<C> EchoClient<C>
where
    C: tonic::client::GrpcService<Body, ResponseBody = Body>,
{
    pub(crate) fn new(channel: C) -> Self {
        Self(tonic::client::Grpc::new(channel))
    }

    pub(crate) fn send_gzip(self) -> Self {
        Self(self.0.send_compressed(CompressionEncoding::Gzip))
    }

    pub(crate) fn accept_gzip(self) -> Self {
        Self(self.0.accept_compressed(CompressionEncoding::Gzip))
    }

    pub(crate) async fn call(
        &mut self,
        method: &str,
        request: Request<Ask>,
    ) -> Result<Response<Reply>, Status> {
        self.ready().await?;
        self.0.unary(request, path(method), ProstCodec::default()).await
    }

    pub(crate) async fn unary(&mut self, ask: Ask) -> Result<Reply, Status> {
        self.call("Unary", Request::new(ask))
            .await
            .map(Response::into_inner)
    }

    pub(crate) async fn pour(&mut self, request: Request<Ask>) -> Result<Streaming<Reply>, Status> {
        self.ready().await?;
        let replies = self
            .0
            .server_streaming(request, path("Pour"), ProstCodec::default())
            .await;
        replies.map(Response::into_inner)
    }

    pub(crate) async fn chat(
        &mut self,
        asks: impl Stream<Item = Ask> + Send + 'static,
    ) -> Result<Streaming<Reply>, Status> {
        self.ready().await?;
        let replies = self
            .0
            .streaming(Request::new(asks), path("Chat"), ProstCodec::default())
            .await;
        replies.map(Response::into_inner)
    }

    async fn ready(&mut self) -> Result<(), Status> {
        let ready = self.0.ready().await;
        ready.map_err(|error| Status::unavailable(error.into().to_string()))
    }
}

fn path(method: &str) -> PathAndQuery {
    format!("/{NAME}/{method}").parse().expect("a path")
}
