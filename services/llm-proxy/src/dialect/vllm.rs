//! vLLM: health, models with their lengths, version, and its load as Prometheus' text.

use serde_json::Value;

use super::look::{Probe, Trouble, gauge};
use crate::upstream::{Load, Sight};

pub(super) async fn look(probe: &Probe<'_>) -> Result<Sight, Trouble> {
    probe.health("/health").await?;
    let (_, models) = probe.models().await?;
    let version = probe.json("/version").await.ok();
    let version = version.and_then(|answer| answer.get("version").and_then(Value::as_str).map(str::to_owned));
    let metrics = probe.get("/metrics").await.unwrap_or_default();
    Ok(Sight {
        version,
        load: Load {
            running: gauge(&metrics, "vllm:num_requests_running"),
            waiting: gauge(&metrics, "vllm:num_requests_waiting"),
            kv_cache: gauge(&metrics, "vllm:kv_cache_usage_perc")
                .or_else(|| gauge(&metrics, "vllm:gpu_cache_usage_perc")),
        },
        ..Sight::healthy(models)
    })
}
