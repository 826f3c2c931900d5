//! Flow control and drain: a slow reader slows only itself, and a stopping gateway loses nothing.

use std::time::Duration;

use futures_util::future::join_all;
use polyphony_chassis::accept::Ended;
use tokio::time::{sleep, timeout};

use crate::backend::{Backend, answer, ok, trailers};
use crate::client::{End, Reply, drain, message};
use crate::gate::{Gate, mesh};

#[tokio::test]
async fn one_stalled_reader_does_not_hold_up_fifty_others_on_the_same_connection() {
    const CHUNKS: usize = 100;
    let backend = Backend::start(|request, mut respond| async move {
        let endless = request.uri().path() == "/t.S/Endless";
        let mut send = respond.send_response(ok(), false).expect("headers");
        let mut sent = 0;
        while endless || sent < CHUNKS {
            send.reserve_capacity(1);
            match std::future::poll_fn(|cx| send.poll_capacity(cx)).await {
                Some(Ok(_)) => send.send_data(vec![7; 8_192].into(), false).expect("sent"),
                _ => return,
            }
            sent += 1;
        }
        send.send_trailers(trailers(&[("grpc-status", "0")]))
            .expect("trailers");
    })
    .await;
    let gate = Gate::start(&[backend.addr], "max_connections = 1", "").await;
    let stalled = gate.client().await;
    let (response, mut send) = stalled.open("/t.S/Endless", &[]).await;
    send.send_data(message(b""), true).expect("sent");
    let unread = response.await.expect("headers");
    sleep(Duration::from_millis(100)).await;

    let client = gate.client().await;
    let all = join_all((0..50).map(|_| client.get("/t.S/Some")));
    let replies = timeout(Duration::from_secs(20), all)
        .await
        .expect("the fifty finish");
    for reply in replies {
        assert_eq!((reply.status(), reply.data.len()), (Some(0), CHUNKS * 8_192));
    }
    assert_eq!(backend.connections.load(std::sync::atomic::Ordering::Relaxed), 1);
    drop(unread);
}

#[tokio::test]
async fn a_client_that_sends_everything_before_it_reads_does_not_deadlock() {
    // Echoes each chunk; the answer outgrows every window while the client is still sending.
    let backend = Backend::start(|mut request, mut respond| async move {
        let mut send = respond.send_response(ok(), false).expect("headers");
        while let Some(Ok(chunk)) = request.body_mut().data().await {
            request
                .body_mut()
                .flow_control()
                .release_capacity(chunk.len())
                .ok();
            send.send_data(chunk, false).expect("sent");
        }
        send.send_trailers(trailers(&[("grpc-status", "0")]))
            .expect("trailers");
    })
    .await;
    let gate = Gate::start(&[backend.addr], "", "").await;
    let (response, mut send) = gate.client().await.open("/t.S/M", &[]).await;
    let body = message(&vec![3; 4 << 20]);
    let sent = crate::client::upload(&mut send, body.clone(), true);
    timeout(Duration::from_secs(20), sent)
        .await
        .expect("all is taken");
    let reply = Reply::of(response).await;
    assert_eq!((reply.status(), reply.data.len()), (Some(0), body.len()));
}

#[tokio::test]
async fn row_38_a_drain_loses_no_call() {
    let backend = Backend::start(|request, mut respond| async move {
        if request.uri().path() == "/t.S/Unary" {
            sleep(Duration::from_millis(20)).await;
            return answer(respond, b"ok", 0);
        }
        let mut send = respond.send_response(ok(), false).expect("headers");
        for _ in 0..15 {
            send.send_data(message(b"tick"), false).expect("data");
            sleep(Duration::from_millis(50)).await;
        }
        send.send_trailers(trailers(&[("grpc-status", "0")]))
            .expect("trailers");
    })
    .await;
    let gate = Gate::start(&[backend.addr], "", "").await;
    let client = gate.client().await;
    let streaming = client.clone();
    let streams = tokio::spawn(async move { join_all((0..4).map(|_| streaming.get("/t.S/Stream"))).await });
    let calls = (0..4).map(|_| {
        let client = client.clone();
        tokio::spawn(async move {
            let mut good = 0;
            // A client that hears GOAWAY opens no more calls here; those it has opened must all be answered.
            while let Ok(mut send) = client.raw().ready().await {
                let request =
                    http::Request::post("http://m/t.S/Unary").header("content-type", "application/grpc");
                let Ok((response, mut body)) = send.send_request(request.body(()).expect("valid"), false)
                else {
                    break;
                };
                body.send_data(message(b"hi"), true).expect("sent");
                match response.await {
                    Ok(response) => {
                        let (_, end) = drain(response.into_body()).await;
                        let End::Trailers(end) = end else {
                            panic!("{end:?}")
                        };
                        assert_eq!(end["grpc-status"], "0");
                        good += 1;
                    }
                    // Above the last id that the gateway names: not processed, and the client is told so.
                    Err(error) => {
                        assert!(
                            error.is_go_away() && error.reason() == Some(h2::Reason::NO_ERROR),
                            "{error}"
                        );
                        break;
                    }
                }
            }
            good
        })
    });
    let calls = calls.collect::<Vec<_>>();
    sleep(Duration::from_millis(300)).await;
    gate.drain();
    for call in calls {
        assert!(call.await.expect("no call failed") > 3);
    }
    for reply in streams.await.expect("joined") {
        assert_eq!(
            (reply.status(), reply.data.len()),
            (Some(0), 15 * 9),
            "the stream finished whole"
        );
    }
    assert_eq!(gate.ended().await, Ended::Drained);
}

#[tokio::test]
async fn a_stream_that_outlasts_the_drain_ends_with_unavailable_and_a_reason() {
    let backend = Backend::start(|_request, mut respond| async move {
        let mut send = respond.send_response(ok(), false).expect("headers");
        send.send_data(message(b"one"), false).expect("data");
        crate::backend::reset(&mut send).await;
    })
    .await;
    let gate = Gate::of(mesh(&[backend.addr], "", ""), Duration::from_millis(200)).await;
    let client = gate.client().await;
    let (response, _send) = client.open("/t.S/M", &[]).await;
    let body = response.await.expect("headers").into_body();
    gate.drain();
    let (_, end) = drain(body).await;
    let End::Trailers(end) = end else {
        panic!("{end:?}")
    };
    assert_eq!(end["grpc-status"], "14");
    let status = tonic::Status::from_header_map(&end).expect("a status");
    let details = tonic_types::StatusExt::get_error_details(&status);
    assert_eq!(details.error_info().expect("ErrorInfo").reason, "DRAINING");
    assert_eq!(gate.ended().await, Ended::Drained);
}
