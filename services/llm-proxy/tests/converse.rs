//! Conversations over several turns in one stream.

use polyphony_llm_proxy::config::Kind;
use polyphony_proto::llm::v1 as pb;
use polyphony_proto::llm::v1::chat_response::Event;
use polyphony_proto::llm::v1::chat_stream_request::Request;
use serde_json::json;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Status, Streaming};

use crate::support::*;

struct Open {
    requests: mpsc::Sender<pb::ChatStreamRequest>,
    replies: Streaming<pb::ChatStreamResponse>,
    sequence: u64,
}

async fn open(served: &Served) -> Open {
    let (requests, outgoing) = mpsc::channel(8);
    let replies = served
        .client
        .clone()
        .chat_stream(ReceiverStream::new(outgoing))
        .await
        .expect("opens");
    Open {
        requests,
        replies: replies.into_inner(),
        sequence: 0,
    }
}

impl Open {
    async fn send(&self, request: Request) {
        let request = pb::ChatStreamRequest {
            request: Some(request),
        };
        self.requests.send(request).await.expect("sent");
    }

    async fn next(&mut self) -> Result<Option<Event>, Status> {
        let reply = timeout(PATIENCE, self.replies.message()).await.expect("comes")?;
        let Some(reply) = reply else { return Ok(None) };
        self.sequence += 1;
        assert_eq!(reply.sequence, self.sequence);
        Ok(reply.response.and_then(|response| response.event))
    }

    async fn completed(&mut self) -> pb::ChatCompleted {
        loop {
            if let Event::Completed(completed) = self.next().await.expect("goes on").expect("more") {
                return completed;
            }
        }
    }

    async fn failed(&mut self) -> Status {
        loop {
            match self.next().await {
                Ok(event) => assert!(event.is_some(), "it ended well"),
                Err(status) => return status,
            }
        }
    }
}

fn weather() -> pb::ChatRequest {
    pb::ChatRequest {
        tools: vec![pb::Tool {
            name: "weather".to_owned(),
            parameters_json_schema: r#"{"type":"object"}"#.to_owned(),
            ..Default::default()
        }],
        ..ask("Will it rain?")
    }
}

/// Asks for the weather until it has been told, then says it, and counts its turns.
async fn forecaster() -> Upstream {
    Upstream::start(|seen, mut wire| async move {
        let messages = seen.body["messages"].as_array().cloned().unwrap_or_default();
        let last = messages.last().cloned().unwrap_or_default();
        let stream = match last["role"].as_str() {
            Some("tool") => answer(&["It says: ", last["content"].as_str().expect("a result")]),
            _ if messages.len() > 3 => answer(&[&format!("{} messages", messages.len())]),
            _ => {
                let call = json!({"tool_calls": [{"index": 0, "id": "c1", "type": "function", "function": {"name": "weather", "arguments": "{}"}}]});
                piece(json!({"reasoning_content": "Hm."})) + &piece(call) + &end("tool_calls")
            }
        };
        wire.sse(&stream).await;
    })
    .await
}

#[tokio::test]
async fn what_an_upstream_does_not_honour_is_named_by_its_place_in_the_stream() {
    let upstream = forecaster().await;
    let served = before(Kind::Openai, &upstream).await;
    let mut open = open(&served).await;
    let mut chat = weather();
    chat.sampling = Some(pb::SamplingParams {
        top_k: Some(5),
        ..Default::default()
    });
    open.send(Request::Chat(chat)).await;
    let status = open.failed().await;
    assert_eq!(status.code(), Code::InvalidArgument);
    let details = tonic_types::StatusExt::get_error_details(&status);
    let field = &details.bad_request().expect("details").field_violations[0].field;
    assert_eq!(field, "chat.sampling.top_k");
}

#[tokio::test]
async fn results_of_tools_and_further_messages_go_on_with_the_conversation() {
    let upstream = forecaster().await;
    let served = before(Kind::Vllm, &upstream).await;
    let mut open = open(&served).await;
    open.send(Request::Chat(weather())).await;
    let called = open.completed().await;
    assert_eq!(called.choices[0].finish_reason(), pb::FinishReason::ToolCalls);
    let result = pb::ToolResult {
        tool_call_id: "c1".to_owned(),
        content: "rain".to_owned(),
    };
    open.send(Request::ToolResults(pb::ToolResults {
        results: vec![result],
    }))
    .await;
    let told = open.completed().await;
    assert_eq!(
        text_of(told.choices[0].message.as_ref().expect("a message")),
        "It says: rain"
    );
    let sent = upstream.last().body;
    assert_eq!(
        sent["messages"],
        json!([
            {"role": "user", "content": "Will it rain?"},
            {"role": "assistant", "content": null, "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "weather", "arguments": "{}"}}]},
            {"role": "tool", "content": "rain", "tool_call_id": "c1"},
        ]),
        "thoughts are not sent again"
    );
    open.send(Request::Messages(pb::ChatMessages {
        messages: vec![user("And then?")],
    }))
    .await;
    let more = open.completed().await;
    assert_eq!(
        text_of(more.choices[0].message.as_ref().expect("a message")),
        "5 messages"
    );
    drop(open.requests);
    assert!(
        timeout(PATIENCE, open.replies.message())
            .await
            .expect("ends")
            .expect("well")
            .is_none()
    );
}

#[tokio::test]
async fn a_cancel_ends_the_answer_and_not_the_conversation() {
    let (closed, mut seen) = mpsc::channel(1);
    let upstream = Upstream::start(move |seen, mut wire| {
        let closed = closed.clone();
        async move {
            if seen.body["messages"].as_array().map_or(0, Vec::len) > 1 {
                wire.sse(&answer(&[&seen.body["messages"].to_string()])).await;
                return;
            }
            wire.head().await;
            wire.chunk(&piece(json!({"content": "On and"}))).await;
            wire.gone().await;
            closed.send(()).await.expect("heard");
        }
    })
    .await;
    let served = before(Kind::Vllm, &upstream).await;
    let mut open = open(&served).await;
    open.send(Request::Chat(ask("Hi"))).await;
    while !matches!(open.next().await, Ok(Some(Event::Delta(_)))) {}
    open.send(Request::Cancel(pb::CancelAnswer {})).await;
    let cancelled = open.completed().await;
    assert_eq!(cancelled.choices[0].finish_reason(), pb::FinishReason::Cancelled);
    assert_eq!(
        text_of(cancelled.choices[0].message.as_ref().expect("a message")),
        "On and"
    );
    timeout(PATIENCE, seen.recv())
        .await
        .expect("closed soon")
        .expect("closed");
    // One that comes too late is none.
    open.send(Request::Cancel(pb::CancelAnswer {})).await;
    open.send(Request::Messages(pb::ChatMessages {
        messages: vec![user("Go on")],
    }))
    .await;
    let said = text_of(
        open.completed().await.choices[0]
            .message
            .as_ref()
            .expect("a message"),
    );
    assert!(said.contains("On and"), "{said}");
}

#[tokio::test]
async fn what_does_not_fit_the_turn_is_refused_by_its_path() {
    let upstream = forecaster().await;
    let served = before(Kind::Vllm, &upstream).await;
    let result = |id: &str| pb::ToolResult {
        tool_call_id: id.to_owned(),
        content: String::new(),
    };
    let results = |ids: &[&str]| {
        Request::ToolResults(pb::ToolResults {
            results: ids.iter().map(|id| result(id)).collect(),
        })
    };
    for (after, request, told) in [
        (false, results(&["c1"]), "chat: must be the first"),
        (true, results(&["c2"]), "tool_results.results[0].tool_call_id"),
        (
            true,
            results(&[]),
            "tool_results.results: has no result of call \"c1\"",
        ),
        (true, Request::Chat(ask("Again")), "chat: must be sent once"),
        (
            true,
            Request::Messages(pb::ChatMessages {
                messages: vec![user("So?")],
            }),
            "messages.messages: has no result",
        ),
        (
            false,
            Request::Chat(pb::ChatRequest {
                request_id: "x".to_owned(),
                ..ask("Hi")
            }),
            "chat.request_id",
        ),
    ] {
        let mut open = open(&served).await;
        if after {
            open.send(Request::Chat(weather())).await;
            open.completed().await;
        }
        open.send(request).await;
        let status = open.failed().await;
        assert_eq!(status.code(), Code::InvalidArgument, "{status:?}");
        assert!(status.message().contains(told), "{}", status.message());
    }
    let mut silent = open(&served).await;
    drop(silent.requests);
    let status = silent.replies.message().await.expect_err("nothing was asked");
    assert_eq!(status.code(), Code::InvalidArgument);
}
