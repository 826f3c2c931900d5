//! How the commands reach the mesh.

use std::time::Duration;

use anyhow::Context;
use tonic::transport::{Channel, Endpoint};

/// Runs a command that talks to the mesh, on one thread.
pub(crate) fn block_on<T>(command: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(command)
}

/// Connects to the gateway.
pub(crate) async fn connect(gateway: &str) -> anyhow::Result<Channel> {
    let endpoint = Endpoint::from_shared(gateway.to_owned())
        .with_context(|| format!("--gateway {gateway}: not a URL such as http://127.0.0.1:8080"))?
        .connect_timeout(Duration::from_secs(5))
        .user_agent(concat!("polyphony/", env!("CARGO_PKG_VERSION")))?;
    endpoint.connect().await.map_err(|_| {
        anyhow::anyhow!(
            "no mesh answers at {gateway}; start one with `polyphony up`, or name it with --gateway"
        )
    })
}
