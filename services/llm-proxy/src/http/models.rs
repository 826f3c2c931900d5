//! What there is to ask for, in OpenAI's shape, and whether anything answers.

use std::time::Instant;

use http::{Response, StatusCode};
use polyphony_error::Fault;
use serde_json::{Value, json};

use super::body::{Reply, json_reply};
use crate::proxy::Proxy;

/// OpenAI tells when a model was made; nobody here knows.
const CREATED: u64 = 0;

/// Whether requests are answered now: some upstream takes them.
pub(super) fn health(proxy: &Proxy) -> Response<Reply> {
    let now = Instant::now();
    let is_up = proxy
        .fleet
        .all()
        .iter()
        .any(|upstream| upstream.takes_requests(now).is_ok());
    match is_up {
        true => json_reply(StatusCode::OK, r#"{"status":"ok"}"#),
        false => json_reply(
            StatusCode::SERVICE_UNAVAILABLE,
            r#"{"status":"no upstream takes requests"}"#,
        ),
    }
}

/// All models, and their aliases.
pub(super) async fn list(proxy: &Proxy) -> Result<Response<Reply>, Fault> {
    let list = json!({"object": "list", "data": all(proxy).await?});
    Ok(json_reply(StatusCode::OK, list.to_string()))
}

/// One model, by its name or an alias. Names may have slashes.
pub(super) async fn one(proxy: &Proxy, name: &str) -> Result<Response<Reply>, Fault> {
    let name = decoded(name);
    let found = all(proxy).await?.into_iter().find(|model| model["id"] == name);
    match found {
        Some(model) => Ok(json_reply(StatusCode::OK, model.to_string())),
        None => Err(Fault::not_found("model", name, "GET /v1/models lists all")),
    }
}

/// Those of upstreams with their aliases, then those that run here.
async fn all(proxy: &Proxy) -> Result<Vec<Value>, Fault> {
    let mut all: Vec<Value> = Vec::new();
    for listed in proxy.fleet.listed() {
        let owner = listed
            .upstreams
            .first()
            .map_or("polyphony", |upstream| upstream.kind.name());
        for name in std::iter::once(&listed.name).chain(&listed.aliases) {
            all.push(object(name, owner, listed.model.context_length));
        }
    }
    for local in proxy.local.present().await? {
        if !all.iter().any(|model| model["id"] == local.name) {
            let length = u32::try_from(local.max_tokens).unwrap_or(u32::MAX);
            all.push(object(&local.name, "polyphony", length));
        }
    }
    Ok(all)
}

fn object(name: &str, owner: &str, length: u32) -> Value {
    let mut object = json!({"id": name, "object": "model", "created": CREATED, "owned_by": owner});
    if length > 0 {
        object["max_model_len"] = length.into();
    }
    object
}

/// Without percent signs; what is none stays.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, others @ ..] = rest {
        let pair = others.get(..2).and_then(|pair| std::str::from_utf8(pair).ok());
        let byte = pair
            .filter(|_| *first == b'%')
            .and_then(|pair| u8::from_str_radix(pair, 16).ok());
        match byte {
            Some(byte) => {
                bytes.push(byte);
                rest = &others[2..];
            }
            None => {
                bytes.push(*first);
                rest = others;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_with_slashes_are_found_either_way() {
        assert_eq!(decoded("Qwen%2FQwen3%3A8b"), "Qwen/Qwen3:8b");
        assert_eq!(decoded("Qwen/100%"), "Qwen/100%");
    }
}
