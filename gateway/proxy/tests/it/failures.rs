//! What goes wrong before and after the headers, and what the client is told.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use h2::Reason;
use http::Response;
use polyphony_gateway_core::{Mesh, Route, RouteTable, Rule, Timeouts};
use polyphony_testing::listener;
use tonic_types::StatusExt;

use crate::backend::{Backend, answer, frame, ok, raw, trailers};
use crate::client::{End, message};
use crate::gate::Gate;

const UNAVAILABLE: u16 = 14;
const BEFORE: &str = "upstream connect error or disconnect/reset before headers. reset reason: ";

/// An address where nobody listens.
async fn nobody() -> SocketAddr {
    let (listener, addr) = listener().await;
    drop(listener);
    addr
}

#[tokio::test]
async fn row_1_no_route_is_unimplemented_with_details() {
    let gate = Gate::start(&[], "", "").await;
    let reply = gate.client().await.get("/other.S/M").await;
    assert_eq!((reply.http, reply.status()), (200, Some(12)));
    assert_eq!(reply.end, End::TrailersOnly);
    let status = tonic::Status::from_header_map(&reply.headers).expect("a status");
    let details = status.check_error_details().expect("details");
    assert_eq!(details.error_info().expect("ErrorInfo").reason, "NO_ROUTE");
}

#[tokio::test]
async fn row_2_a_route_to_a_missing_cluster_is_unavailable() {
    let routes = RouteTable::new([Route {
        rule: Rule::Prefix("t.".to_owned()),
        header: None,
        cluster: "gone".to_owned(),
        timeouts: Timeouts::default(),
    }]);
    let mesh = Mesh {
        routes: routes.expect("one route"),
        ..Mesh::default()
    };
    let gate = Gate::of(mesh, Duration::from_secs(1)).await;
    assert_eq!(
        gate.client().await.get("/t.S/M").await.status(),
        Some(UNAVAILABLE)
    );
}

#[tokio::test]
async fn row_3_a_refused_connection_is_unavailable() {
    let gate = Gate::start(&[nobody().await], "", "").await;
    let reply = gate.client().await.get("/t.S/M").await;
    assert_eq!(reply.status(), Some(UNAVAILABLE));
    assert!(reply.message().starts_with(BEFORE), "{}", reply.message());
    assert!(
        reply.message().ends_with("Connection refused"),
        "{}",
        reply.message()
    );
}

#[tokio::test]
async fn row_3_a_connection_closed_on_request_is_unavailable_and_not_tried_again() {
    let (addr, requests) = raw(|_| Vec::new()).await;
    let gate = Gate::start(&[addr], "", "").await;
    let reply = gate.client().await.get("/t.S/M").await;
    assert_eq!(reply.status(), Some(UNAVAILABLE));
    assert_eq!(reply.message(), format!("{BEFORE}connection termination"));
    assert_eq!(requests.load(Ordering::Relaxed), 1, "it may have been processed");
}

#[tokio::test]
async fn row_4_an_empty_cluster_has_no_healthy_upstream() {
    let gate = Gate::start(&[], "", "").await;
    let reply = gate.client().await.get("/t.S/M").await;
    assert_eq!(
        (reply.status(), reply.message().as_str()),
        (Some(UNAVAILABLE), "no healthy upstream")
    );
}

#[tokio::test]
async fn row_5_a_reset_before_headers_is_unavailable() {
    let backend = Backend::start(|_, mut respond| async move {
        respond.send_reset(Reason::INTERNAL_ERROR);
    })
    .await;
    let gate = Gate::start(&[backend.addr], "", "").await;
    let reply = gate.client().await.get("/t.S/M").await;
    assert_eq!(reply.status(), Some(UNAVAILABLE));
    assert_eq!(reply.message(), format!("{BEFORE}remote reset"));
    assert_eq!(backend.calls(), 1);
}

#[tokio::test]
async fn row_6_a_refused_stream_is_tried_once_more_elsewhere() {
    let refusing = Backend::start(|_, mut respond| async move {
        respond.send_reset(Reason::REFUSED_STREAM);
    })
    .await;
    let good = Backend::start(|mut request, respond| async move {
        let body = crate::backend::read(request.body_mut()).await;
        answer(respond, &body[5..], 0);
    })
    .await;
    let gate = Gate::start(&[refusing.addr, good.addr], "", "").await;
    let client = gate.client().await;
    for n in 0..10_u8 {
        let reply = client.call("/t.S/M", &[], message(&[n])).await;
        assert_eq!(reply.status(), Some(0));
        assert_eq!(reply.data, message(&[n]), "the body was sent again, whole");
    }
    assert_eq!(good.calls(), 10);
    assert!(refusing.calls() > 0);
}

#[tokio::test]
async fn row_6_a_stream_refused_everywhere_is_unavailable_after_two_attempts() {
    let refusing = Backend::start(|_, mut respond| async move {
        respond.send_reset(Reason::REFUSED_STREAM);
    })
    .await;
    let gate = Gate::start(&[refusing.addr], "", "").await;
    let reply = gate.client().await.get("/t.S/M").await;
    assert_eq!(reply.status(), Some(UNAVAILABLE));
    assert_eq!(reply.message(), format!("{BEFORE}remote refused stream reset"));
    assert_eq!(refusing.calls(), 2);
}

#[tokio::test]
async fn row_6_a_goaway_below_the_stream_is_tried_once_more() {
    let goaway = |_| frame(7, 0, 0, &[0; 8]);
    let (leaving, requests) = raw(goaway).await;
    let good = Backend::start(|_, respond| async move { answer(respond, b"ok", 0) }).await;
    let gate = Gate::start(&[leaving, good.addr], "", "").await;
    let client = gate.client().await;
    for _ in 0..10 {
        assert_eq!(client.get("/t.S/M").await.status(), Some(0));
    }
    assert!(requests.load(Ordering::Relaxed) > 0);
}

#[tokio::test]
async fn a_body_that_is_too_long_to_keep_is_not_sent_twice() {
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&calls);
    let refusing = Backend::start(move |mut request, mut respond| {
        let counted = Arc::clone(&counted);
        async move {
            counted.fetch_add(1, Ordering::Relaxed);
            // Long enough that the second chunk has been taken.
            let mut seen = 0;
            while let Some(Ok(chunk)) = request.body_mut().data().await {
                seen += chunk.len();
                request
                    .body_mut()
                    .flow_control()
                    .release_capacity(chunk.len())
                    .ok();
                if seen > 40_000 {
                    break;
                }
            }
            respond.send_reset(Reason::REFUSED_STREAM);
        }
    })
    .await;
    let gate = Gate::start(&[refusing.addr], "", "").await;
    let reply = gate.client().await.call("/t.S/M", &[], vec![0; 50_000]).await;
    assert_eq!(reply.status(), Some(UNAVAILABLE));
    assert_eq!(calls.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn row_7_a_reset_after_headers_resets_the_client_with_internal_error() {
    let backend = Backend::start(|_, mut respond| async move {
        let mut send = respond.send_response(ok(), false).expect("headers");
        send.send_data(message(b"part"), false).expect("data");
        tokio::time::sleep(Duration::from_millis(50)).await;
        send.send_reset(Reason::CANCEL);
    })
    .await;
    let gate = Gate::start(&[backend.addr], "", "").await;
    let reply = gate.client().await.get("/t.S/M").await;
    assert_eq!(reply.end, End::Reset(Reason::INTERNAL_ERROR));
    assert_eq!(reply.http, 200);
}

#[tokio::test]
async fn row_7_a_disconnect_after_headers_resets_the_client_with_internal_error() {
    // HEADERS with `:status: 200` from the static table, and no more.
    let (addr, _) = raw(|stream| frame(1, 4, stream, &[0x88])).await;
    let gate = Gate::start(&[addr], "", "").await;
    let reply = gate.client().await.get("/t.S/M").await;
    assert_eq!(reply.end, End::Reset(Reason::INTERNAL_ERROR));
}

#[tokio::test]
async fn row_8_an_end_without_trailers_is_passed_on() {
    let backend = Backend::start(|_, mut respond| async move {
        let mut send = respond.send_response(ok(), false).expect("headers");
        send.send_data(message(b"all"), true).expect("data");
    })
    .await;
    let gate = Gate::start(&[backend.addr], "", "").await;
    let reply = gate.client().await.get("/t.S/M").await;
    assert_eq!((reply.end, reply.data), (End::Bare, message(b"all").to_vec()));
}

#[tokio::test]
async fn row_9_plain_http_statuses_pass_as_they_are() {
    let backend = Backend::start(|request, mut respond| async move {
        let code: u16 = request.headers()["want"]
            .to_str()
            .expect("text")
            .parse()
            .expect("a number");
        let response = Response::builder()
            .status(code)
            .header("content-type", "text/html");
        let mut send = respond
            .send_response(response.body(()).expect("valid"), false)
            .expect("headers");
        send.send_data(Bytes::from_static(b"<html>"), true).expect("data");
    })
    .await;
    let gate = Gate::start(&[backend.addr], "outlier.consecutive_failures = 0", "").await;
    let client = gate.client().await;
    for code in [400, 401, 403, 404, 429, 500, 502, 503, 504] {
        let reply = client
            .call("/t.S/M", &[("want", &code.to_string())], message(b""))
            .await;
        assert_eq!((reply.http, reply.status()), (code, None));
        assert_eq!(reply.data, b"<html>");
    }
}

#[tokio::test]
async fn row_10_all_seventeen_codes_pass_with_their_details() {
    let backend = Backend::start(|request, mut respond| async move {
        let headers = request.headers();
        let code = headers["want"].to_str().expect("text");
        let end = trailers(&[
            ("grpc-status", code),
            ("grpc-message", "caf%C3%A9"),
            ("grpc-status-details-bin", "CAMSBGZvb28"),
        ]);
        if headers.contains_key("only") {
            let mut response = ok();
            response.headers_mut().extend(end);
            respond.send_response(response, true).expect("trailers only");
        } else {
            let mut send = respond.send_response(ok(), false).expect("headers");
            send.send_data(message(b"x"), false).expect("data");
            send.send_trailers(end).expect("trailers");
        }
    })
    .await;
    let gate = Gate::start(&[backend.addr], "outlier.consecutive_failures = 0", "").await;
    let client = gate.client().await;
    for code in 0..=16_u16 {
        let want = code.to_string();
        let reply = client.call("/t.S/M", &[("want", &want)], message(b"")).await;
        let End::Trailers(end) = &reply.end else {
            panic!("{reply:?}")
        };
        assert_eq!(
            (reply.status(), end["grpc-message"].as_bytes()),
            (Some(code), &b"caf%C3%A9"[..])
        );
        assert_eq!(end["grpc-status-details-bin"], "CAMSBGZvb28");
        let reply = client
            .call("/t.S/M", &[("want", &want), ("only", "1")], message(b""))
            .await;
        assert_eq!((reply.status(), &reply.end), (Some(code), &End::TrailersOnly));
        assert_eq!(reply.header("grpc-status-details-bin"), Some("CAMSBGZvb28"));
    }
}

#[tokio::test]
async fn what_is_not_grpc_gets_an_http_error() {
    let gate = Gate::start(&[], "", "").await;
    let client = gate.client().await;
    let (response, mut send) = {
        let request = http::Request::get("http://mesh.example/")
            .body(())
            .expect("a request");
        client
            .raw()
            .ready()
            .await
            .expect("room")
            .send_request(request, false)
            .expect("sent")
    };
    send.send_data(Bytes::new(), true).expect("sent");
    let reply = crate::client::Reply::of(response).await;
    assert_eq!((reply.http, reply.status()), (404, None));
    assert_eq!(reply.data, b"no route for /");
}
