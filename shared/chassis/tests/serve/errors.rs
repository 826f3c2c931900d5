//! Every failure is one clear status, and the log says what a person must know.

use futures_util::StreamExt;
use polyphony_chassis::config::ServerConfig;
use polyphony_error::DOMAIN;
use polyphony_testing::capture_logs;
use tonic::{Code, Request};
use tonic_types::StatusExt;
use tracing::Level;

use crate::echo::{Ask, PANIC};
use crate::harness::{assert_status, soon, start};

fn failing(fail: i32) -> Ask {
    Ask {
        fail,
        ..Ask::default()
    }
}

#[tokio::test]
async fn every_error_has_error_info() {
    let server = start(ServerConfig::default()).await;
    let mut client = server.client().await;
    for code in 1..=16 {
        let status = client.unary(failing(code)).await.expect_err("as asked");
        assert_eq!((status.code() as i32, status.message()), (code, "as you asked"));
        let info = status
            .get_error_details()
            .error_info()
            .cloned()
            .expect("ErrorInfo");
        assert_eq!(info.domain, DOMAIN);
        assert!(!info.reason.is_empty());

        let mut replies = client.pour(Request::new(failing(code))).await.expect("it opens");
        let status = soon(replies.next())
            .await
            .expect("a status")
            .expect_err("as asked");
        assert_eq!(status.code() as i32, code);
        assert!(
            status.get_error_details().error_info().is_some(),
            "in trailers too"
        );
    }
    let status = client
        .call("Nothing", Request::new(Ask::default()))
        .await
        .expect_err("no method");
    assert_status(&status, Code::Unimplemented, "UNIMPLEMENTED");
}

#[tokio::test]
async fn a_panic_is_internal_and_the_server_lives() {
    let (logs, _guard) = capture_logs();
    let server = start(ServerConfig::default()).await;
    let mut client = server.client().await;
    let status = client.unary(failing(PANIC)).await.expect_err("it panicked");
    assert_status(&status, Code::Internal, "PANIC");
    assert!(
        !status.message().contains("the echo broke"),
        "the cause is for the log"
    );

    let ask = Ask {
        count: 3,
        gap_ms: 20,
        fail: PANIC,
        ..Ask::default()
    };
    let mut replies = client.pour(Request::new(ask)).await.expect("it opens");
    let first = soon(replies.next()).await.expect("a reply");
    first.expect("before the panic");
    let status = loop {
        if let Err(status) = soon(replies.next()).await.expect("a status") {
            break status;
        }
    };
    assert_status(&status, Code::Internal, "PANIC");

    client
        .unary(Ask::default())
        .await
        .expect("the connection lives on");
    let told = logs.matching(Level::ERROR, "the echo broke at");
    assert_eq!(told.len(), 2, "each panic is told once: {told:?}");
    assert!(
        told.iter()
            .all(|event| event.to_string().contains("echo.rs:") && event.spans.contains(&"rpc"))
    );
}

#[tokio::test]
async fn the_callers_fault_is_no_error_of_ours() {
    let (logs, _guard) = capture_logs();
    let server = start(ServerConfig::default()).await;
    let mut client = server.client().await;
    for code in [3, 5, 7, 8, 9, 16] {
        client.unary(failing(code)).await.expect_err("as asked");
    }
    logs.assert_quiet_but(&[]);
    client.unary(failing(13)).await.expect_err("as asked");
    logs.assert_quiet_but(&["call failed"]);
}

#[tokio::test]
async fn the_request_id_comes_back() {
    let server = start(ServerConfig::default()).await;
    let mut client = server.client().await;
    let mut request = Request::new(Ask::default());
    request
        .metadata_mut()
        .insert("x-request-id", "mine-1".parse().expect("metadata"));
    let reply = client.call("Unary", request).await.expect("a reply");
    assert_eq!(
        reply.metadata().get("x-request-id").map(|id| id.as_bytes()),
        Some(&b"mine-1"[..])
    );
    let status = client.unary(failing(5)).await.expect_err("as asked");
    assert_eq!(
        status
            .metadata()
            .get("x-request-id")
            .map(|id| id.as_bytes().len()),
        Some(32)
    );
}
