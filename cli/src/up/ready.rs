//! The ready line: said once every service answers through the gateway, with the engine that each runs. One that lacks
//! something is not waited for longer than a person would; it is named, with what it lacks.

use std::net::SocketAddr;
use std::time::Duration;

use futures_util::future;
use polyphony_proto::types::v1::ModelCapabilities;
use polyphony_proto::{align, analysis, asr, diar, llm, ocr, rag, tts, video};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status};

use crate::output;

/// Where everything listens.
pub(super) struct Addresses {
    pub(super) gateway: SocketAddr,
    pub(super) services: Vec<(&'static str, SocketAddr)>,
}

/// What became of a service.
enum Outcome {
    /// It answers, with these models, the default first.
    Ready(Vec<ModelCapabilities>),
    /// It lacks something.
    Lacking(String),
}

/// How often to look.
const POLL: Duration = Duration::from_millis(20);
/// After so long a person wants to know what is waited for.
const PATIENCE: Duration = Duration::from_secs(5);

/// Waits until the mesh answers, and says so.
pub(super) async fn announce(addresses: &Addresses, as_json: bool) -> anyhow::Result<()> {
    let channel = Endpoint::from_shared(format!("http://{}", addresses.gateway))?.connect_lazy();
    let asked = addresses
        .services
        .iter()
        .map(|(name, _)| outcome(name, channel.clone()));
    let outcomes = future::try_join_all(asked).await?;
    let told = addresses.services.iter().zip(&outcomes);
    if as_json {
        let services: Vec<Value> = told
            .map(|((name, address), outcome)| object(name, *address, outcome))
            .collect();
        return output::object(&json!({
            "gateway": addresses.gateway.to_string(),
            "services": services,
        }));
    }
    let engines: Vec<String> = told
        .clone()
        .map(|((name, _), outcome)| format!("{name}: {}", outcome.engine()))
        .collect();
    output::line(&format!(
        "ready: http://{} ({})",
        addresses.gateway,
        engines.join(", ")
    ))?;
    for ((name, _), outcome) in told {
        match outcome {
            Outcome::Ready(models) => {
                if let Some(degraded) = models.first().and_then(|model| model.degraded.as_ref()) {
                    output::remark(&format!("{name}: {}", degraded.message));
                }
            }
            Outcome::Lacking(what) => {
                output::remark(&format!(
                    "{name} is not ready: {what}; `polyphony doctor` says more"
                ));
            }
        }
    }
    Ok(())
}

/// The first answer of a service through the gateway.
async fn outcome(name: &str, channel: Channel) -> anyhow::Result<Outcome> {
    let begun = Instant::now();
    loop {
        match models(name, channel.clone()).await {
            Ok((models, unavailable)) => return Ok(Outcome::of(models, unavailable)),
            Err(status) if status.code() == Code::Unavailable => {
                if begun.elapsed() > PATIENCE {
                    return Ok(Outcome::Lacking(status.message().to_owned()));
                }
                sleep(POLL).await;
            }
            Err(status) => return Err(status.into()),
        }
    }
}

/// What a service can do, as it says itself, and what it cannot.
async fn models(
    name: &str,
    channel: Channel,
) -> Result<(Vec<ModelCapabilities>, Vec<ModelCapabilities>), Status> {
    macro_rules! capabilities {
        ($package:ident, $module:ident, $client:ident) => {
            $package::v1::$module::$client::new(channel)
                .get_capabilities($package::v1::GetCapabilitiesRequest {})
                .await?
                .into_inner()
        };
    }
    macro_rules! ask {
        ($package:ident, $module:ident, $client:ident) => {
            (capabilities!($package, $module, $client).models, Vec::new())
        };
    }
    Ok(match name {
        "asr" => ask!(asr, asr_service_client, AsrServiceClient),
        "align" => ask!(align, align_service_client, AlignServiceClient),
        "diar" => ask!(diar, diar_service_client, DiarServiceClient),
        "llm-proxy" => ask!(llm, llm_service_client, LlmServiceClient),
        "tts" => ask!(tts, tts_service_client, TtsServiceClient),
        "ocr" => ask!(ocr, ocr_service_client, OcrServiceClient),
        "rag" => ask!(rag, rag_service_client, RagServiceClient),
        "video-gen" => {
            let told = capabilities!(video, video_service_client, VideoServiceClient);
            (told.models, told.unavailable_models)
        }
        "analysis" => ask!(analysis, analysis_service_client, AnalysisServiceClient),
        other => return Err(Status::internal(format!("nothing is known of {other}"))),
    })
}

fn object(name: &str, address: SocketAddr, outcome: &Outcome) -> Value {
    let (models, lacks) = match outcome {
        Outcome::Ready(models) => (models.as_slice(), None),
        Outcome::Lacking(what) => (&[][..], Some(what)),
    };
    let degraded = models.first().and_then(|model| model.degraded.as_ref());
    json!({
        "name": name,
        "address": address.to_string(),
        "engine": models.first().map(|model| &model.engine),
        "models": models.iter().map(|model| &model.model).collect::<Vec<_>>(),
        "degraded": degraded.map(|degraded| &degraded.message),
        "lacks": lacks,
    })
}

// === impl Outcome ===

impl Outcome {
    /// A service that answers, and with no model because of what the first one lacks.
    fn of(models: Vec<ModelCapabilities>, unavailable: Vec<ModelCapabilities>) -> Self {
        let first = unavailable.into_iter().find_map(|model| model.degraded);
        match first.filter(|_| models.is_empty()) {
            Some(lacks) => Self::Lacking(lacks.message),
            None => Self::Ready(models),
        }
    }

    fn engine(&self) -> &str {
        match self {
            Self::Ready(models) => models.first().map_or("none", |model| &model.engine),
            Self::Lacking(_) => "not ready",
        }
    }
}
