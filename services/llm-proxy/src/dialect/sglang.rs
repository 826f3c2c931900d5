//! SGLang: models with their lengths, what the model is for, and its load.

use serde_json::Value;

use super::look::{Probe, Trouble, number};
use crate::upstream::{Load, ModelKind, Sight};

pub(super) async fn look(probe: &Probe<'_>) -> Result<Sight, Trouble> {
    probe.health("/health").await?;
    let (_, mut models) = probe.models().await?;
    let info = probe.json("/get_model_info").await.unwrap_or_default();
    let is = |key| info.get(key).and_then(Value::as_bool);
    for model in &mut models {
        model.vision = is("has_image_understanding");
        match is("is_generation") {
            Some(true) => model.kinds = vec![ModelKind::Chat],
            Some(false) => model.kinds = vec![ModelKind::Embedding],
            None => {}
        }
    }
    let server = probe.json("/get_server_info").await.unwrap_or_default();
    let load = probe.json("/get_load").await.unwrap_or_default();
    // One for each data-parallel rank.
    let ranks: &[Value] = load.as_array().map_or(&[], Vec::as_slice);
    let sum = |key: &str| {
        let values = ranks.iter().filter_map(|rank| rank.get(key)?.as_f64());
        values.map(|value| value as f32).reduce(|sum, value| sum + value)
    };
    let (all, waiting) = (sum("num_reqs"), sum("num_waiting_reqs"));
    let capacity = number(server.get("max_total_num_tokens")) as f32;
    Ok(Sight {
        version: server.get("version").and_then(Value::as_str).map(str::to_owned),
        load: Load {
            running: all.map(|all| all - waiting.unwrap_or(0.0)),
            waiting,
            kv_cache: sum("num_tokens")
                .filter(|_| capacity > 0.0)
                .map(|tokens| tokens / capacity),
        },
        ..Sight::healthy(models)
    })
}
