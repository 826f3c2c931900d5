//! How conversations are written for each dialect.

use super::*;
use crate::config::UpstreamConfig;
use crate::domain::{Sampling, Tool};
use crate::upstream::Sight;

fn upstream(kind: Kind) -> Upstream {
    let config = UpstreamConfig::new("http://127.0.0.1:1", kind);
    Upstream::new("u", config, &Default::default()).expect("valid")
}

fn ask() -> Ask {
    Ask {
        model: String::new(),
        messages: vec![Message {
            role: Role::User,
            content: vec![Part::Text("Hi".to_owned())],
            name: String::new(),
            tool_calls: Vec::new(),
            tool_call_id: String::new(),
            reasoning: String::new(),
            refusal: String::new(),
        }],
        sampling: Sampling::default(),
        constraint: None,
        tools: Vec::new(),
        tool_choice: None,
        parallel_tool_calls: None,
        effort: None,
    }
}

fn written(kind: Kind, ask: &Ask) -> Result<Value, Vec<String>> {
    match body(&upstream(kind), "m", ask, "") {
        Ok(body) => Ok(serde_json::from_slice(&body).expect("JSON")),
        Err(fault) => Err(fault
            .violations
            .into_iter()
            .map(|one| one.field.into_owned())
            .collect()),
    }
}

#[test]
fn numbers_are_written_as_they_were_meant() {
    let mut ask = ask();
    ask.sampling.temperature = Some(0.7);
    ask.sampling.max_tokens = Some(5);
    let body = written(Kind::Openai, &ask).expect("written");
    assert_eq!(
        body,
        json!({"model": "m", "messages": [{"role": "user", "content": "Hi"}], "stream": true,
            "stream_options": {"include_usage": true}, "temperature": 0.7, "max_tokens": 5})
    );
}

#[test]
fn each_constraint_has_its_word_in_each_dialect_or_is_refused() {
    let choice = Constraint::Choice(vec!["a.b".to_owned(), "\"c\"".to_owned()]);
    let cases = [
        (
            Kind::Vllm,
            &choice,
            Ok(("structured_outputs", json!({"choice": ["a.b", "\"c\""]}))),
        ),
        (Kind::Sglang, &choice, Ok(("regex", json!("(a\\.b|\"c\")")))),
        (
            Kind::Tgi,
            &choice,
            Ok((
                "response_format",
                json!({"type": "regex", "value": "(a\\.b|\"c\")"}),
            )),
        ),
        (
            Kind::LlamaCpp,
            &choice,
            Ok(("grammar", json!("root ::= \"a.b\" | \"\\\"c\\\"\""))),
        ),
        (Kind::Ollama, &choice, Err("constraint.choice")),
        (Kind::Openai, &choice, Err("constraint.choice")),
        (
            Kind::LlamaCpp,
            &Constraint::Regex("x".to_owned()),
            Err("constraint.regex"),
        ),
        (
            Kind::Sglang,
            &Constraint::Grammar("g".to_owned()),
            Ok(("ebnf", json!("g"))),
        ),
        (
            Kind::Tgi,
            &Constraint::Grammar("g".to_owned()),
            Err("constraint.grammar"),
        ),
        (
            Kind::Tgi,
            &Constraint::JsonObject,
            Ok((
                "response_format",
                json!({"type": "json", "value": {"type": "object"}}),
            )),
        ),
        (
            Kind::Ollama,
            &Constraint::JsonSchema(json!({"type": "string"})),
            Ok((
                "response_format",
                json!({"type": "json_schema", "json_schema": {"name": "answer", "schema": {"type": "string"}, "strict": true}}),
            )),
        ),
    ];
    for (kind, constraint, expected) in cases {
        let ask = Ask {
            constraint: Some(constraint.clone()),
            ..ask()
        };
        match (written(kind, &ask), expected) {
            (Ok(body), Ok((key, value))) => assert_eq!(body[key], value, "{kind}"),
            (Err(fields), Err(field)) => assert_eq!(fields, [field], "{kind}"),
            (written, expected) => panic!("{kind}: {written:?}, not {expected:?}"),
        }
    }
}

#[test]
fn an_old_vllm_is_spoken_to_in_its_own_words() {
    let old = upstream(Kind::Vllm);
    old.saw(Sight {
        version: Some("0.9.2".to_owned()),
        ..Sight::healthy(Vec::new())
    });
    let ask = Ask {
        constraint: Some(Constraint::Regex("x".to_owned())),
        ..ask()
    };
    let body: Value = serde_json::from_slice(&body(&old, "m", &ask, "").expect("written")).expect("JSON");
    assert_eq!(body["guided_regex"], "x");
}

#[test]
fn all_that_is_not_honoured_is_named_at_once() {
    let mut ask = ask();
    ask.sampling = Sampling {
        top_k: Some(1),
        logprobs: true,
        candidates: Some(2),
        ..Sampling::default()
    };
    ask.tools = vec![Tool {
        name: "f".to_owned(),
        description: String::new(),
        parameters: None,
        strict: Some(true),
    }];
    ask.tool_choice = Some(ToolChoice::Required);
    let fields = written(Kind::Ollama, &ask).expect_err("refused");
    assert_eq!(
        fields,
        [
            "sampling.top_k",
            "sampling.candidate_count",
            "sampling.logprobs",
            "tool_choice",
            "tools[0].strict"
        ]
    );
    ask.sampling = Sampling::default();
    ask.tools[0].strict = None;
    ask.tool_choice = Some(ToolChoice::None);
    let body = written(Kind::Ollama, &ask).expect("written");
    assert!(
        body.get("tools").is_none() && body.get("tool_choice").is_none(),
        "{body}"
    );
}

#[test]
fn what_the_operator_says_is_honoured() {
    let mut config = UpstreamConfig::new("http://127.0.0.1:1", Kind::Openai);
    config.extra_fields = vec!["top_k".to_owned(), "max_completion_tokens".to_owned()];
    let upstream = Upstream::new("u", config, &Default::default()).expect("valid");
    let mut ask = ask();
    ask.sampling = Sampling {
        top_k: Some(1),
        max_tokens: Some(9),
        ..Sampling::default()
    };
    let body: Value =
        serde_json::from_slice(&body(&upstream, "m", &ask, "").expect("written")).expect("JSON");
    assert_eq!(
        (&body["top_k"], &body["max_completion_tokens"]),
        (&json!(1), &json!(9))
    );
    assert!(body.get("max_tokens").is_none());
}
