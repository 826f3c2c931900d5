//! A conversation from the wire: every field is checked and kept, or refused by its path.

mod message;
mod options;

use polyphony_error::Fault;
use polyphony_proto::llm::v1 as pb;
use polyphony_wire::Refusals;
use serde_json::Value;

use crate::config::Policy;
use crate::domain::{Ask, Constraint, Effort, Preference, Tool, ToolChoice};
pub(crate) use message::message;
use options::sampling;

/// A request for an answer.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) ask: Ask,
    pub(crate) preference: Preference,
    pub(crate) cache: Option<bool>,
    /// A UUID in small letters; empty: none.
    pub(crate) request_id: String,
    /// What the names of its fields begin with, as "chat.".
    pub(crate) path: &'static str,
}

const MOST_MESSAGES: usize = 10_000;
const MOST_TOOLS: usize = 128;
/// A schema, grammar or expression that is longer is not one.
const MOST_CONSTRAINT: usize = 1 << 20;

// === impl Asked ===

impl Asked {
    /// Parses a request. `path` stands before each field, as "chat." in a stream.
    ///
    /// # Errors
    /// INVALID_ARGUMENT with every field that cannot be accepted.
    pub(crate) fn parse(request: pb::ChatRequest, path: &'static str) -> Result<Self, Fault> {
        let pb::ChatRequest {
            model,
            messages,
            sampling: asked_sampling,
            constraint: asked_constraint,
            tools: asked_tools,
            tool_choice,
            parallel_tool_calls,
            reasoning_effort,
            route,
            enable_cache,
            request_id,
        } = request;
        let mut refusals = Refusals::at(path);
        if !(1..=MOST_MESSAGES).contains(&messages.len()) {
            refusals.add(
                "messages",
                format!("must be 1 to {MOST_MESSAGES}; the last is usually the user's"),
            );
        }
        let mut said = Vec::with_capacity(messages.len());
        for (at, one) in messages.into_iter().take(MOST_MESSAGES).enumerate() {
            said.push(message(one, &format!("{path}messages[{at}]"))?);
        }
        let sampling = sampling(asked_sampling.unwrap_or_default(), &mut refusals);
        let constraint = asked_constraint.and_then(|one| constraint(one, &mut refusals));
        let tools = tools(asked_tools, &mut refusals);
        let tool_choice = tool_choice.and_then(|one| choice(one, &tools, &mut refusals));
        let effort = effort(reasoning_effort, &mut refusals);
        let preference = preference(route.unwrap_or_default(), &mut refusals);
        let request_id = request_id.to_ascii_lowercase();
        if !request_id.is_empty() && !is_uuid(&request_id) {
            refusals.add(
                "request_id",
                "must be a UUID, as \"123e4567-e89b-42d3-a456-426614174000\", or empty",
            );
        }
        refusals.finish()?;
        Ok(Self {
            ask: Ask {
                model,
                messages: said,
                sampling,
                constraint,
                tools,
                tool_choice,
                parallel_tool_calls,
                effort,
            },
            preference,
            cache: enable_cache,
            request_id,
            path,
        })
    }
}

/// How to route a request.
pub(crate) fn preference(route: pb::RoutePreference, refusals: &mut Refusals) -> Preference {
    use pb::RoutePolicy::{LeastLoad, PrefixAffinity, RoundRobin, Session, Unspecified};
    let pb::RoutePreference {
        policy,
        session_key,
        upstream,
    } = route;
    let policy = match pb::RoutePolicy::try_from(policy) {
        Ok(Unspecified) => None,
        Ok(LeastLoad) => Some(Policy::LeastLoad),
        Ok(PrefixAffinity) => Some(Policy::PrefixAffinity),
        Ok(Session) => Some(Policy::Session),
        Ok(RoundRobin) => Some(Policy::RoundRobin),
        Err(_) => {
            refusals.add("route.policy", "is not a policy that is known here");
            None
        }
    };
    if policy == Some(Policy::Session) && session_key.is_empty() {
        refusals.add("route.session_key", "must be set for SESSION");
    }
    // A key without a policy asks for the one that keeps it.
    let policy = policy.or_else(|| (!session_key.is_empty()).then_some(Policy::Session));
    Preference {
        policy,
        session_key,
        upstream,
    }
}

fn constraint(constraint: pb::OutputConstraint, refusals: &mut Refusals) -> Option<Constraint> {
    use pb::output_constraint::Constraint as Asked;
    let Some(constraint) = constraint.constraint else {
        refusals.add("constraint", "must hold one of its fields, or be unset");
        return None;
    };
    let mut text = |field: &str, text: String| {
        if text.is_empty() || text.len() > MOST_CONSTRAINT {
            refusals.add(field, format!("must have 1 to {MOST_CONSTRAINT} bytes"));
            return None;
        }
        Some(text)
    };
    match constraint {
        Asked::JsonObject(pb::JsonObject {}) => Some(Constraint::JsonObject),
        Asked::Regex(regex) => text("constraint.regex", regex).map(Constraint::Regex),
        Asked::Grammar(grammar) => text("constraint.grammar", grammar).map(Constraint::Grammar),
        Asked::JsonSchema(schema) => {
            let schema = text("constraint.json_schema", schema)?;
            object(&schema, "constraint.json_schema", refusals).map(Constraint::JsonSchema)
        }
        Asked::StructuralTag(tag) => {
            let tag = text("constraint.structural_tag", tag)?;
            object(&tag, "constraint.structural_tag", refusals).map(Constraint::StructuralTag)
        }
        Asked::Choice(pb::Choices { values }) => {
            if values.is_empty() || values.iter().any(String::is_empty) {
                refusals.add(
                    "constraint.choice.values",
                    "must be at least one text, none of them empty",
                );
                return None;
            }
            Some(Constraint::Choice(values))
        }
    }
}

fn tools(asked: Vec<pb::Tool>, refusals: &mut Refusals) -> Vec<Tool> {
    if asked.len() > MOST_TOOLS {
        refusals.add("tools", format!("must be at most {MOST_TOOLS}"));
    }
    let tools = asked.into_iter().take(MOST_TOOLS).enumerate().map(|(at, tool)| {
        let pb::Tool {
            name,
            description,
            parameters_json_schema,
            strict,
        } = tool;
        let plain = |c: char| c.is_ascii_alphanumeric() || "_-".contains(c);
        if !(1..=64).contains(&name.len()) || !name.chars().all(plain) {
            refusals.add(
                &format!("tools[{at}].name"),
                "must be 1 to 64 of letters, digits, \"_\" and \"-\"",
            );
        }
        let field = format!("tools[{at}].parameters_json_schema");
        let is_set = !parameters_json_schema.is_empty();
        let parameters = is_set
            .then(|| object(&parameters_json_schema, &field, refusals))
            .flatten();
        Tool {
            name,
            description,
            parameters,
            strict,
        }
    });
    tools.collect()
}

fn choice(choice: pb::ToolChoice, tools: &[Tool], refusals: &mut Refusals) -> Option<ToolChoice> {
    use pb::ToolMode::{Auto, Function, None as Nothing, Required, Unspecified};
    let pb::ToolChoice { mode, function_name } = choice;
    let mode = pb::ToolMode::try_from(mode);
    if !function_name.is_empty() && mode != Ok(Function) {
        refusals.add("tool_choice.function_name", "is for FUNCTION alone");
    }
    match mode {
        Ok(Unspecified) => None,
        Ok(Auto) => Some(ToolChoice::Auto),
        Ok(Nothing) => Some(ToolChoice::None),
        Ok(Required) => {
            if tools.is_empty() {
                refusals.add("tool_choice.mode", "REQUIRED needs tools");
            }
            Some(ToolChoice::Required)
        }
        Ok(Function) => {
            if !tools.iter().any(|tool| tool.name == function_name) {
                refusals.add(
                    "tool_choice.function_name",
                    "must be the name of one of the tools",
                );
            }
            Some(ToolChoice::Function(function_name))
        }
        Err(_) => {
            refusals.add("tool_choice.mode", "is not a mode that is known here");
            None
        }
    }
}

fn effort(effort: i32, refusals: &mut Refusals) -> Option<Effort> {
    match pb::ReasoningEffort::try_from(effort) {
        Ok(pb::ReasoningEffort::Unspecified) => None,
        Ok(pb::ReasoningEffort::None) => Some(Effort::None),
        Ok(pb::ReasoningEffort::Low) => Some(Effort::Low),
        Ok(pb::ReasoningEffort::Medium) => Some(Effort::Medium),
        Ok(pb::ReasoningEffort::High) => Some(Effort::High),
        Err(_) => {
            refusals.add("reasoning_effort", "is not an effort that is known here");
            None
        }
    }
}

/// A JSON object out of text.
fn object(text: &str, field: &str, refusals: &mut Refusals) -> Option<Value> {
    match serde_json::from_str::<Value>(text) {
        Ok(value @ Value::Object(_)) => Some(value),
        Ok(_) => {
            refusals.add(field, "must be a JSON object");
            None
        }
        Err(error) => {
            refusals.add(field, format!("must be a JSON object: {error}"));
            None
        }
    }
}

fn is_uuid(text: &str) -> bool {
    let dashes = [8, 13, 18, 23];
    let is_at = |(at, byte): (usize, u8)| match dashes.contains(&at) {
        true => byte == b'-',
        false => byte.is_ascii_hexdigit(),
    };
    text.len() == 36 && text.bytes().enumerate().all(is_at)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(text: &str) -> pb::ChatMessage {
        pb::ChatMessage {
            role: pb::Role::User.into(),
            content: vec![pb::ContentPart {
                part: Some(pb::content_part::Part::Text(text.to_owned())),
            }],
            ..pb::ChatMessage::default()
        }
    }

    fn fields(request: pb::ChatRequest) -> Vec<String> {
        let fault = Asked::parse(request, "").expect_err("refused");
        fault
            .violations
            .into_iter()
            .map(|one| one.field.into_owned())
            .collect()
    }

    #[test]
    fn everything_that_is_wrong_is_named_at_once() {
        let request = pb::ChatRequest {
            messages: vec![user("Hi")],
            sampling: Some(pb::SamplingParams {
                temperature: Some(3.0),
                top_p: Some(f32::NAN),
                top_logprobs: Some(5),
                stop: vec![String::new()],
                ..pb::SamplingParams::default()
            }),
            constraint: Some(pb::OutputConstraint {
                constraint: Some(pb::output_constraint::Constraint::JsonSchema("[]".to_owned())),
            }),
            tools: vec![pb::Tool {
                name: "no spaces".to_owned(),
                parameters_json_schema: "{".to_owned(),
                ..pb::Tool::default()
            }],
            tool_choice: Some(pb::ToolChoice {
                mode: pb::ToolMode::Function.into(),
                function_name: "f".to_owned(),
            }),
            reasoning_effort: 9,
            route: Some(pb::RoutePreference {
                policy: pb::RoutePolicy::Session.into(),
                ..pb::RoutePreference::default()
            }),
            request_id: "7".to_owned(),
            ..pb::ChatRequest::default()
        };
        assert_eq!(
            fields(request),
            [
                "sampling.temperature",
                "sampling.top_p",
                "sampling.stop[0]",
                "sampling.top_logprobs",
                "constraint.json_schema",
                "tools[0].name",
                "tools[0].parameters_json_schema",
                "tool_choice.function_name",
                "reasoning_effort",
                "route.session_key",
                "request_id",
            ]
        );
        assert_eq!(fields(pb::ChatRequest::default()), ["messages"]);
    }

    #[test]
    fn a_session_key_asks_for_its_policy() {
        let request = pb::ChatRequest {
            messages: vec![user("Hi")],
            route: Some(pb::RoutePreference {
                session_key: "s".to_owned(),
                ..pb::RoutePreference::default()
            }),
            request_id: "123E4567-E89B-42D3-A456-426614174000".to_owned(),
            ..pb::ChatRequest::default()
        };
        let asked = Asked::parse(request, "").expect("valid");
        assert_eq!(asked.preference.policy, Some(Policy::Session));
        assert_eq!(asked.request_id, "123e4567-e89b-42d3-a456-426614174000");
    }
}
