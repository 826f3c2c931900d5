//! What a call takes along to the next service.

use std::net::SocketAddr;
use std::time::Duration;

use polyphony_chassis::Deadline;
use polyphony_chassis::config::{ChannelConfig, ServerConfig};
use polyphony_chassis::connect::{self, Client, Error};
use tonic::{Code, Request};

use crate::echo::{Ask, EchoClient};
use crate::harness::{assert_status, soon, start, start_on};

pub(crate) fn dial(addr: SocketAddr) -> EchoClient<Client> {
    let uri = format!("http://{addr}").parse().expect("an address");
    EchoClient::new(connect::client(&uri, &ChannelConfig::default()).expect("a channel"))
}

fn before(deadline: Deadline) -> Request<Ask> {
    let mut request = Request::new(Ask::default());
    request.extensions_mut().insert(deadline);
    request
}

#[tokio::test]
async fn the_callee_has_less_time_than_the_caller() {
    let server = start(ServerConfig::default()).await;
    let deadline = Deadline::after(Duration::from_secs(5));
    let reply = dial(server.addr)
        .call("Unary", before(deadline))
        .await
        .expect("in time")
        .into_inner();
    assert!((1..=4_990).contains(&reply.left_ms), "{} ms", reply.left_ms);
}

#[tokio::test]
async fn without_time_nothing_is_called() {
    // Nobody listens there, and nobody finds out.
    let mut client = dial(SocketAddr::from(([127, 0, 0, 1], 1)));
    let status = client
        .call("Unary", before(Deadline::after(Duration::from_millis(5))))
        .await;
    assert_status(
        &status.expect_err("too late"),
        Code::DeadlineExceeded,
        "DEADLINE_EXCEEDED",
    );
}

#[tokio::test]
async fn a_callee_that_takes_too_long_is_deadline_exceeded_and_not_cancelled() {
    let server = start(ServerConfig::default()).await;
    let slow = Ask {
        delay_ms: 60_000,
        ..Ask::default()
    };
    let mut by_header = Request::new(slow.clone());
    by_header.set_timeout(Duration::from_millis(100));
    let mut by_deadline = Request::new(slow);
    by_deadline
        .extensions_mut()
        .insert(Deadline::after(Duration::from_millis(100)));
    for request in [by_header, by_deadline] {
        let status = dial(server.addr)
            .call("Unary", request)
            .await
            .expect_err("too slow");
        assert_status(&status, Code::DeadlineExceeded, "DEADLINE_EXCEEDED");
    }
}

#[tokio::test]
async fn a_channel_outlives_its_server() {
    let mut server = start(ServerConfig::default()).await;
    let addr = server.addr;
    let mut client = dial(addr);
    client.unary(Ask::default()).await.expect("the first server");
    server.trigger.drain();
    server.ended().await;
    let status = soon(client.unary(Ask::default()))
        .await
        .expect_err("nobody listens");
    assert_status(&status, Code::Unavailable, "UNREACHABLE");
    let _again = start_on(addr).await;
    client.unary(Ask::default()).await.expect("the second server");
}

#[tokio::test]
async fn an_address_that_cannot_work_is_refused_at_once() {
    let client = |uri: &'static str| connect::client(&uri.parse().expect("a URI"), &ChannelConfig::default());
    assert!(matches!(
        client("https://localhost:1"),
        Err(Error::NoAuthorities { .. })
    ));
    for bad in ["localhost:7001", "/asr", "unix://x"] {
        assert!(matches!(client(bad), Err(Error::Address { .. })), "{bad}");
    }
}
