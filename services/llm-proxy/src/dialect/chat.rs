//! A conversation written for one upstream: OpenAI's chat completions, and the words that each dialect has for the rest.

use polyphony_error::Fault;
use serde_json::{Map, Value, json};

use super::honours;
use crate::config::Kind;
use crate::domain::{Ask, Constraint, Message, Part, Role, ToolChoice};
use crate::upstream::Upstream;

/// Where every dialect answers it.
pub(crate) const PATH: &str = "/v1/chat/completions";

/// vLLM has `structured_outputs` since then, and `guided_*` before.
const STRUCTURED_OUTPUTS: (u32, u32) = (0, 11);

/// The body of the request, whose fields are named with `path` before them where they are refused.
///
/// # Errors
/// INVALID_ARGUMENT with every field that the upstream does not honour.
pub(crate) fn body(
    upstream: &Upstream,
    model: &str,
    ask: &Ask,
    path: &'static str,
) -> Result<Vec<u8>, Fault> {
    refuse(upstream, ask, path)?;
    let mut body = Map::new();
    let mut put = |key: &str, value: Value| body.insert(key.to_owned(), value);
    put("model", model.into());
    put(
        "messages",
        ask.messages
            .iter()
            .map(|message| written(upstream.kind, message))
            .collect(),
    );
    put("stream", true.into());
    put("stream_options", json!({"include_usage": true}));

    let sampling = &ask.sampling;
    let is_renamed = |field: &str| upstream.config.extra_fields.iter().any(|extra| extra == field);
    let max_tokens = if is_renamed("max_completion_tokens") {
        "max_completion_tokens"
    } else {
        "max_tokens"
    };
    let repetition = if upstream.kind == Kind::LlamaCpp {
        "repeat_penalty"
    } else {
        "repetition_penalty"
    };
    for (key, value) in [
        ("temperature", sampling.temperature),
        ("top_p", sampling.top_p),
        ("min_p", sampling.min_p),
        ("frequency_penalty", sampling.frequency_penalty),
        ("presence_penalty", sampling.presence_penalty),
        (repetition, sampling.repetition_penalty),
    ] {
        if let Some(value) = value {
            put(key, decimal(value));
        }
    }
    for (key, value) in [
        ("top_k", sampling.top_k),
        (max_tokens, sampling.max_tokens),
        ("n", sampling.candidates.filter(|count| *count > 1)),
        ("top_logprobs", sampling.top_logprobs),
    ] {
        if let Some(value) = value {
            put(key, value.into());
        }
    }
    if let Some(seed) = sampling.seed {
        put("seed", seed.into());
    }
    if !sampling.stop.is_empty() {
        put("stop", sampling.stop.clone().into());
    }
    if sampling.logprobs {
        put("logprobs", true.into());
    }
    if !sampling.logit_bias.is_empty() {
        let bias = sampling
            .logit_bias
            .iter()
            .map(|(token, bias)| (token.to_string(), decimal(*bias)));
        put("logit_bias", Value::Object(bias.collect()));
    }

    // Ollama knows no `tool_choice`; without tools there are no calls.
    let without = upstream.kind == Kind::Ollama && ask.tool_choice == Some(ToolChoice::None);
    if !ask.tools.is_empty() && !without {
        put("tools", ask.tools.iter().map(tool).collect());
        let choice = match &ask.tool_choice {
            _ if upstream.kind == Kind::Ollama => None,
            None => None,
            Some(ToolChoice::Auto) => Some("auto".into()),
            Some(ToolChoice::None) => Some("none".into()),
            Some(ToolChoice::Required) => Some("required".into()),
            Some(ToolChoice::Function(name)) => Some(json!({"type": "function", "function": {"name": name}})),
        };
        if let Some(choice) = choice {
            put("tool_choice", choice);
        }
    }
    if let Some(parallel) = ask.parallel_tool_calls {
        put("parallel_tool_calls", parallel.into());
    }
    if let Some(effort) = ask.effort {
        put("reasoning_effort", effort.word().into());
    }
    if let Some(constraint) = &ask.constraint {
        constrain(upstream, constraint, &mut body);
    }
    serde_json::to_vec(&body).map_err(Fault::internal)
}

/// Refuses what is set and not honoured, all of it.
fn refuse(upstream: &Upstream, ask: &Ask, path: &'static str) -> Result<(), Fault> {
    let Ask {
        model: _,
        messages,
        sampling,
        constraint,
        tools,
        tool_choice,
        parallel_tool_calls,
        effort,
    } = ask;
    let mut set: Vec<(&'static str, String)> = Vec::new();
    let mut note = |is_set: bool, field: &'static str| {
        if is_set {
            set.push((field, field.to_owned()));
        }
    };
    note(sampling.top_k.is_some(), "sampling.top_k");
    note(sampling.min_p.is_some(), "sampling.min_p");
    note(
        sampling.repetition_penalty.is_some(),
        "sampling.repetition_penalty",
    );
    note(ask.candidates() > 1, "sampling.candidate_count");
    note(sampling.logprobs, "sampling.logprobs");
    note(sampling.top_logprobs.is_some(), "sampling.top_logprobs");
    note(!sampling.logit_bias.is_empty(), "sampling.logit_bias");
    note(parallel_tool_calls.is_some(), "parallel_tool_calls");
    note(effort.is_some(), "reasoning_effort");
    // Without the word for it, "auto" is what happens, and "none" is to leave the tools out.
    let needs_word = matches!(tool_choice, Some(ToolChoice::Required | ToolChoice::Function(_)));
    note(needs_word, "tool_choice");
    match constraint {
        None | Some(Constraint::JsonSchema(_) | Constraint::JsonObject) => {}
        Some(Constraint::Regex(_)) => note(true, "constraint.regex"),
        Some(Constraint::Grammar(_)) => note(true, "constraint.grammar"),
        Some(Constraint::Choice(_)) => note(true, "constraint.choice"),
        Some(Constraint::StructuralTag(_)) => note(true, "constraint.structural_tag"),
    }
    for (at, tool) in tools.iter().enumerate() {
        if tool.strict.is_some() {
            set.push(("tools.strict", format!("tools[{at}].strict")));
        }
    }
    for (at, message) in messages.iter().enumerate() {
        if !message.reasoning.is_empty() {
            set.push((
                "messages.reasoning_content",
                format!("messages[{at}].reasoning_content"),
            ));
        }
        for (part_at, part) in message.content.iter().enumerate() {
            let path = format!("messages[{at}].content[{part_at}]");
            match part {
                Part::Text(_) | Part::Image { detail: None, .. } => {}
                Part::Image { detail: Some(_), .. } => {
                    set.push(("messages.content.image.detail", format!("{path}.image.detail")));
                }
                Part::Audio { .. } => set.push(("messages.content.audio", format!("{path}.audio"))),
            }
        }
    }
    let mut refusals = polyphony_wire::Refusals::at(path);
    for (field, path) in set {
        if !honours(upstream, field) {
            let (name, kind) = (&upstream.name, upstream.kind);
            let text = format!(
                "is not honoured by upstream {name} ({kind}); leave it unset, or ask another upstream"
            );
            refusals.add(&path, text);
        }
    }
    refusals.finish()
}

fn written(kind: Kind, message: &Message) -> Value {
    let Message {
        role,
        content,
        name,
        tool_calls,
        tool_call_id,
        reasoning,
        refusal,
    } = message;
    let mut written = Map::new();
    let mut put = |key: &str, value: Value| written.insert(key.to_owned(), value);
    put("role", role.word().into());
    let content = match content.as_slice() {
        // Some servers want a text, not its absence.
        [] if *role == Role::Assistant && !tool_calls.is_empty() && kind != Kind::Ollama => Value::Null,
        [] => "".into(),
        [Part::Text(text)] => text.clone().into(),
        parts => parts.iter().map(part).collect(),
    };
    put("content", content);
    for (key, text) in [
        ("name", name),
        ("tool_call_id", tool_call_id),
        ("reasoning_content", reasoning),
        ("refusal", refusal),
    ] {
        if !text.is_empty() {
            put(key, text.clone().into());
        }
    }
    if !tool_calls.is_empty() {
        let calls = tool_calls.iter().map(|call| {
            json!({
                "id": call.id,
                "type": "function",
                "function": {"name": call.name, "arguments": call.arguments},
            })
        });
        put("tool_calls", calls.collect());
    }
    Value::Object(written)
}

fn part(part: &Part) -> Value {
    match part {
        Part::Text(text) => json!({"type": "text", "text": text}),
        Part::Image { url, detail } => {
            let mut image = json!({"url": url});
            if let Some(detail) = detail {
                image["detail"] = (*detail).into();
            }
            json!({"type": "image_url", "image_url": image})
        }
        Part::Audio { data, format } => {
            json!({"type": "input_audio", "input_audio": {"data": data, "format": format}})
        }
    }
}

fn tool(tool: &crate::domain::Tool) -> Value {
    let mut function = json!({"name": tool.name});
    if !tool.description.is_empty() {
        function["description"] = tool.description.clone().into();
    }
    if let Some(parameters) = &tool.parameters {
        function["parameters"] = parameters.clone();
    }
    if let Some(strict) = tool.strict {
        function["strict"] = strict.into();
    }
    json!({"type": "function", "function": function})
}

fn constrain(upstream: &Upstream, constraint: &Constraint, body: &mut Map<String, Value>) {
    let kind = upstream.kind;
    let mut put = |key: &str, value: Value| {
        body.insert(key.to_owned(), value);
    };
    match (constraint, kind) {
        (Constraint::JsonSchema(schema), Kind::Tgi) => {
            put("response_format", json!({"type": "json", "value": schema}));
        }
        (Constraint::JsonObject, Kind::Tgi) => {
            put(
                "response_format",
                json!({"type": "json", "value": {"type": "object"}}),
            );
        }
        (Constraint::JsonSchema(schema), _) => {
            let schema = json!({"name": "answer", "schema": schema, "strict": true});
            put(
                "response_format",
                json!({"type": "json_schema", "json_schema": schema}),
            );
        }
        (Constraint::JsonObject, _) => put("response_format", json!({"type": "json_object"})),
        (Constraint::StructuralTag(tag), _) => put("response_format", tag.clone()),
        (Constraint::Regex(regex), Kind::Tgi) => {
            put("response_format", json!({"type": "regex", "value": regex}));
        }
        (Constraint::Choice(choices), Kind::Tgi) => {
            put(
                "response_format",
                json!({"type": "regex", "value": alternatives(choices)}),
            );
        }
        (Constraint::Regex(regex), Kind::Sglang) => put("regex", regex.clone().into()),
        (Constraint::Choice(choices), Kind::Sglang) => put("regex", alternatives(choices).into()),
        (Constraint::Grammar(grammar), Kind::Sglang) => put("ebnf", grammar.clone().into()),
        (Constraint::Choice(choices), Kind::LlamaCpp) => put("grammar", gbnf(choices).into()),
        (Constraint::Grammar(grammar), Kind::LlamaCpp) => put("grammar", grammar.clone().into()),
        // vLLM, and what an operator says is like it.
        (constraint, _) => {
            let (word, value): (&str, Value) = match constraint {
                Constraint::Regex(regex) => ("regex", regex.clone().into()),
                Constraint::Grammar(grammar) => ("grammar", grammar.clone().into()),
                Constraint::Choice(choices) => ("choice", choices.clone().into()),
                Constraint::JsonSchema(_) | Constraint::JsonObject | Constraint::StructuralTag(_) => return,
            };
            if kind == Kind::Vllm && !has_structured_outputs(upstream) {
                put(&format!("guided_{word}"), value);
            } else {
                put("structured_outputs", json!({word: value}));
            }
        }
    }
}

/// A version that nobody told is taken for a new one.
fn has_structured_outputs(upstream: &Upstream) -> bool {
    let seen = upstream.seen();
    let Some(version) = &seen.sight.version else {
        return true;
    };
    let mut numbers = version.split('.').map(|part| part.parse::<u32>().ok());
    match (numbers.next().flatten(), numbers.next().flatten()) {
        (Some(major), Some(minor)) => (major, minor) >= STRUCTURED_OUTPUTS,
        _ => true,
    }
}

/// A regular expression of these texts.
fn alternatives(choices: &[String]) -> String {
    let escaped = choices.iter().map(|choice| {
        let characters = choice.chars().flat_map(|c| {
            let escape = r"\.+*?()|[]{}^$/-".contains(c).then_some('\\');
            escape.into_iter().chain([c])
        });
        characters.collect::<String>()
    });
    format!("({})", escaped.collect::<Vec<_>>().join("|"))
}

/// A GBNF grammar of these texts.
fn gbnf(choices: &[String]) -> String {
    let quoted = choices.iter().map(|choice| {
        let escaped = choice.chars().map(|c| match c {
            '"' => "\\\"".to_owned(),
            '\\' => "\\\\".to_owned(),
            '\n' => "\\n".to_owned(),
            '\r' => "\\r".to_owned(),
            c => c.to_string(),
        });
        format!("\"{}\"", escaped.collect::<String>())
    });
    format!("root ::= {}", quoted.collect::<Vec<_>>().join(" | "))
}

/// A number as it was meant: 0.7 and not 0.699999988079071.
fn decimal(value: f32) -> Value {
    value.to_string().parse::<f64>().map_or(Value::Null, Value::from)
}

#[cfg(test)]
mod tests;
