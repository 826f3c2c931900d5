//! Ollama: many models on disk, of which it loads some; what each can do is asked once for each digest.

use serde_json::{Value, json};

use super::look::{Probe, Trouble, number};
use crate::upstream::{Load, Model, ModelKind, Sight};

pub(super) async fn look(probe: &Probe<'_>) -> Result<Sight, Trouble> {
    let own = &probe.upstream.config.health_path;
    if !own.is_empty() {
        probe.health(own).await?;
    }
    let version = probe.json("/api/version").await?;
    let tags = probe.json("/api/tags").await?;
    let tags = tags.get("models").and_then(Value::as_array);
    let tags = tags.ok_or(Trouble::Garbage("/api/tags has no \"models\""))?;
    let mut models = Vec::with_capacity(tags.len());
    for tag in tags {
        let text = |key| tag.get(key).and_then(Value::as_str);
        let Some(name) = text("name") else { continue };
        let digest = format!("{name} {}", text("digest").unwrap_or_default());
        if let Some(known) = probe.upstream.known_model(&digest) {
            models.push(known);
        } else if let Ok(shown) = probe.post("/api/show", &json!({"model": name})).await {
            let model = shown_model(name, &shown);
            probe.upstream.know_model(digest, model.clone());
            models.push(model);
        } else {
            models.push(Model::new(name));
        }
    }
    let loaded = probe.json("/api/ps").await.ok();
    let loaded = loaded.and_then(|answer| {
        let models = answer.get("models")?.as_array()?.iter();
        Some(
            models
                .filter_map(|model| Some(model.get("name")?.as_str()?.to_owned()))
                .collect(),
        )
    });
    Ok(Sight {
        version: version.get("version").and_then(Value::as_str).map(str::to_owned),
        load: Load::default(),
        loaded,
        ..Sight::healthy(models)
    })
}

fn shown_model(name: &str, shown: &Value) -> Model {
    let mut model = Model::new(name);
    let can = shown.get("capabilities").and_then(Value::as_array);
    let can = |what: &str| Some(can?.iter().any(|one| one.as_str() == Some(what)));
    model.vision = can("vision");
    model.tools = can("tools");
    if can("completion") == Some(true) {
        model.kinds.push(ModelKind::Chat);
    }
    if can("embedding") == Some(true) {
        model.kinds.push(ModelKind::Embedding);
    }
    let info = shown.get("model_info").and_then(Value::as_object);
    let ends_with = |end: &str| {
        number(
            info.and_then(|info| info.iter().find(|(key, _)| key.ends_with(end)))
                .map(|(_, value)| value),
        )
    };
    model.context_length = ends_with(".context_length");
    if model.kinds == [ModelKind::Embedding] {
        model.dimensions = ends_with(".embedding_length");
    }
    model
}
