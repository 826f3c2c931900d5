//! Vectors, order, likelihood and tokens of texts, written for each upstream and read from it.
//!
//! A method that a dialect has no word for is UNIMPLEMENTED, with who has it.

use http::Method;
use polyphony_error::Fault;
use serde_json::{Value, json};

use crate::config::Kind;
use crate::domain::{TokenLogprob, Usage};
use crate::upstream::{Outgoing, Upstream};

/// A text in its place.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Ranked {
    pub(crate) index: u32,
    /// As the model gives it: see [`gives_logits`].
    pub(crate) score: f32,
}

/// A token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Token {
    pub(crate) id: u32,
    /// As the upstream shows it; empty where it does not.
    pub(crate) text: String,
}

/// What an upstream sent cannot be understood: the words say where.
pub(crate) type Unread = &'static str;

fn post(path: &str, body: &Value) -> Outgoing {
    Outgoing::post(path, body.to_string())
}

fn lacks(upstream: &Upstream, what: &str, who: &str) -> Fault {
    let (name, kind) = (&upstream.name, upstream.kind);
    let text = format!("upstream {name} ({kind}) has no {what}; {who} have it");
    Fault::unimplemented("UPSTREAM_LACKS_IT", text)
}

// === vectors ===

/// Asks for vectors.
pub(crate) fn embed(
    upstream: &Upstream,
    there: &str,
    inputs: &[String],
    dimensions: Option<u32>,
) -> Result<Outgoing, Fault> {
    let mut body = json!({"model": there, "input": inputs});
    if let Some(dimensions) = dimensions {
        body["dimensions"] = dimensions.into();
    }
    match upstream.kind {
        Kind::Tgi => Err(lacks(
            upstream,
            "embeddings",
            "vllm, sglang, ollama, llama-cpp and openai",
        )),
        Kind::Ollama => {
            // Its OpenAI door cuts texts that are too long and does not say so.
            body["truncate"] = false.into();
            Ok(post("/api/embed", &body))
        }
        Kind::Vllm | Kind::LlamaCpp | Kind::Sglang | Kind::Openai => {
            body["encoding_format"] = "float".into();
            Ok(post("/v1/embeddings", &body))
        }
    }
}

/// Reads vectors, in the order of the texts.
pub(crate) fn embeddings(kind: Kind, answer: &Value) -> Result<(Vec<Vec<f32>>, Usage), Unread> {
    let vector = |value: &Value| -> Result<Vec<f32>, Unread> {
        let numbers = value.as_array().ok_or("an embedding is no list of numbers")?;
        let number = |number: &Value| number.as_f64().map(|number| number as f32);
        let numbers: Option<Vec<f32>> = numbers.iter().map(number).collect();
        numbers.ok_or("an embedding is no list of numbers")
    };
    if kind == Kind::Ollama {
        let list = answer
            .get("embeddings")
            .and_then(Value::as_array)
            .ok_or("there is no \"embeddings\"")?;
        let usage = Usage {
            prompt_tokens: number(answer.get("prompt_eval_count")),
            ..Usage::default()
        };
        return Ok((list.iter().map(vector).collect::<Result<_, _>>()?, usage));
    }
    let data = answer
        .get("data")
        .and_then(Value::as_array)
        .ok_or("there is no \"data\"")?;
    let mut indexed = Vec::with_capacity(data.len());
    for (at, entry) in data.iter().enumerate() {
        let index = entry.get("index").and_then(Value::as_u64).unwrap_or(at as u64);
        indexed.push((index, vector(entry.get("embedding").unwrap_or(&Value::Null))?));
    }
    indexed.sort_by_key(|(index, _)| *index);
    if indexed.iter().zip(0..).any(|((index, _), at)| *index != at) {
        return Err("its embeddings are not numbered as their texts");
    }
    Ok((
        indexed.into_iter().map(|(_, vector)| vector).collect(),
        usage(answer),
    ))
}

// === order ===

/// Asks for an order.
pub(crate) fn rerank(
    upstream: &Upstream,
    there: &str,
    query: &str,
    documents: &[String],
) -> Result<Outgoing, Fault> {
    match upstream.kind {
        Kind::Tgi | Kind::Ollama => Err(lacks(
            upstream,
            "rerank",
            "vllm, sglang, llama-cpp and some openai",
        )),
        // Without a number of the best: all are wanted, for it is we who leave the rest out.
        Kind::Vllm => {
            let body =
                json!({"model": there, "query": query, "documents": documents, "truncate_prompt_tokens": -1});
            Ok(post("/v1/rerank", &body))
        }
        Kind::Sglang | Kind::LlamaCpp | Kind::Openai => Ok(post(
            "/v1/rerank",
            &json!({"model": there, "query": query, "documents": documents}),
        )),
    }
}

/// Whether its scores are logits, and not between 0 and 1.
pub(crate) fn gives_logits(kind: Kind) -> bool {
    kind == Kind::LlamaCpp
}

/// Reads an order of so many texts, the best first: `{"results": [{"index", "relevance_score"}]}`, or a bare list with
/// `score`.
pub(crate) fn ranked(answer: &Value, count: usize) -> Result<(Vec<Ranked>, Usage), Unread> {
    let list = answer
        .get("results")
        .unwrap_or(answer)
        .as_array()
        .ok_or("there is no \"results\"")?;
    let mut ranked = Vec::with_capacity(list.len());
    for entry in list {
        let score = entry
            .get("relevance_score")
            .or_else(|| entry.get("score"))
            .and_then(Value::as_f64);
        ranked.push(Ranked {
            index: number(entry.get("index")).ok_or("a result has no \"index\"")?,
            score: score.ok_or("a result has no score")? as f32,
        });
    }
    ranked.sort_by_key(|one| one.index);
    let is_each_once = ranked.iter().zip(0..).all(|(one, at)| one.index == at);
    if ranked.len() != count || !is_each_once {
        return Err("it has not one score for each text");
    }
    ranked.sort_by(|one, other| other.score.total_cmp(&one.score));
    Ok((ranked, usage(answer)))
}

// === likelihood ===

/// Asks how likely each token of a text is: the text is echoed, and one token after it is not looked at.
pub(crate) fn echo(upstream: &Upstream, there: &str, text: &str) -> Result<Outgoing, Fault> {
    match upstream.kind {
        Kind::Vllm | Kind::Sglang | Kind::Openai => {
            let body = json!({
                "model": there, "prompt": text, "echo": true, "logprobs": 1, "max_tokens": 1, "temperature": 0,
            });
            Ok(post("/v1/completions", &body))
        }
        Kind::Tgi | Kind::Ollama | Kind::LlamaCpp => Err(lacks(
            upstream,
            "log-probabilities of a prompt",
            "vllm, sglang and some openai",
        )),
    }
}

/// Reads the tokens of an echo that lie after the first `skip` characters and before `end`.
pub(crate) fn echoed(answer: &Value, skip: usize, end: usize) -> Result<(Vec<TokenLogprob>, Usage), Unread> {
    let logprobs = answer
        .get("choices")
        .and_then(|choices| choices.get(0)?.get("logprobs"));
    let list = |key: &str| logprobs.and_then(|logprobs| logprobs.get(key)?.as_array());
    let (Some(tokens), Some(values), Some(offsets)) =
        (list("tokens"), list("token_logprobs"), list("text_offset"))
    else {
        return Err("there are no log-probabilities; the server may need to be started with them");
    };
    let mut found = Vec::new();
    for (at, token) in tokens.iter().enumerate() {
        let text = token.as_str().ok_or("a token is no text")?;
        let begin = offsets
            .get(at)
            .and_then(Value::as_u64)
            .ok_or("a token has no offset")? as usize;
        let next = offsets
            .get(at + 1)
            .and_then(Value::as_u64)
            .map(|next| next as usize);
        // One that crosses the border belongs to what comes after it.
        let ends = next.unwrap_or_else(|| begin + text.chars().count());
        if ends <= skip || begin >= end {
            continue;
        }
        // The first token of all has none.
        let Some(logprob) = values.get(at).and_then(Value::as_f64) else {
            continue;
        };
        found.push(TokenLogprob {
            token: text.to_owned(),
            bytes: text.as_bytes().to_vec(),
            logprob: logprob as f32,
            top: Vec::new(),
        });
    }
    if found.is_empty() {
        return Err("the echo has no token of the candidate");
    }
    Ok((found, usage(answer)))
}

// === tokens ===

/// Asks for tokens.
pub(crate) fn tokenize(
    upstream: &Upstream,
    there: &str,
    text: &str,
    special: bool,
) -> Result<Outgoing, Fault> {
    let body = match upstream.kind {
        Kind::Vllm => json!({
            "model": there, "prompt": text, "add_special_tokens": special, "return_token_strs": true,
        }),
        Kind::Sglang => json!({"model": there, "prompt": text, "add_special_tokens": special}),
        Kind::LlamaCpp => json!({"content": text, "add_special": special, "with_pieces": true}),
        Kind::Tgi if special => json!({"inputs": text}),
        Kind::Tgi => {
            let message = "cannot be false at a tgi upstream, which always adds them";
            return Err(Fault::invalid("add_special_tokens", message));
        }
        Kind::Ollama | Kind::Openai => {
            return Err(lacks(upstream, "tokenizer", "vllm, sglang, llama-cpp and tgi"));
        }
    };
    Ok(post("/tokenize", &body))
}

/// Reads tokens.
pub(crate) fn tokens(kind: Kind, answer: &Value) -> Result<Vec<Token>, Unread> {
    let list = answer
        .get("tokens")
        .unwrap_or(answer)
        .as_array()
        .ok_or("there is no \"tokens\"")?;
    let shown = answer.get("token_strs").and_then(Value::as_array);
    let mut tokens = Vec::with_capacity(list.len());
    for (at, entry) in list.iter().enumerate() {
        let (id, text) = match kind {
            Kind::LlamaCpp => (entry.get("id"), entry.get("piece")),
            Kind::Tgi => (entry.get("id"), entry.get("text")),
            _ => (Some(entry), shown.and_then(|shown| shown.get(at))),
        };
        let text = match text {
            // A piece that is no text comes as its bytes.
            Some(Value::Array(bytes)) => {
                let bytes: Vec<u8> = bytes
                    .iter()
                    .filter_map(|byte| u8::try_from(byte.as_u64()?).ok())
                    .collect();
                String::from_utf8_lossy(&bytes).into_owned()
            }
            text => text.and_then(Value::as_str).unwrap_or_default().to_owned(),
        };
        tokens.push(Token {
            id: number(id).ok_or("a token has no id")?,
            text,
        });
    }
    Ok(tokens)
}

/// Asks for the text of tokens.
pub(crate) fn detokenize(
    upstream: &Upstream,
    there: &str,
    ids: &[u32],
    skip_special: bool,
) -> Result<Outgoing, Fault> {
    let body = match upstream.kind {
        Kind::Sglang => json!({"model": there, "tokens": ids, "skip_special_tokens": skip_special}),
        Kind::Vllm => json!({"model": there, "tokens": ids}),
        Kind::LlamaCpp => json!({"tokens": ids}),
        Kind::Tgi | Kind::Ollama | Kind::Openai => {
            return Err(lacks(upstream, "detokenizer", "vllm, sglang and llama-cpp"));
        }
    };
    Ok(Outgoing::new(
        Method::POST,
        "/detokenize",
        body.to_string().into(),
    ))
}

/// Whether it can be told to leave out special tokens.
pub(crate) fn may_skip_special(kind: Kind) -> bool {
    kind == Kind::Sglang
}

/// Reads the text of tokens.
pub(crate) fn detokenized(answer: &Value) -> Result<String, Unread> {
    let text = ["prompt", "text", "content"]
        .into_iter()
        .find_map(|key| answer.get(key)?.as_str());
    text.map(str::to_owned).ok_or("there is no text")
}

fn usage(answer: &Value) -> Usage {
    let usage = answer.get("usage").or_else(|| answer.get("meta")?.get("tokens"));
    let tokens = |key: &str| number(usage.and_then(|usage| usage.get(key)));
    Usage {
        prompt_tokens: tokens("prompt_tokens")
            .or_else(|| tokens("total_tokens"))
            .or_else(|| tokens("input_tokens")),
        completion_tokens: tokens("completion_tokens").filter(|tokens| *tokens > 0),
        ..Usage::default()
    }
}

fn number(value: Option<&Value>) -> Option<u32> {
    value
        .and_then(Value::as_u64)
        .and_then(|number| u32::try_from(number).ok())
}

#[cfg(test)]
mod tests;
