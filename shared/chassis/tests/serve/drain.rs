//! The server always stops, and says what it owes before it does.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use futures_util::{StreamExt, stream};
use polyphony_chassis::accept::Ended;
use polyphony_chassis::config::ServerConfig;
use polyphony_testing::eventually;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tonic::{Code, Request};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use crate::connect::dial;
use crate::echo::Ask;
use crate::harness::{PATIENCE, assert_status, millis, soon, start};

fn draining_within(deadline_ms: u64) -> ServerConfig {
    let mut config = ServerConfig::default();
    config.drain.deadline = millis(deadline_ms);
    config
}

async fn bare(addr: SocketAddr) -> TcpStream {
    TcpStream::connect(addr).await.expect("a connection")
}

#[tokio::test]
async fn a_bare_connection_does_not_hold_up_the_stop() {
    let mut server = start(draining_within(60_000)).await;
    let mut silent = bare(server.addr).await;
    let mut hesitant = bare(server.addr).await;
    hesitant.write_all(b"PRI * HTTP/2").await.expect("half a preface");
    // A call on a third shows that the other two were accepted.
    server
        .client()
        .await
        .unary(Ask::default())
        .await
        .expect("it serves");
    let began = Instant::now();
    server.trigger.drain();
    assert_eq!(server.ended().await, Ended::Drained);
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    // The settings were sent, and then it was closed.
    drop(soon(silent.read_to_end(&mut Vec::new())).await);
}

#[tokio::test]
async fn an_endless_stream_ends_with_unavailable_and_a_reason() {
    let mut server = start(draining_within(300)).await;
    let mut client = server.client().await;
    let endless = Ask {
        count: u32::MAX,
        gap_ms: 5,
        ..Ask::default()
    };
    let mut pouring = client.pour(Request::new(endless)).await.expect("it opens");
    let mut waiting = client.chat(stream::pending()).await.expect("it opens");
    soon(pouring.next()).await.expect("a reply").expect("it runs");
    let began = Instant::now();
    server.trigger.drain();
    let status = loop {
        if let Err(status) = soon(pouring.next()).await.expect("a status, not a reset") {
            break status;
        }
    };
    assert_status(&status, Code::Unavailable, "DRAINING");
    let status = soon(waiting.next())
        .await
        .expect("a status, not a reset")
        .expect_err("draining");
    assert_status(&status, Code::Unavailable, "DRAINING");
    assert_eq!(server.ended().await, Ended::Drained);
    assert!(
        began.elapsed() >= Duration::from_millis(280),
        "they had their time"
    );
}

#[tokio::test]
async fn calls_in_flight_finish_and_none_is_lost_under_load() {
    let mut config = draining_within(20_000);
    config.drain.lame_duck = millis(200);
    let mut server = start(config).await;
    let mut callers = Vec::new();
    for _ in 0..4 {
        let mut client = dial(server.addr);
        callers.push(tokio::spawn(async move {
            let mut done = 0;
            loop {
                let ask = Ask {
                    delay_ms: 20,
                    ..Ask::default()
                };
                match client.unary(ask).await {
                    Ok(_) => done += 1,
                    Err(status) => return (done, status),
                }
            }
        }));
    }
    let mut slow = server.client().await;
    let last = tokio::spawn(async move {
        let ask = Ask {
            delay_ms: 900,
            ..Ask::default()
        };
        slow.unary(ask).await
    });
    eventually(PATIENCE, "the load to run", || server.admission.in_flight() >= 4).await;
    server.trigger.drain();
    for caller in callers {
        let (done, status) = soon(caller).await.expect("the caller");
        assert!(done > 0);
        // Only a call that never reached the server fails: the channel could not connect again.
        assert_status(&status, Code::Unavailable, "UNREACHABLE");
    }
    soon(last)
        .await
        .expect("the caller")
        .expect("a call that was running is finished");
    assert_eq!(server.ended().await, Ended::Drained);
}

#[tokio::test]
async fn health_turns_at_once_while_calls_are_still_taken() {
    let mut config = draining_within(5_000);
    config.drain.lame_duck = millis(2_000);
    let mut server = start(config).await;
    let mut health = HealthClient::new(server.channel().await);
    let mut watch = health
        .watch(HealthCheckRequest::default())
        .await
        .expect("it opens")
        .into_inner();
    let first = soon(watch.next()).await.expect("a status").expect("serving");
    assert_eq!(first.status(), ServingStatus::Serving);
    let began = Instant::now();
    server.trigger.drain();
    let second = soon(watch.next()).await.expect("a status").expect("not serving");
    assert_eq!(second.status(), ServingStatus::NotServing);
    // New connections too: load balancers have not noticed yet.
    server
        .client()
        .await
        .unary(Ask::default())
        .await
        .expect("a lame duck still answers");
    assert!(
        began.elapsed() < Duration::from_secs(2),
        "this was within the lame-duck time"
    );
    // A watcher does not hold up the stop.
    assert_eq!(server.ended().await, Ended::Drained);
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
}

#[tokio::test]
async fn the_second_signal_means_at_once() {
    let mut server = start(draining_within(60_000)).await;
    let mut client = server.client().await;
    let mut endless = client.chat(stream::pending()).await.expect("it opens");
    let began = Instant::now();
    server.trigger.drain();
    tokio::task::yield_now().await;
    assert!(!server.is_over());
    server.trigger.now();
    server.ended().await;
    assert!(began.elapsed() < Duration::from_secs(10));
    soon(endless.next()).await.expect("an end").expect_err("an error");
}

#[tokio::test]
async fn a_peer_that_reads_nothing_is_cut_after_the_grace() {
    let mut config = draining_within(200);
    config.drain.grace = millis(200);
    let mut server = start(config).await;
    let mut client = server.client().await;
    let flood = Ask {
        count: u32::MAX,
        size: 16_384,
        ..Ask::default()
    };
    let unread = client.pour(Request::new(flood)).await.expect("it opens");
    server.trigger.drain();
    assert!(matches!(server.ended().await, Ended::Aborted(_)));
    drop(unread);
}

#[tokio::test]
async fn an_old_connection_is_replaced_without_losing_a_call() {
    let mut config = ServerConfig::default();
    config.connections.max_age = millis(100);
    let server = start(config).await;
    let mut client = dial(server.addr);
    let ask = Ask {
        count: 20,
        gap_ms: 30,
        ..Ask::default()
    };
    let long = client.pour(Request::new(ask)).await.expect("it opens");
    let end = Instant::now() + Duration::from_millis(600);
    while Instant::now() < end {
        client.unary(Ask::default()).await.expect("no call is lost");
    }
    let replies: Vec<_> = soon(long.collect()).await;
    assert!(
        replies.len() == 20 && replies.iter().all(Result::is_ok),
        "a stream outlives the age: {replies:?}"
    );
}
