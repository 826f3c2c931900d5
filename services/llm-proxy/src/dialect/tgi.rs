//! Text Generation Inference: one model, told by `/info`; its load as Prometheus' text.

use serde_json::Value;

use super::look::{Probe, Trouble, gauge, number};
use crate::upstream::{Load, Model, ModelKind, Sight};

pub(super) async fn look(probe: &Probe<'_>) -> Result<Sight, Trouble> {
    probe.health("/health").await?;
    let info = probe.json("/info").await?;
    let id = info.get("model_id").and_then(Value::as_str);
    let mut model = Model::new(id.ok_or(Trouble::Garbage("/info has no \"model_id\""))?);
    model.kinds = vec![ModelKind::Chat];
    model.tools = Some(true);
    model.context_length = number(info.get("max_total_tokens"));
    let metrics = probe.get("/metrics").await.unwrap_or_default();
    Ok(Sight {
        version: info.get("version").and_then(Value::as_str).map(str::to_owned),
        load: Load {
            running: gauge(&metrics, "tgi_batch_current_size"),
            waiting: gauge(&metrics, "tgi_queue_size"),
            kv_cache: None,
        },
        ..Sight::healthy(vec![model])
    })
}
