//! A hostile or careless peer harms itself alone.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use futures_util::{StreamExt, stream};
use polyphony_chassis::config::ServerConfig;
use polyphony_config::ByteSize;
use polyphony_testing::{Authority, Leaf, Meters};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tonic::{Code, Request};

use crate::echo::Ask;
use crate::harness::{assert_status, millis, soon, start};
use crate::raw;

/// Reads until the peer closes, and returns how long that took.
async fn closed_after(mut stream: TcpStream) -> Duration {
    let began = Instant::now();
    let mut sink = Vec::new();
    // Closed in order or reset: closed.
    drop(soon(stream.read_to_end(&mut sink)).await);
    began.elapsed()
}

async fn bare(addr: SocketAddr, bytes: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(addr).await.expect("a connection");
    stream.write_all(bytes).await.expect("written");
    stream
}

#[tokio::test]
async fn a_connection_without_a_preface_is_closed() {
    let mut config = ServerConfig::default();
    config.connections.handshake_timeout = millis(300);
    let server = start(config).await;
    let mut client = server.client().await;
    for start in [&b""[..], b"PRI * HTTP/2.0\r\n"] {
        let took = closed_after(bare(server.addr, start).await).await;
        assert!((200..10_000).contains(&took.as_millis()), "{took:?}");
    }
    // What is no HTTP/2 at all is closed at once.
    closed_after(bare(server.addr, b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await).await;
    client
        .unary(Ask::default())
        .await
        .expect("a connection that began lives beyond that time");
}

#[tokio::test]
async fn a_tls_client_that_says_nothing_is_closed() {
    let dir = tempfile::tempdir().expect("a folder");
    let files = Authority::new("mesh")
        .issue(Leaf::server())
        .write_to(dir.path(), "server");
    let mut config = ServerConfig::default();
    config.connections.handshake_timeout = millis(300);
    config.tls = Some(crate::tls::server(&files, None));
    let server = start(config).await;
    let took = closed_after(bare(server.addr, b"").await).await;
    assert!((200..10_000).contains(&took.as_millis()), "{took:?}");
}

#[tokio::test]
async fn connections_over_the_limit_are_closed_and_room_is_made_again() {
    let mut config = ServerConfig::default();
    config.connections.max_connections = 2;
    let server = start(config).await;
    let mut first = server.client().await;
    let second = bare(server.addr, b"").await;
    first.unary(Ask::default()).await.expect("one of two");
    closed_after(bare(server.addr, b"").await).await;
    first.unary(Ask::default()).await.expect("the first is unharmed");
    drop(second);
    polyphony_testing::eventually_some(Duration::from_secs(10), "room for another", async || {
        let channel = tonic::transport::Endpoint::from_shared(format!("http://{}", server.addr)).ok()?;
        let mut client = crate::echo::EchoClient::new(channel.connect_lazy());
        client.unary(Ask::default()).await.ok()
    })
    .await;
}

#[tokio::test]
async fn what_is_not_grpc_is_refused() {
    let server = start(ServerConfig::default()).await;
    let (requests, _driver) = raw::connect(server.addr, &h2::client::Builder::new()).await;
    for (request, http) in [
        (http::Request::get("http://localhost/"), 405),
        (
            http::Request::post("http://localhost/x").header("content-type", "application/json"),
            415,
        ),
        (http::Request::post("http://localhost/x"), 415),
    ] {
        let mut requests = soon(requests.clone().ready()).await.expect("room");
        let (response, _) = requests
            .send_request(request.body(()).expect("a request"), true)
            .expect("sent");
        let response = soon(response).await.expect("an answer");
        assert_eq!(response.status(), http);
        let status = tonic::Status::from_header_map(response.headers()).expect("a status");
        assert_status(&status, Code::InvalidArgument, "NOT_GRPC");
    }
}

#[tokio::test]
async fn rapid_resets_end_their_connection_and_no_other() {
    let server = start(ServerConfig::default()).await;
    let mut bystander = server.client().await;
    let before = Meters::of_self().rss_bytes;
    let (requests, driver) = raw::connect(server.addr, &h2::client::Builder::new()).await;
    let mut opened = 0;
    for _ in 0..20_000 {
        let Ok(mut ready) = soon(requests.clone().ready()).await else {
            break;
        };
        let Ok((_, mut stream)) = ready.send_request(raw::head("Chat", &[]), false) else {
            break;
        };
        stream.send_reset(h2::Reason::CANCEL);
        opened += 1;
        // Lets the frames out and the GOAWAY in.
        tokio::task::yield_now().await;
    }
    drop(requests);
    let end = soon(driver).await.expect("the driver");
    assert!(
        opened < 20_000 && end.is_err(),
        "still open after {opened}: {end:?}"
    );
    let grown = Meters::of_self().rss_bytes.saturating_sub(before);
    assert!(grown < 32 << 20, "{} MiB", grown >> 20);
    bystander
        .unary(Ask::default())
        .await
        .expect("another connection is unharmed");
}

#[tokio::test]
async fn floods_of_small_messages_kill_no_connection() {
    const STREAMS: u32 = 200;
    const MESSAGES: u32 = 300;
    let server = start(ServerConfig::default()).await;
    let client = server.client().await;
    let pouring = (0..STREAMS).map(|at| {
        let mut client = client.clone();
        tokio::spawn(async move {
            let ask = Ask {
                count: MESSAGES,
                size: 20,
                ..Ask::default()
            };
            let mut replies = client.pour(Request::new(ask)).await.expect("it opens");
            // A slow reader: most of it piles up before the first is taken.
            tokio::time::sleep(Duration::from_millis(u64::from(at % 7) * 30)).await;
            let mut seen = 0;
            while let Some(reply) = replies.next().await {
                reply.expect("no connection error");
                seen += 1;
            }
            assert_eq!(seen, MESSAGES);
        })
    });
    // And the other way: audio in small chunks to handlers slower than it.
    let chatting = (0..20).map(|_| {
        let mut client = client.clone();
        tokio::spawn(async move {
            let ask = |at| Ask {
                payload: vec![0; 20],
                delay_ms: if at == 0 { 200 } else { 0 },
                ..Ask::default()
            };
            let replies = client
                .chat(stream::iter((0..MESSAGES).map(ask)))
                .await
                .expect("it opens");
            let replies: Vec<_> = replies.collect().await;
            assert!(replies.len() == MESSAGES as usize && replies.iter().all(Result::is_ok));
        })
    });
    let all: Vec<_> = pouring.chain(chatting).collect();
    for task in all {
        tokio::time::timeout(Duration::from_secs(60), task)
            .await
            .expect("in time")
            .expect("a stream");
    }
}

#[tokio::test]
async fn a_stalled_reader_holds_up_no_other_stream() {
    let server = start(ServerConfig::default()).await;
    let client = server.client().await;
    let big = Ask {
        count: 10_000,
        size: 16_384,
        ..Ask::default()
    };
    // One that never reads its replies, and one whose handler never reads what is sent.
    let stalled = client.clone().pour(Request::new(big)).await.expect("it opens");
    let deaf = Ask {
        delay_ms: 600_000,
        ..Ask::default()
    };
    let piling = stream::iter(std::iter::once(deaf).chain((0..64).map(|_| Ask {
        payload: vec![0; 16_384],
        ..Ask::default()
    })));
    let unheard = client.clone().chat(piling).await.expect("it opens");
    let active = (0..50).map(|_| {
        let mut client = client.clone();
        async move {
            let ask = Ask {
                count: 20,
                size: 1_000,
                ..Ask::default()
            };
            let replies = client.pour(Request::new(ask)).await.expect("it opens");
            assert_eq!(
                replies
                    .filter(|reply| std::future::ready(reply.is_ok()))
                    .count()
                    .await,
                20
            );
            let asks = stream::iter((0..20).map(|_| Ask {
                payload: vec![0; 1_000],
                ..Ask::default()
            }));
            assert_eq!(client.chat(asks).await.expect("it opens").count().await, 20);
        }
    });
    soon(futures_util::future::join_all(active)).await;
    drop((stalled, unheard));
}

#[tokio::test]
async fn headers_have_a_limit() {
    let mut config = ServerConfig::default();
    config.connections.max_header_list = ByteSize::kib(8);
    let server = start(config).await;
    let long = "x".repeat(64 << 10);
    let (requests, driver) = raw::connect(server.addr, &h2::client::Builder::new()).await;
    let mut requests = soon(requests.ready()).await.expect("room");
    let sent = requests.send_request(raw::head("Unary", &[("x-long", &long)]), true);
    if let Ok((response, _)) = sent
        && let Ok(response) = soon(response).await
    {
        assert_eq!(response.status(), 431, "refused, if the connection lives");
    }
    driver.abort();
    server
        .client()
        .await
        .unary(Ask::default())
        .await
        .expect("another connection is unharmed");
}

#[tokio::test]
async fn a_torn_message_is_one_clear_status() {
    let server = start(ServerConfig::default()).await;
    for torn in [
        &[][..],
        &[0, 0, 0, 0, 9, 1],
        &[7, 0, 0, 0, 0],
        &[1, 0, 0, 0, 0],
        &[0, 0, 0, 0, 1, 0xff],
    ] {
        let status = raw::unary(server.addr, torn.to_vec(), &[])
            .await
            .expect_err("torn");
        assert_status(&status, Code::Internal, "INTERNAL");
    }
    let giant = [&[0][..], &u32::MAX.to_be_bytes()].concat();
    let status = raw::unary(server.addr, giant, &[]).await.expect_err("4 GiB");
    assert_status(&status, Code::ResourceExhausted, "MESSAGE_TOO_LARGE");
}
