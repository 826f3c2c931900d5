//! `/v1/embeddings` by the models that run here.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{Response, StatusCode};
use polyphony_encoders::{EmbedOptions, Role, Truncation};
use polyphony_error::Fault;
use serde::Deserialize;
use serde_json::{Value, json};

use super::Caller;
use super::body::{Reply, json_reply};
use super::scan::scan;
use crate::domain::Usage;
use crate::proxy::Proxy;
use crate::upstream::ModelKind;

/// The request, as OpenAI has it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    #[serde(default)]
    model: String,
    input: Input,
    #[serde(default)]
    encoding_format: Option<Format>,
    #[serde(default)]
    dimensions: Option<usize>,
    /// OpenAI's own word for who asks; nothing depends on it.
    #[serde(default, rename = "user")]
    _user: Option<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Input {
    One(String),
    Many(Vec<String>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Format {
    Float,
    Base64,
}

const MOST_INPUTS: usize = 2_048;

/// The answer, if a model here is meant: the one of that name, or without a name any that there is.
pub(super) async fn here(
    proxy: &Proxy,
    caller: &Caller,
    body: &[u8],
) -> Result<Option<Response<Reply>>, Fault> {
    // Only the name is read before it is known whose request it is.
    let Ok(scan) = scan(body) else { return Ok(None) };
    let name = scan.model.map(|(_, name)| name).unwrap_or_default();
    if !name.is_empty() && proxy.fleet.meant(&name, ModelKind::Embedding).is_ok() {
        return Ok(None);
    }
    let Some(chosen) = proxy.local.embedder(&name).await? else {
        return Ok(None);
    };
    let asked: Asked =
        serde_json::from_slice(body).map_err(|error| Fault::invalid("body", error.to_string()))?;
    let Asked {
        model,
        input,
        encoding_format,
        dimensions,
        _user,
    } = asked;
    let inputs = match input {
        Input::One(text) => vec![text],
        Input::Many(texts) => texts,
    };
    if !(1..=MOST_INPUTS).contains(&inputs.len()) {
        return Err(Fault::invalid(
            "input",
            format!("must be 1 to {MOST_INPUTS} texts"),
        ));
    }
    proxy.keys.admit(&caller.who)?;
    let options = EmbedOptions {
        role: Role::Plain,
        truncation: Truncation::Refuse,
        dimensions,
        normalize: true,
    };
    let made = proxy.local.embed(chosen, inputs, options).await?;
    let tokens: usize = made.value.iter().map(|one| one.tokens).sum();
    let usage = Usage {
        prompt_tokens: Some(u32::try_from(tokens).unwrap_or(u32::MAX)),
        ..Usage::default()
    };
    proxy.keys.spend(&caller.who, &usage);
    let data = made.value.into_iter().enumerate().map(|(index, one)| {
        let vector: Value = match encoding_format {
            Some(Format::Base64) => {
                let bytes: Vec<u8> = one.vector.iter().flat_map(|value| value.to_le_bytes()).collect();
                STANDARD.encode(bytes).into()
            }
            Some(Format::Float) | None => one.vector.into(),
        };
        json!({"object": "embedding", "index": index, "embedding": vector})
    });
    let answer = json!({
        "object": "list",
        "model": if model.is_empty() { &made.made.model } else { &model },
        "data": data.collect::<Vec<_>>(),
        "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
    });
    Ok(Some(json_reply(StatusCode::OK, answer.to_string())))
}
