//! A proxy under test: a mesh written as TOML, served on a port of its own.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::time::Duration;

use polyphony_chassis::accept::{self, Ended};
use polyphony_chassis::config::{ConnectionConfig, DrainConfig};
use polyphony_chassis::{Drain, Shutdown, Trigger};
use polyphony_config::HumanDuration;
use polyphony_gateway_core::{Mesh, MeshConfig, Timeouts};
use polyphony_gateway_proxy::Proxy;
use polyphony_testing::listener;
use tokio::task::JoinHandle;

use crate::client::Client;

pub struct Gate {
    pub proxy: Proxy,
    pub addr: SocketAddr,
    stop: Trigger,
    served: JoinHandle<Ended>,
}

/// A cluster `c` without health checks, and a route `t.` to it. `keys` are more keys of the cluster, `route` of the route.
pub fn mesh(backends: &[SocketAddr], keys: &str, route: &str) -> Mesh {
    let endpoints = backends
        .iter()
        .map(|addr| format!("\"{addr}\""))
        .collect::<Vec<_>>();
    let check = if keys.contains("health_check") {
        ""
    } else {
        "health_check.enabled = false"
    };
    let text = format!(
        "[clusters.c]\nendpoints = [{}]\n{check}\n{keys}\n[[routes]]\nservice = \"t.\"\ncluster = \"c\"\n{route}\n",
        endpoints.join(", ")
    );
    let config: MeshConfig = toml::from_str(&text).expect(&text);
    let unary = HashSet::from(["/t.S/Unary".into()]);
    config.resolve(Timeouts::default(), unary).expect("a valid mesh")
}

impl Gate {
    pub async fn start(backends: &[SocketAddr], keys: &str, route: &str) -> Self {
        Self::of(mesh(backends, keys, route), Duration::from_secs(5)).await
    }

    pub async fn of(mesh: Mesh, drain: Duration) -> Self {
        let (listener, addr) = listener().await;
        let stages = Drain::new();
        let proxy = Proxy::start(mesh, false)
            .expect("the mesh starts")
            .with_drain(stages.clone());
        let (stop, shutdown) = Shutdown::manual();
        let options = accept::Options {
            connections: ConnectionConfig {
                max_concurrent_streams: 1_000,
                ..ConnectionConfig::default()
            },
            drain: DrainConfig {
                deadline: HumanDuration(drain),
                ..DrainConfig::default()
            },
            tls: None,
            http1: false,
            stages,
        };
        let served = tokio::spawn(accept::serve(listener, proxy.clone(), options, shutdown));
        Self {
            proxy,
            addr,
            stop,
            served,
        }
    }

    pub async fn client(&self) -> Client {
        Client::connect(self.addr).await
    }

    /// Asks for a drain.
    pub fn drain(&self) {
        self.stop.drain();
    }

    pub async fn ended(self) -> Ended {
        self.served.await.expect("the accept loop ends")
    }
}
