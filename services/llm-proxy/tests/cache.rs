//! Answers that are given again, when the operator wants that.

use polyphony_llm_proxy::config::Kind;
use polyphony_proto::llm::v1 as pb;
use polyphony_proto::llm::v1::chat_response::Event;
use serde_json::json;

use crate::support::*;

fn at(temperature: f32) -> pb::ChatRequest {
    pb::ChatRequest {
        sampling: Some(pb::SamplingParams {
            temperature: Some(temperature),
            ..Default::default()
        }),
        ..ask("Hi")
    }
}

fn is_cached(heard: &Heard) -> bool {
    heard
        .events
        .iter()
        .any(|event| matches!(event, Event::Started(started) if started.cached))
}

#[tokio::test]
async fn only_what_would_be_the_same_again_is_kept_and_a_hit_says_so() {
    let upstream = Upstream::streaming(answer(&["Hel", "lo"])).await;
    let mut config = config(&[("one", Kind::Vllm, upstream.address)]);
    config.cache.enabled = true;
    let served = served(config).await;
    assert!(!is_cached(&served.chat(at(0.0)).await));
    let hit = served.chat(at(0.0)).await;
    assert!(is_cached(&hit));
    assert_eq!(hit.text(), "Hello");
    assert_eq!(
        hit.completed()
            .usage
            .as_ref()
            .and_then(|usage| usage.prompt_tokens),
        Some(5)
    );
    assert_eq!(upstream.count(), 1);
    for _ in 0..2 {
        assert!(
            !is_cached(&served.chat(at(0.7)).await),
            "it may be another answer"
        );
    }
    let wanted = pb::ChatRequest {
        enable_cache: Some(true),
        ..at(0.9)
    };
    assert!(!is_cached(&served.chat(wanted.clone()).await));
    assert!(is_cached(&served.chat(wanted).await));
    let unwanted = pb::ChatRequest {
        enable_cache: Some(false),
        ..at(0.0)
    };
    assert!(!is_cached(&served.chat(unwanted).await));
}

#[tokio::test]
async fn what_failed_is_not_kept() {
    let upstream = Upstream::start(|_, mut wire| async move {
        wire.head().await;
        wire.chunk(&piece(json!({"content": "half"}))).await;
        wire.bytes("0\r\n\r\n").await;
    })
    .await;
    let mut config = config(&[("one", Kind::Vllm, upstream.address)]);
    config.cache.enabled = true;
    let served = served(config).await;
    for count in 1..=2 {
        served.chat(at(0.0)).await.failed();
        assert_eq!(upstream.count(), count);
    }
}

#[tokio::test]
async fn the_http_door_keeps_whole_answers() {
    let whole = json!({"choices": [{"index": 0, "message": {"content": "Yo"}, "finish_reason": "stop"}]});
    let upstream = Upstream::giving(whole.clone()).await;
    let mut config = config(&[("one", Kind::Vllm, upstream.address)]);
    config.cache.enabled = true;
    let served = served(config).await;
    let body = json!({"model": "m", "temperature": 0, "messages": []});
    assert!(
        !served
            .post("/v1/chat/completions", &body)
            .await
            .head
            .contains("x-polyphony-cache")
    );
    let hit = served.post("/v1/chat/completions", &body).await;
    assert!(
        hit.head.contains("x-polyphony-cache: hit") && hit.json() == whole,
        "{hit:?}"
    );
    assert_eq!(upstream.count(), 1);
}
