//! llama.cpp's llama-server: one model, which it may still be loading (503), and slots.

use serde_json::Value;

use super::look::{Probe, Trouble, number};
use crate::upstream::{Load, ModelKind, Sight};

pub(super) async fn look(probe: &Probe<'_>) -> Result<Sight, Trouble> {
    probe.health("/health").await?;
    let (_, mut models) = probe.models().await?;
    let props = probe.json("/props").await.unwrap_or_default();
    let n_ctx = number(
        props
            .get("default_generation_settings")
            .and_then(|settings| settings.get("n_ctx")),
    );
    let vision = props
        .get("modalities")
        .and_then(|modalities| modalities.get("vision")?.as_bool());
    for model in &mut models {
        // What a slot has is less than what the model could have.
        if n_ctx > 0 {
            model.context_length = n_ctx;
        }
        model.vision = vision;
        if props.get("chat_template").is_some() {
            model.kinds = vec![ModelKind::Chat];
        }
    }
    // Only where the server was started with it.
    let slots = probe.json("/slots").await.ok();
    let running = slots.as_ref().and_then(Value::as_array).map(|slots| {
        let busy = slots
            .iter()
            .filter(|slot| slot.get("is_processing").and_then(Value::as_bool) == Some(true));
        busy.count() as f32
    });
    Ok(Sight {
        version: props.get("build_info").and_then(Value::as_str).map(str::to_owned),
        load: Load {
            running,
            ..Load::default()
        },
        ..Sight::healthy(models)
    })
}
