//! Answers that go well, through gRPC.

use polyphony_llm_proxy::config::Kind;
use polyphony_proto::llm::v1 as pb;
use polyphony_proto::llm::v1::chat_response::Event;
use polyphony_testing::eventually;
use serde_json::json;
use tokio::sync::mpsc;
use tonic::Code;

use crate::support::*;

#[tokio::test]
async fn an_answer_is_told_as_it_comes_with_its_usage_route_and_receipt() {
    let upstream = Upstream::streaming(answer(&["Hel", "lo"])).await;
    let served = before(Kind::Vllm, &upstream).await;
    let heard = served.chat(ask("Hi")).await;
    let completed = heard.completed();
    assert_eq!(heard.text(), "Hello");
    let Some(Event::Started(started)) = heard.events.first() else {
        panic!("{:?}", heard.events)
    };
    assert_eq!(
        (started.id.as_str(), started.model.as_str(), started.cached),
        ("chatcmpl-1", "m", false)
    );
    let route = completed.route.as_ref().expect("a route");
    assert_eq!(
        (route.upstream.as_str(), route.kind.as_str(), route.attempts),
        ("one", "vllm", 1)
    );
    assert!(route.first_token_duration.is_some() && route.queue_duration.is_some());
    let choice = &completed.choices[0];
    assert_eq!(choice.finish_reason(), pb::FinishReason::Stop);
    assert_eq!(text_of(choice.message.as_ref().expect("a message")), "Hello");
    let usage = completed.usage.as_ref().expect("usage");
    assert_eq!(
        (usage.prompt_tokens, usage.completion_tokens, usage.cached_tokens),
        (Some(5), Some(2), Some(3))
    );
    let receipt = completed.receipt.as_ref().expect("a receipt");
    assert_eq!(
        (receipt.engine.as_str(), receipt.engine_version.as_str()),
        ("vllm", "vllm 0.11.0")
    );
    assert!(receipt.degraded.is_none());
    let sent = upstream.last();
    assert_eq!(sent.path, "/v1/chat/completions");
    assert_eq!(
        sent.body,
        json!({"model": "m", "messages": [{"role": "user", "content": "Hi"}], "stream": true, "stream_options": {"include_usage": true}})
    );
}

#[tokio::test]
async fn reasoning_refusals_calls_and_logprobs_come_through() {
    let stream = [
        piece(json!({"reasoning_content": "Hm. "})),
        piece(json!({"reasoning": "Well."})),
        piece(json!({"refusal": "No."})),
        piece(
            json!({"tool_calls": [{"index": 0, "id": "c1", "type": "function", "function": {"name": "look", "arguments": "{\"at\""}}]}),
        ),
        piece(json!({"tool_calls": [{"index": 0, "function": {"arguments": ":1}"}}]})),
        event(
            &json!({"choices": [{"index": 0, "delta": {"content": "é"}, "logprobs": {"content": [{"token": "é", "logprob": -0.5, "bytes": [195, 169], "top_logprobs": [{"token": "e", "logprob": -1.5, "bytes": null}]}]}}]}),
        ),
        end("tool_calls"),
    ];
    let upstream = Upstream::streaming(stream.concat()).await;
    let served = before(Kind::Vllm, &upstream).await;
    let heard = served.chat(ask("Hi")).await;
    let choice = &heard.completed().choices[0];
    assert_eq!(choice.finish_reason(), pb::FinishReason::ToolCalls);
    let message = choice.message.as_ref().expect("a message");
    assert_eq!(
        (message.reasoning_content.as_str(), message.refusal.as_str()),
        ("Hm. Well.", "No.")
    );
    assert_eq!(
        message.tool_calls,
        [pb::ToolCall {
            id: "c1".to_owned(),
            name: "look".to_owned(),
            arguments: "{\"at\":1}".to_owned()
        }]
    );
    let token = heard.events.iter().find_map(|event| match event {
        Event::Delta(delta) => delta.logprobs.first(),
        _ => None,
    });
    let token = token.expect("a token");
    assert_eq!(
        (token.token_bytes.as_ref(), token.logprob),
        (&[195, 169][..], -0.5)
    );
    assert_eq!(token.top_logprobs[0].token, "e");
}

#[tokio::test]
async fn a_server_that_does_not_stream_after_all_is_understood() {
    let whole = json!({"id": "x", "choices": [{"index": 0, "message": {"role": "assistant", "content": "All at once"}, "finish_reason": "stop"}], "usage": {"prompt_tokens": 1, "completion_tokens": 3}});
    let upstream = Upstream::giving(whole).await;
    let served = before(Kind::Openai, &upstream).await;
    let heard = served.chat(ask("Hi")).await;
    assert_eq!(heard.text(), "All at once");
    assert_eq!(
        heard
            .completed()
            .usage
            .as_ref()
            .and_then(|usage| usage.completion_tokens),
        Some(3)
    );
}

#[tokio::test]
async fn a_field_that_the_upstream_does_not_honour_is_refused_by_its_path() {
    let upstream = Upstream::streaming(answer(&["never"])).await;
    let served = before(Kind::Ollama, &Upstream::full(ollama).await).await;
    let mut request = ask("Hi");
    request.sampling = Some(pb::SamplingParams {
        top_k: Some(5),
        ..Default::default()
    });
    request.constraint = Some(pb::OutputConstraint {
        constraint: Some(pb::output_constraint::Constraint::Regex("a+".to_owned())),
    });
    let refused = served.chat(request).await;
    let status = refused.failed();
    assert_eq!(status.code(), Code::InvalidArgument);
    let details = tonic_types::StatusExt::get_error_details(status);
    let fields: Vec<_> = details
        .bad_request()
        .expect("details")
        .field_violations
        .iter()
        .map(|one| one.field.as_str())
        .collect();
    assert_eq!(fields, ["sampling.top_k", "constraint.regex"]);
    assert_eq!(upstream.count(), 0);
}

/// An Ollama that knows one model.
fn ollama(seen: Seen, mut wire: Wire) -> (std::pin::Pin<Box<dyn Future<Output = ()> + Send>>, bool) {
    let reply = match seen.path.as_str() {
        "/api/version" => json!({"version": "0.12.0"}),
        "/api/tags" => json!({"models": [{"name": "m:latest", "digest": "d"}]}),
        "/api/show" => {
            json!({"capabilities": ["completion", "vision"], "model_info": {"llama.context_length": 4096}})
        }
        _ => json!({"models": []}),
    };
    (Box::pin(async move { wire.json(200, &reply).await }), false)
}

#[tokio::test]
async fn who_waits_for_a_place_hears_of_the_queue_and_one_too_many_is_refused() {
    let (go, gone) = tokio::sync::watch::channel(false);
    let upstream = Upstream::start(move |_, mut wire| {
        let mut gone = gone.clone();
        async move {
            gone.wait_for(|go| *go).await.expect("told");
            wire.sse(&answer(&["done"])).await;
        }
    })
    .await;
    let mut config = config(&[("one", Kind::Vllm, upstream.address)]);
    let one = config.upstreams.get_mut("one").expect("there");
    (one.max_in_flight, one.max_queue) = (1, 1);
    let served = std::sync::Arc::new(served(config).await);
    let spawn = || {
        let served = std::sync::Arc::clone(&served);
        tokio::spawn(async move { served.chat(ask("Hi")).await })
    };
    let first = spawn();
    eventually(PATIENCE, "the first to be sent", || upstream.count() == 1).await;
    let second = spawn();
    let queued = async || {
        let list = served
            .client
            .clone()
            .list_models(pb::ListModelsRequest::default())
            .await
            .expect("listed");
        let models = list.into_inner().models;
        models
            .iter()
            .find(|model| model.model == "m")
            .expect("listed")
            .upstreams[0]
            .queued
    };
    while queued().await == 0 {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    let third = served.chat(ask("Hi")).await;
    let status = third.failed();
    assert_eq!(status.code(), Code::ResourceExhausted);
    let details = tonic_types::StatusExt::get_error_details(status);
    assert!(
        details.retry_info().is_some() && details.quota_failure().is_some(),
        "{details:?}"
    );
    go.send(true).expect("heard");
    assert_eq!(first.await.expect("runs").text(), "done");
    let second = second.await.expect("runs");
    assert_eq!(second.text(), "done");
    let Some(Event::Queued(place)) = second.events.first() else {
        panic!("{:?}", second.events)
    };
    assert_eq!((place.position, place.depth), (0, 1));
}

#[tokio::test]
async fn who_goes_away_closes_the_upstreams_connection_at_once() {
    let (closed, mut seen) = mpsc::channel(4);
    let upstream = Upstream::start(move |_, mut wire| {
        let closed = closed.clone();
        async move {
            wire.head().await;
            wire.chunk(&piece(json!({"content": "on and "}))).await;
            wire.gone().await;
            closed.send(()).await.expect("heard");
        }
    })
    .await;
    let served = before(Kind::Vllm, &upstream).await;
    let mut replies = served
        .client
        .clone()
        .chat(ask("Hi"))
        .await
        .expect("begins")
        .into_inner();
    while !matches!(
        replies.message().await.expect("comes").expect("more").event,
        Some(Event::Delta(_))
    ) {}
    drop(replies);
    tokio::time::timeout(PATIENCE, seen.recv())
        .await
        .expect("closed soon")
        .expect("closed");
    let served = std::sync::Arc::new(served);
    let body = json!({"model": "m", "stream": true, "messages": []});
    for (count, is_http) in [(2, false), (3, true)] {
        let (served, body) = (std::sync::Arc::clone(&served), body.clone());
        let going = tokio::spawn(async move {
            match is_http {
                true => drop(served.post("/v1/chat/completions", &body).await),
                false => drop(served.chat(ask("Hi")).await),
            }
        });
        eventually(PATIENCE, "the request to be sent", || upstream.count() == count).await;
        going.abort();
        tokio::time::timeout(PATIENCE, seen.recv())
            .await
            .expect("closed soon")
            .expect("closed");
    }
}

#[tokio::test]
async fn a_repetition_joins_the_answer_under_way() {
    let (go, gone) = tokio::sync::watch::channel(false);
    let upstream = Upstream::start(move |_, mut wire| {
        let mut gone = gone.clone();
        async move {
            wire.head().await;
            wire.chunk(&piece(json!({"content": "one"}))).await;
            gone.wait_for(|go| *go).await.expect("told");
            wire.chunk(&(piece(json!({"content": " two"})) + &end("stop")))
                .await;
            wire.bytes("0\r\n\r\n").await;
        }
    })
    .await;
    let served = std::sync::Arc::new(before(Kind::Vllm, &upstream).await);
    let request = pb::ChatRequest {
        request_id: "123e4567-e89b-42d3-a456-426614174000".to_owned(),
        ..ask("Hi")
    };
    let both: Vec<_> = (0..2)
        .map(|_| {
            let (served, request) = (std::sync::Arc::clone(&served), request.clone());
            tokio::spawn(async move { served.chat(request).await })
        })
        .collect();
    eventually(PATIENCE, "the answer to begin", || upstream.count() == 1).await;
    let mut other = request.clone();
    other.messages = vec![user("Something else")];
    assert_eq!(served.chat(other).await.failed().code(), Code::InvalidArgument);
    go.send(true).expect("heard");
    for one in both {
        assert_eq!(one.await.expect("runs").text(), "one two");
    }
    let later = served.chat(request).await;
    assert_eq!(later.text(), "one two", "it is kept for who comes back");
    later.completed();
    assert_eq!(upstream.count(), 1);
}

#[tokio::test]
async fn without_any_model_it_says_how_to_add_one() {
    let served = served(config(&[])).await;
    let heard = served.chat(ask("Hi")).await;
    let status = heard.failed();
    assert_eq!(status.code(), Code::Unavailable);
    assert!(
        status.message().contains("[llm-proxy.upstreams.NAME]"),
        "{}",
        status.message()
    );
    let door = served
        .post("/v1/chat/completions", &json!({"model": "m", "messages": []}))
        .await;
    assert_eq!(door.status, 503);
    let capabilities = served
        .client
        .clone()
        .get_capabilities(pb::GetCapabilitiesRequest {})
        .await
        .expect("told");
    // Encoders may be on disk here; they do not write.
    assert!(
        capabilities
            .into_inner()
            .models
            .iter()
            .all(|model| model.engine == "bert")
    );
    served.trigger.drain();
    served.ended.await.expect("ends");
}
