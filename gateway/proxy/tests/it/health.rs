//! Health checks and ejection: who is not used, from when, until when.

use std::sync::atomic::Ordering;
use std::time::Duration;

use polyphony_gateway_proxy::ServiceStatus;
use polyphony_testing::{eventually, listener};
use tokio::time::{Instant, sleep};

use crate::backend::{Backend, NOT_SERVING, SERVING, answer};
use crate::gate::Gate;

const CHECKED: &str = "health_check.interval = '50ms'";

async fn good() -> Backend {
    Backend::start(|_, respond| async move { answer(respond, b"ok", 0) }).await
}

#[tokio::test]
async fn row_4_with_all_unhealthy_there_is_no_healthy_upstream() {
    let backend = good().await;
    backend.health.store(NOT_SERVING, Ordering::Relaxed);
    let gate = Gate::start(&[backend.addr], CHECKED, "").await;
    gate.proxy.checked().await;
    let reply = gate.client().await.get("/t.S/M").await;
    assert_eq!(
        (reply.status(), reply.message().as_str()),
        (Some(14), "no healthy upstream")
    );
    assert_eq!(backend.calls(), 0, "no panic mode sends it there all the same");
}

#[tokio::test]
async fn row_37_an_endpoint_that_stops_serving_gets_no_more_calls_within_three_intervals_and_no_call_fails() {
    let (leaving, staying) = (good().await, good().await);
    let gate = Gate::start(
        &[leaving.addr, staying.addr],
        "health_check.interval = '100ms'",
        "",
    )
    .await;
    gate.proxy.checked().await;
    let client = gate.client().await;
    let caller = tokio::spawn(async move {
        let end = Instant::now() + Duration::from_millis(1_200);
        while Instant::now() < end {
            assert_eq!(client.get("/t.S/M").await.status(), Some(0));
            sleep(Duration::from_millis(2)).await;
        }
    });
    eventually(Duration::from_secs(5), "both get calls", || {
        leaving.calls() > 5 && staying.calls() > 5
    })
    .await;
    leaving.health.store(NOT_SERVING, Ordering::Relaxed);
    sleep(Duration::from_millis(300)).await;
    let seen = leaving.calls();
    let before = staying.calls();
    eventually(Duration::from_secs(5), "the other still gets calls", || {
        staying.calls() > before + 20
    })
    .await;
    assert!(
        leaving.calls() <= seen + 1,
        "{} calls came after three intervals",
        leaving.calls() - seen
    );
    caller.await.expect("no call failed");
    leaving.health.store(SERVING, Ordering::Relaxed);
    let cluster = gate.proxy.clusters().next().expect("a cluster");
    eventually(Duration::from_secs(5), "it is used again", || {
        cluster.usable().count() == 2
    })
    .await;
}

#[tokio::test]
async fn row_37_a_backend_that_starts_after_the_gateway_is_used_within_an_interval_or_so() {
    let (reserved, addr) = listener().await;
    drop(reserved);
    let gate = Gate::start(&[addr], CHECKED, "").await;
    gate.proxy.checked().await;
    let client = gate.client().await;
    // Long enough for the pool to rest between its attempts; checks go on regardless.
    sleep(Duration::from_millis(800)).await;
    assert_eq!(client.get("/t.S/M").await.status(), Some(14));
    let socket = tokio::net::TcpListener::bind(addr)
        .await
        .expect("the port is still free");
    let _backend = Backend::on(socket, 100, |_, respond| async move { answer(respond, b"ok", 0) });
    let cluster = gate.proxy.clusters().next().expect("a cluster");
    eventually(Duration::from_secs(2), "it is found", || {
        cluster.usable().count() == 1
    })
    .await;
    assert_eq!(client.get("/t.S/M").await.status(), Some(0));
}

#[tokio::test]
async fn a_backend_that_dies_and_comes_back_is_used_again_without_a_new_gateway() {
    let backend = good().await;
    let addr = backend.addr;
    let gate = Gate::start(&[addr], CHECKED, "").await;
    gate.proxy.checked().await;
    let client = gate.client().await;
    assert_eq!(client.get("/t.S/M").await.status(), Some(0));
    drop(backend);
    let cluster = gate.proxy.clusters().next().expect("a cluster");
    eventually(Duration::from_secs(5), "it is missed", || {
        cluster.usable().count() == 0
    })
    .await;
    let socket = tokio::net::TcpListener::bind(addr)
        .await
        .expect("the port is free again");
    let _backend = Backend::on(socket, 100, |_, respond| async move { answer(respond, b"ok", 0) });
    eventually(Duration::from_secs(5), "it is found", || {
        cluster.usable().count() == 1
    })
    .await;
    assert_eq!(client.get("/t.S/M").await.status(), Some(0));
}

#[tokio::test]
async fn row_36_an_endpoint_that_fails_five_times_in_a_row_is_ejected_and_let_in_again() {
    let bad = Backend::start(|_, respond| async move { answer(respond, b"", 14) }).await;
    let fine = good().await;
    let keys = "outlier.base_ejection = '300ms'";
    let gate = Gate::start(&[bad.addr, fine.addr], keys, "").await;
    let client = gate.client().await;
    let mut failed = 0;
    for _ in 0..40 {
        failed += usize::from(client.get("/t.S/M").await.status() == Some(14));
    }
    assert_eq!((failed, bad.calls()), (5, 5));
    let cluster = gate.proxy.clusters().next().expect("a cluster");
    assert_eq!(cluster.usable().count(), 1);
    eventually(Duration::from_secs(5), "it is let in again", || {
        cluster.usable().count() == 2
    })
    .await;
}

#[tokio::test]
async fn row_36_overload_ejects_nobody() {
    let busy = Backend::start(|_, respond| async move { answer(respond, b"", 8) }).await;
    let fine = good().await;
    let gate = Gate::start(&[busy.addr, fine.addr], "", "").await;
    let client = gate.client().await;
    for _ in 0..40 {
        client.get("/t.S/M").await;
    }
    assert_eq!((busy.calls(), fine.calls()), (20, 20));
}

#[tokio::test]
async fn a_service_is_known_once_it_was_asked_for() {
    let backend = good().await;
    let gate = Gate::start(&[backend.addr], CHECKED, "").await;
    gate.proxy.checked().await;
    let cluster = gate.proxy.cluster_of("t.S").expect("a route");
    assert_eq!(cluster.status("t.S"), ServiceStatus::Unknown);
    assert_eq!(cluster.find_out("t.S").await, ServiceStatus::Serving);
    assert_eq!(cluster.status("t.S"), ServiceStatus::Serving);
    backend.health.store(NOT_SERVING, Ordering::Relaxed);
    eventually(Duration::from_secs(5), "it is followed", || {
        cluster.status("t.S") == ServiceStatus::NotServing
    })
    .await;
}
