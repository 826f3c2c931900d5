//! What passes untouched, and what must not.

use std::time::Duration;

use http::HeaderName;
use polyphony_gateway_core::UpstreamTls;
use polyphony_testing::{Authority, Leaf};

use crate::backend::{Backend, ok, read, trailers};
use crate::client::{End, message, upload};
use crate::gate::{Gate, mesh};

/// Sends the request's headers back as its answer's, and the message too.
async fn mirror() -> Backend {
    Backend::start(|mut request, mut respond| async move {
        let mut response = ok();
        for (name, value) in request.headers() {
            // hyper takes `te` off answers, where it means nothing.
            let name = if name == "te" {
                HeaderName::from_static("seen-te")
            } else {
                name.clone()
            };
            response.headers_mut().append(name, value.clone());
        }
        let body = read(request.body_mut()).await;
        let mut send = respond.send_response(response, false).expect("headers");
        upload(&mut send, body.into(), false).await;
        let end = trailers(&[("grpc-status", "0"), ("end-bin", "AP8"), ("end-text", "b;q=1, c")]);
        send.send_trailers(end).expect("trailers");
    })
    .await
}

#[tokio::test]
async fn metadata_passes_both_ways_untouched() {
    let backend = mirror().await;
    let gate = Gate::start(&[backend.addr], "", "").await;
    let sent = [
        ("x-text", "a, b ;c=\"d\""),
        ("x-twice", "1"),
        ("x-twice", "2"),
        ("blob-bin", "AAEC/+8"),
        ("x-request-id", "mine"),
        (
            "traceparent",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        ),
        ("grpc-encoding", "gzip"),
        ("grpc-accept-encoding", "gzip, identity"),
        ("user-agent", "grpc-test/1"),
        ("authorization", "Bearer x"),
    ];
    let reply = gate.client().await.call("/t.S/M", &sent, message(b"body")).await;
    for (name, _) in sent {
        let got = reply
            .headers
            .get_all(name)
            .iter()
            .map(|value| value.to_str().expect("text"));
        let want = sent
            .iter()
            .filter(|(other, _)| *other == name)
            .map(|(_, value)| *value);
        assert_eq!(got.collect::<Vec<_>>(), want.collect::<Vec<_>>(), "{name}");
    }
    assert_eq!(reply.header("seen-te"), Some("trailers"));
    assert_eq!(reply.data, message(b"body"));
    let End::Trailers(end) = &reply.end else {
        panic!("{reply:?}")
    };
    assert_eq!(
        (end["end-bin"].as_bytes(), end["end-text"].as_bytes()),
        (&b"AP8"[..], &b"b;q=1, c"[..])
    );
    assert_eq!(end.len(), 3, "nothing was added: {end:?}");
}

#[tokio::test]
async fn row_34_control_headers_from_outside_are_never_honoured() {
    let backend = Backend::start(|request, respond| async move {
        tokio::time::sleep(Duration::from_millis(100)).await;
        let names = request
            .headers()
            .keys()
            .map(|name| name.as_str())
            .collect::<Vec<_>>();
        crate::backend::answer(respond, names.join(" ").as_bytes(), 0);
    })
    .await;
    let gate = Gate::start(&[backend.addr], "", "").await;
    let spoofed = [
        ("x-envoy-upstream-rq-timeout-ms", "1"),
        ("x-envoy-max-retries", "9"),
        ("x-envoy-retry-on", "5xx"),
    ];
    let reply = gate.client().await.call("/t.S/M", &spoofed, message(b"")).await;
    assert_eq!(reply.status(), Some(0));
    let names = String::from_utf8_lossy(&reply.data);
    assert!(
        !names.contains("x-envoy") && names.contains("x-request-id"),
        "{names}"
    );
}

#[tokio::test]
async fn messages_of_8_mib_pass_both_ways() {
    let backend = mirror().await;
    let gate = Gate::start(&[backend.addr], "", "").await;
    let mut payload = vec![0; 8 << 20];
    polyphony_testing::Rng::new(8).fill(&mut payload);
    let body = message(&payload);
    let (response, mut send) = gate.client().await.open("/t.S/M", &[]).await;
    upload(&mut send, body.clone(), true).await;
    let reply = crate::client::Reply::of(response).await;
    assert_eq!(reply.status(), Some(0));
    assert!(reply.data == body, "the message came back changed");
}

#[tokio::test]
async fn request_trailers_pass_too() {
    let backend = Backend::start(|mut request, respond| async move {
        read(request.body_mut()).await;
        let end = request
            .body_mut()
            .trailers()
            .await
            .expect("no reset")
            .expect("trailers");
        crate::backend::answer(respond, end["checksum"].as_bytes(), 0);
    })
    .await;
    let gate = Gate::start(&[backend.addr], "", "").await;
    let (response, mut send) = gate.client().await.open("/t.S/M", &[]).await;
    send.send_data(message(b"x"), false).expect("sent");
    send.send_trailers(trailers(&[("checksum", "c0ffee")]))
        .expect("sent");
    let reply = crate::client::Reply::of(response).await;
    assert_eq!(&reply.data[5..], b"c0ffee");
}

#[tokio::test]
async fn an_upstream_in_tls_is_spoken_to_in_tls_and_one_with_a_strange_certificate_is_not() {
    let ca = Authority::new("mesh");
    let dir = tempfile::tempdir().expect("a folder");
    let issued = ca.issue(Leaf::server());
    let files = issued.write_to(dir.path(), "server");
    let config = polyphony_chassis::config::TlsConfig {
        cert: files.cert,
        key: files.key,
        client_ca: None,
        allowed_clients: Vec::new(),
        reload_interval: polyphony_config::HumanDuration::from_secs(60),
    };
    let server = polyphony_chassis::tls::ServerTls::load(&config, false).expect("TLS");
    let (listener, addr) = polyphony_testing::listener().await;
    let acceptor = tokio_rustls::TlsAcceptor::from(server.current());
    tokio::spawn(async move {
        while let Ok((tcp, _)) = listener.accept().await {
            let Ok(stream) = acceptor.accept(tcp).await else {
                continue;
            };
            tokio::spawn(async move {
                let mut connection = h2::server::handshake(stream).await.expect("HTTP/2");
                while let Some(Ok((request, respond))) = connection.accept().await {
                    let scheme = request.uri().scheme_str().unwrap_or_default().to_owned();
                    crate::backend::answer(respond, scheme.as_bytes(), 0);
                }
            });
        }
    });
    for (authority, code) in [(&ca, 0), (&Authority::new("stranger"), 14)] {
        let mut mesh = mesh(&[addr], "", "");
        mesh.clusters[0].tls = Some(UpstreamTls {
            ca: authority.write_to(dir.path()),
            server_name: Some("localhost".to_owned()),
            identity: None,
        });
        let gate = Gate::of(mesh, Duration::from_secs(1)).await;
        let reply = gate.client().await.get("/t.S/M").await;
        assert_eq!(reply.status(), Some(code), "{reply:?}");
        if code == 0 {
            assert_eq!(&reply.data[5..], b"https");
        }
    }
}

#[tokio::test]
async fn a_route_for_calls_with_a_header_takes_those_alone() {
    let backend = mirror().await;
    let only = "header = { name = \"X-Goog-Request-Params\", contains = \"video-gen-\" }";
    let gate = Gate::start(&[backend.addr], "", only).await;
    let client = gate.client().await;
    for (value, status) in [
        ("name=operations/video-gen-01", 0),
        ("name=operations%2Fvideo-gen-01", 0),
        ("name=operations/asr-01", 12),
    ] {
        let sent = [("x-goog-request-params", value)];
        let reply = client.call("/t.S/M", &sent, message(b"body")).await;
        assert_eq!(reply.status(), Some(status), "{value}");
    }
    let reply = client.call("/t.S/M", &[], message(b"body")).await;
    assert_eq!(reply.status(), Some(12), "without it there is no route");
}
