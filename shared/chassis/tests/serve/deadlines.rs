//! Calls end in time, and say so.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use futures_util::{StreamExt, stream};
use polyphony_chassis::config::ServerConfig;
use polyphony_testing::eventually;
use tonic::{Code, Request};

use crate::echo::Ask;
use crate::harness::{PATIENCE, assert_status, millis, soon, start};
use crate::raw;

fn slow(delay_ms: u64) -> Ask {
    Ask {
        delay_ms,
        ..Ask::default()
    }
}

/// `grpc-timeout` as a bare header: a timeout set through tonic would also be kept by the client.
fn with_header<T>(message: T, timeout: &'static str) -> Request<T> {
    let mut request = Request::new(message);
    request
        .metadata_mut()
        .insert("grpc-timeout", timeout.parse().expect("metadata"));
    request
}

#[tokio::test]
async fn the_servers_own_limit_is_deadline_exceeded_and_not_cancelled() {
    let mut config = ServerConfig::default();
    config.deadlines.unary_max = millis(50);
    let server = start(config).await;
    let mut client = server.client().await;
    let status = client.unary(slow(60_000)).await.expect_err("too slow");
    assert_status(&status, Code::DeadlineExceeded, "DEADLINE_EXCEEDED");
    client.unary(slow(0)).await.expect("the connection lives on");
}

#[tokio::test]
async fn the_callers_deadline_is_kept_and_the_limit_caps_it() {
    let mut config = ServerConfig::default();
    config.deadlines.unary_max = millis(10_000);
    let server = start(config).await;
    let mut client = server.client().await;
    // By hand: a tonic client gives up by itself.
    let asked = raw::unary(
        server.addr,
        raw::framed(&slow(60_000)),
        &[("grpc-timeout", "50m")],
    )
    .await;
    let late = asked.expect_err("too slow");
    assert_status(&late, Code::DeadlineExceeded, "DEADLINE_EXCEEDED");
    let seen = client
        .call("Unary", with_header(slow(0), "1H"))
        .await
        .expect("in time")
        .into_inner();
    assert!(
        (1..=10_000).contains(&seen.left_ms),
        "the handler sees {} ms left",
        seen.left_ms
    );
}

#[tokio::test]
async fn a_stream_ends_at_its_deadline_after_headers_were_sent() {
    let server = start(ServerConfig::default()).await;
    let mut client = server.client().await;
    let ask = Ask {
        count: 1000,
        gap_ms: 20,
        ..Ask::default()
    };
    let began = Instant::now();
    let mut replies = client.pour(with_header(ask, "300m")).await.expect("it opens");
    let mut seen = 0;
    let status = loop {
        match soon(replies.next()).await.expect("a status") {
            Ok(_) => seen += 1,
            Err(status) => break status,
        }
    };
    assert_status(&status, Code::DeadlineExceeded, "DEADLINE_EXCEEDED");
    assert!(
        seen > 0 && began.elapsed() >= Duration::from_millis(280),
        "{seen} in {:?}",
        began.elapsed()
    );
    eventually(PATIENCE, "the handler's stream to be dropped", || {
        server.streams.load(Ordering::SeqCst) == 0
    })
    .await;
}

#[tokio::test]
async fn a_silent_stream_is_ended_and_a_talking_one_is_not() {
    let mut config = ServerConfig::default();
    config.deadlines.stream_idle = millis(300);
    let server = start(config).await;
    let mut client = server.client().await;
    let mut silent = client.chat(stream::pending()).await.expect("it opens");
    let status = soon(silent.next()).await.expect("a status").expect_err("idle");
    assert_status(&status, Code::DeadlineExceeded, "STREAM_IDLE");

    // Asks every 50 ms, for three times as long as silence is borne.
    let asks = stream::iter(0..18).then(async |_| {
        tokio::time::sleep(Duration::from_millis(50)).await;
        Ask::default()
    });
    let talking = client.chat(asks).await.expect("it opens");
    let replies: Vec<_> = soon(talking.collect()).await;
    assert!(
        replies.len() == 18 && replies.iter().all(Result::is_ok),
        "{replies:?}"
    );
}

#[tokio::test]
async fn a_malformed_timeout_is_refused() {
    let server = start(ServerConfig::default()).await;
    let mut client = server.client().await;
    for bad in ["123456789m", "abc", "1.5S", "-1S", "5"] {
        let status = client
            .call("Unary", with_header(slow(0), bad))
            .await
            .expect_err(bad);
        assert_status(&status, Code::Internal, "BAD_GRPC_TIMEOUT");
    }
}

#[tokio::test]
async fn a_reader_that_takes_nothing_cannot_keep_a_permit_beyond_the_deadline() {
    let server = start(ServerConfig::default()).await;
    let mut client = server.client().await;
    let flood = Ask {
        count: u32::MAX,
        size: 16_384,
        ..Ask::default()
    };
    let unread = client.pour(with_header(flood, "400m")).await.expect("it opens");
    assert_eq!(server.admission.in_flight(), 1);
    eventually(PATIENCE, "the permit to come back", || {
        server.admission.in_flight() == 0
    })
    .await;
    assert_eq!(
        server.streams.load(Ordering::SeqCst),
        0,
        "the handler's stream is gone too"
    );
    drop(unread);
}
