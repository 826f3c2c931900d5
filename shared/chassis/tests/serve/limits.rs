//! What is too large or too much is RESOURCE_EXHAUSTED, at once.

use std::io::Write;
use std::time::{Duration, Instant};

use flate2::Compression;
use flate2::write::GzEncoder;
use futures_util::{StreamExt, stream};
use polyphony_chassis::config::ServerConfig;
use polyphony_config::ByteSize;
use polyphony_testing::{Meters, eventually};
use tonic::{Code, Request};
use tonic_types::StatusExt;

use crate::echo::{Ask, EchoClient};
use crate::harness::{PATIENCE, assert_status, soon, start};
use crate::raw;

fn of_size(size: usize) -> Ask {
    Ask {
        payload: vec![7; size],
        ..Ask::default()
    }
}

#[tokio::test]
async fn a_message_over_the_limit_is_resource_exhausted_either_way() {
    let mut config = ServerConfig::default();
    config.limits.max_receive_message = Some(ByteSize::kib(64));
    config.limits.max_send_message = ByteSize::kib(64);
    let server = start(config).await;
    let mut client = server.client().await;
    client.unary(of_size(60 << 10)).await.expect("below the limit");

    let unary = client.unary(of_size(65 << 10)).await.expect_err("over it");
    assert_status(&unary, Code::ResourceExhausted, "MESSAGE_TOO_LARGE");
    assert!(
        unary.message().contains("65536"),
        "the limit is named: {}",
        unary.message()
    );

    let mut chat = client
        .chat(stream::iter([of_size(1), of_size(65 << 10)]))
        .await
        .expect("it opens");
    soon(chat.next())
        .await
        .expect("a reply")
        .expect("the first is small");
    let streamed = soon(chat.next()).await.expect("a status").expect_err("over it");
    assert_status(&streamed, Code::ResourceExhausted, "MESSAGE_TOO_LARGE");

    let large = Ask {
        size: 65 << 10,
        ..Ask::default()
    };
    let sent = client.unary(large).await.expect_err("the reply is over it");
    assert_status(&sent, Code::ResourceExhausted, "MESSAGE_TOO_LARGE");
}

#[tokio::test]
async fn gzip_is_understood_always_and_sent_when_configured() {
    let mut config = ServerConfig::default();
    config.limits.gzip_replies = true;
    let server = start(config).await;
    let mut client = EchoClient::new(server.channel().await).send_gzip().accept_gzip();
    let reply = client
        .call("Unary", Request::new(of_size(100_000)))
        .await
        .expect("both ways");
    let encoding = reply
        .metadata()
        .get("grpc-encoding")
        .and_then(|value| value.to_str().ok());
    assert_eq!(encoding, Some("gzip"));
    assert_eq!(reply.into_inner().payload, vec![7; 100_000]);
}

#[tokio::test]
async fn a_gzip_bomb_is_refused_before_it_is_whole() {
    let server = start(ServerConfig::default()).await;
    // A field of 64 MiB of one byte is 64 KiB on the wire; the limit is 4 MiB.
    let mut bomb = GzEncoder::new(Vec::new(), Compression::fast());
    bomb.write_all(&[0x32, 0x80, 0x80, 0x80, 0x20])
        .expect("key and length of Ask::payload");
    for _ in 0..64 {
        bomb.write_all(&[7; 1 << 20]).expect("a mebibyte");
    }
    let bomb = bomb.finish().expect("it packs");
    assert!(bomb.len() < 1 << 20);
    let mut message = vec![1];
    message.extend((bomb.len() as u32).to_be_bytes());
    message.extend(bomb);

    let before = Meters::of_self().peak_rss_bytes;
    let bombs = (0..4).map(|_| raw::unary(server.addr, message.clone(), &[("grpc-encoding", "gzip")]));
    for status in futures_util::future::join_all(bombs).await {
        assert_status(
            &status.expect_err("over the limit once unpacked"),
            Code::ResourceExhausted,
            "MESSAGE_TOO_LARGE",
        );
    }
    let grown = Meters::of_self().peak_rss_bytes - before;
    assert!(grown < 64 << 20, "four bombs of 64 MiB took {} MiB", grown >> 20);
    server
        .client()
        .await
        .unary(Ask::default())
        .await
        .expect("it lives");
}

#[tokio::test]
async fn admission_counts_the_process_and_refuses_instead_of_queueing() {
    let mut config = ServerConfig::default();
    config.limits.max_in_flight = 3;
    let server = start(config).await;
    let slow = Ask {
        delay_ms: 60_000,
        ..Ask::default()
    };
    let mut running = Vec::new();
    for _ in 0..3 {
        // Each on a connection of its own: a limit per connection would let them all in.
        let (mut client, slow) = (server.client().await, slow.clone());
        running.push(tokio::spawn(async move { client.unary(slow).await }));
    }
    eventually(PATIENCE, "three calls to run", || {
        server.admission.in_flight() == 3
    })
    .await;

    let began = Instant::now();
    let mut fourth = server.client().await;
    let status = fourth.unary(Ask::default()).await.expect_err("full");
    assert!(began.elapsed() < Duration::from_secs(5), "it was not queued");
    assert_status(&status, Code::ResourceExhausted, "OVERLOADED");
    let details = status.get_error_details();
    assert!(details.retry_info().and_then(|info| info.retry_delay).is_some());
    assert_eq!(
        details.quota_failure().expect("QuotaFailure").violations[0].subject,
        "calls"
    );

    let mut probe = tonic_health::pb::health_client::HealthClient::new(server.channel().await);
    probe
        .check(tonic_health::pb::HealthCheckRequest::default())
        .await
        .expect("health needs no permit");

    // A caller that goes away gives its permit back.
    for call in running {
        call.abort();
    }
    eventually(PATIENCE, "the permits to come back", || {
        server.admission.in_flight() == 0
    })
    .await;
    fourth.unary(Ask::default()).await.expect("there is room again");
}

#[tokio::test]
async fn a_stream_holds_its_permit_until_its_end() {
    let server = start(ServerConfig::default()).await;
    let mut client = server.client().await;
    let ask = Ask {
        count: 3,
        ..Ask::default()
    };
    let mut replies = client.pour(Request::new(ask)).await.expect("it opens");
    // By hand: a generated client that drops its replies still holds the stream for what it may yet send.
    let (requests, _driver) = raw::connect(server.addr, &h2::client::Builder::new()).await;
    let mut requests = soon(requests.ready()).await.expect("room for a stream");
    let (response, mut endless) = requests
        .send_request(raw::head("Chat", &[]), false)
        .expect("sent");
    soon(response).await.expect("it opens");
    while replies.next().await.is_some() {}
    eventually(PATIENCE, "the finished stream's permit", || {
        server.admission.in_flight() == 1
    })
    .await;
    endless.send_reset(h2::Reason::CANCEL);
    eventually(PATIENCE, "the cancelled stream's permit", || {
        server.admission.in_flight() == 0
    })
    .await;
}
