//! Cancellation reaches the endpoint at once, whatever state the call is in.

use std::time::Duration;

use h2::Reason;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};

use crate::backend::{Backend, ok, reset};
use crate::client::message;
use crate::gate::Gate;

/// A backend that says when a call began and when it felt the cancel. With `headers` it answers them first.
async fn feeling(
    headers: bool,
    read: bool,
) -> (
    Backend,
    mpsc::UnboundedReceiver<Instant>,
    mpsc::UnboundedReceiver<Instant>,
) {
    let (began, begun) = mpsc::unbounded_channel();
    let (felt, feels) = mpsc::unbounded_channel();
    let backend = Backend::start(move |mut request, mut respond| {
        let (began, felt) = (began.clone(), felt.clone());
        async move {
            let reading = async {
                if read {
                    crate::backend::read(request.body_mut()).await;
                }
                std::future::pending::<()>().await;
            };
            let waiting = async {
                began.send(Instant::now()).expect("the test listens");
                if headers {
                    let mut send = respond.send_response(ok(), false).expect("headers");
                    send.send_data(message(b"one"), false).expect("data");
                    reset(&mut send).await;
                } else {
                    std::future::poll_fn(|cx| respond.poll_reset(cx)).await.ok();
                }
                felt.send(Instant::now()).expect("the test listens");
            };
            tokio::select! {
                () = reading => {}
                () = waiting => {}
            }
        }
    })
    .await;
    (backend, begun, feels)
}

/// Every cancel must arrive; half of them within 50 ms, so that a busy machine does not fail the test.
fn check(mut took: Vec<Duration>) {
    took.sort_unstable();
    let median = took[took.len() / 2];
    assert!(
        median <= Duration::from_millis(50),
        "median {median:?}, worst {:?}",
        took[took.len() - 1]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn row_31_a_hundred_cancels_reach_the_endpoint() {
    let (before, mut begun_before, mut felt_before) = feeling(false, true).await;
    let (after, mut begun_after, mut felt_after) = feeling(true, true).await;
    let one = Gate::start(&[before.addr], "", "").await;
    let two = Gate::start(&[after.addr], "", "").await;
    let (one, two) = (one.client().await, two.client().await);
    let mut took = Vec::new();
    for n in 0..100 {
        let (client, begun, felt) = match n % 2 {
            0 => (&one, &mut begun_before, &mut felt_before),
            _ => (&two, &mut begun_after, &mut felt_after),
        };
        let (response, mut send) = client.open("/t.S/M", &[]).await;
        send.send_data(message(b"hi"), false).expect("sent");
        begun.recv().await.expect("the call began");
        let response = if n % 2 == 1 {
            Some(response.await.expect("headers"))
        } else {
            None
        };
        let cancelled = Instant::now();
        send.send_reset(Reason::CANCEL);
        let felt = timeout(Duration::from_secs(2), felt.recv())
            .await
            .expect("the cancel arrives");
        took.push(felt.expect("an instant") - cancelled);
        drop(response);
    }
    check(took);
}

#[tokio::test]
async fn a_cancel_reaches_an_endpoint_that_has_shut_its_window() {
    let (backend, mut begun, mut felt) = feeling(true, false).await;
    let gate = Gate::start(&[backend.addr], "", "").await;
    let client = gate.client().await;
    let (response, mut send) = client.open("/t.S/M", &[]).await;
    // More than the endpoint's window of 64 KiB, which it never opens again.
    send.send_data(vec![0; 200_000].into(), false).expect("sent");
    begun.recv().await.expect("the call began");
    let response = response.await.expect("headers");
    tokio::time::sleep(Duration::from_millis(100)).await;
    send.send_reset(Reason::CANCEL);
    timeout(Duration::from_secs(2), felt.recv())
        .await
        .expect("the cancel arrives");
    drop(response);
}

#[tokio::test]
async fn row_31_a_closed_connection_cancels_all_its_calls() {
    let (backend, mut begun, mut felt) = feeling(false, true).await;
    let gate = Gate::start(&[backend.addr], "", "").await;
    let proxy = polyphony_testing::FaultProxy::start(gate.addr, polyphony_testing::Faults::default()).await;
    let client = crate::client::Client::connect(proxy.addr()).await;
    let mut calls = Vec::new();
    for _ in 0..5 {
        let (response, mut send) = client.open("/t.S/M", &[]).await;
        send.send_data(message(b"hi"), true).expect("sent");
        begun.recv().await.expect("the call began");
        calls.push((response, send));
    }
    drop(proxy);
    for _ in 0..5 {
        timeout(Duration::from_secs(2), felt.recv())
            .await
            .expect("the cancel arrives");
    }
}

#[tokio::test]
async fn row_32_at_the_client_s_deadline_the_endpoint_is_cancelled() {
    for headers in [false, true] {
        let (backend, mut begun, mut felt) = feeling(headers, true).await;
        let gate = Gate::start(&[backend.addr], "", "").await;
        let client = gate.client().await;
        let mut took = Vec::new();
        for _ in 0..5 {
            let asked = Instant::now();
            let (response, mut send) = client.open("/t.S/M", &[("grpc-timeout", "200m")]).await;
            send.send_data(message(b"hi"), false).expect("sent");
            begun.recv().await.expect("the call began");
            let felt = timeout(Duration::from_secs(2), felt.recv())
                .await
                .expect("the cancel arrives");
            let after = felt.expect("an instant") - asked;
            assert!(after >= Duration::from_millis(200), "{after:?}");
            took.push(after - Duration::from_millis(200));
            assert_eq!(crate::client::Reply::of(response).await.status(), Some(4));
        }
        check(took);
    }
}
