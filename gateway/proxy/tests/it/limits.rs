//! Deadlines, durations, idle times and circuit breakers.

use std::time::Duration;

use futures_util::future::join_all;
use h2::Reason;
use tokio::time::Instant;

use crate::backend::{Backend, answer, ok, reset};
use crate::client::{End, message};
use crate::gate::Gate;

const DEADLINE_EXCEEDED: u16 = 4;
const UNAVAILABLE: u16 = 14;

/// Never answers.
async fn silent() -> Backend {
    Backend::start(|_request, mut respond| async move {
        std::future::poll_fn(|cx| respond.poll_reset(cx)).await.ok();
    })
    .await
}

/// Answers headers and one message, and no more.
async fn stuck() -> Backend {
    Backend::start(|_request, mut respond| async move {
        let mut send = respond.send_response(ok(), false).expect("headers");
        send.send_data(message(b"one"), false).expect("data");
        reset(&mut send).await;
    })
    .await
}

#[tokio::test]
async fn row_11_the_route_s_timeout_on_a_unary_call_is_deadline_exceeded() {
    let backend = silent().await;
    let gate = Gate::start(&[backend.addr], "", "default_timeout = '100ms'").await;
    let client = gate.client().await;
    assert_eq!(client.get("/t.S/Unary").await.status(), Some(DEADLINE_EXCEEDED));
    let unknown = tokio::time::timeout(Duration::from_millis(400), client.get("/t.S/Stream"));
    assert!(
        unknown.await.is_err(),
        "only a method known to be unary gets a deadline of its own"
    );
}

#[tokio::test]
async fn row_12_the_longest_duration_before_headers_is_deadline_exceeded() {
    let backend = silent().await;
    let gate = Gate::start(&[backend.addr], "", "max_duration = '100ms'").await;
    let reply = gate.client().await.get("/t.S/M").await;
    assert_eq!(reply.status(), Some(DEADLINE_EXCEEDED));
    assert_eq!(reply.message(), "downstream duration timeout");
}

#[tokio::test]
async fn row_12b_the_longest_duration_after_headers_is_a_reset() {
    let backend = stuck().await;
    let gate = Gate::start(&[backend.addr], "", "max_duration = '200ms'").await;
    let reply = gate.client().await.get("/t.S/M").await;
    assert_eq!((reply.http, reply.end), (200, End::Reset(Reason::INTERNAL_ERROR)));
}

#[tokio::test]
async fn row_13_the_client_s_deadline_is_cut_and_the_endpoint_told_what_is_left() {
    let backend = Backend::start(|request, mut respond| async move {
        let told = request.headers()["grpc-timeout"]
            .to_str()
            .expect("text")
            .to_owned();
        if request.uri().path() == "/t.S/Echo" {
            answer(respond, told.as_bytes(), 0);
        } else {
            std::future::poll_fn(|cx| respond.poll_reset(cx)).await.ok();
        }
    })
    .await;
    let gate = Gate::start(&[backend.addr], "", "max_timeout = '300ms'").await;
    let client = gate.client().await;
    for (asked, most) in [("3S", 300_000), ("100m", 100_000)] {
        let reply = client
            .call("/t.S/Echo", &[("grpc-timeout", asked)], message(b""))
            .await;
        let told = String::from_utf8(reply.data[5..].to_vec()).expect("text");
        let micros: u64 = told
            .strip_suffix('u')
            .expect("microseconds")
            .parse()
            .expect("a number");
        assert!(micros < most && micros > most / 3, "{asked} became {told}");
    }
    let begun = Instant::now();
    let reply = client
        .call("/t.S/Wait", &[("grpc-timeout", "3S")], message(b""))
        .await;
    assert_eq!(reply.status(), Some(DEADLINE_EXCEEDED));
    assert!(begun.elapsed() >= Duration::from_millis(300));
    assert!(begun.elapsed() < Duration::from_secs(2));
}

#[tokio::test]
async fn the_deadline_of_a_running_stream_is_told_in_trailers_even_to_one_that_does_not_read() {
    let backend = Backend::start(|_request, mut respond| async move {
        let mut send = respond.send_response(ok(), false).expect("headers");
        // More than any window holds.
        while send.send_data(vec![0; 16_000].into(), false).is_ok() {
            send.reserve_capacity(1);
            let more = std::future::poll_fn(|cx| send.poll_capacity(cx)).await;
            if !matches!(more, Some(Ok(_))) {
                break;
            }
        }
    })
    .await;
    let gate = Gate::start(&[backend.addr], "", "").await;
    let (response, mut send) = gate
        .client()
        .await
        .open("/t.S/M", &[("grpc-timeout", "300m")])
        .await;
    send.send_data(message(b""), true).expect("sent");
    let body = response.await.expect("headers").into_body();
    tokio::time::sleep(Duration::from_millis(500)).await;
    let (_, end) = crate::client::drain(body).await;
    let End::Trailers(trailers) = end else {
        panic!("{end:?}")
    };
    assert_eq!(trailers["grpc-status"], "4");
    assert!(trailers.contains_key("grpc-status-details-bin"));
}

#[tokio::test]
async fn row_13b_idle_before_headers_is_unavailable() {
    let backend = silent().await;
    let gate = Gate::start(&[backend.addr], "", "idle_timeout = '100ms'").await;
    let reply = gate.client().await.get("/t.S/M").await;
    assert_eq!(
        (reply.status(), reply.message().as_str()),
        (Some(UNAVAILABLE), "stream timeout")
    );
}

#[tokio::test]
async fn row_13b_idle_after_headers_is_a_reset_and_activity_either_way_prevents_it() {
    let backend = stuck().await;
    let gate = Gate::start(&[backend.addr], "", "idle_timeout = '400ms'").await;
    let (response, mut send) = gate.client().await.open("/t.S/M", &[]).await;
    let body = response.await.expect("headers").into_body();
    let begun = Instant::now();
    for _ in 0..8 {
        tokio::time::sleep(Duration::from_millis(100)).await;
        send.send_data(message(b"still here"), false)
            .expect("the stream is open");
    }
    let (data, end) = crate::client::drain(body).await;
    assert_eq!(
        (data, end),
        (message(b"one").to_vec(), End::Reset(Reason::INTERNAL_ERROR))
    );
    assert!(
        begun.elapsed() >= Duration::from_millis(1_000),
        "{:?}",
        begun.elapsed()
    );
}

#[tokio::test]
async fn a_malformed_timeout_is_refused_and_not_ignored() {
    let backend = silent().await;
    let gate = Gate::start(&[backend.addr], "", "").await;
    let client = gate.client().await;
    for bad in ["abc", "123456789S", "5"] {
        let reply = client
            .call("/t.S/M", &[("grpc-timeout", bad)], message(b""))
            .await;
        assert_eq!(reply.status(), Some(13), "{bad}");
    }
    assert_eq!(backend.calls(), 0);
}

#[tokio::test]
async fn row_18_the_circuit_breaker_lets_one_in_and_refuses_four() {
    let backend = Backend::start(|_request, respond| async move {
        tokio::time::sleep(Duration::from_millis(300)).await;
        answer(respond, b"ok", 0);
    })
    .await;
    let gate = Gate::start(&[backend.addr], "max_requests = 1", "").await;
    let client = gate.client().await;
    let replies = join_all((0..5).map(|_| client.get("/t.S/M"))).await;
    let good = replies.iter().filter(|reply| reply.status() == Some(0)).count();
    assert_eq!(good, 1);
    for reply in replies.iter().filter(|reply| reply.status() != Some(0)) {
        assert_eq!(reply.status(), Some(UNAVAILABLE));
        assert!(reply.message().ends_with("overflow"), "{}", reply.message());
        assert_eq!(reply.header("x-envoy-overloaded"), Some("true"));
    }
    assert_eq!(client.get("/t.S/M").await.status(), Some(0), "it closes again");
}

#[tokio::test]
async fn calls_beyond_the_endpoint_s_stream_limit_wait_their_turn() {
    let (listener, _) = polyphony_testing::listener().await;
    let backend = Backend::on(listener, 1, |_request, respond| async move {
        tokio::time::sleep(Duration::from_millis(10)).await;
        answer(respond, b"ok", 0);
    });
    let keys = "max_connections = 2\nmax_pending = 30";
    let gate = Gate::start(&[backend.addr], keys, "").await;
    let client = gate.client().await;
    let replies = join_all((0..20).map(|_| client.get("/t.S/M"))).await;
    assert!(
        replies.iter().all(|reply| reply.status() == Some(0)),
        "{replies:?}"
    );
    assert!(backend.connections.load(std::sync::atomic::Ordering::Relaxed) <= 2);
}

#[tokio::test]
async fn more_waiting_calls_than_allowed_are_refused() {
    let (listener, _) = polyphony_testing::listener().await;
    let backend = Backend::on(listener, 1, |_request, respond| async move {
        tokio::time::sleep(Duration::from_millis(300)).await;
        answer(respond, b"ok", 0);
    });
    let gate = Gate::start(&[backend.addr], "max_connections = 1\nmax_pending = 2", "").await;
    let client = gate.client().await;
    // So that the connection is open and its limit known.
    client.get("/t.S/M").await;
    let replies = join_all((0..6).map(|_| client.get("/t.S/M"))).await;
    let good = replies.iter().filter(|reply| reply.status() == Some(0)).count();
    assert_eq!(good, 3, "one runs, two wait");
}
