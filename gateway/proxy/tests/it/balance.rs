//! Who gets a call.

use std::collections::HashMap;

use crate::backend::{Backend, answer};
use crate::client::message;
use crate::gate::Gate;

/// Backends that answer with their number.
async fn numbered(n: u8) -> Vec<Backend> {
    let mut backends = Vec::new();
    for n in 0..n {
        let backend = Backend::start(move |_, respond| async move { answer(respond, &[n], 0) });
        backends.push(backend.await);
    }
    backends
}

#[tokio::test]
async fn round_robin_gives_each_the_same() {
    let backends = numbered(3).await;
    let addrs = backends.iter().map(|backend| backend.addr).collect::<Vec<_>>();
    let gate = Gate::start(&addrs, "", "").await;
    let client = gate.client().await;
    for _ in 0..30 {
        assert_eq!(client.get("/t.S/M").await.status(), Some(0));
    }
    assert!(backends.iter().all(|backend| backend.calls() == 10));
}

#[tokio::test]
async fn a_session_stays_with_its_endpoint() {
    let backends = numbered(4).await;
    let addrs = backends.iter().map(|backend| backend.addr).collect::<Vec<_>>();
    let gate = Gate::start(&addrs, "balance = 'ring_hash'", "").await;
    let client = gate.client().await;
    let mut homes = HashMap::new();
    for round in 0..3 {
        for session in 0..40 {
            let session = format!("session-{session}");
            let reply = client
                .call("/t.S/M", &[("x-session-affinity", &session)], message(b""))
                .await;
            let home = reply.data[5];
            assert_eq!(
                *homes.entry(session.clone()).or_insert(home),
                home,
                "{session}, round {round}"
            );
        }
    }
    let used = homes.values().collect::<std::collections::HashSet<_>>();
    assert_eq!(used.len(), 4, "the sessions are spread");
}

#[tokio::test]
async fn a_new_connection_to_the_gateway_changes_nothing_for_a_session() {
    let backends = numbered(4).await;
    let addrs = backends.iter().map(|backend| backend.addr).collect::<Vec<_>>();
    let gates = [
        Gate::start(&addrs, "balance = 'ring_hash'", "").await,
        Gate::start(&addrs, "balance = 'ring_hash'", "").await,
    ];
    for session in 0..20 {
        let session = format!("session-{session}");
        let mut homes = Vec::new();
        for gate in &gates {
            let client = gate.client().await;
            let reply = client
                .call("/t.S/M", &[("x-session-affinity", &session)], message(b""))
                .await;
            homes.push(reply.data[5]);
        }
        assert_eq!(homes[0], homes[1], "two gateways agree on {session}");
    }
}
