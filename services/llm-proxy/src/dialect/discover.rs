//! Servers on well-known ports of this machine, and which dialect each speaks. Only loopback is asked, and only these ports.

use std::time::Duration;

use serde_json::Value;

use super::look::{Probe, Trouble};
use crate::config::{Kind, UpstreamConfig};
use crate::upstream::Upstream;

/// Where servers listen unless told otherwise: Ollama, vLLM, llama.cpp (whose 8080 is our gateway's), SGLang, TGI, and the
/// servers of `transformers` and LM Studio.
const PORTS: [u16; 6] = [11434, 8000, 8081, 30000, 3000, 1234];

/// How long each answer may take; on loopback that is long.
const PATIENCE: Duration = Duration::from_millis(500);

/// The servers that are there, by a name that says what they are.
pub(crate) async fn discover(taken: &[u16]) -> Vec<(String, UpstreamConfig)> {
    let asked = PORTS.into_iter().filter(|port| !taken.contains(port));
    let found = futures_util::future::join_all(asked.map(|port| async move {
        let url = format!("http://127.0.0.1:{port}");
        let kind = identify(&url).await?;
        Some((format!("local-{kind}-{port}"), UpstreamConfig::new(url, kind)))
    }));
    found.await.into_iter().flatten().collect()
}

/// Which dialect is spoken there; none: no language model answers.
pub(super) async fn identify(url: &str) -> Option<Kind> {
    let config = UpstreamConfig::new(url, Kind::Openai);
    let stranger = Upstream::new("discovered", config, &Default::default()).ok()?;
    let probe = Probe {
        upstream: &stranger,
        patience: PATIENCE,
    };
    let (list, _) = match probe.models().await {
        Ok(models) => models,
        Err(Trouble::Unreachable(_)) => return None,
        // TGI before 2.3 has no such list, and llama.cpp may be loading.
        Err(_) => {
            if probe
                .json("/info")
                .await
                .is_ok_and(|info| info.get("model_id").is_some())
            {
                return Some(Kind::Tgi);
            }
            let loading = probe.json("/health").await;
            return matches!(loading, Err(Trouble::Status(said)) if said.message == "Loading model")
                .then_some(Kind::LlamaCpp);
        }
    };
    let owner = list
        .get("data")
        .and_then(|data| data.get(0)?.get("owned_by")?.as_str());
    match owner {
        Some("vllm") => return Some(Kind::Vllm),
        Some("sglang") => return Some(Kind::Sglang),
        Some("llamacpp") => return Some(Kind::LlamaCpp),
        _ => {}
    }
    if probe
        .json("/api/version")
        .await
        .is_ok_and(|answer| answer.get("version").is_some())
    {
        return Some(Kind::Ollama);
    }
    if probe
        .json("/info")
        .await
        .is_ok_and(|info| info.get("model_id").is_some())
    {
        return Some(Kind::Tgi);
    }
    let is_list = list.get("object").and_then(Value::as_str) == Some("list");
    is_list.then_some(Kind::Openai)
}
