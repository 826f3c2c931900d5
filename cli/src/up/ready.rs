//! The ready line: said once every service answers through the gateway, with the engine that each runs.

use std::net::SocketAddr;
use std::time::Duration;

use polyphony_proto::asr::v1::GetCapabilitiesRequest;
use polyphony_proto::asr::v1::asr_service_client::AsrServiceClient;
use serde_json::json;
use tokio::time::{Instant, sleep};
use tonic::Code;
use tonic::transport::{Channel, Endpoint};

use crate::output;

/// Where everything listens.
pub(super) struct Addresses {
    pub(super) gateway: SocketAddr,
    pub(super) asr: SocketAddr,
}

/// How often to look.
const POLL: Duration = Duration::from_millis(20);
/// After so long a person wants to know what is waited for.
const PATIENCE: Duration = Duration::from_secs(5);

/// Waits until the mesh answers, and says so.
pub(super) async fn announce(addresses: &Addresses, as_json: bool) -> anyhow::Result<()> {
    let channel = Endpoint::from_shared(format!("http://{}", addresses.gateway))?.connect_lazy();
    let capabilities = capabilities(channel).await?;
    let first = capabilities.models.first();
    if as_json {
        let models: Vec<_> = capabilities.models.iter().map(|model| &model.model).collect();
        return output::object(&json!({
            "gateway": addresses.gateway.to_string(),
            "services": [{
                "name": "asr",
                "address": addresses.asr.to_string(),
                "engine": first.map(|model| &model.engine),
                "models": models,
                "degraded": first.and_then(|model| model.degraded.as_ref()).map(|degraded| &degraded.message),
            }],
        }));
    }
    let (engine, model) = first.map_or(("none", "none"), |first| {
        (first.engine.as_str(), first.model.as_str())
    });
    output::line(&format!(
        "ready: http://{} (asr: {engine}, {model})",
        addresses.gateway
    ))?;
    if let Some(degraded) = first.and_then(|first| first.degraded.as_ref()) {
        output::remark(&format!("asr: {}", degraded.message));
    }
    Ok(())
}

/// The first answer of asr through the gateway.
async fn capabilities(channel: Channel) -> anyhow::Result<polyphony_proto::asr::v1::GetCapabilitiesResponse> {
    let mut asr = AsrServiceClient::new(channel);
    let begun = Instant::now();
    let mut told = false;
    loop {
        match asr.get_capabilities(GetCapabilitiesRequest {}).await {
            Ok(capabilities) => return Ok(capabilities.into_inner()),
            Err(status) if status.code() == Code::Unavailable => {
                if !told && begun.elapsed() > PATIENCE {
                    told = true;
                    output::remark(&format!(
                        "asr is not ready yet: {}; `polyphony doctor` says more",
                        status.message()
                    ));
                }
                sleep(POLL).await;
            }
            Err(status) => return Err(status.into()),
        }
    }
}
